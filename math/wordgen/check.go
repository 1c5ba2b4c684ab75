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
// turn; the answer line gives the last stock when all changes are taken. After
// the first wrong line all are wrong.
func (p Problem) CheckSteps(solution string) []bool {
	changes, stock := slices.Concat(p.Days...), p.Start
	lines := strings.Split(strings.TrimSuffix(solution, "\n"), "\n")
	right := make([]bool, len(lines))
	for i, line := range lines {
		if answer, ok := strings.CutPrefix(line, answerMark); ok {
			right[i] = len(changes) == 0 && answer == strconv.Itoa(stock)
		} else {
			right[i] = takeLine(line, &stock, &changes)
		}
		if !right[i] {
			break
		}
	}
	return right
}

var equation = regexp.MustCompile(`^(\d{1,6})((?:[+-]\d{1,6})+)=(-?\d{1,6})$`)
var change = regexp.MustCompile(`[+-]\d+`)

// takeLine follows a line's equations; it is false at the first that is wrong.
func takeLine(line string, stock *int, changes *[]int) bool {
	line = strings.TrimPrefix(strings.TrimPrefix(line, partsMark), headMark)
	for _, text := range strings.Split(line, ", ") {
		m := equation.FindStringSubmatch(text)
		if m == nil || m[1] != strconv.Itoa(*stock) {
			return false
		}
		for _, c := range change.FindAllString(m[2], -1) {
			n, err := strconv.Atoi(c)
			if err != nil || len(*changes) == 0 || n != (*changes)[0] {
				return false
			}
			*stock += n
			*changes = (*changes)[1:]
		}
		if m[3] != strconv.Itoa(*stock) {
			return false
		}
	}
	return true
}

// StyleOfLine tells how a line of a solution is worked: in one equation of more
// than two numbers, or by parts.
func StyleOfLine(line string) Style {
	line = strings.TrimPrefix(strings.TrimPrefix(line, partsMark), headMark)
	first, _, _ := strings.Cut(line, ", ")
	m := equation.FindStringSubmatch(first)
	switch {
	case m == nil:
		return Unknown
	case len(change.FindAllString(m[2], 2)) > 1:
		return InHead
	}
	return ByParts
}
