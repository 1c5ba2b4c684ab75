// Package data makes training sets of graded samples by the rules of the
// paper's appendix A.1 (arXiv 2412.16145): the trajectories OREO and the
// baselines learn from, preference pairs for DPO, and labels for KTO. A sample
// is a response to a prompt or an agent's conversation.
//
// Everything is drawn from a generator seeded by the caller's seed and the
// query, so a set does not depend on the order in which queries were sampled.
package data

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/oreo-go/oreo/runtime/traj"
)

// Query is a task with the samples drawn for it, in the order drawn: records
// with a reward, right if it is above 1/2.
type Query struct {
	ID      string // unique; seeds the query's choices
	Samples []traj.Record
}

// Recipe says how samples become a training set.
type Recipe struct {
	// Samples is how many of a query's samples are looked at, the first ones;
	// 0: all. The paper: 10 for the 1.5B models, 16 for the 7B models.
	Samples int
	// MaxEach is how many positive and how many negative samples are kept at
	// most; 0: all. The paper: 4 for the 7B models.
	MaxEach int
	// Balance keeps no more positives than negatives, but one positive where
	// there is any. The paper: for the 7B models.
	Balance bool
	// MaxPairs is how many preference pairs a query gives at most, drawn
	// without replacement from all pairs; 0: all. The paper: 6 for the 1.5B
	// models, 10 for the 7B models, 5 for ALFWorld.
	MaxPairs int
	// DropTruncated leaves out samples that were cut by a length limit instead
	// of counting them as wrong, which is what the paper does.
	DropTruncated bool
	Seed          uint64
}

// Recipe15B is the paper's recipe for its model of 1.5B parameters.
func Recipe15B() Recipe { return Recipe{Samples: 10, MaxPairs: 6} }

// Recipe7B balances positives and negatives.
func Recipe7B() Recipe { return Recipe{Samples: 16, MaxEach: 4, Balance: true, MaxPairs: 10} }

// RecipeALFWorld is the paper's recipe for the agent.
func RecipeALFWorld() Recipe { return Recipe{Samples: 5, MaxPairs: 5} }

// ParseRecipe reads "1.5b", "7b" or "alfworld".
func ParseRecipe(name string) (Recipe, error) {
	switch name {
	case "1.5b":
		return Recipe15B(), nil
	case "7b":
		return Recipe7B(), nil
	case "alfworld":
		return RecipeALFWorld(), nil
	}
	return Recipe{}, fmt.Errorf("recipe %q: want 1.5b, 7b or alfworld", name)
}

// Validate names the first setting that makes no sense.
func (r Recipe) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"samples", r.Samples}, {"max each", r.MaxEach}, {"max pairs", r.MaxPairs}} {
		if f.value < 0 {
			return fmt.Errorf("recipe: %s is %d, want 0 (all) or more", f.name, f.value)
		}
	}
	return nil
}

// Set is a training set. Its three forms hold the same samples: Pairs are drawn
// among Trajectories, Labels are Trajectories with a label in place of the
// reward: desirable if right.
type Set struct {
	Trajectories []traj.Record
	Pairs        []traj.Pair
	Labels       []traj.Record
	Summary      Summary
}

// Build makes a set of the queries, in their order.
func Build(recipe Recipe, queries []Query) (Set, error) {
	if err := recipe.Validate(); err != nil {
		return Set{}, err
	}
	var set Set
	seen := map[string]bool{}
	for _, q := range queries {
		if seen[q.ID] {
			return Set{}, fmt.Errorf("query %q occurs twice: its samples must be together", q.ID)
		}
		seen[q.ID] = true
		kept := recipe.choose(q, &set.Summary)
		for _, s := range kept {
			right := correct(s)
			label := s
			label.Reward, label.Label = nil, &right
			set.Trajectories, set.Labels = append(set.Trajectories, s), append(set.Labels, label)
		}
		set.Pairs = append(set.Pairs, recipe.pairs(q, kept)...)
	}
	set.Summary.Pairs = len(set.Pairs)
	return set, nil
}

// correct tells whether a sample is right.
func correct(s traj.Record) bool { return s.Reward != nil && *s.Reward > 0.5 }

// random is the query's own generator.
func (r Recipe) random(q Query) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(q.ID))
	return rand.New(rand.NewPCG(r.Seed, h.Sum64()))
}

// choose applies the recipe to one query: positives first, then negatives.
func (r Recipe) choose(q Query, sum *Summary) []traj.Record {
	sum.Queries++
	samples := slices.DeleteFunc(slices.Clone(q.Samples), func(s traj.Record) bool { return s.Error != "" })
	sum.DroppedFailed += len(q.Samples) - len(samples)
	if r.Samples > 0 && len(samples) > r.Samples {
		sum.Surplus += len(samples) - r.Samples
		samples = samples[:r.Samples]
	}
	if len(samples) == 0 {
		sum.NoSamples++
		return nil
	}
	var positive, negative []traj.Record
	for _, s := range samples {
		switch {
		case r.DropTruncated && s.Truncated:
			sum.DroppedTruncated++
		case correct(s):
			positive = append(positive, s)
		default:
			negative = append(negative, s)
		}
	}
	sum.count(len(positive), len(negative))
	rng := r.random(q)
	keepPositive, keepNegative := r.quota(len(positive), len(negative))
	sum.DroppedCap += len(negative) - keepNegative
	capped := len(positive)
	if r.MaxEach > 0 {
		capped = min(capped, r.MaxEach)
	}
	sum.DroppedCap += len(positive) - capped
	sum.DroppedBalance += capped - keepPositive
	kept := append(draw(rng, positive, keepPositive), draw(rng, negative, keepNegative)...)
	sum.Positives += keepPositive
	sum.Negatives += keepNegative
	return kept
}

// quota is how many of each kind are kept. With Balance the positives are
// limited by all negatives there are, as in the paper's example: 3 negatives
// among 16 samples allow 3 positives.
func (r Recipe) quota(positives, negatives int) (keepPositive, keepNegative int) {
	keepPositive, keepNegative = positives, negatives
	if r.Balance {
		keepPositive = min(keepPositive, max(negatives, 1))
	}
	if r.MaxEach > 0 {
		keepPositive, keepNegative = min(keepPositive, r.MaxEach), min(keepNegative, r.MaxEach)
	}
	return keepPositive, keepNegative
}

// draw picks n of the samples without replacement, in their order.
func draw(rng *rand.Rand, samples []traj.Record, n int) []traj.Record {
	picked := rng.Perm(len(samples))[:n]
	slices.Sort(picked)
	kept := make([]traj.Record, n)
	for i, j := range picked {
		kept[i] = samples[j]
	}
	return kept
}

// pairs draws preference pairs among the kept samples without replacement.
func (r Recipe) pairs(q Query, kept []traj.Record) []traj.Pair {
	var positive, negative []traj.Record
	for _, s := range kept {
		if correct(s) {
			positive = append(positive, s)
		} else {
			negative = append(negative, s)
		}
	}
	all := len(positive) * len(negative)
	n := all
	if r.MaxPairs > 0 {
		n = min(n, r.MaxPairs)
	}
	rng := r.random(Query{ID: q.ID + "\x00pairs"})
	picked := rng.Perm(all)[:n]
	slices.Sort(picked)
	pairs := make([]traj.Pair, n)
	for i, k := range picked {
		pairs[i] = pair(positive[k/len(negative)], negative[k%len(negative)])
	}
	return pairs
}

func pair(chosen, rejected traj.Record) traj.Pair {
	return traj.Pair{
		Prompt: traj.Text{Plain: chosen.Prompt},
		Chosen: traj.Text{Plain: chosen.Response, Messages: chosen.Conversations}, ChosenTruncated: chosen.Truncated,
		Rejected: traj.Text{Plain: rejected.Response, Messages: rejected.Conversations}, RejectedTruncated: rejected.Truncated,
	}
}
