// Package pyexpr reads arithmetic as Python writes it: what sympy's parse_expr
// makes of the few answers its LaTeX parser refuses, such as "(.5)" or "4.#".
// It parses; nothing is ever evaluated as code.
package pyexpr

import (
	"errors"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// ErrSyntax is returned for text that is not a single arithmetic expression.
var ErrSyntax = errors.New("not a Python arithmetic expression")

// Limits on the input.
const (
	maxLength = 1024
	maxDepth  = 60
)

// Parse reads an expression of numbers, names, calls, brackets and the
// operators + - * / // % **. A comment ends the text.
func Parse(s string) (*expr.Node, error) {
	s, _, _ = strings.Cut(s, "#")
	s = strings.TrimRight(s, " \t")
	if len(s) > maxLength {
		return nil, ErrSyntax
	}
	if inner, quoted := unquote(s); quoted {
		// A Python string: sympy reads the number in it, if it is one.
		n, err := Parse(inner)
		if err != nil || !n.Constant() {
			return nil, ErrSyntax
		}
		return n, nil
	}
	p := &parser{rest: s}
	n := p.sum()
	if n == nil || p.rest != "" {
		return nil, ErrSyntax
	}
	return n, nil
}

// unquote strips one pair of quotes with no other quote inside.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return "", false
	}
	inner := s[1 : len(s)-1]
	return inner, !strings.ContainsAny(inner, "'\"\\")
}

type parser struct {
	rest  string
	depth int
}

func (p *parser) accept(prefix string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	rest, ok := strings.CutPrefix(p.rest, prefix)
	if ok {
		p.rest = strings.TrimLeft(rest, " \t")
	}
	return ok
}

func (p *parser) sum() *expr.Node {
	n := p.term()
	for n != nil {
		switch {
		case p.accept("+"):
			n = join(expr.Add, n, p.term())
		case p.accept("-"):
			n = join(expr.Add, n, negate(p.term()))
		default:
			return n
		}
	}
	return nil
}

func (p *parser) term() *expr.Node {
	n := p.factor()
	for n != nil {
		switch {
		case strings.HasPrefix(p.rest, "**"):
			return nil
		case p.accept("//"):
			n = floorQuotient(n, p.factor())
		case p.accept("%"):
			if d := p.factor(); d != nil {
				n = join(expr.Add, n, negate(join(expr.Mul, d, floorQuotient(n, d))))
			} else {
				n = nil
			}
		case p.accept("*"):
			n = join(expr.Mul, n, p.factor())
		case p.accept("/"):
			n = join(expr.Mul, n, invert(p.factor()))
		default:
			return n
		}
	}
	return nil
}

// factor: a sign binds less tightly than a power: -2**2 is -4.
func (p *parser) factor() *expr.Node {
	if p.depth++; p.depth > maxDepth {
		return nil
	}
	defer func() { p.depth-- }()
	switch {
	case p.accept("+"):
		return p.factor()
	case p.accept("-"):
		return negate(p.factor())
	}
	base := p.atom()
	if base != nil && p.accept("**") {
		return join(expr.Pow, base, p.factor())
	}
	return base
}

func (p *parser) atom() *expr.Node {
	p.accept("")
	if p.rest == "" {
		return nil
	}
	switch c := p.rest[0]; {
	case c == '(':
		p.accept("(")
		n := p.sum()
		if n == nil || !p.accept(")") {
			return nil
		}
		return n
	case c == '.' || '0' <= c && c <= '9':
		return p.number()
	case isNameByte(c):
		return p.name()
	}
	return nil
}

func (p *parser) digits() string {
	n := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
	digits := p.rest[:n]
	p.rest = p.rest[n:]
	return digits
}

func (p *parser) number() *expr.Node {
	whole := p.digits()
	literal := whole
	if strings.HasPrefix(p.rest, ".") {
		p.rest = p.rest[1:]
		literal = whole + "." + p.digits()
		if literal == "." {
			return nil
		}
	} else if len(whole) > 1 && whole[0] == '0' && strings.Trim(whole, "0") != "" {
		return nil
	}
	n := expr.Num(literal)
	if p.rest == "" || p.rest[0] != 'e' && p.rest[0] != 'E' {
		return n
	}
	p.rest = p.rest[1:]
	sign := ""
	if p.rest != "" && (p.rest[0] == '+' || p.rest[0] == '-') {
		sign, p.rest = strings.TrimPrefix(p.rest[:1], "+"), p.rest[1:]
	}
	exponent := p.digits()
	if exponent == "" || len(exponent) > 4 {
		return nil
	}
	return expr.New(expr.Mul, n, expr.New(expr.Pow, expr.Ten, expr.Num(sign+exponent)))
}

func isNameByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// known are the functions that mean in sympy's name space what they mean here.
var known = map[string]string{
	"sqrt": "sqrt", "exp": "exp", "log": "ln", "ln": "ln", "sin": "sin", "cos": "cos", "tan": "tan",
	"asin": "asin", "acos": "acos", "atan": "atan", "Abs": "abs", "factorial": "factorial",
}

// reserved are names with other meanings there, or in Python.
const reserved = " N O Q S and or not if else in is for lambda True False None "

func (p *parser) name() *expr.Node {
	n := 0
	for n < len(p.rest) && (isNameByte(p.rest[n]) || '0' <= p.rest[n] && p.rest[n] <= '9') {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	if strings.Contains(reserved, " "+name+" ") {
		return nil
	}
	if p.accept("(") {
		arg := p.sum()
		if arg == nil || !p.accept(")") {
			return nil
		}
		switch function, ok := known[name]; {
		case function == "sqrt":
			return expr.Sqrt(arg)
		case ok:
			return expr.Call(function, arg)
		}
		return &expr.Node{Kind: expr.Apply, Name: name, Args: []*expr.Node{arg}}
	}
	switch name {
	case "pi":
		return expr.New(expr.Pi)
	case "E":
		return expr.New(expr.E)
	case "I":
		return expr.New(expr.I)
	case "oo":
		return expr.New(expr.Infinity)
	}
	return expr.Sym(name)
}

func join(kind expr.Kind, a, b *expr.Node) *expr.Node {
	if a == nil || b == nil {
		return nil
	}
	return expr.New(kind, a, b)
}

func negate(n *expr.Node) *expr.Node { return join(expr.Mul, expr.MinusOne, n) }

func invert(n *expr.Node) *expr.Node { return join(expr.Pow, n, expr.MinusOne) }

func floorQuotient(a, b *expr.Node) *expr.Node {
	q := join(expr.Mul, a, invert(b))
	if q == nil {
		return nil
	}
	return expr.Call("floor", q)
}
