package grade

import (
	"math"
	"slices"
	"strings"
)

// gradeDeepSeek wires the script as OREO does: for GSM8K the last answer as
// one string, for MATH all answers as lists.
func gradeDeepSeek(in Input) Verdict {
	if in.Dataset == "gsm8k" {
		pred, gold := extractSingle(in.Generation), extractSingle("#### "+in.Gold)
		rule := deepseekEqual(newComparer(deepseekRules), pred, gold)
		v := Verdict{Rule: rule, Correct: rule != "", Gold: []string{gold}}
		if pred != "" {
			v.Extracted = []string{pred}
		}
		return v.settle()
	}
	v := Verdict{Extracted: mathAnswers(in), Gold: goldAnswers(in)}
	v.Rule = deepseekLists(newComparer(deepseekRules), lastUnique(v.Extracted, len(unique(v.Gold))), unique(v.Gold))
	v.Correct = v.Rule != ""
	return v.settle()
}

// mathAnswers extracts from the generation. Outside the two known data sets a
// text without a box is the answer itself, as in lists of answer pairs.
func mathAnswers(in Input) []string {
	if in.bare() && !strings.Contains(in.Generation, "boxed") {
		return []string{stripString(in.Generation)}
	}
	return extractMath(in.Problem, in.Generation)
}

// settle names the reason of a negative verdict.
func (v Verdict) settle() Verdict {
	switch {
	case v.Correct:
	case len(v.Extracted) == 0:
		v.Rule = RuleNone
	default:
		v.Rule = RuleDifferent
	}
	return v
}

// goldAnswers extracts the reference answers as from a reference solution that
// boxes them.
func goldAnswers(in Input) []string {
	golds := in.GoldBoxed
	if len(golds) == 0 {
		if strings.Contains(in.Gold, "boxed") {
			return extractMath(in.Problem, in.Gold)
		}
		if in.bare() {
			return []string{stripString(in.Gold)}
		}
		golds = []string{in.Gold}
	}
	return extractMath(in.Problem, `\boxed{`+strings.Join(golds, `} \boxed{`)+"}")
}

func unique(list []string) []string {
	if len(list) < 2 {
		return list
	}
	seen := make(map[string]bool, len(list))
	var kept []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			kept = append(kept, s)
		}
	}
	return kept
}

// lastUnique drops repetitions and keeps the last n; the script's slice keeps
// everything when n is 0.
func lastUnique(list []string, n int) []string {
	kept := unique(list)
	if n > 0 && len(kept) > n {
		kept = kept[len(kept)-n:]
	}
	return kept
}

// maxPairs bounds the comparisons of two lists.
const maxPairs = 2500

// deepseekLists compares as sets: each answer must match a reference answer
// and the reverse. Two empty lists match. It returns the rule of the last
// match, or "".
func deepseekLists(c *comparer, pred, gold []string) string {
	if len(pred)*len(gold) > maxPairs {
		return ""
	}
	goldMatched := make([]bool, len(gold))
	rule := ""
	for _, p := range pred {
		matched := false
		for j, g := range gold {
			if r := deepseekEqual(c, p, g); r != "" {
				rule, matched, goldMatched[j] = r, true, true
			}
		}
		if !matched {
			return ""
		}
	}
	if slices.Contains(goldMatched, false) {
		return ""
	}
	if rule == "" {
		return RuleString
	}
	return rule
}

// deepseekEqual is the script's is_correct for two strings: unions part by
// part, then floats, then math_equal. It returns the rule that matched, or "".
func deepseekEqual(c *comparer, pred, gold string) string {
	if strings.Contains(pred, `\cup`) && strings.Contains(gold, `\cup`) {
		return deepseekLists(c, strings.Split(pred, `\cup`), strings.Split(gold, `\cup`))
	}
	p, ok1 := pyFloat(dropCommas(pred))
	g, ok2 := pyFloat(dropCommas(gold))
	if ok1 && ok2 && math.Abs(p-g) < 1e-3 {
		return RuleNumeric
	}
	return c.equal(pred, gold)
}
