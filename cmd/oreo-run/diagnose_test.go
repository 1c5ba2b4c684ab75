package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/traj"
)

// Values, log ratios and divergences of random models against the exporter's
// plain forward pass.
func TestDiagnoseFollowsTheModels(t *testing.T) {
	tiny.Library(t)
	critic, criticSource := tiny.Artifact(t, model.Qwen2, model.ValueHead, 3)
	policy, policySource := tiny.Artifact(t, model.Qwen2, model.LMHead, 1)
	reference, referenceSource := tiny.Artifact(t, model.Qwen2, model.LMHead, 2)
	prompt, response := "3 apples\n", strings.Repeat("17-5=12\n", 12)+"#### 12"
	data := writeLines(t, fmt.Sprintf(`{"prompt":%q,"response":%q,"reward":1}`, prompt, response))
	d, err := openDiagnoser(diagnoseConfig{critic: critic, policy: policy, reference: reference, data: data, beta: 0.03, mode: step.Newline})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	all, err := d.readAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := all[0]
	before, ids := d.critic.Tokenizer().Encode(prompt), d.critic.Tokenizer().Encode(response)
	whole := append(before[:len(before):len(before)], ids...)
	from := len(before) - 1
	if len(ids) <= 64 {
		t.Fatalf("%d tokens: the response should need more than one block", len(ids))
	}
	closeTo(t, "values", f.turns[0].values, referenceValues(t, criticSource, whole)[from:])
	p, q := tiny.Reference(t, policySource, model.LMHead, whole), tiny.Reference(t, referenceSource, model.LMHead, whole)
	var ratios, divergences []float64
	for i, id := range ids {
		ratio, kl := compareLogits(p[from+i], q[from+i], id)
		ratios, divergences = append(ratios, ratio), append(divergences, kl)
	}
	closeTo(t, "log ratios", f.turns[0].logRatio, ratios)
	closeTo(t, "divergences", f.turns[0].kl, divergences)

	if len(f.steps) != 13 || strings.Join(f.turns[0].tokens, "") != response {
		t.Fatalf("%d steps, tokens %q", len(f.steps), f.turns[0].tokens)
	}
	at := 0
	for i, s := range f.steps {
		implicit := 0.0
		for _, r := range ratios[s.from:s.to] {
			implicit += 0.03 * r
		}
		if s.from != at || s.text != strings.Join(f.turns[0].tokens[s.from:s.to], "") || math.Abs(s.implicit-implicit) > 1e-5 ||
			s.explicit != f.turns[0].values[s.to]-f.turns[0].values[s.from] {
			t.Errorf("step %d: %+v, implicit should be %v", i, s, implicit)
		}
		at = s.to
	}
}

func TestCompareLogits(t *testing.T) {
	p, q := []float32{0, float32(math.Log(3))}, []float32{1, 1} // 1/4, 3/4 against 1/2, 1/2
	ratio, kl := compareLogits(p, q, 1)
	if want := 0.75*math.Log(1.5) + 0.25*math.Log(0.5); math.Abs(ratio-math.Log(1.5)) > 1e-6 || math.Abs(kl-want) > 1e-6 {
		t.Errorf("log ratio %v, KL %v; want %v, %v", ratio, kl, math.Log(1.5), want)
	}
}

func TestAUC(t *testing.T) {
	steps := func(x ...float64) (s []deciding) { // positive: right
		for _, v := range x {
			s = append(s, deciding{followedStep: followedStep{explicit: math.Abs(v)}, right: v > 0})
		}
		return s
	}
	for _, tt := range []struct {
		steps [][]deciding
		want  float64
	}{
		{[][]deciding{steps(3, -1), steps(4, -2)}, 1},
		{[][]deciding{steps(1, -3)}, 0},
		{[][]deciding{steps(1, -1, 2, -3)}, (0.5 + 0 + 1 + 0) / 4}, // pairs 1:1, 1:3, 2:1, 2:3
		{[][]deciding{steps(1, 2)}, 0.5},
	} {
		if got := auc(tt.steps, func(s deciding) float64 { return s.explicit }); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.steps, got, tt.want)
		}
	}
}

// made is a trajectory of lines whose value after line i is v[i].
func made(question, response string, reward float64, v ...float64) followed {
	f := followed{Record: traj.Record{Question: question, Response: response, Reward: &reward}, problem: question}
	f.turns = []followedTurn{{values: append([]float64{0.5}, v...)}}
	before := question
	for i, line := range strings.SplitAfter(response, "\n") {
		s := followedStep{from: i, to: i + 1, line: i, text: line, before: before}
		s.explicit = f.turns[0].values[i+1] - f.turns[0].values[i]
		f.steps = append(f.steps, s)
		before += line
	}
	return f
}

const generated23 = "Mia has 7 apples. She sells 5, picks 3 and buys 4. She drops 8, buys 4 and sells 2. How many apples are left?"

func TestStepsAreKnownByArithmetic(t *testing.T) {
	all := []followed{
		made(generated23, "7-5+3+4=9\n9-8+4-2=3\n#### 3", 1, 0.8, 0.9, 1),
		made(generated23, "7-5+3+4=9\n9-8+4-2=4\n#### 4", 0, 0.8, 0.3, 0),
		made(generated23, "7-5+3+4=8\n8-8+4-2=3\n#### 3", 1, 0.6, 0.7, 0.9), // right by luck, but its first step is wrong
	}
	d := diagnose(all, false, 0.03)
	if a := d.Advantages; a.Labels != "exact" || a.Right != 3 || a.Wrong != 2 {
		t.Errorf("%+v: want 3 right steps (…=9, …=3, #### 3) and 2 wrong ones (…=4, …=8)", a)
	}
	// Behind the question 9 (0.8) beats 8 (0.6); behind 9, 3 (0.9) beats 4 (0.3).
	if d.Pairwise.Prefix.Mean != 1 || d.Pairwise.Problem.Mean != 1 || d.Problems != 1 {
		t.Errorf("pairs %+v", d.Pairwise)
	}
	// Right advantages 0.3, 0.1, 0.1; wrong -0.5, 0.1: pairs 1, 1, 1 and 1, 1/2, 1/2.
	if want := 5.0 / 6; math.Abs(d.Advantages.Explicit.Mean-want) > 1e-12 {
		t.Errorf("AUC %v, want %v", d.Advantages.Explicit.Mean, want)
	}
}

func TestStepsAreKnownByOutcome(t *testing.T) {
	all := []followed{
		made("How far?", "a\nb\nc", 1, 0.6, 0.7, 0.9),
		made("How far?", "a\nb\nd", 1, 0.6, 0.7, 0.8),
		made("How far?", "a\nx\ny", 0, 0.6, 0.8, 0.1),
		made("How far?", "z", 0, 0.2),
		made("How wide?", "a", 1, 0.4), // no sibling: unknown
	}
	d := diagnose(all, false, 0.03)
	// b is right and x wrong behind a; of a and z behind the question, a is unsure.
	if a := d.Advantages; a.Labels != "outcome" || a.Right != 1 || a.Wrong != 1 || d.Problems != 2 {
		t.Errorf("%+v of %d problems", a, d.Problems)
	}
	if d.Pairwise.Prefix.Mean != 0 || d.Pairwise.Prefix.N != 1 {
		t.Errorf("behind a prefix %+v: b has 0.7, x 0.8", d.Pairwise.Prefix)
	}
	if d.Pairwise.Problem.Mean != 1 || d.Pairwise.Problem.N != 1 {
		t.Errorf("within a problem %+v", d.Pairwise.Problem)
	}
}

func TestCalibrate(t *testing.T) {
	c := calibrate([]followed{made("q", "a\nb", 1, 0.5, 0.9), made("q", "c\nd", 0, 0.5, 1.2)})
	// Values 0.5 (four times: half of them right), 0.9 (right) and 1.2 (wrong), the last two in the bin from 0.9.
	if c.States != 6 || c.Bins[5].N != 4 || c.Bins[5].Reward != 0.5 || c.Bins[9].N != 2 || c.Bins[9].Reward != 0.5 {
		t.Errorf("%+v", c)
	}
	if want := (4*0.25 + 0.01 + 1.44) / 6; math.Abs(c.Brier-want) > 1e-12 {
		t.Errorf("Brier %v, want %v", c.Brier, want)
	}
	if want := (1.05 - 0.5) * 2 / 6; math.Abs(c.ECE-want) > 1e-12 {
		t.Errorf("ECE %v, want %v", c.ECE, want)
	}
	if len(c.Steps) != 3 || c.Steps[2].Right != 0.9 || c.Steps[2].Wrong != 1.2 {
		t.Errorf("by step %+v", c.Steps)
	}
}

func TestDiagnoseCommand(t *testing.T) {
	critic := exported(t, model.ValueHead)
	policy := exported(t, model.LMHead)
	dir := t.TempDir()
	data := writeLines(t,
		fmt.Sprintf(`{"prompt":"%s\n","question":"%s","response":"7-5+3+4=9\n9-8+4-2=3\n#### 3","reward":1}`, generated23, generated23),
		fmt.Sprintf(`{"prompt":"%s\n","question":"%s","response":"7-5+3+4=9\n9-8+4-2=4\n#### 4","reward":0}`, generated23, generated23))
	out := mustRun(t, "diagnose", "--critic", critic, "--policy", policy, "--reference", policy, "--data", data,
		"--out", filepath.Join(dir, "page.html"), "--json", filepath.Join(dir, "d.json"))
	for _, want := range []string{"2 trajectories of 1 problems", "3 right and 1 wrong steps", "AUC of the implicit advantage"} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "page.html"))
	if err != nil || strings.Count(string(page), "<svg") != 3 || !strings.Contains(string(page), "explicit advantage") {
		t.Errorf("page of %d bytes, %v", len(page), err)
	}
	var d diagnosis
	text, err := os.ReadFile(filepath.Join(dir, "d.json"))
	if err != nil {
		t.Fatal(err)
	}
	if decodeJSON(t, string(text), &d); d.KL == nil || d.KL.Mean > 1e-12 || d.Advantages.Implicit.Mean != 0.5 {
		t.Errorf("a policy against itself: %+v", d.KL)
	}
	for want, args := range map[string][]string{
		"go together": {"--critic", critic, "--policy", policy, "--data", data},
		"reward":      {"--critic", critic, "--data", writeLines(t, `{"prompt":"a","response":"b"}`)},
		"record 1":    {"--critic", critic, "--data", writeLines(t, `{"prompt":"a","response":"`+strings.Repeat("7 ", 3000)+`","reward":1}`)},
		"--beta":      {"--critic", critic, "--data", data, "--beta", "0"},
	} {
		if _, err := run(t, append([]string{"diagnose"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
