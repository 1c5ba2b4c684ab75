package runtime

import (
	"context"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// Value is a critic that was opened for scoring.
type Value struct {
	*Model
	policy *Model // the policy whose own passes answer this critic's values, too; nil if none do
}

// OpenValue opens the folder that `oreo-export critic` made, or the critic of a
// pair. The caller ends with Close.
func OpenValue(dir string, opt Options) (*Value, error) {
	m, err := open(dir, manifest.Critic, opt)
	if err != nil {
		return nil, err
	}
	return &Value{Model: m}, nil
}

// Scores are a critic's estimates along a text.
type Scores struct {
	IDs    []int
	Values []float64 // of the state after each token: the reward to expect from there
}

// Score values every state of a prompt, and of an answer to it if one is given
// as response: the two are tokenised on their own, as in training.
func (v *Value) Score(ctx context.Context, prompt Prompt, response string) (Scores, error) {
	ids, err := v.Tokens(prompt)
	if err != nil {
		return Scores{}, err
	}
	ids = append(ids, v.tokenizer.Encode(response)...)
	if err := v.fits(ids); err != nil {
		return Scores{}, err
	}
	scores := Scores{IDs: ids, Values: make([]float64, len(ids))}
	all := make([]int, len(ids))
	for i := range all {
		all[i] = i
	}
	lease, err := v.engine.Reserve(ctx, 1)
	if err != nil {
		return Scores{}, err
	}
	defer lease.Close()
	seq := v.engine.NewSeq()
	seq.Append(ids...)
	defer v.engine.Free(seq)
	err = v.engine.Run(ctx, engine.Job{Seq: seq, At: all, Step: func(pos int, value []float32) (int, bool) {
		scores.Values[pos] = float64(value[0])
		return 0, false
	}})
	return scores, err
}
