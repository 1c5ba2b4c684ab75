package data

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Show prints what a model learns from s: the text its tokens decode to, cut
// into what is given and the steps of actions, with line ends made visible. In
// colour, what is given is dim and actions are green.
func Show(w io.Writer, s *Sequence, tok Tokenizer, colour bool) error {
	bold, dim, green, off := "", "", "", ""
	if colour {
		bold, dim, green, off = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s%s: %d tokens, %d of them actions in %d steps, reward %g\n",
		bold, s.ID, off, len(s.Tokens), s.Actions(), len(s.Steps), s.Reward)
	step := 0
	for start := 0; start < len(s.Tokens); {
		end := start + 1
		for end < len(s.Tokens) && s.Action[end] == s.Action[start] && !slices.Contains(s.Steps, end) {
			end++
		}
		label, paint := "given", dim
		if s.Action[start] {
			step++
			label, paint = fmt.Sprintf("step %d", step), green
		}
		fmt.Fprintf(&b, "%s%9s |%s %s\n", bold, label, off, visible(decode(tok, s.Tokens[start:end]), paint, off))
		start = end
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func decode(tok Tokenizer, tokens []int32) string {
	ids := make([]int, len(tokens))
	for i, id := range tokens {
		ids[i] = int(id)
	}
	return tok.Decode(ids, false)
}

// visible paints text line by line, each line end shown as ⏎ and the next line
// indented below the first; control characters, which could drive a terminal,
// are replaced.
func visible(text, paint, off string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				return '\uFFFD'
			}
			return r
		}, line)
		if i < len(lines)-1 {
			line += "⏎"
		}
		lines[i] = paint + line + off
	}
	if n := len(lines); n > 1 && text[len(text)-1] == '\n' {
		lines = lines[:n-1]
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", 9)+" | ")
}
