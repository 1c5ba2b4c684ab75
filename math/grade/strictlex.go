package grade

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is the kind of a token of the strict parser.
type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokNumber
	tokLetter  // one letter; a symbol
	tokCommand // a LaTeX command or a function name, without backslash
	tokWords   // a word or a \text{} with words: a unit or a verbal answer
	tokMark    // punctuation and operators, text is the character
	tokSep     // a comma or semicolon, "and", "or", a wide space
	tokRow     // \\ between rows
	tokBegin   // \begin{text}
	tokFinish  // \end{text}
)

type mathToken struct {
	kind  tokenKind
	text  string
	glued bool // no space before it
}

// plainSymbols rewrites characters that stand for LaTeX commands.
var plainSymbols = strings.NewReplacer(
	"\x0crac", `\frac`, "\u2212", "-", "\u2013", "-", "×", `\times `, "·", `\cdot `, "÷", "/", "π", `\pi `, "√", `\sqrt `,
	"≤", `\le `, "≥", `\ge `, "≠", `\ne `, "≈", `\approx `, "∞", `\infty `, "∪", `\cup `, "∈", `\in `, "±", `\pm `,
	"²", "^2", "³", "^3", "°", `^\circ `, "½", `\frac12 `, "¼", `\frac14 `, "¾", `\frac34 `, "θ", `\theta `,
	"{,}", ",", `\$`, "", "$", "", "£", "", "€", "", "¥", "", "~", " ", "\u00a0", " ", `\"`, "", "\"", "", "''", "",
	`\(`, "", `\)`, "", `\[`, "", `\]`, "", "**", "^",
)

// tightCommas are commas with the negative space of a thousands separator.
var tightCommas = strings.NewReplacer(`,\! `, ",", `,\!`, ",", `\!`, "")

// ignoredCommands only change how a formula looks.
var ignoredCommands = wordSet(`left right displaystyle textstyle limits big Big bigg Bigg bigl bigr Bigl Bigr
	middle boldsymbol nolimits rm bf it mathstrut phantom hline`)

// spaceCommands are spaces; the wide ones separate answers.
var spaceCommands = wordSet(`quad qquad`)

// textCommands have an argument of words.
var textCommands = wordSet(`text mbox textbf textit textrm mathrm mathbf mathit mathsf mathcal mathbb operatorname
	hbox textnormal emph bold underline vec hat`)

// functionNames are read as functions even without a backslash.
var functionNames = wordSet(`sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp sqrt pi infty`)

// shortUnits are units of fewer than four letters, read as such after a number.
var shortUnits = wordSet(`cm mm km kg ft mph kph hr hrs min sec lb lbs oz mi yd ml am pm deg pct sq mg`)

// percentWords mean a percent sign.
var percentWords = wordSet(`percent percents percentage pct`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// lexMath cuts an answer into tokens. ok is false where a character has no
// meaning.
func lexMath(s string) (tokens []mathToken, ok bool) {
	if !strings.Contains(s, `\begin`) {
		s = halveBackslashes(s)
	}
	l := &lexer{rest: plainSymbols.Replace(tightCommas.Replace(s))}
	for l.next() {
	}
	return l.tokens, !l.bad
}

// halveBackslashes turns \\frac, as in text escaped twice, into \frac.
func halveBackslashes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '\\' && i+2 < len(s) && s[i+1] == '\\' && unicode.IsLetter(rune(s[i+2])) {
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

type lexer struct {
	rest   string
	tokens []mathToken
	space  bool
	depth  int // open brackets
	bad    bool
}

func (l *lexer) add(kind tokenKind, text string) {
	l.tokens = append(l.tokens, mathToken{kind, text, !l.space && len(l.tokens) > 0})
	l.space = false
}

func (l *lexer) last() mathToken {
	if len(l.tokens) == 0 {
		return mathToken{}
	}
	return l.tokens[len(l.tokens)-1]
}

// next reads one token; it returns false at the end or at a bad character.
func (l *lexer) next() bool {
	if l.rest == "" || l.bad {
		return false
	}
	r, size := utf8.DecodeRuneInString(l.rest)
	switch {
	case isSpace(r):
		l.rest, l.space = l.rest[size:], true
	case '0' <= r && r <= '9', r == '.' && len(l.rest) > 1 && '0' <= l.rest[1] && l.rest[1] <= '9':
		l.number()
	case unicode.IsLetter(r):
		l.word()
	case r == '\\':
		l.command()
	case r == ',' || r == ';':
		l.rest = l.rest[1:]
		l.add(tokSep, string(r))
	case strings.ContainsRune("+-*/^_=<>()[]{}|!:%'&", r):
		l.mark()
	case r == '.' || r == '?':
		l.rest = l.rest[1:]
		l.bad = strip(l.rest) != ""
	default:
		l.bad = true
	}
	return !l.bad
}

// number reads digits with a fraction. Groups of exactly three digits after a
// comma or a space belong to it, except for commas inside brackets.
func (l *lexer) number() {
	if l.takesDigit() {
		l.add(tokNumber, l.rest[:1])
		l.rest = l.rest[1:]
		return
	}
	n := leadingDigits(l.rest)
	text := l.rest[:n]
	for n > 0 && len(text) <= 3 || strings.Contains(text, " ") {
		if n+4 > len(l.rest) || leadingDigits(l.rest[n+1:]) != 3 ||
			l.rest[n] != ' ' && (l.rest[n] != ',' || l.depth > 0) || text[0] == '0' {
			break
		}
		text += " " + l.rest[n+1:n+4]
		n += 4
	}
	text = strings.ReplaceAll(text, " ", "")
	if f := leadingFraction(l.rest[n:]); f > 0 {
		text += l.rest[n : n+f]
		n += f
	}
	l.rest = l.rest[n:]
	l.add(tokNumber, text)
	l.powerOfTen()
}

// powerOfTen reads the e-5 of 2.5e-5.
func (l *lexer) powerOfTen() {
	if l.rest == "" || l.rest[0] != 'e' && l.rest[0] != 'E' {
		return
	}
	sign := len(l.rest[1:]) - len(strings.TrimLeft(l.rest[1:], "+-"))
	n := leadingDigits(l.rest[1+sign:])
	if sign > 1 || n == 0 || n > 3 {
		return
	}
	exponent := l.rest[1+sign : 1+sign+n]
	minus := sign == 1 && l.rest[1] == '-'
	l.rest = l.rest[1+sign+n:]
	l.add(tokMark, "*")
	l.add(tokNumber, "10")
	l.add(tokMark, "^")
	if minus {
		l.add(tokMark, "-")
	}
	l.add(tokNumber, exponent)
}

// takesDigit reports whether a single digit is an argument here, as both are in
// \frac12.
func (l *lexer) takesDigit() bool {
	n := len(l.tokens)
	takes := func(t mathToken) bool { return t.kind == tokCommand && (t.text == "frac" || t.text == "binom") }
	return l.rest[0] != '.' && (n > 0 && takes(l.tokens[n-1]) ||
		n > 1 && l.tokens[n-1].kind == tokNumber && len(l.tokens[n-1].text) == 1 && takes(l.tokens[n-2]))
}

func leadingDigits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// leadingFraction is the length of a decimal point and digits, 0 for a point
// that ends a sentence.
func leadingFraction(s string) int {
	if !strings.HasPrefix(s, ".") {
		return 0
	}
	if n := leadingDigits(s[1:]); n > 0 {
		return n + 1
	}
	return 0
}

// word reads a run of letters: a conjunction, a function name, a unit, a word,
// or symbols written side by side.
func (l *lexer) word() {
	n := len(l.rest) - len(strings.TrimLeftFunc(l.rest, unicode.IsLetter))
	word := l.rest[:n]
	lower := strings.ToLower(word)
	previous := l.last()
	for _, conjunction := range []string{"and", "or"} {
		joined := strings.HasPrefix(word, conjunction) && n > len(conjunction) && unicode.IsUpper(rune(word[len(conjunction)])) &&
			(previous.kind == tokNumber || previous.text == ")")
		if lower == conjunction || joined {
			l.rest = l.rest[len(conjunction):]
			l.add(tokSep, conjunction)
			return
		}
	}
	afterNumber := previous.kind == tokNumber
	switch {
	case percentWords[lower]:
		l.rest = l.rest[n:]
		l.add(tokMark, "%")
	case functionNames[lower] && word == lower:
		l.rest = l.rest[n:]
		l.add(tokCommand, word)
	case utf8.RuneCountInString(word) >= 4 || afterNumber && shortUnits[lower]:
		l.rest = l.rest[n:]
		l.words(word)
	default:
		_, size := utf8.DecodeRuneInString(word)
		l.rest = l.rest[size:]
		l.add(tokLetter, word[:size])
	}
}

// words adds a word, joined to the words before it.
func (l *lexer) words(text string) {
	if l.last().kind == tokWords {
		l.tokens[len(l.tokens)-1].text += " " + text
		l.space = false
		return
	}
	l.add(tokWords, text)
}

func (l *lexer) mark() {
	c := l.rest[:1]
	l.rest = l.rest[1:]
	switch c {
	case "(", "[", "{":
		l.depth++
	case ")", "]", "}":
		l.depth--
	case "<", ">":
		if strings.HasPrefix(l.rest, "=") {
			l.rest = l.rest[1:]
			c += "="
		}
	case "&":
		l.add(tokSep, "&")
		return
	}
	l.add(tokMark, c)
}

// marks are the commands that mean what a character does.
var marks = map[string]string{
	"le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "lt": "<", "gt": ">",
	"ne": "!=", "neq": "!=", "times": "*", "cdot": "*", "ast": "*", "div": "/", "approx": "~", "mid": "|", "vert": "|",
	"lvert": "|", "rvert": "|", "colon": ":", "langle": "(", "rangle": ")", "lbrack": "[", "rbrack": "]", "equiv": "=",
	"lbrace": `\{`, "rbrace": `\}`,
}

func (l *lexer) command() {
	n := len(l.rest[1:]) - len(strings.TrimLeftFunc(l.rest[1:], func(r rune) bool { return r < utf8.RuneSelf && unicode.IsLetter(r) }))
	if n == 0 {
		l.controlSymbol()
		return
	}
	name := l.rest[1 : 1+n]
	l.rest = l.rest[1+n:]
	switch {
	case ignoredCommands[name]:
		if name == "left" || name == "right" {
			l.rest = strings.TrimPrefix(l.rest, ".") // an invisible bracket
		}
	case spaceCommands[name]:
		if l.last().kind != tokSep {
			l.add(tokSep, " ")
		}
	case textCommands[name] && strings.HasPrefix(strings.TrimLeft(l.rest, " "), "{"):
		l.text(name)
	case name == "begin" || name == "end":
		l.environment(name)
	case marks[name] != "":
		l.add(tokMark, marks[name])
	case name == "dfrac" || name == "tfrac" || name == "cfrac":
		l.add(tokCommand, "frac")
	case name == "dbinom" || name == "tbinom":
		l.add(tokCommand, "binom")
	default:
		l.add(tokCommand, name)
	}
}

// controlSymbol reads a backslash and a character that is not a letter.
func (l *lexer) controlSymbol() {
	if len(l.rest) < 2 {
		l.rest = ""
		return
	}
	c := l.rest[1]
	l.rest = l.rest[2:]
	switch c {
	case '\\':
		l.add(tokRow, `\\`)
	case '{', '}':
		l.add(tokMark, `\`+string(c))
		l.depth += map[byte]int{'{': 1, '}': -1}[c]
	case '%':
		l.add(tokMark, "%")
	case '|':
		l.add(tokMark, "|")
	case ',', ';', ':', '!', ' ', '/', '&':
		l.space = l.space || c != '!' && c != '/'
	default:
		l.bad = true
	}
}

// text reads the argument of \text{} and its like: conjunctions and math inside
// are read as such, words are one token.
func (l *lexer) text(command string) {
	inner := strings.TrimLeft(l.rest, " ")[1:]
	n := matchingBrace(inner)
	if n < 0 {
		l.bad = true
		return
	}
	l.rest = inner[n+1:]
	content := strip(inner[:n])
	if command == "mathbb" {
		l.add(tokCommand, "mathbb"+content)
		return
	}
	if !hasWord(content) {
		l.rest = " " + content + " " + l.rest
		return
	}
	switch trimmed := strings.Trim(content, " ,"); strings.ToLower(trimmed) {
	case "and", "or":
		l.add(tokSep, "and")
	default:
		if percentWords[strings.ToLower(trimmed)] {
			l.add(tokMark, "%")
		} else {
			l.words(content)
		}
	}
}

// hasWord reports whether two letters stand together in s.
func hasWord(s string) bool {
	letters := 0
	for _, r := range s {
		if !unicode.IsLetter(r) {
			letters = 0
		} else if letters++; letters > 1 {
			return true
		}
	}
	return false
}

// environment reads the name of \begin{} or \end{}, and array's columns.
func (l *lexer) environment(command string) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(l.rest, " "), "{")
	name, rest, closed := strings.Cut(rest, "}")
	if !ok || !closed {
		l.bad = true
		return
	}
	if command == "begin" && name == "array" {
		if columns, isColumns := strings.CutPrefix(rest, "{"); isColumns {
			_, rest, _ = strings.Cut(columns, "}")
		}
	}
	l.rest = rest
	l.add(map[string]tokenKind{"begin": tokBegin, "end": tokFinish}[command], name)
}
