package latex

import (
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// application: f(x, y), with subscript and primes on f. A letter before an
// opening bracket is always a function: x(x+1) is x applied to x+1.
func (p *parser) application() *expr.Node {
	f := p.inside(p.name)
	if f == nil || !p.accept('(') {
		return nil
	}
	var args []*expr.Node
	certain := false
	for {
		a := p.inside(p.additive)
		if a == nil {
			break
		}
		args = append(args, a)
		if p.accept(')') {
			return &expr.Node{Kind: expr.Apply, Name: f.String(), Args: args}
		}
		if !p.at(',') {
			break
		}
		certain = certain || p.separates()
		p.take()
	}
	if certain {
		return p.committed()
	}
	return nil
}

// separates reports whether the comma here can only be one between arguments.
// After a digit it may also be a thousands separator, until fewer than three
// digits are seen to follow.
func (p *parser) separates() bool {
	if p.pos == 0 || p.tokens[p.pos-1].kind != digit {
		return true
	}
	rest := p.tokens[p.pos+1 : min(p.pos+4, len(p.tokens))]
	for i, t := range rest {
		switch t.kind {
		case digit:
		case eof, bad, ']', '}', closeSet, closeBar, relation, quotes, arrow:
			return false
		case ')', ',', '*', '/', ':', '^', '_', '!', '.':
			return i > 0
		default:
			return true
		}
	}
	return false
}

// function parses a function written as a command. isFunction is false for
// other commands, and where functions are not allowed.
func (p *parser) function(name string, allowed bool) (n *expr.Node, isFunction bool) {
	name = strings.TrimPrefix(name, `\`)
	switch name {
	case "sqrt", "overline", "sum", "prod":
	case "exp", "log", "lg", "ln":
	default:
		if _, ok := trigonometric[name]; !ok {
			return nil, false
		}
	}
	if !allowed {
		return nil, true
	}
	p.take()
	switch name {
	case "sqrt":
		return p.root(), true
	case "overline":
		return p.overline(), true
	case "sum", "prod":
		return p.series(name), true
	}
	return p.elementary(name), true
}

// trigonometric maps LaTeX's names to those of package expr.
var trigonometric = map[string]string{
	"sin": "sin", "cos": "cos", "tan": "tan", "csc": "csc", "sec": "sec", "cot": "cot",
	"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccsc": "acsc", "arcsec": "asec", "arccot": "acot",
	"sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arsinh": "asinh", "arcosh": "acosh", "artanh": "atanh",
}

func (p *parser) root() *expr.Node {
	degree := expr.Two
	if p.accept('[') {
		if degree = p.enclosed(']'); degree == nil {
			return nil
		}
	}
	if !p.accept('{') {
		return nil
	}
	base := p.enclosed('}')
	if base == nil {
		return nil
	}
	return expr.New(expr.Pow, base, expr.Inverse(degree))
}

func (p *parser) overline() *expr.Node {
	if !p.accept('{') {
		return nil
	}
	n := p.enclosed('}')
	if n == nil {
		return nil
	}
	return expr.Call("conjugate", n)
}

// elementary: \sin^2 x, \log_2(8), \exp(x). The subscript only has a meaning
// for logarithms; an exponent of -1 on a trigonometric function inverts it.
//
// Where nothing is left for the argument, the last digit of a script is it:
// \log_28 is the logarithm of 8 to the base 2.
func (p *parser) elementary(name string) *expr.Node {
	start := p.pos
	base, power, ok := p.scripts()
	if !ok {
		return nil
	}
	end := p.pos
	arg := p.argument()
	if arg == nil && end-start > 2 && p.tokens[end-1].kind == digit && p.tokens[end-2].kind == digit {
		p.pos, p.stop = start, end-1
		base, power, ok = p.scripts()
		p.stop = -1
		if ok {
			arg = p.argument()
		}
	}
	if arg == nil {
		return nil
	}
	return applied(name, arg, base, power)
}

// argument: in brackets, or the product that follows.
func (p *parser) argument() *expr.Node {
	if arg := p.optional(p.bracketArgument); arg != nil {
		return arg
	}
	return p.product(p.unaryNoFunc)
}

func applied(name string, arg, base, power *expr.Node) *expr.Node {
	var n *expr.Node
	switch name {
	case "exp":
		n = expr.Call("exp", arg)
	case "log", "ln", "lg":
		switch {
		case base != nil:
			n = expr.Call("log", arg, base)
		case name == "lg":
			n = expr.Call("log", arg, expr.Ten)
		default:
			n = expr.Call("ln", arg)
		}
	default:
		function := trigonometric[name]
		inverts := !strings.HasPrefix(name, "ar")
		if v, isNumber := constant(power); inverts && isNumber && v == -1 {
			return expr.Call("a"+function, arg)
		}
		n = expr.Call(function, arg)
	}
	if power != nil {
		if v, isNumber := constant(power); !isNumber || v != 0 {
			n = expr.New(expr.Pow, n, power)
		}
	}
	return n
}

func constant(n *expr.Node) (float64, bool) {
	if n == nil {
		return 0, false
	}
	return n.Real()
}

// scripts parses a subscript and a superscript in either order.
func (p *parser) scripts() (sub, super *expr.Node, ok bool) {
	for range 2 {
		switch {
		case sub == nil && p.at('_'):
			if sub = p.inside(p.subscript); sub == nil {
				return nil, nil, false
			}
		case super == nil && p.at('^'):
			p.take()
			if super = p.inside(p.atomOrBraced); super == nil {
				return nil, nil, false
			}
		}
	}
	return sub, super, true
}

// bracketArgument: (a, b, ...), of which only the first counts.
func (p *parser) bracketArgument() *expr.Node {
	if !p.accept('(') {
		return nil
	}
	first := p.inside(p.additive)
	for n := first; n != nil; n = p.inside(p.additive) {
		if p.accept(')') {
			return first
		}
		if !p.accept(',') {
			return nil
		}
	}
	return nil
}

// series: \sum_{k=1}^{n} term, the scripts in either order.
func (p *parser) series(name string) *expr.Node {
	var variable, from, to *expr.Node
	for range 2 {
		switch {
		case from == nil && p.accept('_'):
			if !p.accept('{') {
				return nil
			}
			variable = p.inside(p.additive)
			if variable == nil || !strings.Contains(p.peek().text, "=") || !p.accept(relation) {
				return nil
			}
			if from = p.enclosed('}'); from == nil {
				return nil
			}
		case to == nil && p.accept('^'):
			if to = p.inside(p.atomOrBraced); to == nil {
				return nil
			}
		default:
			return nil
		}
	}
	term := p.product(p.unary)
	if term == nil {
		return nil
	}
	return expr.New(map[string]expr.Kind{"sum": expr.Sum, "prod": expr.Product}[name], term, variable, from, to)
}

// derivativeName begins the name of the symbol that stands for d/dx until it
// meets the factors to its right.
const derivativeName = "\x00d/d"

// derivative reads the two parts of \frac{d}{dx} or \frac{df}{dx}; ok is false,
// and nothing taken, for any other fraction.
func (p *parser) derivative() (n *expr.Node, ok bool) {
	end := p.pos
	if p.tokens[end].kind != '{' {
		return nil, false
	}
	var upper strings.Builder
	for end++; p.tokens[end].kind != '}'; end++ {
		if k := p.tokens[end].kind; k == eof || k == '{' || k == bad {
			return nil, false
		}
		upper.WriteString(p.tokens[end].text)
	}
	text, isD := strings.CutPrefix(upper.String(), "d")
	if !isD || end+3 >= len(p.tokens) || p.tokens[end+1].kind != '{' || p.tokens[end+2].kind != differential || p.tokens[end+3].kind != '}' {
		return nil, false
	}
	variable := differentialName(p.tokens[end+2].text)
	p.pos = end + 4
	if text == "" {
		return expr.Sym(derivativeName + variable), true
	}
	r, err := Parse(text)
	if err != nil || r.Expr == nil {
		return nil, true
	}
	d, known := expr.Diff(r.Expr, variable)
	if !known {
		return nil, true
	}
	return d, true
}

// differentialName is the x of dx.
func differentialName(text string) string {
	return strings.TrimPrefix(strings.TrimLeft(text[1:], " \t\r\n"), `\`)
}
