package chat

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// token kinds of the template language
const (
	tokData     = "text"
	tokVarBegin = "{{"
	tokVarEnd   = "}}"
	tokTagBegin = "{%"
	tokTagEnd   = "%}"
	tokName     = "name"
	tokString   = "string"
	tokInt      = "integer"
	tokFloat    = "float"
	tokOp       = "operator"
	tokEOF      = "end of template"
)

type token struct {
	kind, text string
	line       int
}

// lexer cuts a template into text and the tokens of its tags. White space around tags is treated as with Jinja's trim_blocks and
// lstrip_blocks, which transformers sets: a tag alone on its line leaves no trace.
type lexer struct {
	src    string
	pos    int
	line   int
	tokens []token
	// lineStart: the text that comes next begins a line
	lineStart bool
}

func lex(src string) []token {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStart: true}
	for l.pos < len(l.src) {
		l.text()
	}
	l.emit(tokEOF, "")
	return l.tokens
}

func (l *lexer) emit(kind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.line})
}

func (l *lexer) advance(n int) {
	l.line += strings.Count(l.src[l.pos:l.pos+n], "\n")
	l.pos += n
}

// text reads up to the next tag, and the tag.
func (l *lexer) text() {
	rest := l.src[l.pos:]
	at := 0
	for ; at+1 < len(rest); at++ {
		if rest[at] == '{' && strings.IndexByte("{%#", rest[at+1]) >= 0 {
			break
		}
	}
	if at+1 >= len(rest) {
		l.emit(tokData, rest)
		l.advance(len(rest))
		return
	}
	text, kind := rest[:at], rest[at:at+2]
	sign := byte(0)
	if at+2 < len(rest) && (rest[at+2] == '-' || rest[at+2] == '+') {
		sign = rest[at+2]
	}
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign == 0 && kind != tokVarBegin:
		text = l.stripLine(text)
	}
	if text != "" {
		l.emit(tokData, text)
	}
	l.advance(at + 2)
	if sign != 0 {
		l.advance(1)
	}
	switch kind {
	case "{#":
		end := strings.Index(l.src[l.pos:], "#}")
		if end < 0 {
			fail("line %d: comment without end", l.line)
		}
		closing := byte(0)
		if end > 0 {
			closing = l.src[l.pos+end-1]
		}
		l.advance(end + 2)
		l.afterTag(closing, true)
	case tokTagBegin:
		if l.raw() {
			return
		}
		fallthrough
	default:
		l.emit(kind, "")
		l.expression(kind)
	}
}

// stripLine takes the white space off the last line of text if there is nothing else on it.
func (l *lexer) stripLine(text string) string {
	begin := strings.LastIndexByte(text, '\n') + 1
	if (begin > 0 || l.lineStart) && strings.TrimFunc(text[begin:], isSpace) == "" {
		return text[:begin]
	}
	return text
}

// afterTag drops what the end of a tag takes from the text behind it: all white space after "-", else, for blocks and comments, a newline.
func (l *lexer) afterTag(sign byte, block bool) {
	rest := l.src[l.pos:]
	n := 0
	switch {
	case sign == '-':
		n = len(rest) - len(strings.TrimLeftFunc(rest, isSpace))
	case block && sign != '+' && strings.HasPrefix(rest, "\n"):
		n = 1
	}
	l.lineStart = n > 0 && rest[n-1] == '\n'
	l.advance(n)
}

// raw reads {% raw %}...{% endraw %}, whose text is not looked at.
func (l *lexer) raw() bool {
	inner, sign, n := tagWord(l.src[l.pos:], "raw")
	if !inner {
		return false
	}
	l.advance(n)
	l.afterTag(sign, false)
	for at := l.pos; ; at++ {
		k := strings.Index(l.src[at:], tokTagBegin)
		if k < 0 {
			fail("line %d: raw without endraw", l.line)
		}
		at += k
		body := l.src[l.pos:at]
		after := at + 2
		switch sign := l.src[after:min(after+1, len(l.src))]; sign {
		case "-":
			body = strings.TrimRightFunc(body, isSpace)
			after++
		case "+":
			after++
		default:
			body = l.stripLine(body)
		}
		if ok, sign, n := tagWord(l.src[after:], "endraw"); ok {
			l.emit(tokData, body)
			l.advance(after + n - l.pos)
			l.afterTag(sign, true)
			return true
		}
	}
}

// tagWord reports whether s is " word %}" and returns the sign before %} and the length.
func tagWord(s, word string) (ok bool, sign byte, n int) {
	rest, found := strings.CutPrefix(strings.TrimLeftFunc(s, isSpace), word)
	if !found {
		return false, 0, 0
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign, rest = rest[0], rest[1:]
	}
	rest, found = strings.CutPrefix(rest, tokTagEnd)
	return found, sign, len(s) - len(rest)
}

// operators, longest first
var operators = []string{"//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

// expression reads the inside of a tag and its end.
func (l *lexer) expression(opening string) {
	closing := tokVarEnd
	if opening == tokTagBegin {
		closing = tokTagEnd
	}
	open := 0 // brackets: "}}" may close two dictionaries
	for {
		rest := l.src[l.pos:]
		trimmed := strings.TrimLeftFunc(rest, isSpace)
		l.advance(len(rest) - len(trimmed))
		if trimmed == "" {
			fail("line %d: %s without %s", l.line, opening, closing)
		}
		if open == 0 {
			sign := byte(0)
			tail := trimmed
			if c := trimmed[0]; c == '-' || c == '+' && opening == tokTagBegin {
				sign, tail = c, trimmed[1:]
			}
			if strings.HasPrefix(tail, closing) {
				l.emit(closing, "")
				l.advance(len(trimmed) - len(tail) + 2)
				l.afterTag(sign, opening == tokTagBegin)
				return
			}
		}
		open += l.one(trimmed)
	}
}

// one reads a token at the start of s and returns by how much brackets open or close.
func (l *lexer) one(s string) int {
	switch c := s[0]; {
	case c == '\'' || c == '"':
		end := 1
		for ; end < len(s) && s[end] != c; end++ {
			if s[end] == '\\' {
				end++
			}
		}
		if end >= len(s) {
			fail("line %d: string without end", l.line)
		}
		l.emit(tokString, unescape(s[1:end]))
		l.advance(end + 1)
		return 0
	case c >= '0' && c <= '9':
		l.number(s)
		return 0
	case isNameByte(c):
		n := 1
		for n < len(s) && (isNameByte(s[n]) || s[n] >= '0' && s[n] <= '9') {
			n++
		}
		l.emit(tokName, s[:n])
		l.advance(n)
		return 0
	}
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			l.emit(tokOp, op)
			l.advance(len(op))
			switch op {
			case "(", "[", "{":
				return 1
			case ")", "]", "}":
				return -1
			}
			return 0
		}
	}
	r, _ := utf8.DecodeRuneInString(s)
	fail("line %d: unexpected character %q", l.line, r)
	return 0
}

// isSpace is Python's idea of white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func (l *lexer) number(s string) {
	digits := func(n int) int {
		for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '_') {
			n++
		}
		return n
	}
	n, kind := digits(1), tokInt
	if n+1 < len(s) && s[n] == '.' && s[n+1] >= '0' && s[n+1] <= '9' {
		n, kind = digits(n+1), tokFloat
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		k := n + 1
		if k < len(s) && (s[k] == '+' || s[k] == '-') {
			k++
		}
		if end := digits(k); end > k {
			n, kind = end, tokFloat
		}
	}
	l.emit(kind, strings.ReplaceAll(s[:n], "_", ""))
	l.advance(n)
}

// unescape reads the escapes of a Python string; one that it does not know stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	simple := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'v': "\v", '\n': ""}
	hex := map[byte]int{'x': 2, 'u': 4, 'U': 8}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		c := s[i]
		octal := i
		for octal < len(s) && octal < i+3 && s[octal] >= '0' && s[octal] <= '7' {
			octal++
		}
		if text, ok := simple[c]; ok {
			b.WriteString(text)
		} else if octal > i {
			v, _ := strconv.ParseUint(s[i:octal], 8, 32)
			b.WriteRune(rune(v))
			i = octal - 1
		} else if v, err := strconv.ParseUint(s[i+1:min(len(s), i+1+hex[c])], 16, 32); hex[c] > 0 && err == nil && i+hex[c] < len(s) {
			b.WriteRune(rune(v))
			i += hex[c]
		} else {
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}
