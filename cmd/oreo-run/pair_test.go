package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/search"
)

// pairOf exports a policy and its critic, each an adapter on one base, into one
// artifact, and apart; it returns the artifacts and the model folders.
func pairOf(t testing.TB) (pair, policy, critic, policyModel, criticModel string) {
	t.Helper()
	tiny.Library(t)
	base := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	policyModel = tiny.Merged(t, base, tiny.Adapter(t, base, model.LMHead, 2), model.LMHead)
	criticModel = tiny.Merged(t, base, tiny.Adapter(t, base, model.ValueHead, 3), model.ValueHead)
	pair = exportPair(t, policyModel, criticModel, graph.Grouped)
	return pair, tiny.Export(t, policyModel, model.LMHead), tiny.Export(t, criticModel, model.ValueHead), policyModel, criticModel
}

func exportPair(t testing.TB, policy, critic string, form graph.Attention) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "pair")
	cfg := export.Config{Kind: manifest.Policy, Model: policy, Critic: critic, Out: out, Precision: graph.FP32, Attention: form}
	if err := export.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return out
}

func openShared(t testing.TB, dir string) (*runtime.Policy, *runtime.Value) {
	t.Helper()
	p, v, err := runtime.OpenPair(dir, runtime.Options{MaxRows: 9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	})
	return p, v
}

// TestPairIsPolicyAndCritic: of one graph, both at work at the same time, come
// the answers of two, and of the plain forward pass over each merged model.
func TestPairIsPolicyAndCritic(t *testing.T) {
	pair, policy, critic, policyModel, criticModel := pairOf(t)
	p, v := openShared(t, pair)
	own, err := runtime.OpenPolicy(policy, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ownCritic, err := runtime.OpenValue(critic, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ownCritic.Close()
	const text, answer = "Ann has 3 apples and buys 14 more.\n", "3+14=17\n#### 17"
	var wg sync.WaitGroup
	var logits, wantLogits [][]float32
	follow := func(p *runtime.Policy) (out [][]float32) {
		for f, err := range p.Follow(t.Context(), runtime.Text(text), answer) {
			if err != nil {
				t.Error(err)
			}
			out = append(out, append([]float32(nil), f.Logits...))
		}
		return out
	}
	wg.Go(func() {
		for range 5 {
			logits = follow(p)
		}
	})
	var scores runtime.Scores
	for range 5 {
		if scores, err = v.Score(t.Context(), runtime.Text(text), answer); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	wantLogits = follow(own)
	want, err := ownCritic.Score(t.Context(), runtime.Text(text), answer)
	if err != nil {
		t.Fatal(err)
	}
	plainValues := tiny.Reference(t, criticModel, model.ValueHead, scores.IDs)
	plainLogits := tiny.Reference(t, policyModel, model.LMHead, scores.IDs)
	var worst float64
	differ := func(a, b float64) { worst = math.Max(worst, math.Abs(a-b)) }
	for i, x := range scores.Values {
		differ(x, want.Values[i])
		differ(x, float64(plainValues[i][0]))
	}
	first := len(scores.IDs) - len(logits) - 1
	for i, row := range logits {
		for k, x := range row {
			differ(float64(x), float64(wantLogits[i][k]))
			differ(float64(x), float64(plainLogits[first+i][k]))
		}
	}
	if !(worst <= 1e-4) || len(logits) == 0 {
		t.Errorf("%d logits, largest difference %g", len(logits), worst)
	}
	if p.Source() != own.Source() || v.Source() == p.Source() {
		t.Error("sources are mixed up")
	}
}

// TestPairOpensAsEither: a pair is a policy and a critic too, and nothing else is
// a pair.
func TestPairOpensAsEither(t *testing.T) {
	policyModel := tiny.Model(t, model.Llama, model.LMHead, 1)
	tiny.Library(t)
	pair := exportPair(t, policyModel, tiny.Headed(t, policyModel, 2), graph.Grouped)
	v, err := runtime.OpenValue(pair, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	p, err := runtime.OpenPolicy(pair, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got, err := v.Score(t.Context(), runtime.Text("3+14="), "17\n")
	if err != nil {
		t.Fatal(err)
	}
	want := tiny.Reference(t, tiny.Headed(t, policyModel, 2), model.ValueHead, got.IDs)
	for i, x := range got.Values {
		if d := math.Abs(x - float64(want[i][0])); !(d <= 1e-4) {
			t.Errorf("value %d is %v, want %v", i, x, want[i][0])
		}
	}
	if _, _, err := runtime.OpenPair(tiny.Export(t, policyModel, model.LMHead), runtime.Options{}); !errors.Is(err, runtime.ErrKind) {
		t.Errorf("a policy opened as a pair: %v", err)
	}
}

// TestSearchOnPair: the commands find in a pair what they find in two artifacts.
func TestSearchOnPair(t *testing.T) {
	pair, policy, critic, _, _ := pairOf(t)
	problems := writeLines(t, `{"question": "3+14=?", "answer": "17"}`, `{"question": "17-5=?", "answer": "12"}`)
	one := filepath.Join(t.TempDir(), "one.jsonl")
	two := filepath.Join(t.TempDir(), "two.jsonl")
	common := []string{"--problems", problems, "--width", "3", "--max-steps", "3", "--max-new-tokens", "24", "--seed", "5"}
	mustRun(t, append([]string{"search", "--model", pair, "--out", one}, common...)...)
	mustRun(t, append([]string{"search", "--model", policy, "--critic", critic, "--out", two}, common...)...)
	a, b := read(t, one), read(t, two)
	// Values may differ in the last digits; texts, steps and tokens may not.
	var x, y foundAnswer
	for i, line := range strings.Split(strings.TrimSpace(a), "\n") {
		decodeJSON(t, line, &x)
		decodeJSON(t, strings.Split(b, "\n")[i], &y)
		if d := math.Abs(x.Value - y.Value); x.Text != y.Text || x.Tokens != y.Tokens || x.Steps != y.Steps || !(d <= 1e-4) {
			t.Errorf("%+v\n%+v", x, y)
		}
	}
	searched := mustRun(t, append([]string{"eval", "--json", "--model", pair}, common...)...)
	if greedy := mustRun(t, "eval", "--json", "--model", pair, "--problems", problems, "--max-new-tokens", "8"); !strings.Contains(greedy, "greedy") || !strings.Contains(searched, "beam") {
		t.Errorf("%s\n%s", greedy, searched)
	}
	if _, err := run(t, append([]string{"search", "--model", policy}, common...)...); err == nil || !strings.Contains(err.Error(), "--critic") {
		t.Errorf("a search without a critic: %v", err)
	}
}

// TestHeadIsAskedOnTheWay: searches on a policy with a value head find what they
// find with the critic apart, to whose engine they do not speak.
func TestHeadIsAskedOnTheWay(t *testing.T) {
	tiny.Library(t)
	policyModel := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	criticModel := tiny.Headed(t, policyModel, 2)
	policy, critic := tiny.Export(t, policyModel, model.LMHead), tiny.Export(t, criticModel, model.ValueHead)
	own, err := runtime.OpenPolicy(policy, runtime.Options{MaxRows: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ownCritic, err := runtime.OpenValue(critic, runtime.Options{MaxRows: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer ownCritic.Close()
	for _, form := range []graph.Attention{graph.Grouped, graph.Standard} {
		p, v, err := runtime.OpenPair(exportPair(t, policyModel, criticModel, form), runtime.Options{MaxRows: 9})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(12) {
			cfg := runtime.SearchConfig{
				Method: []search.Method{search.Beam, search.DVTS, search.BestOfN}[i%3], Width: 3, MaxSteps: 4, MaxNewTokens: 32, Question: i,
				Stop: []string{"7", "=1"}[:i%2],
			}
			prompt := runtime.Text("Ann has 3 apples and buys 14 more.\n")
			got, err := runtime.Search(t.Context(), p, v, prompt, cfg)
			if err != nil {
				t.Fatal(err)
			}
			want, err := runtime.Search(t.Context(), own, ownCritic, prompt, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Answers) != len(want.Answers) || got.Tokens != want.Tokens || got.Nodes != want.Nodes {
				t.Fatalf("%s %s: %+v, want %+v", form, cfg.Method, got, want)
			}
			for k, a := range got.Answers {
				w := want.Answers[k]
				if !slices.Equal(a.IDs, w.IDs) || a.Text != w.Text || a.Unvalued {
					t.Errorf("%s %s: %+v, want %+v", form, cfg.Method, a, w)
				}
				for j, value := range a.Values {
					if d := math.Abs(value - w.Values[j]); !(d <= 1e-4) || len(a.Values) != len(w.Values) {
						t.Errorf("%s %s: values %v, want %v", form, cfg.Method, a.Values, w.Values)
					}
				}
			}
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
