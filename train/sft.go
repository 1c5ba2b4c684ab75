package train

import (
	"context"

	"github.com/oreo-go/oreo/train/loss"
)

// SFT is supervised fine-tuning: it raises the likelihood of the responses'
// tokens, each token of an update counting the same.
//
//	L = - 1/N sum_{b,t} mask log pi(a_t|s_t),   N = all action tokens of the update
//
// Records with reward 0 are demonstrations like any other: choose the data
// before. It returns when the model is saved in cfg.Out.
func SFT(ctx context.Context, cfg SFTConfig, ui UI) error {
	r, err := start("sft", &cfg, cfg.Config, ui, input{read: demonstrations})
	if err != nil {
		return err
	}
	defer r.close()
	return r.imitate(ctx)
}

// imitate trains a policy on all sequences of the run.
func (r *run) imitate(ctx context.Context) error {
	policy, err := r.policy()
	if err != nil {
		return err
	}
	return r.train(ctx, func(u *update) error {
		return u.each(func(b *batch) {
			nll := loss.NLL(b.logProbs(policy.Model), b.mask).Sum().Times(1 / float64(u.States))
			nll.Backward()
			b.metrics["loss"] += nll.Item()
		})
	})
}
