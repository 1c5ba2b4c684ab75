package search

import (
	"context"

	"github.com/oreo-go/oreo/runtime/engine"
)

// This file is for a policy that is the critic too. Its rows answer values while
// they draw; what they have not run by then is the token that ended a step.

// note takes the values of a job that goes on behind n; it is nil where a critic
// apart answers them.
func (t *tree) note(n *node) func(pos int, value float64) {
	if !t.m.alike() {
		return nil
	}
	return func(_ int, v float64) { n.states = append(n.states, v) }
}

// askPolicy runs what is left of the steps, which are all short of one token but
// for those that an end token ended.
func (t *tree) askPolicy(ctx context.Context, nodes []*node, answers []float64) error {
	var jobs []engine.Job
	for _, n := range nodes {
		job, any, err := t.rest(n, n.policy)
		if err != nil {
			return err
		}
		if any {
			jobs = append(jobs, job)
		}
	}
	if err := t.m.Policy.Run(ctx, jobs...); err != nil {
		return err
	}
	for i, n := range nodes {
		answers[i] = n.states[len(n.read)]
	}
	return nil
}

// rest is the job that runs those tokens of n, as the critic reads it, that seq has
// not run yet; any tells whether there are any.
func (t *tree) rest(n *node, seq *engine.Seq) (job engine.Job, any bool, err error) {
	same := 0 // a stop text may have changed what follows
	for same < min(len(n.read), len(n.ids)) && n.read[same] == n.ids[same] {
		same++
	}
	n.states = n.states[:min(len(n.states), same+1)]
	ran := len(n.states) - 1
	if ran == len(n.read) {
		return job, false, nil
	}
	first := len(t.prompt) + ran
	if seq.Len() != first {
		if err := seq.Rewind(first); err != nil {
			return job, false, err
		}
	}
	seq.Append(n.read[ran:]...)
	job = engine.Job{Seq: seq, Step: n.keep, Value: t.note(n)}
	for pos := first; pos < seq.Len(); pos++ {
		job.At = append(job.At, pos)
	}
	return job, true, nil
}
