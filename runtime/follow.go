package runtime

import (
	"context"
	"errors"
	"iter"

	"github.com/oreo-go/oreo/runtime/engine"
)

// Followed is a token of a given response, with what the policy says of it.
type Followed struct {
	ID     int
	Logits []float32 // [V] over the token at this place; valid until the next one is asked for
}

// followAtOnce bounds the logits that are held at a time, in tokens.
const followAtOnce = 64

// Follow reads a response behind a prompt and yields its tokens. The two are
// tokenised on their own, as in training; the end token does not take part. An
// error ends the sequence.
func (p *Policy) Follow(ctx context.Context, prompt Prompt, response string) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		if err := p.follow(ctx, prompt, response, func(f Followed) bool { return yield(f, nil) }); err != nil {
			yield(Followed{}, err)
		}
	}
}

func (p *Policy) follow(ctx context.Context, prompt Prompt, response string, yield func(Followed) bool) error {
	before, err := p.Tokens(prompt)
	if err != nil {
		return err
	}
	ids := p.tokenizer.Encode(response)
	if len(ids) == 0 {
		return errors.New("response is empty")
	}
	seq := p.engine.NewSeq()
	seq.Append(before...)
	lease, err := p.engine.Reserve(ctx, 1)
	if err != nil {
		return err
	}
	defer lease.Close()
	defer p.engine.Free(seq)
	logits := make([][]float32, followAtOnce)
	for from := 0; from < len(ids); from += followAtOnce {
		block := ids[from:min(from+followAtOnce, len(ids))]
		if from > 0 {
			seq.Append(ids[from-1])
		}
		first := seq.Len() - 1 // its answer is over block[0]
		seq.Append(block[:len(block)-1]...)
		if err := p.fits(seq.IDs()); err != nil {
			return err
		}
		at := make([]int, len(block))
		for i := range at {
			at[i] = first + i
		}
		err := p.engine.Run(ctx, engine.Job{Seq: seq, At: at, Step: func(pos int, answer []float32) (int, bool) {
			logits[pos-first] = append(logits[pos-first][:0], answer...)
			return 0, false
		}})
		if err != nil {
			return err
		}
		for i, id := range block {
			if !yield(Followed{id, logits[i]}) {
				return nil
			}
		}
	}
	return nil
}
