package grade

import (
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// sum: terms joined by +, - and \pm.
func (p *strictParser) sum() *expr.Node {
	return nested(p, func() *expr.Node {
		left := p.term()
		for left != nil {
			var sign *expr.Node
			switch {
			case p.accept("+"):
				sign = expr.One
			case p.accept("-"):
				sign = expr.MinusOne
			case p.atCommand("pm", "mp"):
				p.take()
				sign = expr.Sym(plusMinus)
			default:
				return left
			}
			right := p.term()
			if right == nil {
				return nil
			}
			left = expr.New(expr.Add, left, expr.New(expr.Mul, sign, right))
		}
		return nil
	})
}

// term: factors joined by signs or written side by side. A whole number before
// a fraction of whole numbers is a mixed number.
func (p *strictParser) term() *expr.Node {
	left := p.signedFactor()
	for left != nil {
		switch {
		case p.atMark("*"):
			p.take()
			left = times(left, p.signedFactor())
		case p.atMark("/", ":"):
			p.take()
			if right := p.signedFactor(); right != nil {
				left = times(left, expr.Inverse(right))
			} else {
				return nil
			}
		case p.startsFactor():
			left = p.beside(left)
		default:
			return left
		}
	}
	return nil
}

func times(a, b *expr.Node) *expr.Node {
	if a == nil || b == nil {
		return nil
	}
	return expr.New(expr.Mul, a, b)
}

// beside parses a factor that follows another without a sign.
func (p *strictParser) beside(left *expr.Node) *expr.Node {
	previous, t := p.tokens[p.pos-1], p.peek()
	first := p.pos < 2 // no token before the previous one
	mixed := previous.kind == tokNumber && !strings.Contains(previous.text, ".") &&
		(first || p.tokens[p.pos-2].text != "^" && p.tokens[p.pos-2].text != "/" && p.tokens[p.pos-2].text != "_")
	switch {
	case mixed && t.kind == tokCommand && t.text == "frac":
		start := p.pos
		fraction := p.fraction()
		if fraction == nil || !onlyDigits(p.tokens[start:p.pos]) {
			return times(left, fraction)
		}
		return addMixed(left, fraction)
	case mixed && t.kind == tokNumber && p.ahead(1).text == "/" && p.ahead(2).kind == tokNumber:
		upper := expr.Num(p.take().text)
		p.take()
		return addMixed(left, times(upper, expr.Inverse(expr.Num(p.take().text))))
	case t.kind == tokNumber && previous.kind == tokNumber && (first || p.tokens[p.pos-2].text != "^"):
		return nil // two numbers side by side mean nothing
	}
	return times(left, p.power())
}

// addMixed adds the fraction away from zero: -1 1/2 is -(1 + 1/2).
func addMixed(whole, fraction *expr.Node) *expr.Node {
	if whole.Kind == expr.Mul && whole.Args[0] == expr.MinusOne {
		return expr.Neg(expr.New(expr.Add, whole.Args[1], fraction))
	}
	return expr.New(expr.Add, whole, fraction)
}

// onlyDigits reports whether a fraction holds nothing but whole numbers.
func onlyDigits(tokens []mathToken) bool {
	for _, t := range tokens[1:] {
		if t.kind != tokNumber && t.text != "{" && t.text != "}" || strings.Contains(t.text, ".") {
			return false
		}
	}
	return true
}

func (p *strictParser) startsFactor() bool {
	t := p.peek()
	switch t.kind {
	case tokNumber, tokLetter:
		return true
	case tokCommand:
		return t.text != "cup" && t.text != "in" && t.text != "pm" && t.text != "mp" && t.text != "rfloor" && t.text != "rceil"
	case tokMark:
		return t.text == "(" || t.text == "[" || t.text == "{"
	}
	return false
}

func (p *strictParser) signedFactor() *expr.Node {
	switch {
	case p.accept("+"):
		return nested(p, p.signedFactor)
	case p.accept("-"):
		n := nested(p, p.signedFactor)
		if n == nil {
			return nil
		}
		return expr.Neg(n)
	case p.atCommand("pm", "mp"):
		p.take()
		return times(expr.Sym(plusMinus), nested(p, p.signedFactor))
	}
	return p.power()
}

// power: an atom with exponents, factorials and degree signs.
func (p *strictParser) power() *expr.Node {
	base := nested(p, p.atom)
	for base != nil {
		switch {
		case p.atMark("^"):
			p.take()
			if p.degreeSign() {
				// A full turn is 2 pi only where an angle is computed with;
				// the plain answer is its number of degrees.
				base = expr.New(expr.Mul, base, expr.Sym(degree))
				continue
			}
			exponent := nested(p, p.exponent)
			if exponent == nil {
				return nil
			}
			base = expr.New(expr.Pow, base, exponent)
		case p.accept("!"):
			base = expr.Call("factorial", base)
		case p.accept("'"):
			base = &expr.Node{Kind: expr.Apply, Name: "'", Args: []*expr.Node{base}}
		default:
			return base
		}
	}
	return nil
}

// degree is the symbol for a degree sign; see settleDegrees.
const degree = "\x00deg"

func (p *strictParser) degreeSign() bool {
	if p.atCommand("circ") {
		p.take()
		return true
	}
	if p.atMark("{") && p.ahead(1).text == "circ" && p.ahead(2).text == "}" {
		p.pos += 3
		return true
	}
	return false
}

func (p *strictParser) exponent() *expr.Node {
	switch {
	case p.accept("{"):
		return p.closing(p.sum(), "}")
	case p.accept("("):
		return p.closing(p.sum(), ")")
	case p.accept("-"):
		n := p.atom()
		if n == nil {
			return nil
		}
		return expr.Neg(n)
	}
	return p.atom()
}

func (p *strictParser) closing(n *expr.Node, mark string) *expr.Node {
	if n == nil || !p.accept(mark) {
		return nil
	}
	return n
}

func (p *strictParser) atom() *expr.Node {
	t := p.take()
	switch t.kind {
	case tokNumber:
		if p.atMark("_") {
			p.take()
			return p.base(t.text)
		}
		return expr.Num(t.text)
	case tokLetter:
		return p.letter(t.text)
	case tokCommand:
		return p.command(t.text)
	case tokMark:
		switch t.text {
		case "(":
			return p.closing(p.sum(), ")")
		case "[":
			return p.closing(p.sum(), "]")
		case "{":
			return p.closing(p.sum(), "}")
		case "|":
			n := p.closing(p.sum(), "|")
			if n == nil {
				return nil
			}
			return expr.Call("abs", n)
		}
	}
	return nil
}

// base: the number with the given digits in the base that follows.
func (p *strictParser) base(digits string) *expr.Node {
	braced := p.accept("{")
	t := p.take()
	if t.kind != tokNumber || braced && !p.accept("}") {
		return nil
	}
	return baseLiteral(digits, t.text)
}

// functionLetters are taken for functions before a bracket; x(x+1) is a product.
const functionLetters = "fghFGHW"

func (p *strictParser) letter(name string) *expr.Node {
	if strings.Contains(functionLetters, name) && p.atMark("(") {
		p.take()
		var args []*expr.Node
		for {
			a := p.sum()
			if a == nil {
				return nil
			}
			args = append(args, a)
			if p.accept(")") {
				return &expr.Node{Kind: expr.Apply, Name: name, Args: args}
			}
			if p.take().text != "," {
				return nil
			}
		}
	}
	if sub, ok := p.subscript(); !ok {
		return nil
	} else if sub != "" {
		return expr.Sym(name + "_" + sub)
	}
	switch name {
	case "e":
		return expr.New(expr.E)
	case "i":
		return expr.New(expr.I)
	}
	return expr.Sym(name)
}

// subscript is the text of a subscript, "" if there is none.
func (p *strictParser) subscript() (string, bool) {
	if !p.accept("_") {
		return "", true
	}
	if !p.accept("{") {
		t := p.take()
		return t.text, t.kind != tokEnd
	}
	var b strings.Builder
	for depth := 1; ; {
		t := p.take()
		switch {
		case t.kind == tokEnd:
			return "", false
		case t.text == "{":
			depth++
		case t.text == "}":
			if depth--; depth == 0 {
				return b.String(), true
			}
		}
		b.WriteString(t.text)
	}
}

// elementaryNames are the functions of one argument.
var elementaryNames = map[string]string{
	"sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc",
	"arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
	"ln": "ln", "log": "ln", "lg": "lg", "exp": "exp",
}

func (p *strictParser) command(name string) *expr.Node {
	if _, ok := elementaryNames[name]; ok {
		return p.elementary(name)
	}
	switch name {
	case "frac":
		p.pos--
		return p.fraction()
	case "sqrt":
		return p.root()
	case "binom":
		n, k := p.argument(), p.argument()
		if n == nil || k == nil {
			return nil
		}
		return expr.Call("binomial", n, k)
	case "pi":
		return expr.New(expr.Pi)
	case "infty":
		return expr.New(expr.Infinity)
	case "lfloor":
		return p.bracketFunction("floor", "rfloor")
	case "lceil":
		return p.bracketFunction("ceiling", "rceil")
	case "sum", "prod", "int":
		return p.bigOperator(name)
	case "overline", "widehat", "angle", "triangle":
		n := p.atom()
		if n == nil {
			return nil
		}
		return &expr.Node{Kind: expr.Apply, Name: name, Args: []*expr.Node{n}}
	case "cup", "in", "pm", "mp":
		return nil
	}
	sub, ok := p.subscript()
	if !ok {
		return nil
	}
	if sub != "" {
		name += "_" + sub
	}
	return expr.Sym(name)
}

func (p *strictParser) bracketFunction(function, closing string) *expr.Node {
	n := p.sum()
	if n == nil || !p.atCommand(closing) {
		return nil
	}
	p.take()
	return expr.Call(function, n)
}

// argument: {...} or a single digit, letter or command.
func (p *strictParser) argument() *expr.Node {
	if p.accept("{") {
		return p.closing(p.sum(), "}")
	}
	return nested(p, p.atom)
}

func (p *strictParser) fraction() *expr.Node {
	p.take()
	upper := p.argument()
	if upper == nil {
		return nil
	}
	lower := p.argument()
	if lower == nil {
		return nil
	}
	return times(upper, expr.Inverse(lower))
}

func (p *strictParser) root() *expr.Node {
	index := expr.Two
	if p.accept("[") {
		if index = p.closing(p.sum(), "]"); index == nil {
			return nil
		}
	}
	var base *expr.Node
	switch {
	case p.accept("{"):
		base = p.closing(p.sum(), "}")
	default:
		base = nested(p, p.atom)
	}
	if base == nil {
		return nil
	}
	return expr.New(expr.Pow, base, expr.Inverse(index))
}

// elementary: a function with an optional base or exponent and its argument,
// which without brackets reaches to the next sign.
func (p *strictParser) elementary(name string) *expr.Node {
	var base, exponent *expr.Node
	for range 2 {
		switch {
		case p.atMark("_"):
			p.take()
			base = nested(p, p.exponent)
			if base == nil {
				return nil
			}
		case p.atMark("^"):
			p.take()
			if exponent = nested(p, p.exponent); exponent == nil {
				return nil
			}
		}
	}
	arg := p.functionArgument()
	if arg == nil {
		return nil
	}
	function := elementaryNames[name]
	var n *expr.Node
	switch {
	case base != nil:
		n = expr.Call("log", arg, base)
	case function == "lg":
		n = expr.Call("log", arg, expr.Ten)
	case exponent != nil && exponent.String() == "(-1*1)":
		return expr.Call("a"+strings.TrimPrefix(function, "a"), arg)
	default:
		n = expr.Call(function, inRadians(arg))
	}
	if exponent != nil {
		n = expr.New(expr.Pow, n, exponent)
	}
	return n
}

// inRadians gives degree signs their value, as the argument of a function.
func inRadians(n *expr.Node) *expr.Node {
	return n.Substitute(degree, expr.New(expr.Mul, expr.New(expr.Pi), expr.Inverse(expr.Num("180"))))
}

func (p *strictParser) functionArgument() *expr.Node {
	if p.accept("(") {
		return p.closing(p.sum(), ")")
	}
	arg := p.power()
	for arg != nil && p.startsFactor() && !p.startsFunction() && !p.atMark("(", "[") {
		arg = times(arg, p.power())
	}
	return arg
}

func (p *strictParser) startsFunction() bool {
	t := p.peek()
	return t.kind == tokCommand && elementaryNames[t.text] != ""
}

// bigOperator: a sum, product or integral with whole bounds is computed; any
// other equals only one with the same bounds and body.
func (p *strictParser) bigOperator(name string) *expr.Node {
	var lower, upper string
	var from, to, variable *expr.Node
	for range 2 {
		switch {
		case p.atMark("_"):
			start := p.pos
			if p.ahead(1).text == "{" && p.ahead(2).kind == tokLetter && p.ahead(3).text == "=" {
				variable = expr.Sym(p.ahead(2).text)
				p.pos += 4
				from = p.closing(p.sum(), "}")
				p.pos = start
			}
			var ok bool
			if lower, ok = p.subscript(); !ok {
				return nil
			}
		case p.accept("^"):
			start := p.pos
			if to = nested(p, p.exponent); to == nil {
				return nil
			}
			for _, t := range p.tokens[start:p.pos] {
				upper += t.text
			}
		}
	}
	body := p.term()
	if body == nil {
		return nil
	}
	if name != "int" && from != nil && to != nil && !from.HasSymbol() && !to.HasSymbol() {
		kind := map[string]expr.Kind{"sum": expr.Sum, "prod": expr.Product}[name]
		return expr.New(kind, body, variable, from, to)
	}
	return &expr.Node{Kind: expr.Apply, Name: name + "_" + lower + "^" + upper, Args: []*expr.Node{body}}
}
