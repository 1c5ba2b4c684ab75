package main

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// referenceGreedy continues prompt by the likeliest token, running the whole
// text again for each.
func referenceGreedy(t testing.TB, dir, prompt string, n int) (ids []int, logProbs []float64) {
	t.Helper()
	tok, err := tokenizer.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := tok.Encode(prompt)
	for range n {
		all := tiny.Reference(t, dir, model.LMHead, text)
		logits := all[len(all)-1]
		best, total := 0, 0.0
		for i, x := range logits {
			if x > logits[best] {
				best = i
			}
		}
		for _, x := range logits {
			total += math.Exp(float64(x) - float64(logits[best]))
		}
		ids, logProbs = append(ids, best), append(logProbs, -math.Log(total))
		if best == 0 { // the end token
			break
		}
		text = append(text, best)
	}
	return ids, logProbs
}

func referenceValues(t testing.TB, dir string, ids []int) []float64 {
	t.Helper()
	var values []float64
	for _, v := range tiny.Reference(t, dir, model.ValueHead, ids) {
		values = append(values, float64(v[0]))
	}
	return values
}

// A real model against transformers, token by token: see testdata/gen/greedy.py.
func TestSmolLM2AgainstTransformers(t *testing.T) {
	source := os.Getenv("OREO_SMOLLM2")
	if source == "" {
		t.Skip("needs OREO_SMOLLM2, the folder of SmolLM2-135M-Instruct that testdata/gen/greedy.py describes")
	}
	tiny.Library(t)
	text, err := os.ReadFile("testdata/smollm2-greedy.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		generated
		Prompt string `json:"prompt"`
	}
	decodeJSON(t, string(text), &want)
	dir := tiny.Export(t, source, model.LMHead)
	policy, err := runtime.OpenPolicy(dir, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	got := make([]runtime.Completion, len(want)) // all in one ragged batch
	err = each(t.Context(), len(want), len(want), func(ctx context.Context, i int) error {
		answers, err := policy.Sample(ctx, runtime.Text(want[i].Prompt), 1, runtime.GenerateConfig{MaxNewTokens: 40})
		got[i] = answers[0]
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if !slices.Equal(got[i].IDs, w.TokenIDs) {
			t.Errorf("%q: tokens %v, want %v", w.Prompt, got[i].IDs, w.TokenIDs)
			continue
		}
		closeTo(t, w.Prompt, got[i].LogProbs, w.LogProbs)
	}
}
