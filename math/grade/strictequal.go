package grade

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// maxStrictWork bounds the comparisons of expressions in one grading.
const maxStrictWork = 12_000

// strictComparer compares two answers; equal is symmetric.
type strictComparer struct{ work int }

// equal returns the rule by which a and b are the same answer, or "".
func (c *strictComparer) equal(a, b value) string {
	if c.work--; c.work < 0 {
		return ""
	}
	if a.raw != "" && a.raw == b.raw {
		return RuleString
	}
	if isMany(a) || isMany(b) {
		return c.many(a, b)
	}
	switch {
	case a.kind == relationValue && b.kind == relationValue:
		return c.relations(a, b)
	case a.kind == relationValue:
		return c.relationAnd(a, b)
	case b.kind == relationValue:
		return c.relationAnd(b, a)
	case a.kind == wordsValue || b.kind == wordsValue:
		return sameWords(a, b)
	case a.kind != b.kind:
		return ""
	}
	switch a.kind {
	case scalarValue:
		return c.scalars(a, b)
	case tupleValue:
		if a.open == b.open && a.close == b.close && c.inOrder(a.items, b.items) {
			return RuleTuple
		}
	case matrixValue:
		return c.matrices(a, b)
	case unionValue:
		if c.anyOrder(a.items, b.items) {
			return RuleSet
		}
	}
	return ""
}

// isMany reports whether v is several answers rather than one.
func isMany(v value) bool { return v.kind == listValue || v.kind == setValue }

// many compares lists and sets without order, and a list without brackets with
// a tuple in order. One answer equals a list of that answer only.
func (c *strictComparer) many(a, b value) string {
	if !isMany(a) {
		a, b = b, a
	}
	switch {
	case isMany(b):
		if c.anyOrder(a.items, b.items) {
			return RuleSet
		}
	case b.kind == tupleValue && a.kind == listValue:
		if c.inOrder(a.items, b.items) {
			return RuleTuple
		}
	case b.kind == relationValue && isName(b.items[0].tokens):
		return c.equal(a, lastSide(b))
	case a.kind == listValue || len(a.items) == 1:
		if c.anyOrder(a.items, []value{b}) {
			return RuleSet
		}
	}
	return c.decimalComma(a, b)
}

// decimalComma takes a list of two whole numbers for a decimal with a comma,
// as in 2,74, when it is compared with a decimal.
func (c *strictComparer) decimalComma(a, b value) string {
	if a.kind != listValue || len(a.items) != 2 || b.kind != scalarValue || !strings.Contains(b.literal, ".") {
		return ""
	}
	whole, fraction := a.items[0].literal, a.items[1].literal
	if !isWhole(strings.TrimPrefix(whole, "-")) || !isWhole(fraction) {
		return ""
	}
	if expr.Same(expr.Num(whole+"."+fraction), b.node) {
		return RuleNumeric
	}
	return ""
}

func isWhole(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (c *strictComparer) inOrder(a, b []value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if c.equal(a[i], b[i]) == "" {
			return false
		}
	}
	return true
}

// anyOrder matches each item with one of the other side. Repeated items count
// once. An assignment matches one to the same name where there is one.
func (c *strictComparer) anyOrder(a, b []value) bool {
	return c.within(a, b) && c.within(b, a)
}

func (c *strictComparer) within(a, b []value) bool {
	for _, x := range a {
		found := false
		for _, y := range b {
			if c.work < 0 {
				return false
			}
			if clashingNames(x, y, a, b) {
				continue
			}
			if c.equal(x, y) != "" {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return len(b) > 0 || len(a) == 0
}

// clashingNames reports whether x and y assign to different names although
// each side assigns to the other's name too.
func clashingNames(x, y value, a, b []value) bool {
	nx, ny := assigned(x), assigned(y)
	if nx == "" || ny == "" || nx == ny {
		return false
	}
	assigns := func(list []value, name string) bool {
		for _, v := range list {
			if assigned(v) == name {
				return true
			}
		}
		return false
	}
	return assigns(b, nx) || assigns(a, ny)
}

// assigned is the name on the left of an assignment, or "".
func assigned(v value) string {
	if v.kind != relationValue || v.signs[0] != "=" || !isName(v.items[0].tokens) {
		return ""
	}
	var b strings.Builder
	for _, t := range v.items[0].tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// isName reports whether the tokens name something: letters, functions of
// letters, ratios and tuples of them, but no number or sum.
func isName(tokens []mathToken) bool {
	letters := false
	for i, t := range tokens {
		switch t.kind {
		case tokLetter, tokWords:
			letters = true
		case tokNumber:
			if !inSubscript(tokens[:i]) {
				return false
			}
		case tokMark:
			if strings.ContainsAny(t.text, "+-^*!%<>=") {
				return false
			}
		case tokCommand:
			if t.text == "infty" || t.text == "pm" || t.text == "sqrt" || t.text == "pi" {
				return false
			}
			letters = letters || t.text != "frac"
		}
	}
	return letters
}

// inSubscript reports whether what follows the tokens is in a subscript.
func inSubscript(before []mathToken) bool {
	depth := 0
	for i := len(before) - 1; i >= 0; i-- {
		switch before[i].text {
		case "}":
			depth++
		case "{":
			depth--
		case "_":
			return depth == 0 || depth == -1
		default:
			if depth == 0 && i == len(before)-1 {
				return false
			}
		}
	}
	return false
}

// lastSide is the last side of a chain of equations, before any approximation.
func lastSide(v value) value {
	last := v.items[0]
	for i, sign := range v.signs {
		if sign == "~" {
			break
		}
		last = v.items[i+1]
	}
	return last
}

// relationAnd compares a relation with something else: an assignment by its
// right side, an inequality as an interval.
func (c *strictComparer) relationAnd(r, other value) string {
	if onlyEquals(r) {
		if !sideOf(r) {
			return ""
		}
		return c.equal(lastSide(r), other)
	}
	if other.kind == tupleValue || other.kind == unionValue {
		if interval, ok := asInterval(r); ok && c.equal(interval, other) != "" {
			return RuleInterval
		}
	}
	return ""
}

func endsInApproximation(r value) bool { return r.signs[len(r.signs)-1] == "~" }

func onlyEquals(r value) bool {
	for _, s := range r.signs {
		if s != "=" && s != "~" {
			return false
		}
	}
	return true
}

// relations compares two relations: assignments by their right sides,
// equations up to a factor, inequalities as intervals or up to a positive
// factor.
func (c *strictComparer) relations(a, b value) string {
	if onlyEquals(a) != onlyEquals(b) {
		if onlyEquals(b) {
			a, b = b, a
		}
		if a.items = a.items[:2]; len(a.signs) == 1 && intervalVariable(a) != "" {
			return c.relationAnd(b, a.items[1])
		}
		return ""
	}
	if strings.Join(a.signs, " ") == strings.Join(b.signs, " ") && c.inOrder(a.items, b.items) {
		return RuleEquation
	}
	if onlyEquals(a) {
		if sideOf(a) && sideOf(b) && c.equal(lastSide(a), lastSide(b)) != "" {
			return RuleEquation
		}
		if len(a.signs) == 1 && len(b.signs) == 1 && c.proportional(a, b, false) {
			return RuleEquation
		}
		return ""
	}
	x, ok1 := asInterval(a)
	y, ok2 := asInterval(b)
	if ok1 && ok2 {
		if intervalVariable(a) == intervalVariable(b) && c.equal(x, y) != "" {
			return RuleInterval
		}
		return ""
	}
	if len(a.signs) == 1 && len(b.signs) == 1 && c.proportional(a, b, true) {
		return RuleInequality
	}
	return ""
}

// sideOf reports whether the relation states a value: name = value, a chain of
// equal expressions, or a computation without symbols.
func sideOf(r value) bool {
	first := r.items[0]
	return isName(first.tokens) || len(r.items) > 2 || endsInApproximation(r) ||
		constantSide(first) && constantSide(r.items[len(r.items)-1])
}

func constantSide(v value) bool { return v.kind == scalarValue && !v.node.HasSymbol() }

// proportional compares the differences of the sides of two relations. An
// inequality must point the same way.
func (c *strictComparer) proportional(a, b value, ordered bool) bool {
	da, ok1 := difference(a)
	db, ok2 := difference(b)
	if !ok1 || !ok2 {
		return false
	}
	factor, ok := expr.Proportional(da, db)
	if !ok {
		return false
	}
	if !ordered {
		return a.signs[0] == b.signs[0]
	}
	sa, sb := a.signs[0], b.signs[0]
	if factor < 0 {
		sb = flipped[sb]
	}
	return sa == sb
}

var flipped = map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "=", "~": "~"}

func difference(r value) (*expr.Node, bool) {
	l, g := r.items[0], r.items[1]
	if l.kind != scalarValue || g.kind != scalarValue {
		return nil, false
	}
	return expr.New(expr.Add, l.node, expr.Neg(g.node)), true
}

// asInterval reads x > a, a <= x, a < x <= b and a <= |x| <= b as intervals.
func asInterval(r value) (value, bool) {
	signs, items := r.signs, r.items
	if len(signs) == 1 && !isName(items[0].tokens) && isName(items[1].tokens) {
		signs, items = []string{flipped[signs[0]]}, []value{items[1], items[0]}
	}
	infinity := value{kind: scalarValue, node: expr.New(expr.Infinity)}
	minusInfinity := value{kind: scalarValue, node: expr.Neg(infinity.node)}
	switch {
	case len(signs) == 1 && isName(items[0].tokens) && !isName(items[1].tokens):
		switch signs[0] {
		case ">", ">=":
			return interval(items[1], signs[0] == ">=", infinity, false), true
		case "<", "<=":
			return interval(minusInfinity, false, items[1], signs[0] == "<="), true
		}
	case len(signs) == 2 && isName(items[1].tokens) && signs[0][0] == signs[1][0]:
		low, high, lowSign, highSign := items[0], items[2], signs[0], signs[1]
		if signs[0][0] == '>' {
			low, high, lowSign, highSign = high, low, highSign, lowSign
		} else if signs[0][0] != '<' {
			return value{}, false
		}
		v := interval(low, lowSign != "<" && lowSign != ">", high, highSign != "<" && highSign != ">")
		if isAbsolute(items[1].tokens) {
			return mirrored(v), true
		}
		return v, true
	}
	return value{}, false
}

func interval(low value, lowClosed bool, high value, highClosed bool) value {
	v := value{kind: tupleValue, open: "(", close: ")", items: []value{low, high}}
	if lowClosed {
		v.open = "["
	}
	if highClosed {
		v.close = "]"
	}
	return v
}

func isAbsolute(tokens []mathToken) bool {
	return len(tokens) >= 3 && tokens[0].text == "|" && tokens[len(tokens)-1].text == "|"
}

// mirrored is the interval and its mirror image at 0.
func mirrored(v value) value {
	if v.items[0].kind != scalarValue || v.items[1].kind != scalarValue {
		return v
	}
	negative := func(x value) value { return value{kind: scalarValue, node: expr.Neg(x.node)} }
	image := interval(negative(v.items[1]), v.close == "]", negative(v.items[0]), v.open == "[")
	return value{kind: unionValue, items: []value{image, v}}
}

// intervalVariable is the name an inequality bounds.
func intervalVariable(r value) string {
	for _, item := range r.items {
		if isName(item.tokens) {
			return assigned(value{kind: relationValue, signs: []string{"="}, items: []value{item}})
		}
	}
	return ""
}

func (c *strictComparer) matrices(a, b value) string {
	if len(a.items) != len(b.items) {
		return ""
	}
	for i := range a.items {
		if !c.inOrder(a.items[i].items, b.items[i].items) {
			return ""
		}
	}
	return RuleMatrix
}

// scalars compares two expressions with their percent signs and units. A
// percent sign on one side only may mean the number or its hundredth.
func (c *strictComparer) scalars(a, b value) string {
	c.work -= a.size + b.size
	a, b = settleDegrees(a), settleDegrees(b)
	if a.unit != "" && b.unit != "" && singular(a.unit) != singular(b.unit) {
		return ""
	}
	rule := RuleSymbolic
	if a.literal != "" && b.literal != "" {
		rule = RuleNumeric
	}
	if expr.Same(a.node, b.node) || rounds(a, b) || rounds(b, a) {
		return rule
	}
	if a.percent != b.percent {
		percent, plain := a, b
		if b.percent {
			percent, plain = b, a
		}
		if expr.Same(percent.node, expr.New(expr.Mul, plain.node, expr.Num("100"))) {
			return RulePercent
		}
	}
	return ""
}

func singular(unit string) string { return strings.TrimSuffix(unit, "s") }

// settleDegrees drops the degree sign of a plain angle.
func settleDegrees(v value) value {
	v.node = v.node.Substitute(degree, expr.One)
	return v
}

// rounds reports whether a is a decimal with at least three places after the
// point that b, which is no decimal, rounds to.
func rounds(a, b value) bool {
	text := decimalIn(a.node)
	if text == "" || decimalIn(b.node) != "" {
		return false
	}
	_, fraction, _ := strings.Cut(text, ".")
	if len(fraction) < 3 {
		return false
	}
	x, ok1 := a.node.Real()
	y, ok2 := b.node.Real()
	scale := math.Pow10(-len(fraction))
	if literal, err := strconv.ParseFloat(text, 64); err == nil && literal != 0 && a.literal == "" {
		scale *= math.Abs(x / literal)
	}
	return ok1 && ok2 && math.Abs(x-y) <= 0.5000001*scale
}

// decimalIn is the decimal literal with the fewest places in a constant.
func decimalIn(n *expr.Node) string {
	if n.Kind == expr.Number && strings.Contains(n.Name, ".") {
		return n.Name
	}
	found := ""
	for _, a := range n.Args {
		if d := decimalIn(a); d != "" && (found == "" || len(d) < len(found)) {
			found = d
		}
	}
	return found
}

// sameWords compares answers in words by their letters and digits.
func sameWords(a, b value) string {
	x, y := plainWords(a.raw), plainWords(b.raw)
	if x != "" && x == y {
		return RuleString
	}
	return ""
}

func plainWords(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		if strings.ContainsRune("+-*/^=<>", r) {
			return r
		}
		return -1
	}, s)
}
