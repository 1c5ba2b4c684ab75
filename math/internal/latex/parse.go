package latex

import (
	"errors"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// ErrSyntax is returned for text that parse_latex raises an error on.
var ErrSyntax = errors.New("not in the LaTeX subset")

// Limits on the input; a longer or more deeply nested text is an error.
const (
	maxLength = 2048
	maxDepth  = 60
	maxSteps  = 20_000
)

// Result is a parsed expression, or the two sides of a relation.
type Result struct {
	Expr     *expr.Node // nil for a relation
	Relation bool
	// Difference is left side minus right side, for a single relation.
	Difference *expr.Node
}

// Parse parses the longest sensible prefix of s.
func Parse(s string) (Result, error) {
	if len(s) > maxLength {
		return Result{}, ErrSyntax
	}
	p := &parser{tokens: tokenize(s), stop: -1}
	left := p.additive()
	if left == nil {
		return Result{}, ErrSyntax
	}
	signs := 0
	var right *expr.Node
	for ; p.at(relation); signs++ {
		p.take()
		if right = p.additive(); right == nil {
			return Result{}, ErrSyntax
		}
	}
	if p.failed || !validNumbers(left) {
		return Result{}, ErrSyntax
	}
	switch signs {
	case 0:
	case 1:
		return Result{Relation: true, Difference: expr.New(expr.Add, left, expr.Neg(right))}, nil
	default:
		return Result{Relation: true}, nil
	}
	return Result{Expr: left}, nil
}

// validNumbers refuses whole numbers with leading zeros, as Python does.
func validNumbers(n *expr.Node) bool {
	switch n.Kind {
	case expr.Number:
		return n.Name[0] != '0' || strings.Contains(n.Name, ".") || strings.Trim(n.Name, "0") == ""
	case expr.Symbol:
		return n.Name != invalidName
	}
	for _, a := range n.Args {
		if !validNumbers(a) {
			return false
		}
	}
	return true
}

// invalidName is the name of a symbol whose subscript holds a bad number.
const invalidName = "\x00"

// parser is a recursive descent parser. A rule that cannot be completed
// returns nil; the caller then returns to where the rule began and ends there,
// unless it is inside brackets, which must close.
type parser struct {
	tokens []token
	pos    int
	depth  int  // open brackets and mandatory parts around the position
	beside bool // in a factor that another one precedes
	stop   int  // a digit that no number may reach, see elementary; -1: none
	steps  int  // work done so far
	failed bool // the text is an error whatever the callers do
}

func (p *parser) peek() token {
	t := p.tokens[p.pos]
	if p.steps++; t.kind == bad || p.steps > maxSteps {
		p.failed = true
	}
	if p.failed {
		return token{kind: eof}
	}
	return t
}

func (p *parser) at(k kind) bool { return p.peek().kind == k }

// atCommand reports whether one of the given commands comes next.
func (p *parser) atCommand(names ...string) bool {
	t := p.peek()
	return t.kind == command && slices.Contains(names, t.text)
}

func (p *parser) take() token {
	t := p.tokens[p.pos]
	if t.kind != eof {
		p.pos++
	}
	return t
}

// accept takes the token if it is of kind k.
func (p *parser) accept(k kind) bool {
	if p.at(k) {
		p.take()
		return true
	}
	return false
}

// stuck is called after x_ or 5. without what must follow: at the top level
// the whole text is then an error, unless there is a factor before to end at.
func (p *parser) stuck() *expr.Node {
	if p.beside {
		return nil
	}
	return p.committed()
}

// committed is called where the grammar has no way back.
func (p *parser) committed() *expr.Node {
	if p.depth == 0 {
		p.failed = true
	}
	return nil
}

// optional runs rule; if it fails the position is as before.
func (p *parser) optional(rule func() *expr.Node) *expr.Node {
	start := p.pos
	n := rule()
	if n == nil {
		p.pos = start
	}
	return n
}

// enclosed parses an expression up to the closing token.
func (p *parser) enclosed(closing kind) *expr.Node {
	n := p.inside(p.additive)
	if n == nil || !p.accept(closing) {
		return nil
	}
	return n
}

// inside runs rule as a mandatory part.
func (p *parser) inside(rule func() *expr.Node) *expr.Node {
	if p.depth >= maxDepth {
		p.failed = true
		return nil
	}
	before := p.beside
	p.depth, p.beside = p.depth+1, false
	defer func() { p.depth, p.beside = p.depth-1, before }()
	return rule()
}

// additive: products joined by + and -.
func (p *parser) additive() *expr.Node {
	left := p.product(p.unary)
	for left != nil && (p.at('+') || p.at('-')) {
		right := p.optional(func() *expr.Node {
			minus := p.take().kind == '-'
			n := p.product(p.unary)
			if n != nil && minus {
				n = expr.Neg(n)
			}
			return n
		})
		if right == nil {
			break
		}
		left = expr.New(expr.Add, left, right)
	}
	return left
}

func (p *parser) atProductSign() bool {
	t := p.peek()
	switch t.kind {
	case '*', '/', ':':
		return true
	case command:
		return t.text == `\times` || t.text == `\cdot` || t.text == `\div`
	}
	return false
}

// product: factors joined by multiplication and division signs, all of one
// precedence.
func (p *parser) product(factor func() *expr.Node) *expr.Node {
	left := factor()
	for left != nil && p.atProductSign() {
		right := p.optional(func() *expr.Node {
			sign := p.take()
			n := factor()
			if n != nil && (sign.kind == '/' || sign.kind == ':' || sign.text == `\div`) {
				n = expr.Inverse(n)
			}
			return n
		})
		if right == nil {
			break
		}
		left = expr.New(expr.Mul, left, right)
	}
	return left
}

// unary: signs, then factors written side by side.
func (p *parser) unary() *expr.Node {
	return p.signed(p.unary, func() []*expr.Node { return p.juxtaposed(true) })
}

// unaryNoFunc is the argument of a function without brackets: only its first
// factor may be a function.
func (p *parser) unaryNoFunc() *expr.Node {
	return p.signed(p.unaryNoFunc, func() []*expr.Node { return p.juxtaposed(false) })
}

func (p *parser) signed(again func() *expr.Node, factors func() []*expr.Node) *expr.Node {
	if p.at('+') || p.at('-') {
		minus := p.take().kind == '-'
		n := p.inDepthLimit(again)
		if n != nil && minus {
			n = expr.Neg(n)
		}
		return n
	}
	return multiply(factors())
}

// inDepthLimit bounds recursion that is not inside brackets.
func (p *parser) inDepthLimit(rule func() *expr.Node) *expr.Node {
	if p.steps++; p.pos > maxLength || p.steps > maxSteps {
		p.failed = true
		return nil
	}
	return rule()
}

func (p *parser) juxtaposed(functions bool) []*expr.Node {
	first := p.postfix(true)
	if first == nil {
		return nil
	}
	factors := []*expr.Node{first}
	before := p.beside
	p.beside = true
	defer func() { p.beside = before }()
	for {
		n := p.optional(func() *expr.Node { return p.postfix(functions) })
		if n == nil {
			return factors
		}
		factors = append(factors, n)
	}
}

// multiply joins factors. A plain x between two factors without symbols is a
// multiplication sign.
func multiply(factors []*expr.Node) *expr.Node {
	switch len(factors) {
	case 0:
		return nil
	case 1:
		if strings.HasPrefix(factors[0].Name, derivativeName) {
			return nil
		}
		return factors[0]
	}
	kept := make([]*expr.Node, 0, len(factors))
	for i, f := range factors {
		if variable, ok := strings.CutPrefix(f.Name, derivativeName); ok && f.Kind == expr.Symbol {
			d, ok := expr.Diff(multiply(factors[i+1:]), variable)
			if !ok {
				return nil
			}
			kept = append(kept, d)
			break
		}
		if i > 0 && i < len(factors)-1 && f.Kind == expr.Symbol && f.Name == "x" &&
			!factors[i-1].HasSymbol() && !factors[i+1].HasSymbol() {
			continue
		}
		kept = append(kept, f)
	}
	return expr.New(expr.Mul, kept...)
}

// postfix: a power followed by factorial signs.
func (p *parser) postfix(functions bool) *expr.Node {
	n := p.power(functions)
	for n != nil && p.accept('!') {
		n = expr.Call("factorial", n)
	}
	return n
}

// power: a component raised from the left, so x^2^3 is (x^2)^3.
func (p *parser) power(functions bool) *expr.Node {
	base := p.component(functions)
	for base != nil && p.at('^') {
		before := p.beside
		p.beside = false
		exponent := p.optional(func() *expr.Node {
			p.take()
			return p.atomOrBraced()
		})
		p.beside = before
		if exponent == nil {
			break
		}
		base = raise(base, exponent)
		if p.at('_') { // a subscript after the exponent has no meaning
			if p.subscript() == nil {
				return p.stuck()
			}
		}
	}
	return base
}

// raise is base to the power exponent. sympy keeps x^0.5 apart from the square
// root of x: a decimal is never simplified to a fraction. So here a decimal
// power of a symbol equals only one with the same base and exponent.
func raise(base, exponent *expr.Node) *expr.Node {
	if exponent.Kind == expr.Number && strings.Contains(exponent.Name, ".") && !base.Constant() {
		return &expr.Node{Kind: expr.Apply, Name: "^.", Args: []*expr.Node{base, exponent}}
	}
	return expr.New(expr.Pow, base, exponent)
}

// atomOrBraced: what may follow ^ and _.
func (p *parser) atomOrBraced() *expr.Node {
	if p.accept('{') {
		return p.enclosed('}')
	}
	return p.atom()
}

func (p *parser) subscript() *expr.Node {
	if !p.accept('_') {
		return nil
	}
	return p.atomOrBraced()
}

// component: brackets, a function, or an atom.
func (p *parser) component(functions bool) *expr.Node {
	t := p.peek()
	switch t.kind {
	case '(', '[', '{', openSet:
		p.take()
		return p.enclosed(map[kind]kind{'(': ')', '[': ']', '{': '}', openSet: closeSet}[t.kind])
	case '|':
		if n := p.optional(p.absolute); n != nil {
			return n
		}
		return p.ket()
	case openBar:
		return p.ket()
	case letter, symbol:
		if functions {
			if n := p.optional(p.application); n != nil {
				return n
			}
		}
	case command:
		switch t.text {
		case `\lfloor`:
			return p.bracketed("floor", `\rfloor`)
		case `\lceil`:
			return p.bracketed("ceiling", `\rceil`)
		}
		if n, isFunction := p.function(t.text, functions); isFunction {
			return n
		}
	}
	return p.atom()
}

func (p *parser) absolute() *expr.Node {
	p.take()
	n := p.enclosed('|')
	if n == nil {
		return nil
	}
	return expr.Call("abs", n)
}

func (p *parser) bracketed(function, closing string) *expr.Node {
	p.take()
	n := p.inside(p.additive)
	if n == nil || !p.atCommand(closing) {
		return nil
	}
	p.take()
	return expr.Call(function, n)
}

// bra and ket are quantum states: here values that equal only themselves.
func (p *parser) bra() *expr.Node {
	p.take()
	n := p.inside(p.additive)
	if n == nil || !p.accept('|') && !p.accept(closeBar) {
		return nil
	}
	return &expr.Node{Kind: expr.Apply, Name: `\bra`, Args: []*expr.Node{n}}
}

func (p *parser) ket() *expr.Node {
	p.take()
	n := p.inside(p.additive)
	if n == nil || !p.atCommand(`\rangle`) {
		return nil
	}
	p.take()
	return &expr.Node{Kind: expr.Apply, Name: `\ket`, Args: []*expr.Node{n}}
}

// number: digits with thousands separators and a fraction. A point must be
// followed by digits.
func (p *parser) number() *expr.Node {
	var b strings.Builder
	for p.at(digit) && p.pos != p.stop {
		b.WriteString(p.take().text)
	}
	for p.at(',') && p.threeDigits() {
		p.take()
		for range 3 {
			b.WriteString(p.take().text)
		}
	}
	if p.at('.') {
		p.take()
		if !p.at(digit) {
			return p.stuck()
		}
		b.WriteByte('.')
		for p.at(digit) {
			b.WriteString(p.take().text)
		}
	}
	return expr.Num(b.String())
}

func (p *parser) threeDigits() bool {
	for _, t := range p.tokens[p.pos+1 : min(p.pos+4, len(p.tokens))] {
		if t.kind == bad {
			p.failed = true
		}
		if t.kind != digit {
			return false
		}
	}
	return true
}
