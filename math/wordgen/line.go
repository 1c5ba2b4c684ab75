package wordgen

import (
	"fmt"
	"strings"
)

// Style is the way a solution line is worked.
type Style string

// The two styles of annotated lines; Unknown is any other text.
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

// Line is the verdict on one line of a solution.
type Line struct {
	Style Style
	Right bool // the changes of the day, the stock before it and all results are right
}

// Audit checks a response line by line against the days of the problem. A
// line is right only if it is exactly what the day asks for, starting from
// the right stock; lines after the last day, the answer line included, are
// not audited.
func (p Problem) Audit(response string) []Line {
	var lines []Line
	stock := p.Start
	for i, text := range strings.Split(response, "\n") {
		if i == len(p.Days) || strings.HasPrefix(text, answerMark) {
			break
		}
		style := styleOf(text)
		right := style != Unknown && text == line(style, stock, p.Days[i])
		lines = append(lines, Line{Style: style, Right: right})
		stock += sum(p.Days[i])
	}
	return lines
}

func styleOf(line string) Style {
	switch {
	case strings.HasPrefix(line, partsMark):
		return ByParts
	case strings.HasPrefix(line, headMark):
		return InHead
	}
	return Unknown
}

// line writes a day in a style, given the stock before it.
func line(style Style, stock int, changes []int) string {
	if style == InHead {
		return fmt.Sprintf("%s%d", headMark, stock+sum(changes))
	}
	var b strings.Builder
	b.WriteString(partsMark)
	for i, change := range changes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d%+d=%d", stock, change, stock+change)
		stock += change
	}
	return b.String()
}
