// Package latex parses the LaTeX subset that sympy 1.12's parse_latex accepts,
// to the same expressions, so that a grader can give that parser's verdicts.
//
// Like the original it parses the longest prefix that makes sense and ignores
// the rest: "a,b" is a, "x^2+" is x^2. Some tokens bind it to go on: after
// "x_", "5." or "a=" an incomplete rest is an error even at the top level.
package latex

import "strings"

// kind is the kind of a token. Single characters that stand for themselves
// are their own kind.
type kind rune

const (
	eof kind = -(iota + 1)
	bad      // a character no token starts with
	letter
	digit
	differential // d followed by a letter or a command, as in dx
	symbol       // a command that is not in the table
	command      // a command of the table, told apart by text
	relation
	arrow
	quotes
	openSet  // \{
	closeSet // \}
	openBar  // \left|
	closeBar // \right|
	skipped
)

type token struct {
	kind kind
	text string
}

// commands gives the kind of the commands with a meaning in the grammar.
var commands = func() map[string]kind {
	table := map[string]kind{}
	for k, names := range map[kind]string{
		skipped: `\thinspace \medspace \thickspace \quad \qquad \negthinspace \negmedspace \negthickspace
			\left \right \vrule \vcenter \vbox \vskip \vspace \hfil`,
		relation: `\neq \leq \le \leqq \leqslant \geq \ge \geqq \geqslant`,
		arrow:    `\to \rightarrow \Rightarrow \longrightarrow \Longrightarrow`,
		command: `\langle \rangle \lim \int \sum \prod \exp \log \lg \ln \sin \cos \tan \csc \sec \cot
			\arcsin \arccos \arctan \arccsc \arcsec \arccot \sinh \cosh \tanh \arsinh \arcosh \artanh
			\lfloor \rfloor \lceil \rceil \sqrt \overline \times \cdot \div \frac \dfrac \tfrac
			\binom \dbinom \tbinom \mathit`,
	} {
		for _, name := range strings.Fields(names) {
			table[name] = k
		}
	}
	return table
}()

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// tokenize cuts s up. A character without a token becomes bad, and it is an
// error only if the parser comes to look at it.
func tokenize(s string) []token {
	tokens := make([]token, 0, len(s)+1)
	for i := 0; i < len(s); {
		k, n := next(s[i:])
		if k != skipped {
			tokens = append(tokens, token{k, s[i : i+n]})
		}
		i += n
	}
	return append(tokens, token{kind: eof})
}

// next is the kind and length of the token at the start of s.
func next(s string) (kind, int) {
	switch c := s[0]; {
	case isBlank(c):
		return skipped, 1
	case c == 'd':
		return lexD(s)
	case isLetter(c):
		return letter, 1
	case '0' <= c && c <= '9':
		return digit, 1
	case c == '\\':
		return lexCommand(s)
	case c == '\'':
		return quotes, len(s) - len(strings.TrimLeft(s, "'"))
	case c == '=':
		return relation, 1 + ampersand(s[1:])
	case c == '&':
		if rest := strings.TrimLeft(s[1:], " \t\r\n"); strings.HasPrefix(rest, "=") {
			return relation, len(s) - len(rest) + 1
		}
		return bad, 1
	case c == '<' || c == '>':
		return relation, 1
	case strings.IndexByte("+-*/(){}[]|_^:!,.", c) >= 0:
		return kind(c), 1
	}
	return bad, 1
}

// ampersand is the length of an alignment mark after an equals sign.
func ampersand(s string) int {
	rest := strings.TrimLeft(s, " \t\r\n")
	if strings.HasPrefix(rest, "&") {
		return len(s) - len(rest) + 1
	}
	return 0
}

// lexD reads a differential where a letter or command follows the d.
func lexD(s string) (kind, int) {
	i := 1
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	if i < len(s) && isLetter(s[i]) {
		return differential, i + 1
	}
	if n := commandLen(s[i:]); n > 1 {
		return differential, i + n
	}
	return letter, 1
}

// commandLen is the length of a backslash and the letters after it.
func commandLen(s string) int {
	if s == "" || s[0] != '\\' {
		return 0
	}
	n := 1
	for n < len(s) && isLetter(s[n]) {
		n++
	}
	return n
}

func lexCommand(s string) (kind, int) {
	n := commandLen(s)
	if n == 1 {
		if len(s) == 1 {
			return bad, 1
		}
		switch s[1] {
		case '{':
			return openSet, 2
		case '}':
			return closeSet, 2
		case ',', ':', ';', '!', '*', '-', '.', '/', '"', '(', '=':
			return skipped, 2
		}
		return bad, 1
	}
	if strings.HasPrefix(s[n:], "|") {
		switch s[:n] {
		case `\left`:
			return openBar, n + 1
		case `\right`:
			return closeBar, n + 1
		}
	}
	if k, ok := commands[s[:n]]; ok {
		return k, n
	}
	return symbol, n
}
