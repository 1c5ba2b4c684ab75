package train

import (
	"context"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
	"github.com/oreo-go/oreo/train/track"
)

// SFT is supervised fine-tuning: it raises the likelihood of the responses'
// tokens, each token of an update counting the same.
//
//	L = - 1/N sum_{b,t} mask log pi(a_t|s_t),   N = all action tokens of the update
//
// Records with reward 0 are demonstrations like any other: choose the data
// before. It returns when the model is saved in cfg.Out.
func SFT(ctx context.Context, cfg SFTConfig, ui UI) error {
	r, err := start("sft", &cfg, cfg.Config, ui, false)
	if err != nil {
		return err
	}
	defer r.close()
	policy, err := r.load("", cfg.Model, model.LMHead, cfg.LR)
	if err != nil {
		return err
	}
	return r.train(ctx, func(u *data.Update) (track.Metrics, error) {
		m := track.Metrics{}
		for _, b := range u.Micro {
			err := torch.Scope(func() {
				in := r.inputs(b)
				logp := loss.LogProbs(policy.Forward(in.tokens).LogSoftmax(), in.actions) // [B, T]
				nll := logp.Mul(in.mask).Sum().Times(-1 / float64(u.States))
				nll.Backward()
				m["loss"] += nll.Item()
			})
			if err != nil {
				return nil, err
			}
		}
		return m, nil
	})
}
