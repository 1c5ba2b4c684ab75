// Package data makes training sets of graded samples by the rules of the
// paper's appendix A.1 (arXiv 2412.16145): the trajectories OREO and the
// baselines learn from, preference pairs for DPO, and labels for KTO.
//
// Everything is drawn from a generator seeded by the caller's seed and the
// query, so a set does not depend on the order in which queries were sampled.
package data

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// Sample is one graded response to a query.
type Sample struct {
	Response  string
	Correct   bool
	Truncated bool // cut by a length limit
}

// Query is a prompt with the samples drawn for it, in the order drawn.
type Query struct {
	ID      string // unique; seeds the query's choices
	Prompt  string
	Samples []Sample
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

// Recipe15B and Recipe7B are the paper's recipes.
func Recipe15B() Recipe { return Recipe{Samples: 10, MaxPairs: 6} }

// Recipe7B balances positives and negatives.
func Recipe7B() Recipe { return Recipe{Samples: 16, MaxEach: 4, Balance: true, MaxPairs: 10} }

// ParseRecipe reads "1.5b" or "7b".
func ParseRecipe(name string) (Recipe, error) {
	switch name {
	case "1.5b":
		return Recipe15B(), nil
	case "7b":
		return Recipe7B(), nil
	}
	return Recipe{}, fmt.Errorf("recipe %q: want 1.5b or 7b", name)
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

// Trajectory is a sample to train on: reward 1 if correct, else 0.
type Trajectory struct {
	Prompt    string  `json:"prompt"`
	Response  string  `json:"response"`
	Reward    float64 `json:"reward"`
	Truncated bool    `json:"truncated,omitempty"`
}

// Pair is a preference for DPO.
type Pair struct {
	Prompt   string `json:"prompt"`
	Chosen   string `json:"chosen"`
	Rejected string `json:"rejected"`
}

// Label is an unpaired preference for KTO: a correct sample is desirable.
type Label struct {
	Prompt   string `json:"prompt"`
	Response string `json:"response"`
	Label    bool   `json:"label"`
}

// Set is a training set. Its three forms hold the same samples: Pairs are drawn
// among Trajectories, Labels are Trajectories in another form.
type Set struct {
	Trajectories []Trajectory
	Pairs        []Pair
	Labels       []Label
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
			set.add(q, s)
		}
		set.Pairs = append(set.Pairs, recipe.pairs(q, kept)...)
	}
	set.Summary.Pairs = len(set.Pairs)
	return set, nil
}

func (s *Set) add(q Query, sample Sample) {
	reward := 0.0
	if sample.Correct {
		reward = 1
	}
	s.Trajectories = append(s.Trajectories, Trajectory{q.Prompt, sample.Response, reward, sample.Truncated})
	s.Labels = append(s.Labels, Label{q.Prompt, sample.Response, sample.Correct})
}

// random is the query's own generator.
func (r Recipe) random(q Query) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(q.ID))
	return rand.New(rand.NewPCG(r.Seed, h.Sum64()))
}

// choose applies the recipe to one query: positives first, then negatives.
func (r Recipe) choose(q Query, sum *Summary) []Sample {
	sum.Queries++
	samples := q.Samples
	if r.Samples > 0 && len(samples) > r.Samples {
		sum.Surplus += len(samples) - r.Samples
		samples = samples[:r.Samples]
	}
	if len(samples) == 0 {
		sum.NoSamples++
		return nil
	}
	var positive, negative []Sample
	for _, s := range samples {
		switch {
		case r.DropTruncated && s.Truncated:
			sum.DroppedTruncated++
		case s.Correct:
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
func draw(rng *rand.Rand, samples []Sample, n int) []Sample {
	picked := rng.Perm(len(samples))[:n]
	slices.Sort(picked)
	kept := make([]Sample, n)
	for i, j := range picked {
		kept[i] = samples[j]
	}
	return kept
}

// pairs draws preference pairs among the kept samples without replacement.
func (r Recipe) pairs(q Query, kept []Sample) []Pair {
	var positive, negative []Sample
	for _, s := range kept {
		if s.Correct {
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
	pairs := make([]Pair, n)
	for i, k := range picked {
		pairs[i] = Pair{q.Prompt, positive[k/len(negative)].Response, negative[k%len(negative)].Response}
	}
	return pairs
}
