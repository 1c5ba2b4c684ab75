package grammar

import (
	"fmt"
	"strings"
)

// Text is the right-hand side of a rule.
type Text []Part

// Part is one piece of a text; exactly one of Literal, Symbol and Expr says
// what it produces.
type Part struct {
	Literal string
	Symbol  string // expand this symbol
	Expr    Expr   // print this value
	Each    *Query // once per match of the query, joined without separator
	List    bool   // once per match, joined as an English list
}

// Expr is a value: alternatives ("or", the first that is not empty), each a
// sum of terms.
type Expr [][]Term

// Term is a quoted string (Var empty) or an attribute of a variable.
type Term struct {
	Literal string
	Var     string
	Attr    Attr
}

// Attr selects what of an entity is printed.
type Attr uint8

// Attributes. A bare variable prints its name.
const (
	Name Attr = iota
	ID
	Type
	IndefiniteArticle
	DefiniteArticle
)

var attributes = map[string]Attr{"name": Name, "id": ID, "type": Type, "indefinite": IndefiniteArticle, "definite": DefiniteArticle}

// ParseText reads a right-hand side. As in the reference, white space (or a
// // comment) at the very start is dropped, and so is everything from the
// first character on that fits no form: a stray brace ends the text.
func ParseText(s string) (Text, error) {
	t := &textScanner{text: skipStart(s)}
	var parts Text
	for t.pos < len(t.text) {
		part, ok, err := t.part()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func skipStart(s string) string {
	if strings.HasPrefix(s, "//") {
		if _, rest, found := strings.Cut(s, "\n"); found {
			return rest
		}
		return ""
	}
	return strings.TrimLeft(s, " \t\n\r\f\v")
}

type textScanner struct {
	text string
	pos  int
}

func (t *textScanner) part() (Part, bool, error) {
	t.tabs() // the reference skips them before every piece
	switch t.peek() {
	case '[':
		t.pos++
		if t.tabs(); t.peek() == '{' {
			p, ok, err := t.braces()
			if t.tabs(); err != nil || ok && t.peek() == ']' {
				t.pos++
				p.List = true
				return p, ok, err
			}
		}
		return Part{}, false, nil
	case '{':
		return t.braces()
	case '#':
		name, ok := t.symbol()
		return Part{Symbol: name}, ok, nil
	case '"':
		end := strings.IndexAny(t.text[t.pos+1:], `;|"<>[]#{}`)
		if end < 0 || t.text[t.pos+1+end] != '"' {
			return Part{}, false, nil
		}
		lit := t.text[t.pos+1 : t.pos+1+end]
		t.pos += end + 2
		return Part{Literal: lit}, true, nil
	}
	lit := t.until(`;|"<>[]#{}`)
	return Part{Literal: lit}, lit != "", nil
}

func (t *textScanner) peek() byte {
	if t.pos == len(t.text) {
		return 0
	}
	return t.text[t.pos]
}

func (t *textScanner) tabs() {
	for t.peek() == '\t' {
		t.pos++
	}
}

func (t *textScanner) until(stops string) string {
	end := strings.IndexAny(t.text[t.pos:], stops)
	if end < 0 {
		end = len(t.text) - t.pos
	}
	s := t.text[t.pos : t.pos+end]
	t.pos += end
	return s
}

// symbol reads #name#.
func (t *textScanner) symbol() (string, bool) {
	end := t.pos + 1
	for end < len(t.text) && (isWord(t.text[end]) || strings.IndexByte("()/!<>- \t\n\r\f\v,.", t.text[end]) >= 0) {
		end++
	}
	if end == t.pos+1 || end == len(t.text) || t.text[end] != '#' {
		return "", false
	}
	name := t.text[t.pos+1 : end]
	t.pos = end + 1
	return name, true
}

// braces reads {expression} or {expression | query}; the expression may be a
// symbol. ok is false where the braces fit no form.
func (t *textScanner) braces() (p Part, ok bool, err error) {
	t.pos++
	t.tabs()
	expr := ""
	if t.peek() == '#' {
		if p.Symbol, ok = t.symbol(); !ok {
			return p, false, nil
		}
	} else if expr = t.until("|[]{}\n<>"); expr == "" {
		return p, false, nil
	}
	given, hasGiven := "", false
	rest := strings.TrimLeft(t.text[t.pos:], " \t\n\r\f\v")
	if strings.HasPrefix(rest, "|") {
		t.pos = len(t.text) - len(rest) + 1
		given, hasGiven = t.until(";|{}\n[]#"), true
	}
	if t.peek() != '}' {
		return p, false, nil
	}
	t.pos++
	if p.Symbol == "" {
		if p.Expr, err = parseExpr(expr); err != nil {
			return p, false, err
		}
	}
	if hasGiven {
		q, err := ParseQuery(given)
		p.Each = &q
		return p, true, err
	}
	return p, true, nil
}

// parseExpr reads the expressions that grammars use: strings and attributes,
// joined by + and or.
func parseExpr(s string) (Expr, error) {
	e := Expr{nil}
	rest := strings.TrimSpace(s)
	for {
		term, tail, err := parseTerm(rest)
		if err != nil {
			return nil, fmt.Errorf("expression {%s}: %w", s, err)
		}
		last := len(e) - 1
		e[last] = append(e[last], term)
		tail = strings.TrimSpace(tail)
		switch {
		case tail == "":
			return e, nil
		case tail[0] == '+':
			rest = strings.TrimSpace(tail[1:])
		case strings.HasPrefix(tail, "or") && len(tail) > 2 && !isWord(tail[2]):
			e = append(e, nil)
			rest = strings.TrimSpace(tail[2:])
		default:
			return nil, fmt.Errorf("expression {%s}: not supported: %.20q", s, tail)
		}
	}
}

func parseTerm(s string) (Term, string, error) {
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 || strings.Contains(s[1:1+end], `\`) {
			return Term{}, "", fmt.Errorf("not supported: string %.20q", s)
		}
		return Term{Literal: s[1 : 1+end]}, s[2+end:], nil
	}
	n := 0
	for n < len(s) && (isWord(s[n]) || s[n] == '.') {
		n++
	}
	name, attr, dotted := strings.Cut(s[:n], ".")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return Term{}, "", fmt.Errorf("not supported: %.20q", s)
	}
	t := Term{Var: name}
	if dotted {
		a, known := attributes[attr]
		if !known {
			return Term{}, "", fmt.Errorf("not supported: attribute %q", attr)
		}
		t.Attr = a
	}
	return t, s[n:], nil
}
