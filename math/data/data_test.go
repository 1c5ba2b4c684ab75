package data

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/traj"
)

// query has the given numbers of correct and wrong samples, mixed.
func query(id string, correct, wrong int) Query {
	q := Query{ID: id}
	for i := range correct + wrong {
		reward := 0.0
		if i*7%(correct+wrong) < correct {
			reward = 1
		}
		q.Samples = append(q.Samples, traj.Record{Prompt: "prompt " + id, Response: fmt.Sprintf("%s-%d", id, i), Reward: &reward})
	}
	return q
}

func count(set Set) (positives, negatives int) {
	for _, tr := range set.Trajectories {
		if *tr.Reward == 1 {
			positives++
		} else {
			negatives++
		}
	}
	return positives, negatives
}

// TestAppendixA1 proves the rules of the paper's appendix A.1.
func TestAppendixA1(t *testing.T) {
	tests := []struct {
		name                string
		recipe              Recipe
		correct, wrong      int
		positives, negative int
		pairs               int
	}{
		{"1.5B keeps all 10 samples", Recipe15B(), 4, 6, 4, 6, 6},
		{"1.5B with fewer pairs than allowed", Recipe15B(), 1, 3, 1, 3, 3},
		{"1.5B without positives", Recipe15B(), 0, 10, 0, 10, 0},
		{"7B keeps 4 and 4", Recipe7B(), 8, 8, 4, 4, 10},
		{"7B example: 3 negatives allow 3 positives", Recipe7B(), 13, 3, 3, 3, 9},
		{"7B keeps one positive without negatives", Recipe7B(), 16, 0, 1, 0, 0},
		{"7B with one positive", Recipe7B(), 1, 15, 1, 4, 4},
		{"ALFWorld looks at 5 rollouts and takes 5 pairs", RecipeALFWorld(), 3, 3, 3, 2, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Build(tt.recipe, []Query{query("a", tt.correct, tt.wrong)})
			if err != nil {
				t.Fatal(err)
			}
			positives, negatives := count(set)
			if positives != tt.positives || negatives != tt.negative || len(set.Pairs) != tt.pairs {
				t.Errorf("got %d positives, %d negatives, %d pairs; want %d, %d, %d",
					positives, negatives, len(set.Pairs), tt.positives, tt.negative, tt.pairs)
			}
			s := set.Summary
			dropped := s.Surplus + s.DroppedCap + s.DroppedBalance + s.DroppedTruncated
			if positives+negatives+dropped != tt.correct+tt.wrong || dropped < 0 || s.DroppedBalance < 0 {
				t.Errorf("the summary does not add up: %+v", s)
			}
			if len(set.Labels) != len(set.Trajectories) {
				t.Errorf("%d labels for %d trajectories", len(set.Labels), len(set.Trajectories))
			}
		})
	}
}

func TestPairsAreDistinctAndRight(t *testing.T) {
	set, err := Build(Recipe7B(), []Query{query("a", 8, 8)})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]float64{}
	for _, tr := range set.Trajectories {
		kept[tr.Response] = *tr.Reward
	}
	seen := map[[2]string]bool{}
	for _, p := range set.Pairs {
		if err := p.Check(); err != nil || kept[p.Chosen.Plain] != 1 || p.Same() || seen[[2]string{p.Chosen.Plain, p.Rejected.Plain}] {
			t.Errorf("bad pair %+v: %v", p, err)
		}
		if reward, ok := kept[p.Rejected.Plain]; !ok || reward != 0 {
			t.Errorf("rejected sample is not a kept negative: %+v", p)
		}
		seen[[2]string{p.Chosen.Plain, p.Rejected.Plain}] = true
	}
}

func TestReproducible(t *testing.T) {
	queries := []Query{query("a", 8, 8), query("b", 6, 10), query("c", 10, 6)}
	build := func(seed uint64, qs []Query) Set {
		r := Recipe7B()
		r.Seed = seed
		set, err := Build(r, qs)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	if !reflect.DeepEqual(build(1, queries), build(1, queries)) {
		t.Error("the same seed gives different sets")
	}
	if reflect.DeepEqual(build(1, queries).Trajectories, build(2, queries).Trajectories) {
		t.Error("different seeds give the same set")
	}
	reversed := slices.Clone(queries)
	slices.Reverse(reversed)
	only := func(set Set, id string) (list []traj.Record) {
		for _, tr := range set.Trajectories {
			if tr.Prompt == "prompt "+id {
				list = append(list, tr)
			}
		}
		return list
	}
	if !reflect.DeepEqual(only(build(1, queries), "b"), only(build(1, reversed), "b")) {
		t.Error("a query's choice depends on the queries around it")
	}
}

// TestUniform checks that every sample is kept about equally often.
func TestUniform(t *testing.T) {
	hits := map[string]int{}
	const seeds = 4000
	for seed := range uint64(seeds) {
		r := Recipe7B()
		r.Seed = seed
		set, err := Build(r, []Query{query("a", 8, 8)})
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range set.Trajectories {
			hits[tr.Response]++
		}
	}
	// 4 of 8 each: 2000 expected, standard deviation 32.
	for response, n := range hits {
		if n < 1840 || n > 2160 {
			t.Errorf("%s was kept %d times of %d, want about 2000", response, n, seeds)
		}
	}
	if len(hits) != 16 {
		t.Errorf("%d of 16 samples were ever kept", len(hits))
	}
}

// Conversations become pairs of conversations and keep what they say of
// themselves; an episode that failed is in no form.
func TestConversations(t *testing.T) {
	q := query("g", 2, 2)
	for i := range q.Samples {
		s := &q.Samples[i]
		s.Game, s.Conversations, s.Prompt, s.Response = "g", []chat.Message{{Role: "user", Content: "task"}, {Role: "assistant", Content: s.Response}}, "", ""
	}
	q.Samples[3].Error, q.Samples[0].Truncated = "no answer", true
	set, err := Build(RecipeALFWorld(), []Query{q})
	if err != nil || len(set.Trajectories) != 3 || len(set.Labels) != 3 || len(set.Pairs) != 2 || set.Summary.DroppedFailed != 1 {
		t.Fatalf("%+v, %v", set.Summary, err)
	}
	for _, p := range set.Pairs {
		chosen, rejected := p.Records()
		if err := p.Check(); err != nil || chosen.Truncated == rejected.Truncated || len(chosen.Conversations) != 2 || chosen.Prompt != "" {
			t.Errorf("pair %+v: %v", p, err)
		}
	}
	for i, l := range set.Labels {
		if l.Reward != nil || *l.Label != (*set.Trajectories[i].Reward == 1) || l.Game != "g" {
			t.Errorf("label %+v", l)
		}
	}
}

func TestTruncatedAndErrors(t *testing.T) {
	q := query("a", 2, 2)
	q.Samples[0].Truncated = true
	r := Recipe15B()
	if set, _ := Build(r, []Query{q}); len(set.Trajectories) != 4 {
		t.Errorf("truncated samples count as they were graded: got %d trajectories", len(set.Trajectories))
	}
	r.DropTruncated = true
	if set, _ := Build(r, []Query{q}); len(set.Trajectories) != 3 || set.Summary.DroppedTruncated != 1 {
		t.Errorf("truncated samples are not left out: %+v", set.Summary)
	}
	if _, err := Build(r, []Query{q, q}); err == nil {
		t.Error("a query twice: want an error")
	}
	if _, err := Build(Recipe{MaxEach: -1}, nil); err == nil {
		t.Error("a negative limit: want an error")
	}
	if _, err := ParseRecipe("70b"); err == nil {
		t.Error("unknown recipe: want an error")
	}
}
