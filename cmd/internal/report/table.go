package report

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// WriteTable writes a plain-text table with aligned columns, numbers to the
// right. Every row must have as many cells as the header.
func WriteTable(w io.Writer, header []string, rows [][]string) error {
	if err := checkTable(header, rows); err != nil {
		return err
	}
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(header))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	out := bufio.NewWriter(w)
	for _, row := range append([][]string{header, rule}, rows...) {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if isNumber(cell) {
				line.WriteString(gap + cell)
			} else {
				line.WriteString(cell + gap)
			}
			line.WriteString("  ")
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
	return out.Flush()
}

func checkTable(header []string, rows [][]string) error {
	for i, row := range rows {
		if len(row) != len(header) {
			return fmt.Errorf("table row %d has %d cells, the header has %d", i, len(row), len(header))
		}
	}
	return nil
}

// A number may carry a sign, a per cent sign, a unit and an interval: "-3", "41.2 %", "12 s", "41.2 ± 1.1".
var number = regexp.MustCompile(`^[-+−]?\d[\d.,]*( ?[a-zA-Z%/µ]{1,6})?( ?± ?[\d.,]+)?( ?[(\[][-\d., %–]+[)\]])?$`)

func isNumber(cell string) bool { return number.MatchString(cell) }
