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
