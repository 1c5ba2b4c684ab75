package latex

import (
	"slices"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

func (p *parser) atom() *expr.Node {
	t := p.peek()
	switch t.kind {
	case letter, symbol:
		return p.name()
	case digit:
		return p.number()
	case differential:
		p.take()
		return expr.Sym("d" + differentialName(t.text))
	case '|', openBar:
		return p.optional(p.ket)
	case command:
		switch t.text {
		case `\frac`, `\dfrac`, `\tfrac`:
			return p.fraction()
		case `\binom`, `\dbinom`, `\tbinom`:
			return p.binomial()
		case `\langle`:
			return p.bra()
		case `\mathit`:
			return p.mathit()
		}
	}
	return nil
}

// name: a letter or unknown command with subscript and primes.
func (p *parser) name() *expr.Node {
	t := p.take()
	name := strings.TrimPrefix(t.text, `\`)
	var primes string
	if p.at(quotes) {
		primes = p.take().text
	}
	if p.at('_') {
		sub := p.subscript()
		if sub == nil {
			return p.stuck()
		}
		name += "_{" + canonical(sub) + "}"
		if !validNumbers(sub) {
			return expr.Sym(invalidName)
		}
		if primes == "" && p.at(quotes) {
			primes = p.take().text
		}
	}
	switch {
	case t.text == `\infty`:
		return expr.New(expr.Infinity)
	case t.kind == letter:
		name += primes
	}
	return expr.Sym(name)
}

// canonical prints a subscript as sympy does: the two parts of a sum or product
// in alphabetical order, so that x_{i+1} is x_{1+i}.
func canonical(n *expr.Node) string {
	if n.Kind != expr.Add && n.Kind != expr.Mul || len(n.Args) < 2 {
		return n.String()
	}
	rest := n.Args[1]
	if len(n.Args) > 2 {
		rest = expr.New(n.Kind, n.Args[1:]...)
	}
	parts := []string{canonical(n.Args[0]), canonical(rest)}
	slices.Sort(parts)
	return "(" + strings.Join(parts, map[expr.Kind]string{expr.Add: "+", expr.Mul: "*"}[n.Kind]) + ")"
}

func (p *parser) fraction() *expr.Node {
	p.take()
	if n, ok := p.derivative(); ok {
		return n
	}
	part := func() *expr.Node {
		if p.at(digit) {
			return expr.Num(p.take().text)
		}
		if p.accept('{') {
			return p.enclosed('}')
		}
		return nil
	}
	upper := part()
	if upper == nil {
		return nil
	}
	lower := part()
	if lower == nil {
		return nil
	}
	return expr.New(expr.Mul, upper, expr.Inverse(lower))
}

func (p *parser) binomial() *expr.Node {
	p.take()
	if !p.accept('{') {
		return nil
	}
	n := p.enclosed('}')
	if n == nil || !p.accept('{') {
		return nil
	}
	k := p.enclosed('}')
	if k == nil {
		return nil
	}
	return expr.Call("binomial", n, k)
}

func (p *parser) mathit() *expr.Node {
	p.take()
	if !p.accept('{') {
		return nil
	}
	var b strings.Builder
	for p.at(letter) {
		b.WriteString(p.take().text)
	}
	if !p.accept('}') {
		return nil
	}
	return expr.Sym(b.String())
}
