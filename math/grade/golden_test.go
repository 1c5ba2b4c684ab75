package grade

import (
	"slices"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// The files read here hold what DeepSeekMath's script makes of cases written
// for this project; testdata/gen/deepseek.py makes them.

func readGolden[T any](t *testing.T, name string) []T {
	t.Helper()
	cases, err := jsonl.ReadAll[T]("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestStripGolden(t *testing.T) {
	for _, c := range readGolden[struct{ In, Want string }](t, "strip.jsonl") {
		if got := stripString(c.In); got != c.Want {
			t.Errorf("stripString(%q) = %q, want %q", c.In, got, c.Want)
		}
	}
}

func TestSymbolicGolden(t *testing.T) {
	for _, c := range readGolden[struct {
		A, B  string
		Equal bool
	}](t, "symbolic.jsonl") {
		if got := deepseekRules.symbolic(c.A, c.B); got != c.Equal {
			t.Errorf("%q and %q: equal = %v, want %v (read as %q and %q)", c.A, c.B, got, c.Equal,
				Form(DeepSeekMath, c.A), Form(DeepSeekMath, c.B))
		}
	}
}

func TestGradeGolden(t *testing.T) {
	for _, c := range readGolden[struct {
		Generation, Gold, Problem, Dataset string
		Extracted                          []string
		Correct                            bool
	}](t, "deepseek.jsonl") {
		v := Grade(DeepSeekMath, Input{Generation: c.Generation, Gold: c.Gold, Problem: c.Problem, Dataset: c.Dataset})
		if v.Correct != c.Correct || !equalAnswers(v.Extracted, c.Extracted) {
			t.Errorf("%q with gold %q: got %v by %s of %q, want %v of %q", c.Generation, c.Gold,
				v.Correct, v.Rule, v.Extracted, c.Correct, c.Extracted)
		}
		if v.Rule == "" || v.Correct && (v.Rule == RuleDifferent || v.Rule == RuleNone) {
			t.Errorf("%q: rule %q for correct = %v", c.Generation, v.Rule, v.Correct)
		}
	}
}

// TestConcurrent grades the same cases from several goroutines.
func TestConcurrent(t *testing.T) {
	inputs := []Input{{Generation: `\boxed{\sqrt{8}}`, Gold: `2\sqrt2`}, {Generation: "7 apples", Gold: "8", Dataset: "gsm8k"}}
	done := make(chan []bool)
	for range 4 {
		go func() {
			var verdicts []bool
			for _, style := range []Style{DeepSeekMath, Qwen, Strict} {
				for _, in := range inputs {
					verdicts = append(verdicts, Grade(style, in).Correct)
				}
			}
			done <- verdicts
		}()
	}
	want := []bool{true, false, true, false, true, false}
	for range 4 {
		if got := <-done; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
