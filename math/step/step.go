// Package step cuts a response into the reasoning steps that OREO's step-level
// objective, the beam search of the paper (arXiv 2412.16145, section 4.2) and
// the value plots all work on.
//
// A step keeps the delimiter that ends it, so the pieces concatenate to the
// response and a step's end is where the next state begins.
package step

import (
	"fmt"
	"strings"
)

// Mode says what ends a step.
type Mode int

const (
	// Newline ends a step after each "\n" (GSM8K in the paper).
	Newline Mode = iota
	// Period ends a step after each "\n", ". " and ".$ " (MATH in the paper).
	// It also cuts after the "1. " of a numbered list, as jwhj/OREO does.
	Period
)

// ParseMode reads "newline" or "period".
func ParseMode(s string) (Mode, error) {
	switch s {
	case "newline":
		return Newline, nil
	case "period":
		return Period, nil
	}
	return 0, fmt.Errorf("step mode %q: want newline or period", s)
}

// String is the name ParseMode reads.
func (m Mode) String() string {
	if m == Period {
		return "period"
	}
	return "newline"
}

// Delimiters are the strings that end a step: also the stop strings of a beam
// search that expands one step at a time.
func (m Mode) Delimiters() []string {
	if m == Period {
		return []string{"\n", ". ", ".$ "}
	}
	return []string{"\n"}
}

// Split returns the end offset in bytes of every step of response: strictly
// increasing, the last one len(response). An empty response has no steps.
func Split(response string, mode Mode) []int {
	var ends []int
	for i := range len(response) {
		if endsStep(response[:i+1], mode) {
			ends = append(ends, i+1)
		}
	}
	if n := len(response); n > 0 && (len(ends) == 0 || ends[len(ends)-1] != n) {
		ends = append(ends, n)
	}
	return ends
}

// Pieces returns the steps themselves; they concatenate to response.
func Pieces(response string, mode Mode) []string {
	ends := Split(response, mode)
	pieces := make([]string, len(ends))
	start := 0
	for i, end := range ends {
		pieces[i], start = response[start:end], end
	}
	return pieces
}

// Lines returns the steps as jwhj/OREO lists them: in Newline mode the lines
// without their newline, with an empty last line after a final newline; in
// Period mode the same as Pieces.
func Lines(response string, mode Mode) []string {
	if mode == Newline {
		return strings.Split(response, "\n")
	}
	return Pieces(response, mode)
}

// endsStep reports whether a step ends with the last byte of text. No
// delimiter can reach back over an earlier cut: each ends in its only space or
// newline.
func endsStep(text string, mode Mode) bool {
	switch text[len(text)-1] {
	case '\n':
		return true
	case ' ':
		return mode == Period && (strings.HasSuffix(text, ". ") || strings.HasSuffix(text, ".$ "))
	}
	return false
}
