package wordgen

import (
	"fmt"
	"slices"
	"strings"
)

// Style is the way a solution is worked.
type Style string

// The two styles of annotated solutions; Unknown is any other text.
const (
	ByParts Style = "by parts"
	InHead  Style = "in the head"
	Unknown Style = "unknown"
)

const (
	partsMark  = "By parts: "
	headMark   = "In the head: "
	answerMark = "#### "
)

// StyleOf tells how a solution begins.
func StyleOf(solution string) Style {
	switch {
	case strings.HasPrefix(solution, partsMark):
		return ByParts
	case strings.HasPrefix(solution, headMark):
		return InHead
	}
	return Unknown
}

// Solve writes the right solution in a style, the answer line included.
func (p Problem) Solve(style Style) string {
	if style == InHead {
		return p.inHead()
	}
	return p.byParts()
}

// SolveMonthly writes the right solution of a problem with months, a line for each
// of its days: with every stock in between or, in the head, the last one alone. It
// panics unless there is a style for each day.
func (p Problem) SolveMonthly(styles []Style) string {
	if len(styles) != len(p.Days) {
		panic(fmt.Sprintf("wordgen: %d styles for %d days", len(styles), len(p.Days)))
	}
	var b strings.Builder
	stock, month := p.Start, 0
	for day, changes := range p.Days {
		if styles[day] == InHead {
			stock += sum(changes)
			month += len(changes)
			fmt.Fprintf(&b, "%s: %d\n", months[month-1], stock)
			continue
		}
		for i, change := range changes {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(months[month] + ": ")
			stock = writeParts(&b, stock, []int{change})
			month++
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s%d", answerMark, stock)
	return b.String()
}

// byParts is a line for each day, with every stock in between.
func (p Problem) byParts() string {
	var b strings.Builder
	stock := p.Start
	for _, changes := range p.Days {
		b.WriteString(partsMark)
		stock = writeParts(&b, stock, changes)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s%d", answerMark, stock)
	return b.String()
}

// inHead is one line with all changes and the last stock alone.
func (p Problem) inHead() string {
	var b strings.Builder
	b.WriteString(headMark)
	stock := writeSum(&b, p.Start, slices.Concat(p.Days...))
	fmt.Fprintf(&b, "\n%s%d", answerMark, stock)
	return b.String()
}

// writeParts writes an equation for each change and returns the last stock.
func writeParts(b *strings.Builder, stock int, changes []int) int {
	for i, change := range changes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(b, "%d%+d=%d", stock, change, stock+change)
		stock += change
	}
	return stock
}

// writeSum writes one equation for all changes and returns the last stock.
func writeSum(b *strings.Builder, stock int, changes []int) int {
	fmt.Fprintf(b, "%d", stock)
	for _, change := range changes {
		fmt.Fprintf(b, "%+d", change)
		stock += change
	}
	fmt.Fprintf(b, "=%d", stock)
	return stock
}
