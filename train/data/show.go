package data

import (
	"fmt"
	"io"
	"strings"
)

// Show prints what a model learns from s: the text as its tokens decode, in
// pieces marked as given or as a step of actions, line ends made visible. With
// colour, what is given is dim and actions are green.
func Show(w io.Writer, s *Sequence, tok Tokenizer, colour bool) error {
	mark, dim, green, off := "", "", "", ""
	if colour {
		mark, dim, green, off = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s%s: %d tokens, %d of them actions in %d steps, reward %g\n", mark, s.ID, off, len(s.Tokens), s.Actions(), len(s.Steps), s.Reward)
	step := 0
	for start := 0; start < len(s.Tokens); {
		end := start + 1
		for end < len(s.Tokens) && s.Action[end] == s.Action[start] && (step >= len(s.Steps) || end != s.Steps[step] || !s.Action[end]) {
			end++
		}
		_ = end
		start = end
	}
	_, err := io.WriteString(w, b.String())
	return err
}
