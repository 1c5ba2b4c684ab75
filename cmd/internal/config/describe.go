package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Describe lists every key of the configuration that dst points to, with type,
// range, the default (the value it holds) and doc: the text for --help.
func Describe(dst any) string {
	var b strings.Builder
	b.WriteString("Keys of the configuration file, which --set key=value overrides:\n")
	for _, f := range fieldsOf(dst) {
		facts := []string{typeName(f.value.Type())}
		if r := f.tag.Get("range"); r != "" {
			facts = append(facts, parseInterval(r).String())
		}
		if words := f.tag.Get("oneof"); words != "" {
			facts = append(facts, strings.ReplaceAll(words, "|", " or "))
		}
		switch {
		case f.tag.Get("required") == "true":
			facts = append(facts, "required")
		case f.value.Kind() != reflect.Slice || f.value.Len() > 0:
			facts = append(facts, "default "+format(f.value))
		}
		fmt.Fprintf(&b, "\n  %s (%s)\n", f.key, strings.Join(facts, ", "))
		if doc := f.tag.Get("doc"); doc != "" {
			fmt.Fprintf(&b, "      %s\n", doc)
		}
	}
	return b.String()
}

func (f field) checkWord(text string) error {
	words := f.tag.Get("oneof")
	if words == "" {
		return nil
	}
	for w := range strings.SplitSeq(words, "|") {
		if w == text {
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.ReplaceAll(words, "|", ", "))
}

func (f field) checkRange(n float64) error {
	r := f.tag.Get("range")
	if r == "" {
		return nil
	}
	if i := parseInterval(r); !i.contains(n) {
		return fmt.Errorf("%v is out of range: want %s", n, i)
	}
	return nil
}

// interval is a range of numbers, written as in mathematics: [0,1), (0,).
type interval struct {
	low, high         string // "" where it has no end
	lowOpen, highOpen bool
}

// parseInterval reads a range tag; a malformed one is a programmer's error.
func parseInterval(s string) interval {
	low, high, ok := strings.Cut(strings.Trim(s, "[]()"), ",")
	i := interval{strings.TrimSpace(low), strings.TrimSpace(high), s[0] == '(', s[len(s)-1] == ')'}
	for _, end := range []string{i.low, i.high} {
		if _, err := strconv.ParseFloat(end, 64); end != "" && err != nil {
			ok = false
		}
	}
	if !ok || i.low+i.high == "" {
		panic(fmt.Sprintf("config: range %q is not an interval", s))
	}
	return i
}

func (i interval) contains(n float64) bool {
	low, lowErr := strconv.ParseFloat(i.low, 64)
	high, highErr := strconv.ParseFloat(i.high, 64)
	return (lowErr != nil || n > low || n == low && !i.lowOpen) &&
		(highErr != nil || n < high || n == high && !i.highOpen)
}

func (i interval) String() string {
	var ends []string
	if i.low != "" {
		ends = append(ends, map[bool]string{true: "> ", false: ">= "}[i.lowOpen]+i.low)
	}
	if i.high != "" {
		ends = append(ends, map[bool]string{true: "< ", false: "<= "}[i.highOpen]+i.high)
	}
	return strings.Join(ends, " and ")
}
