package search

import (
	"cmp"
	"slices"
)

// conclude lists what was found, best first.
func (t *tree) conclude() *Result {
	r := &t.result
	unfinished := slices.Concat(t.live, t.cut)
	unfinished = slices.DeleteFunc(unfinished, func(n *node) bool { return n.Step == 0 })
	done := slices.Clone(t.done)
	slices.SortStableFunc(done, byScore)
	slices.SortStableFunc(unfinished, byScore)
	found := append(done, unfinished...)
	if len(found) == 0 {
		// Stopped before anything was valued: the likeliest per token.
		found = slices.DeleteFunc(t.drafts, func(n *node) bool { return len(n.ids) == 0 })
		for _, n := range found {
			n.ID = 0 // it was not traced
		}
		slices.SortStableFunc(found, func(x, y *node) int {
			return cmp.Compare(y.total/float64(len(y.ids)), x.total/float64(len(x.ids)))
		})
	}
	for _, n := range found {
		r.Answers = append(r.Answers, Answer{
			Text: n.text, IDs: n.ids, Value: n.score, Values: n.values, LogProb: n.total, LogProbs: n.probs, Steps: n.Step, Node: n.ID, Copies: n.copies,
			Finished: n.Finished, Unvalued: n.values == nil,
		})
	}
	if t.broke && r.Reason == Complete {
		r.Reason = Tokens
	}
	if t.cfg.Choice != ByValue {
		r.vote(t.cfg)
	}
	return r
}

// vote counts what finished answers say, and puts those first that say what won.
func (r *Result) vote(cfg Config) {
	rank := map[string]int{}
	for i := range r.Answers {
		a := &r.Answers[i]
		if !a.Finished {
			continue
		}
		if a.Says = cfg.Says(a.Text); a.Says == "" {
			continue
		}
		at, known := rank[a.Says]
		if !known {
			at = len(r.Votes)
			rank[a.Says] = at
			r.Votes = append(r.Votes, Vote{Says: a.Says})
		}
		v := &r.Votes[at]
		v.Copies += a.Copies
		if cfg.Choice == Weighted {
			v.Weight += a.Value * float64(a.Copies)
		} else {
			v.Weight += float64(a.Copies)
		}
	}
	// Of equal weight what the best valued answer says comes first.
	slices.SortStableFunc(r.Votes, func(x, y Vote) int { return cmp.Compare(y.Weight, x.Weight) })
	for i, v := range r.Votes {
		rank[v.Says] = i
	}
	place := func(a Answer) int {
		if at, voted := rank[a.Says]; voted && a.Says != "" {
			return at
		}
		return len(r.Votes)
	}
	slices.SortStableFunc(r.Answers, func(x, y Answer) int { return cmp.Compare(place(x), place(y)) })
}
