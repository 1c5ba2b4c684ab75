package data

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/oreo-go/oreo/runtime/traj"
)

// GroupSize is LoaderConfig.Group for what ReadPairs and ReadLabels return.
const GroupSize = 2

// ReadAny reads pairs, labels or trajectories, whichever the first records are.
func (e *Encoder) ReadAny(paths []string, seed uint64) ([]Sequence, Stats, error) {
	for _, path := range paths {
		switch form, err := traj.FormOf(path); {
		case err != nil:
			return nil, Stats{}, err
		case form == traj.Pairs:
			return e.ReadPairs(paths)
		case form == traj.Labels:
			return e.ReadLabels(paths, seed)
		}
	}
	return e.Read(paths, false)
}

// ReadPairs encodes preferences as groups of two sequences: the chosen one, with
// reward 1, and the rejected one, with reward 0. A pair whose sides are the same
// teaches nothing and is left out, counted.
func (e *Encoder) ReadPairs(paths []string) ([]Sequence, Stats, error) {
	return readAll(paths, traj.ReadPairs, func(pair *traj.Pair, id string, stats *Stats) ([]Sequence, error) {
		chosen, rejected := pair.Records()
		var group [GroupSize]Sequence
		for i, side := range []struct {
			name string
			rec  *traj.Record
		}{{"chosen", &chosen}, {"rejected", &rejected}} {
			seq, err := e.encodeAs(side.rec, id)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side.name, err)
			}
			seq.ID += "/" + side.name
			group[i] = seq
		}
		if pair.Same() {
			stats.Same++
			return nil, nil
		}
		before := *stats
		kept, err := e.fit(group[:], stats)
		if err != nil || kept == nil {
			return nil, err
		}
		if slices.Equal(kept[0].Tokens, kept[1].Tokens) { // what they differ in was cut off
			before.Longest = stats.Longest
			*stats = before
			stats.Same++
			return nil, nil
		}
		stats.Pairs++
		return kept, nil
	})
}

// ReadLabels encodes records for KTO (arXiv 2402.01306) as groups of two
// sequences: a sample, its reward 1 if it is desirable and 0 if not, and the
// same prompt with the response of another record, from which the method
// estimates how far the policy is from its reference. A label stands in the
// field label, or is a reward above 1/2.
//
// Every response is lent to exactly one other record, drawn by seed, and to one
// with another prompt where that can be. Of a conversation the prompt is all that
// stands before the first assistant turn that is not part of an opening which
// all conversations share (an agent's instruction and the "OK" to it); the
// response is the rest. A mismatched sequence over MaxLen is cut.
func (e *Encoder) ReadLabels(paths []string, seed uint64) ([]Sequence, Stats, error) {
	var opening traj.Opening
	open := func(path string) iter.Seq2[traj.Record, error] { return traj.Read(path, false) }
	samples, stats, err := readAll(paths, open, func(rec *traj.Record, id string, stats *Stats) ([]Sequence, error) {
		if rec.Error != "" {
			stats.Failed++
			return nil, nil
		}
		desirable, err := rec.Desirable()
		if err != nil {
			return nil, err
		}
		seq, err := e.encodeAs(rec, id)
		if err != nil {
			return nil, err
		}
		kept, err := e.fit([]Sequence{seq}, stats)
		if err != nil || kept == nil {
			return nil, err
		}
		if desirable {
			kept[0].Reward = 1
			stats.Desirable++
		} else {
			kept[0].Reward = 0
			stats.Undesirable++
		}
		opening.Add(rec.Conversations)
		return kept, nil
	})
	if err != nil {
		return nil, stats, err
	}
	if len(samples) == 1 {
		return nil, stats, fmt.Errorf("%s is the only record: KTO compares each sample with the response of another one, so it needs two at least", samples[0].ID)
	}
	skip := opening.Turns()
	for i := range samples { // a sample that was cut may have fewer
		skip = min(skip, len(samples[i].turns())-1)
	}
	all := e.mismatch(samples, skip, rand.New(rand.NewPCG(seed, 0)), &stats)
	return all, stats, nil
}

// mismatch puts behind each sample its prompt with another sample's response.
// The first skip assistant turns count as prompt.
func (e *Encoder) mismatch(samples []Sequence, skip int, rng *rand.Rand, stats *Stats) []Sequence {
	prompts := make([]string, len(samples))
	starts := make([]int, len(samples)) // of the responses
	var key []byte
	for i := range samples {
		s := &samples[i]
		starts[i] = s.turns()[skip]
		key = key[:0]
		for _, id := range s.Tokens[:starts[i]] {
			key = binary.LittleEndian.AppendUint32(key, uint32(id))
		}
		prompts[i] = string(key)
	}
	all := make([]Sequence, 0, GroupSize*len(samples))
	for i, j := range derangement(prompts, rng) {
		if prompts[i] == prompts[j] {
			stats.SamePrompt++
		}
		other := splice(&samples[i], starts[i], &samples[j], starts[j])
		other.ID = samples[i].ID + "/mismatched"
		if e.MaxLen > 0 && len(other.Tokens) > e.MaxLen {
			stats.MismatchedCut++
			other.cut(e.MaxLen) // something of it stays: the sample's own first action fitted
		}
		all = append(all, samples[i], other)
	}
	return all
}

// derangement returns for each of the keys another one's index, each index once.
// The keys are laid out in a circle, equal ones side by side, in random order,
// and the circle is turned: by at least the size of the largest class of equals,
// and by no more than its complement, so that no key meets an equal one. Where a
// class is larger than the half, as few meet as possible.
func derangement(keys []string, rng *rand.Rand) []int {
	classes := map[string][]int{}
	var names []string
	for _, i := range rng.Perm(len(keys)) {
		if classes[keys[i]] == nil {
			names = append(names, keys[i])
		}
		classes[keys[i]] = append(classes[keys[i]], i)
	}
	n, largest := len(keys), 0
	circle := make([]int, 0, n)
	for _, name := range names {
		circle = append(circle, classes[name]...)
		largest = max(largest, len(classes[name]))
	}
	least := max(1, min(largest, n-largest))
	turn := least + rng.IntN(n-2*least+1)
	partner := make([]int, n)
	for at, i := range circle {
		partner[i] = circle[(at+turn)%n]
	}
	return partner
}

// splice returns the tokens of a up to n and those of b from m on.
func splice(a *Sequence, n int, b *Sequence, m int) Sequence {
	s := Sequence{
		Tokens: slices.Concat(a.Tokens[:n], b.Tokens[m:]),
		Action: slices.Concat(a.Action[:n], b.Action[m:]),
		Reward: a.Reward,
	}
	for _, start := range a.Steps {
		if start < n {
			s.Steps = append(s.Steps, start)
		}
	}
	for _, start := range b.Steps {
		if start >= m {
			s.Steps = append(s.Steps, start-m+n)
		}
	}
	return s
}

// turns returns where each run of actions begins: the assistant turns.
func (s *Sequence) turns() (starts []int) {
	for t := 1; t < len(s.Action); t++ {
		if s.Action[t] && !s.Action[t-1] {
			starts = append(starts, t)
		}
	}
	return starts
}
