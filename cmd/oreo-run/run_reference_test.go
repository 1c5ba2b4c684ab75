package main

import (
	"math"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
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
