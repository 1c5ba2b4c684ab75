package grade

import (
	"slices"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
	"github.com/oreo-go/oreo/math/internal/latex"
	"github.com/oreo-go/oreo/math/internal/pyexpr"
)

// gradeQwen compares the last answer of the generation with the reference.
func gradeQwen(in Input) Verdict {
	pred := qwenAnswer(in, in.Generation)
	gold := ""
	switch {
	case in.Dataset == "gsm8k":
		gold = qwenStrip(in.Gold)
	case len(in.GoldBoxed) > 0:
		gold = qwenExtract(`\boxed{` + in.GoldBoxed[len(in.GoldBoxed)-1] + "}")
	case in.bare() || strings.Contains(in.Gold, "boxed"):
		gold = qwenAnswer(in, in.Gold)
	default:
		gold = qwenExtract(`\boxed{` + in.Gold + "}")
	}
	v := Verdict{Gold: []string{gold}, Rule: newComparer(qwenRules).equal(pred, gold)}
	v.Correct = v.Rule != ""
	if pred != "" {
		v.Extracted = []string{pred}
	}
	return v.settle()
}

func qwenAnswer(in Input, text string) string {
	if in.bare() && !strings.Contains(text, "boxed") {
		return qwenStrip(text)
	}
	return qwenExtract(text)
}

// qwenNumber is the harness's relative closeness of two numbers.
var qwenNumber = expr.Closeness{Relative: 1e-4}

var qwenRules = &scriptRules{
	shortcut: qwenShortcut,
	number:   qwenNumber,
	rewrite:  qwenRewrite,
	symbolic: qwenSymbolic,
}

// qwenShortcut ignores letter case and recognises the letter of a choice.
func qwenShortcut(pred, gold string) string {
	if strings.EqualFold(strip(pred), strip(gold)) {
		return RuleString
	}
	if len(gold) == 1 && "A" <= gold && gold <= "E" && choiceLetter(pred) == gold {
		return RuleChoice
	}
	return ""
}

// choiceLetter is the last letter A to E that stands alone.
func choiceLetter(s string) string {
	letter := ""
	upper := []rune(strings.ToUpper(s))
	for i, r := range upper {
		alone := (i == 0 || !isWord(upper[i-1])) && (i+1 == len(upper) || !isWord(upper[i+1]))
		if 'A' <= r && r <= 'E' && alone {
			letter = string(r)
		}
	}
	return letter
}

// qwenRewrite turns a braced list into a matrix where the prediction is one,
// and compares the strings without brackets.
func qwenRewrite(pred, gold string) (newPred, newGold, rule string) {
	if strings.Contains(pred, "pmatrix") && !strings.Contains(gold, "pmatrix") {
		gold = listToMatrix(gold)
	}
	p, g := pred, gold
	if wrapped(pred, "[", "]") && !strings.HasPrefix(gold, "(") ||
		wrapped(pred, "(", ")") && !strings.HasPrefix(gold, "[") {
		p, g = strings.Trim(p, "[]()"), strings.Trim(g, "[]()")
	}
	if strings.EqualFold(qwenUnbrace.Replace(p), qwenUnbrace.Replace(g)) {
		return pred, gold, RuleString
	}
	return pred, gold, ""
}

var qwenUnbrace = strings.NewReplacer("{", "", "}", "", "(", "", ")", "")

func wrapped(s, open, closing string) bool {
	return strings.HasPrefix(s, open) && strings.HasSuffix(s, closing)
}

// listToMatrix writes {a,b} as a matrix with the entries separated by a single
// backslash, as the harness does.
func listToMatrix(s string) string {
	open, end := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
	if open < 0 || end < open || !strings.Contains(s[open:end], ",") {
		return ""
	}
	list := strings.Trim(s[open:end+1], "{}")
	return `\begin{pmatrix}` + strings.ReplaceAll(list, ",", `\`) + `\end{pmatrix}`
}

// qwenSymbolic compares as expressions, relations or sets.
func qwenSymbolic(pred, gold string) bool {
	a, b := parseQwen(pred), parseQwen(gold)
	switch {
	case a.node != nil && b.node != nil:
		if a.relation || b.relation {
			return a.relation && b.relation && sameUpToSign(a.node, b.node)
		}
		return expr.Close(a.node, b.node, qwenNumber)
	case a.elements != nil && b.elements != nil:
		return sameSet(a.elements, b.elements)
	case a.node == nil && b.node == nil && a.elements == nil && b.elements == nil:
		return pred == gold
	}
	return false
}

// qwenValue is what one of the harness's three parsers returns: an expression,
// the difference of the sides of a relation, or the elements of a Python set.
type qwenValue struct {
	node     *expr.Node
	relation bool
	elements []*expr.Node
}

// parseQwen tries LaTeX and Python, each with doubled backslashes halved first.
func parseQwen(s string) qwenValue {
	halved := strings.ReplaceAll(s, `\\`, `\`)
	texts := []string{halved, s}
	if halved == s {
		texts = texts[:1]
	}
	for _, text := range texts {
		if r, err := latex.Parse(text); err == nil {
			if r.Relation {
				return qwenValue{node: r.Difference, relation: true}
			}
			return qwenValue{node: r.Expr}
		}
	}
	for _, text := range texts {
		if n, err := pyexpr.Parse(text); err == nil {
			return qwenValue{node: n}
		}
		if set := parsePythonSet(text); set != nil {
			return qwenValue{elements: set}
		}
	}
	return qwenValue{}
}

// parsePythonSet reads {a, b, ...} with Python arithmetic inside.
func parsePythonSet(s string) []*expr.Node {
	if !wrapped(s, "{", "}") {
		return nil
	}
	var set []*expr.Node
	for part := range strings.SplitSeq(s[1:len(s)-1], ",") {
		n, err := pyexpr.Parse(part)
		if err != nil {
			return nil
		}
		set = append(set, n)
	}
	return set
}

func sameSet(a, b []*expr.Node) bool {
	within := func(x, y []*expr.Node) bool {
		for _, n := range x {
			if !slices.ContainsFunc(y, func(m *expr.Node) bool { return expr.Same(n, m) }) {
				return false
			}
		}
		return true
	}
	return within(a, b) && within(b, a)
}

// sameUpToSign reports whether two differences of sides are equal in absolute
// value, whatever the relation signs: so the harness takes x < 5 for x > 5.
func sameUpToSign(a, b *expr.Node) bool {
	return expr.Same(a, b) || expr.Same(a, expr.Neg(b))
}
