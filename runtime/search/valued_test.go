package search

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/sample"
)

// A policy that is the critic too finds what two models find, whatever ends steps
// and answers, and runs what is drawn once.
func TestOwnCriticIsACritic(t *testing.T) {
	encode := func(text string) (ids []int) {
		for _, b := range []byte(text) { // ". ", of ". x": the toy language cannot spell it
			ids = append(ids, int(b%10))
		}
		return ids
	}
	apart, _ := models(t, policyAnswer, criticAnswer)
	own, _ := alike(t, policyAnswer, criticAnswer)
	apart.Encode, own.Encode = encode, encode
	stopped := 0
	for question := range uint64(30) {
		for _, method := range []Method{Beam, DVTS, BestOfN} {
			cfg := Config{Method: method, Width: 3, MaxSteps: 8, MaxNewTokens: 24, Question: question, Rule: Delimiters{"\n"}}
			switch question % 3 {
			case 0:
				cfg.Stop = []string{"\n7", "9\n", "x"}
			case 1:
				cfg.Constraint = func() sample.Constraint { return &evens{} }
			case 2:
				cfg.Aggregate = Mean
			}
			before := own.Policy.Stats().Tokens
			got, want := mustRun(t, own, promptIDs, cfg), mustRun(t, apart, promptIDs, cfg)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s question %d: %+v, want %+v", method, question, got, want)
			}
			most := len(promptIDs) + got.Tokens
			if method == BestOfN {
				most += cfg.Width - 1 // answers each begin with the prompt's last token
			}
			if ran := own.Policy.Stats().Tokens - before; ran > most {
				t.Errorf("%s question %d: %d tokens run, want %d at most", method, question, ran, most)
			}
			for _, a := range got.Answers {
				if strings.HasSuffix(text(a.IDs), "x") {
					stopped++
				}
			}
		}
	}
	if stopped == 0 {
		t.Error("no stop text divided a token")
	}
}

// A policy without values is no critic.
func TestOwnCriticNeedsValues(t *testing.T) {
	m, _ := models(t, policyAnswer, criticAnswer)
	m.Critic = m.Policy
	if _, err := Run(context.Background(), m, promptIDs, Config{Rule: Delimiters{"\n"}}); err == nil || !strings.Contains(err.Error(), "no values") {
		t.Error(err)
	}
}
