package wordgen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a question of this package back into numbers: ID, Solution and
// Answer stay empty. ok is false for any other text.
func Parse(question string) (p Problem, ok bool) {
	sentences := strings.Split(question, ". ")
	if len(sentences) < 3 || !strings.HasPrefix(sentences[len(sentences)-1], "How many ") {
		return Problem{}, false
	}
	for i, sentence := range sentences[:len(sentences)-1] {
		var changes []int
		for _, m := range verbAndNumber.FindAllStringSubmatch(sentence, -1) {
			n, err := strconv.Atoi(m[2])
			sign, known := signs[m[1]]
			switch {
			case err != nil || known != (i > 0):
				return Problem{}, false
			case i == 0:
				p.Start = n
			default:
				changes = append(changes, sign*n)
			}
		}
		if i > 0 {
			p.Days = append(p.Days, changes)
		}
	}
	return p, !slices.ContainsFunc(p.Days, func(changes []int) bool { return len(changes) == 0 })
}

var verbAndNumber = regexp.MustCompile(`(\w+) (\d{1,6})\b`)

// signs tells for every verb of the scenes whether things are gained or lost.
var signs = func() map[string]int {
	m := map[string]int{}
	for _, s := range append(scenes[:len(scenes):len(scenes)], scene{gains: plainGains, losses: plainLosses}) {
		for _, verb := range s.gains {
			m[verb] = 1
		}
		for _, verb := range s.losses {
			m[verb] = -1
		}
	}
	return m
}()

// CheckSteps tells for each line of a solution, in either style, whether the
// solution is right up to its end: its equations hold, the first begins with the
// stock reached before, and together they take the changes of the question in
// turn; a number alone is the stock at the end of the day; the answer line gives
// the last stock when all changes are taken. After the first wrong line all are
// wrong.
func (p Problem) CheckSteps(solution string) []bool {
	c := checker{stock: p.Start, days: p.Days, names: weekdays}
	lines := strings.Split(strings.TrimSuffix(solution, "\n"), "\n")
	right := make([]bool, len(lines))
	for i, line := range lines {
		if right[i] = c.line(line); !right[i] {
			break
		}
	}
	return right
}

// checker is how far a solution has come.
type checker struct {
	stock int
	days  [][]int
	names []string // of the days left
	taken int      // changes of the first of the days
}

func (c *checker) line(line string) bool {
	if answer, ok := strings.CutPrefix(line, answerMark); ok {
		return len(c.days) == 0 && answer == strconv.Itoa(c.stock)
	}
	if name, rest, named := strings.Cut(line, ": "); named && slices.Contains(weekdays, name) {
		if c.taken > 0 || len(c.names) == 0 || name != c.names[0] {
			return false
		}
		line = rest
	}
	if len(c.days) > 0 && number.MatchString(line) {
		for day := len(c.days); len(c.days) == day; {
			c.take()
		}
		return line == strconv.Itoa(c.stock)
	}
	line = strings.TrimPrefix(strings.TrimPrefix(line, partsMark), headMark)
	for _, text := range strings.Split(line, ", ") {
		if !c.equation(text) {
			return false
		}
	}
	return true
}

var (
	number   = regexp.MustCompile(`^\d{1,6}$`)
	equation = regexp.MustCompile(`^(\d{1,6})((?:[+-]\d{1,6})+)=(-?\d{1,6})$`)
	change   = regexp.MustCompile(`[+-]\d+`)
)

func (c *checker) equation(text string) bool {
	m := equation.FindStringSubmatch(text)
	if m == nil || m[1] != strconv.Itoa(c.stock) {
		return false
	}
	for _, term := range change.FindAllString(m[2], -1) {
		n, err := strconv.Atoi(term)
		if err != nil || len(c.days) == 0 || n != c.take() {
			return false
		}
	}
	return m[3] == strconv.Itoa(c.stock)
}

// take makes the next change; there must be one.
func (c *checker) take() int {
	n := c.days[0][c.taken]
	c.stock += n
	if c.taken++; c.taken == len(c.days[0]) {
		c.days, c.names, c.taken = c.days[1:], c.names[min(1, len(c.names)):], 0
	}
	return n
}

// StyleOfLine tells how a line of a solution is worked: by parts, or in the head
// when it is one equation of more than two numbers or the stock alone.
func StyleOfLine(line string) Style {
	if _, rest, marked := strings.Cut(line, ": "); marked {
		line = rest
	}
	first, _, _ := strings.Cut(line, ", ")
	m := equation.FindStringSubmatch(first)
	switch {
	case number.MatchString(line), m != nil && len(change.FindAllString(m[2], 2)) > 1:
		return InHead
	case m != nil:
		return ByParts
	}
	return Unknown
}
