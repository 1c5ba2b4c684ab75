package grade

import (
	"strings"
	"unicode/utf8"

	"github.com/oreo-go/oreo/math/internal/expr"
	"github.com/oreo-go/oreo/math/internal/latex"
	"github.com/oreo-go/oreo/math/internal/pyexpr"
)

// scriptRules are the points where the two Python graders, which share their
// ancestry, differ.
type scriptRules struct {
	// shortcut is tried first on the two strings; "" means not decided.
	shortcut func(pred, gold string) string
	// number is when two plain numbers are the same.
	number expr.Closeness
	// rewrite adjusts the pair once it is known not to be two numbers.
	rewrite func(pred, gold string) (newPred, newGold, rule string)
	// symbolic compares two strings as expressions.
	symbolic func(pred, gold string) bool
}

// comparer is one comparison in progress.
type comparer struct {
	*scriptRules
	work int // bytes of expressions that may still be parsed
}

// maxWork bounds the text parsed as expressions in one grading. Nested tuples
// parse their parts again at every level.
const maxWork = 1 << 14

func newComparer(rules *scriptRules) *comparer { return &comparer{rules, maxWork} }

// sameExpression is symbolic within the budget; past it nothing is equal.
func (c *comparer) sameExpression(pred, gold string) bool {
	if c.work -= len(pred) + len(gold) + 16; c.work < 0 {
		return false
	}
	return c.symbolic(pred, gold)
}

var deepseekRules = &scriptRules{
	shortcut: func(pred, gold string) string {
		if pred == gold {
			return RuleString
		}
		return ""
	},
	number:  expr.Closeness{Absolute: 1e-3, Relative: 1e-9},
	rewrite: func(pred, gold string) (string, string, string) { return pred, gold, "" },
	symbolic: func(pred, gold string) bool {
		a, b := parseScript(pred), parseScript(gold)
		return a != nil && b != nil && expr.Close(a, b, expr.Closeness{Absolute: 1e-3, Relative: 1e-9})
	},
}

// equal is math_equal: numbers up to a factor of 100, tuples and matrices part
// by part, equations, and at last expressions.
func (c *comparer) equal(pred, gold string) string {
	if rule := c.shortcut(pred, gold); rule != "" {
		return rule
	}
	p, ok1 := parseDigits(pred)
	g, ok2 := parseDigits(gold)
	if ok1 && ok2 {
		return percentEqual(p, g, c.number)
	}
	if c.work -= 16; pred == "" || c.work < 0 {
		return ""
	}
	pred, gold = strip(pred), strip(gold)
	pred, gold, rule := c.rewrite(pred, gold)
	switch {
	case rule != "":
		return rule
	case bracketed(pred) && bracketed(gold) && c.partsEqual(dropEnds(pred), dropEnds(gold), ","):
		return RuleTuple
	case isMatrix(pred) && isMatrix(gold) && c.matrixEqual(pred, gold):
		return RuleMatrix
	}
	if c.equationEqual(pred, gold) {
		return RuleEquation
	}
	if c.sameExpression(pred, gold) {
		return RuleSymbolic
	}
	return ""
}

func dropCommas(s string) string {
	if strings.IndexByte(s, ',') < 0 {
		return s
	}
	return strings.ReplaceAll(s, ",", "")
}

// parseDigits reads 1,234.5 and 12% (as 0.12).
func parseDigits(s string) (float64, bool) {
	s = dropCommas(s)
	if v, ok := pyFloat(s); ok {
		return v, true
	}
	if !strings.HasSuffix(s, "%") {
		return 0, false
	}
	v, ok := pyFloat(strings.TrimSuffix(s[:len(s)-1], `\`))
	return v / 100, ok
}

// percentEqual accepts the number, a hundredth of it and a hundred times it.
func percentEqual(pred, gold float64, c expr.Closeness) string {
	switch {
	case c.Equal(gold, pred):
		return RuleNumeric
	case c.Equal(gold/100, pred) || c.Equal(gold*100, pred):
		return RulePercent
	}
	return ""
}

// bracketed matches (\(|\[).+(\)|\]) at the start of s.
func bracketed(s string) bool {
	if s == "" || s[0] != '(' && s[0] != '[' {
		return false
	}
	line, _, _ := strings.Cut(s, "\n")
	return strings.LastIndexAny(line, ")]") >= 2
}

// dropEnds drops the first and the last character, whatever they are.
func dropEnds(s string) string {
	_, first := utf8.DecodeRuneInString(s)
	_, last := utf8.DecodeLastRuneInString(s)
	return s[first : len(s)-last]
}

func (c *comparer) partsEqual(pred, gold, sep string) bool {
	ps, gs := strings.Split(pred, sep), strings.Split(gold, sep)
	if len(ps) != len(gs) {
		return false
	}
	for i := range ps {
		if c.equal(ps[i], gs[i]) == "" {
			return false
		}
	}
	return true
}

func isMatrix(s string) bool {
	return (strings.HasPrefix(s, `\begin{pmatrix}`) || strings.HasPrefix(s, `\begin{bmatrix}`)) &&
		(strings.HasSuffix(s, `\end{pmatrix}`) || strings.HasSuffix(s, `\end{bmatrix}`))
}

func (c *comparer) matrixEqual(pred, gold string) bool {
	ps, gs := matrixRows(pred), matrixRows(gold)
	if len(ps) != len(gs) {
		return false
	}
	for i := range ps {
		if !c.partsEqual(ps[i], gs[i], "&") {
			return false
		}
	}
	return true
}

func matrixRows(s string) []string {
	const begin, end = len(`\begin{pmatrix}`), len(`\end{pmatrix}`)
	if len(s) < begin+end {
		return nil
	}
	var rows []string
	for row := range strings.SplitSeq(s[begin:len(s)-end], `\\`) {
		if row = strip(row); row != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// equationEqual compares two equations by the difference of their sides, up to
// sign; one equation with a left side of at most two characters is taken for
// its right side.
func (c *comparer) equationEqual(pred, gold string) bool {
	pl, pr, isPred := soleEquation(pred)
	gl, gr, isGold := soleEquation(gold)
	switch {
	case isPred && isGold:
		p := strip(pl) + " - (" + strip(pr) + ")"
		g := strip(gl) + " - (" + strip(gr) + ")"
		return c.sameExpression(p, g) || c.sameExpression("-("+p+")", g)
	case isPred && shortLeft(pl) && !strings.Contains(gold, "="):
		return c.equal(pr, gold) != ""
	case isGold && shortLeft(gl) && !strings.Contains(pred, "="):
		return c.equal(pred, gr) != ""
	}
	return false
}

func soleEquation(s string) (left, right string, ok bool) {
	left, right, ok = strings.Cut(s, "=")
	return left, right, ok && !strings.Contains(right, "=")
}

func shortLeft(s string) bool { return utf8.RuneCountInString(strip(s)) <= 2 }

// parseScript parses as the scripts do: LaTeX, and what that refuses as a
// Python expression. It returns nil for a relation, a tuple or a failure,
// none of which equals anything.
func parseScript(s string) *expr.Node {
	result, err := latex.Parse(s)
	if err != nil {
		n, _ := pyexpr.Parse(s)
		return n
	}
	return result.Expr
}
