package grade

import (
	"slices"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// valueKind is what sort of thing an answer is.
type valueKind uint8

const (
	scalarValue   valueKind = iota
	listValue               // items in no order: 1, 2 and 3
	setValue                // \{1, 2\}
	tupleValue              // (1, 2), [0, 1): items and brackets
	unionValue              // parts joined by \cup
	matrixValue             // items are rows, each a list
	relationValue           // sides joined by signs
	wordsValue              // anything that is not a formula
)

// value is a parsed answer.
type value struct {
	kind    valueKind
	raw     string      // the text without spaces and decoration
	node    *expr.Node  // of a scalar
	percent bool        // a scalar with a percent sign
	unit    string      // words after a scalar
	size    int         // of a scalar, in tokens
	literal string      // the decimal literal a scalar consists of, if any
	items   []value     // of a list, set, tuple, union or matrix
	open    string      // brackets of a tuple
	close   string      //
	signs   []string    // of a relation, one fewer than items
	tokens  []mathToken // the side of a relation as written
}

// Limits of the strict parser.
const (
	strictLength = 2048
	strictDepth  = 40
	strictSteps  = 20_000
)

// parseValue reads a whole answer; what is not a formula becomes words.
func parseValue(s string) value {
	words := value{kind: wordsValue, raw: rawText(s)}
	if len(s) > strictLength {
		return words
	}
	tokens, ok := lexMath(s)
	if !ok || len(tokens) == 0 {
		return words
	}
	p := &strictParser{tokens: append(tokens, mathToken{}), grouped: hasSeparators(tokens)}
	v, ok := p.list(tokEnd, "")
	if !ok || p.failed || p.peek().kind != tokEnd {
		return words
	}
	v.raw = words.raw
	return v
}

// rawText is s without spaces, dollar signs, braces and text commands.
func rawText(s string) string {
	s = rawDecoration.Replace(s)
	return strings.Join(strings.FieldsFunc(s, isSpace), "")
}

var rawDecoration = strings.NewReplacer("$", "", `\text`, "", `\mathrm`, "", `\left`, "", `\right`, "",
	"{", "", "}", "", `\dfrac`, `\frac`, `\tfrac`, `\frac`, `\,`, "", `\!`, "", `\ `, "", `\%`, "%")

// hasSeparators reports whether both commas and semicolons occur.
func hasSeparators(tokens []mathToken) bool {
	has := func(text string) bool {
		return slices.ContainsFunc(tokens, func(t mathToken) bool { return t.kind == tokSep && t.text == text })
	}
	return has(",") && has(";")
}

type strictParser struct {
	tokens []mathToken
	// grouped: semicolons separate groups of items.
	grouped bool
	pos     int
	depth   int
	steps   int
	failed  bool
}

func (p *strictParser) peek() mathToken {
	if p.steps++; p.steps > strictSteps {
		p.failed = true
	}
	if p.failed {
		return mathToken{}
	}
	return p.tokens[p.pos]
}

func (p *strictParser) ahead(n int) mathToken {
	return p.tokens[min(p.pos+n, len(p.tokens)-1)]
}

func (p *strictParser) take() mathToken {
	t := p.peek()
	if p.pos < len(p.tokens)-1 {
		p.pos++
	}
	return t
}

func (p *strictParser) atMark(texts ...string) bool {
	t := p.peek()
	return t.kind == tokMark && slices.Contains(texts, t.text)
}

func (p *strictParser) atCommand(names ...string) bool {
	t := p.peek()
	return t.kind == tokCommand && slices.Contains(names, t.text)
}

func (p *strictParser) accept(text string) bool {
	if p.atMark(text) {
		p.take()
		return true
	}
	return false
}

// nested runs f one level deeper.
func nested[T any](p *strictParser, f func() T) T {
	if p.depth++; p.depth > strictDepth {
		p.failed = true
	}
	defer func() { p.depth-- }()
	return f()
}

// ends reports whether the list ends here: at a token of kind, or a mark.
func (p *strictParser) ends(kind tokenKind, mark string) bool {
	t := p.peek()
	return t.kind == tokEnd || kind != tokEnd && t.kind == kind || mark != "" && t.kind == tokMark && t.text == mark
}

// list parses items separated by commas or conjunctions. One item is itself.
// Where semicolons stand between commas the items are the lists between them.
func (p *strictParser) list(kind tokenKind, mark string) (value, bool) {
	var items, groups []value
	for {
		for p.peek().kind == tokSep {
			if p.take().text == ";" && p.grouped && len(items) > 0 {
				groups = append(groups, value{kind: listValue, items: items})
				items = nil
			}
		}
		if p.ends(kind, mark) {
			break
		}
		item, ok := p.relation()
		if !ok {
			return value{}, false
		}
		items = append(items, item)
		if !p.ends(kind, mark) && p.peek().kind != tokSep {
			return value{}, false
		}
	}
	v := value{kind: listValue, items: items}
	switch {
	case len(groups) > 0 && len(items) > 0:
		return value{kind: listValue, items: append(groups, v)}, true
	case len(groups) > 0:
		return value{kind: listValue, items: groups}, true
	case len(items) == 1:
		return items[0], true
	}
	return v, len(items) > 0
}

var relationSigns = []string{"=", "<", ">", "<=", ">=", "!=", "~"}

// relation parses sides joined by relation signs; x \in S is read as x = S.
func (p *strictParser) relation() (value, bool) {
	v := value{kind: relationValue}
	for {
		start := p.pos
		side, ok := p.side()
		if !ok {
			return value{}, false
		}
		side.tokens = p.tokens[start:p.pos]
		v.items = append(v.items, side)
		switch {
		case p.atMark(relationSigns...):
			v.signs = append(v.signs, p.take().text)
		case p.atCommand("in"):
			p.take()
			v.signs = append(v.signs, "=")
		case len(v.items) == 1:
			return side, true
		default:
			return v, true
		}
	}
}

// side parses a union of brackets and sets, a matrix, or a scalar.
func (p *strictParser) side() (value, bool) {
	first, ok := p.operand()
	if !ok || !p.atCommand("cup") {
		return first, ok
	}
	v := value{kind: unionValue, items: []value{first}}
	for p.atCommand("cup") {
		p.take()
		next, ok := p.operand()
		if !ok {
			return value{}, false
		}
		v.items = append(v.items, next)
	}
	return joinSets(v), true
}

// joinSets makes one set of a union of sets of elements.
func joinSets(union value) value {
	set := value{kind: setValue}
	for _, part := range union.items {
		if part.kind != setValue {
			return union
		}
		set.items = append(set.items, part.items...)
	}
	return set
}

// named reads the commands that stand for a set.
func (p *strictParser) named() (value, bool) {
	t := p.take()
	switch {
	case t.kind != tokCommand:
	case t.text == "emptyset" || t.text == "varnothing":
		return value{kind: setValue}, p.closesOperand()
	case t.text == "mathbbR":
		infinity := expr.New(expr.Infinity)
		low := value{kind: scalarValue, node: expr.Neg(infinity)}
		return interval(low, false, value{kind: scalarValue, node: infinity}, false), p.closesOperand()
	}
	return value{}, false
}

func (p *strictParser) operand() (value, bool) {
	start := p.pos
	for _, parse := range []func() (value, bool){p.named, p.bracketed, p.environment, p.scalar} {
		if v, ok := nested2(p, parse); ok {
			return v, true
		}
		p.pos = start
	}
	if p.peek().kind == tokWords {
		return value{kind: wordsValue, raw: rawText(p.take().text)}, true
	}
	return value{}, false
}

func nested2(p *strictParser, f func() (value, bool)) (v value, ok bool) {
	if p.depth++; p.depth > strictDepth {
		p.failed = true
	}
	defer func() { p.depth-- }()
	return f()
}

// bracketed parses \{a, b\}, {a, b}, (a, b], with at least two parts or the
// braces of a set, as long as nothing follows that would make it a factor.
func (p *strictParser) bracketed() (value, bool) {
	open := p.take()
	closings := map[string][]string{"(": {")", "]"}, "[": {"]", ")"}, `\{`: {`\}`}, "{": {"}"}}[open.text]
	if open.kind != tokMark || closings == nil {
		return value{}, false
	}
	v := value{kind: tupleValue, open: open.text}
	for !p.atMark(closings...) {
		item, ok := p.relation()
		if !ok {
			return value{}, false
		}
		v.items = append(v.items, item)
		if p.peek().kind == tokSep {
			p.take()
		} else if !p.atMark(closings...) {
			return value{}, false
		}
	}
	v.close = p.take().text
	switch open.text {
	case `\{`:
		v.kind = setValue
	case "{":
		v.kind = listValue
	}
	if len(v.items) < 2 && v.kind != setValue {
		return p.unwrapped(v)
	}
	return v, p.closesOperand()
}

// unwrapped takes brackets around something that is no scalar for grouping.
func (p *strictParser) unwrapped(v value) (value, bool) {
	if len(v.items) != 1 || v.items[0].kind == scalarValue || v.items[0].kind == relationValue {
		return value{}, false
	}
	return v.items[0], p.closesOperand()
}

// closesOperand reports whether an operand may end here.
func (p *strictParser) closesOperand() bool {
	t := p.peek()
	switch t.kind {
	case tokEnd, tokSep, tokRow, tokFinish:
		return true
	case tokCommand:
		return t.text == "cup" || t.text == "in"
	case tokMark:
		return slices.Contains(relationSigns, t.text) || slices.Contains([]string{")", "]", "}", `\}`}, t.text)
	}
	return false
}

// scalar parses an expression with a percent sign or a unit.
func (p *strictParser) scalar() (value, bool) {
	start := p.pos
	node := p.sum()
	if node == nil {
		return value{}, false
	}
	v := value{kind: scalarValue, node: node, size: p.pos - start, literal: literalOf(p.tokens[start:p.pos])}
	for {
		switch {
		case p.accept("%"):
			v.percent = true
		case p.peek().kind == tokWords:
			v.unit = strings.ToLower(rawText(p.take().text))
			if p.atMark("^") && p.ahead(1).kind == tokNumber {
				p.take()
				v.unit += "^" + p.take().text
			}
		default:
			return v.expandSigns(), true
		}
	}
}

// literalOf is the decimal literal the tokens consist of, or "".
func literalOf(tokens []mathToken) string {
	sign := ""
	if len(tokens) == 2 && tokens[0].text == "-" {
		sign, tokens = "-", tokens[1:]
	}
	if len(tokens) == 1 && tokens[0].kind == tokNumber {
		return sign + tokens[0].text
	}
	return ""
}

// plusMinus is the symbol that \pm becomes; no answer can name it.
const plusMinus = "\x00pm"

// expandSigns turns a scalar with \pm into the list of both.
func (v value) expandSigns() value {
	plus := v.node.Substitute(plusMinus, expr.One)
	if plus == v.node || plus.String() == v.node.String() {
		return v
	}
	minus := v
	minus.node, v.node = v.node.Substitute(plusMinus, expr.MinusOne), plus
	return value{kind: listValue, items: []value{v, minus}}
}

// environment parses matrices and their sums and products, and cases.
func (p *strictParser) environment() (value, bool) {
	if p.peek().kind == tokBegin && (p.peek().text == "cases" || p.peek().text == "aligned") {
		return p.cases()
	}
	sum, ok := p.matrixTerm()
	for ok && p.atMark("+", "-") {
		sign := p.take().text
		var term value
		if term, ok = p.matrixTerm(); ok {
			sum, ok = addMatrices(sum, term, sign == "-")
		}
	}
	return sum, ok
}

func (p *strictParser) cases() (value, bool) {
	p.take()
	v := value{kind: listValue}
	for {
		for p.peek().kind == tokRow {
			p.take()
		}
		if p.peek().kind == tokFinish {
			p.take()
			return v, len(v.items) > 0
		}
		item, ok := p.relation()
		if !ok || p.peek().kind != tokRow && p.peek().kind != tokFinish {
			return value{}, false
		}
		v.items = append(v.items, item)
	}
}

// matrixTerm parses a product of matrices with an optional scalar before.
func (p *strictParser) matrixTerm() (value, bool) {
	scale := expr.One
	if p.peek().kind != tokBegin {
		minus := p.accept("-")
		if p.peek().kind != tokBegin {
			if scale = p.power(); scale == nil {
				return value{}, false
			}
			p.accept("*")
		}
		if minus {
			scale = expr.Neg(scale)
		}
	}
	if p.peek().kind != tokBegin {
		return value{}, false
	}
	product, ok := p.matrix()
	for ok && p.peek().kind == tokBegin {
		var next value
		if next, ok = p.matrix(); ok {
			product, ok = multiplyMatrices(product, next)
		}
	}
	if ok && scale != expr.One {
		product = mapMatrix(product, func(n *expr.Node) *expr.Node { return expr.New(expr.Mul, scale, n) })
	}
	return product, ok
}

func (p *strictParser) matrix() (value, bool) {
	if !strings.Contains(p.take().text, "matrix") && p.tokens[p.pos-1].text != "array" {
		return value{}, false
	}
	m := value{kind: matrixValue}
	row := value{kind: listValue}
	for {
		switch t := p.peek(); {
		case t.kind == tokSep && t.text == "&":
			p.take()
		case t.kind == tokRow || t.kind == tokFinish:
			p.take()
			if len(row.items) > 0 {
				m.items = append(m.items, row)
			}
			row = value{kind: listValue}
			if t.kind == tokFinish {
				return m, len(m.items) > 0
			}
		default:
			cell, ok := p.scalar()
			if !ok || cell.kind != scalarValue {
				return value{}, false
			}
			row.items = append(row.items, cell)
		}
	}
}

func mapMatrix(m value, f func(*expr.Node) *expr.Node) value {
	result := value{kind: matrixValue}
	for _, row := range m.items {
		mapped := value{kind: listValue}
		for _, cell := range row.items {
			mapped.items = append(mapped.items, value{kind: scalarValue, node: f(cell.node)})
		}
		result.items = append(result.items, mapped)
	}
	return result
}

func addMatrices(a, b value, subtract bool) (value, bool) {
	if len(a.items) != len(b.items) {
		return value{}, false
	}
	i, j := 0, -1
	for r := range a.items {
		if len(a.items[r].items) != len(b.items[r].items) {
			return value{}, false
		}
	}
	return mapMatrix(a, func(n *expr.Node) *expr.Node {
		if j++; j == len(b.items[i].items) {
			i, j = i+1, 0
		}
		other := b.items[i].items[j].node
		if subtract {
			other = expr.Neg(other)
		}
		return expr.New(expr.Add, n, other)
	}), true
}

// maxMatrix bounds the rows and columns of a product.
const maxMatrix = 8

func multiplyMatrices(a, b value) (value, bool) {
	inner, columns := len(b.items), len(b.items[0].items)
	if inner > maxMatrix || columns > maxMatrix || len(a.items) > maxMatrix {
		return value{}, false
	}
	result := value{kind: matrixValue}
	for _, row := range a.items {
		if len(row.items) != inner {
			return value{}, false
		}
		product := value{kind: listValue}
		for c := range columns {
			var terms []*expr.Node
			for k := range inner {
				if c >= len(b.items[k].items) {
					return value{}, false
				}
				terms = append(terms, expr.New(expr.Mul, row.items[k].node, b.items[k].items[c].node))
			}
			product.items = append(product.items, value{kind: scalarValue, node: expr.New(expr.Add, terms...)})
		}
		result.items = append(result.items, product)
	}
	return result, true
}

// baseLiteral is the value of digits in a base of 2 to 36.
func baseLiteral(digits, base string) *expr.Node {
	b, err := strconv.Atoi(base)
	if err != nil || b < 2 || b > 36 || len(digits) > 12 {
		return nil
	}
	v, err := strconv.ParseInt(digits, b, 64)
	if err != nil {
		return nil
	}
	return expr.Num(strconv.FormatInt(v, 10))
}
