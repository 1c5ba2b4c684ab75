package grade

import (
	"fmt"
	"strings"

	"github.com/oreo-go/oreo/math/internal/expr"
)

// Style names a grader.
type Style int

const (
	// DeepSeekMath gives the verdicts of DeepSeekMath's evaluation script, the
	// reward of the paper, mistakes included.
	DeepSeekMath Style = iota
	// Qwen gives the verdicts of Qwen2.5-Math's evaluation harness.
	Qwen
	// Strict gives the mathematically right verdict.
	Strict
)

var styleNames = [...]string{"deepseekmath", "qwen", "strict"}

// ParseStyle reads "deepseekmath", "qwen" or "strict".
func ParseStyle(s string) (Style, error) {
	for i, name := range styleNames {
		if s == name {
			return Style(i), nil
		}
	}
	return 0, fmt.Errorf("grading style %q: want deepseekmath, qwen or strict", s)
}

// String is the name ParseStyle reads.
func (s Style) String() string { return styleNames[s] }

// Input is one solution to grade.
type Input struct {
	Generation string // the solution, free text
	Gold       string // the reference answer, without a box or marker
	Problem    string // the question; it may ask for a list "separated by commas"
	// Dataset is "gsm8k" or "math". Any other is graded as math, except that
	// with another name a short text without a box or marker is taken for the
	// answer itself.
	Dataset string
	// GoldBoxed holds every box of the reference solution where it has more
	// than one; the graders that compare lists use it in place of Gold.
	GoldBoxed []string
}

// bare reports whether a text without any marker is itself the answer: so for a
// short text, three lines as a displayed formula has, of every named data set
// but the two whose extraction is published.
func (in Input) bare() bool {
	named := in.Dataset != "" && in.Dataset != "math" && in.Dataset != "gsm8k"
	return named && strings.Count(strings.TrimSpace(in.Generation), "\n") < 3 && !strings.Contains(in.Generation, "####")
}

// Verdict is the outcome and how it was reached.
type Verdict struct {
	Correct   bool
	Rule      string   // the rule that decided, one of the Rule constants
	Extracted []string // the answers found, in the grader's normal form
	Gold      []string // the reference answers, in the same form
}

// The rules that decide, from the cheapest to the most thorough.
const (
	RuleNone       = "no-answer"  // nothing was extracted
	RuleCount      = "count"      // a different number of answers
	RuleString     = "string"     // the same characters after normalising
	RuleNumeric    = "numeric"    // the same number
	RulePercent    = "percent"    // the same number up to a factor of 100
	RuleTuple      = "tuple"      // equal part by part
	RuleMatrix     = "matrix"     // equal entry by entry
	RuleEquation   = "equation"   // the same equation, or a dropped "x="
	RuleChoice     = "choice"     // the letter of a multiple choice question
	RuleSet        = "set"        // the same elements in any order
	RuleInterval   = "interval"   // the same interval, as such or by inequalities
	RuleInequality = "inequality" // the same inequality up to a factor
	RuleSymbolic   = "symbolic"   // equal as expressions
	RuleDifferent  = "different"  // no rule found them equal
)

// Grade grades one solution. It is safe for concurrent use.
func Grade(style Style, in Input) Verdict {
	switch style {
	case Qwen:
		return gradeQwen(in)
	case Strict:
		return gradeStrict(in)
	}
	return gradeDeepSeek(in)
}

// Form is how the style reads an answer that has been normalised: the
// expression it parses to, or "" where the style compares it as text.
func Form(style Style, answer string) string {
	var n *expr.Node
	switch style {
	case Qwen:
		n = parseQwen(answer).node
	case Strict:
		n = parseValue(answer).node
	default:
		n = parseScript(answer)
	}
	if n == nil {
		return ""
	}
	return n.String()
}
