package train

import (
	"context"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
	"github.com/oreo-go/oreo/train/track"
)

// OREO is the paper's method at the token level: policy and critic learn
// together, each from its own side of the soft Bellman equation, on trajectories
// with a reward at the end (Eq. 8 and 9, written out in this package's doc).
//
// Differs from the authors' code (github.com/jwhj/OREO), on purpose:
//   - the end token follows the response directly, without a space before it;
//   - the critic's value at a position is read at that position, in training and
//     in search alike, not one token before;
//   - the cosine ends with the last update, whatever the number of epochs.
//
// The policy is saved in cfg.Out, the critic in cfg.Out/critic.
func OREO(ctx context.Context, cfg OREOConfig, ui UI) error {
	r, err := start("oreo", &cfg, cfg.Config, ui, true)
	if err != nil {
		return err
	}
	defer r.close()
	if cfg.Critic == "" {
		cfg.Critic = cfg.Model
	}
	policy, err := r.load("", cfg.Model, model.LMHead, cfg.LR)
	if err != nil {
		return err
	}
	critic, err := r.load("critic", cfg.Critic, model.ValueHead, cfg.CriticLR)
	if err != nil {
		return err
	}
	reference, err := r.loadFrozen(cfg.Model)
	if err != nil {
		return err
	}
	policy.frozenFor = int(cfg.Freeze * float64(r.steps))

	return r.train(ctx, func(u *data.Update) (track.Metrics, error) {
		m := track.Metrics{}
		for _, b := range u.Micro {
			err := torch.Scope(func() {
				in := r.inputs(b)
				logp := policy.Forward(in.tokens).LogSoftmax() // [B, T, V]
				var refLogp *torch.Tensor                      // [B, T, V]
				torch.NoGrad(func() { refLogp = reference.Forward(in.tokens).LogSoftmax() })
				values := critic.Forward(in.tokens)                                          // [B, T]
				d := loss.LogProbs(logp, in.actions).Sub(loss.LogProbs(refLogp, in.actions)) // [B, T]
				kl := loss.MeanOverStates(loss.KL(logp, refLogp), in.mask)                   // [B]
				critique := loss.Value(values, d, in.reward, in.mask, cfg.Beta)              // [B] Eq. 8
				act := loss.Policy(values, d, in.reward, in.mask, cfg.Beta)                  // [B] Eq. 9

				share := 1 / float64(u.Sequences) // of one sequence in the update's mean
				critique.Add(act).Add(kl.Times(cfg.Alpha)).Sum().Times(share).Backward()

				addSum(m, "loss/value", critique, share)
				addSum(m, "loss/policy", act, share)
				addSum(m, "kl", kl, share)
				addSum(m, "log_ratio", loss.MeanOverStates(d, in.mask), share)
				addSum(m, "value/mean", loss.MeanOverStates(values, in.mask), share)
				addSum(m, "reward/mean", in.reward, share)
			})
			if err != nil {
				return nil, err
			}
		}
		return m, nil
	})
}
