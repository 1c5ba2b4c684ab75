package wordgen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Checker returns the CheckSteps of a question of this package; ok is false for
// any other text.
func Checker(question string) (check func(solution string) []bool, ok bool) {
	if p, ok := Parse(question); ok {
		return p.CheckSteps, true
	}
	p, ok := ParseCards(question)
	return p.CheckSteps, ok
}

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
	for _, s := range scenes {
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
// turn; the answer line gives the last stock when all changes are taken. After the
// first wrong line all are wrong.
func (p Problem) CheckSteps(solution string) []bool {
	c := checker{stock: p.Start, changes: slices.Concat(p.Days...)}
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
	stock   int
	changes []int
	taken   int // of the changes
}

func (c *checker) line(line string) bool {
	if answer, ok := strings.CutPrefix(line, answerMark); ok {
		return c.taken == len(c.changes) && answer == strconv.Itoa(c.stock)
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
		if err != nil || c.taken == len(c.changes) || n != c.take() {
			return false
		}
	}
	return m[3] == strconv.Itoa(c.stock)
}

// take makes the next change; there must be one.
func (c *checker) take() int {
	n := c.changes[c.taken]
	c.stock += n
	c.taken++
	return n
}
