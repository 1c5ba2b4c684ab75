package train

import (
	"context"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
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
	r, err := start("oreo", &cfg, cfg.Config, ui, rewarded, 1)
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

	return r.train(ctx, func(u *update) error {
		return u.each(func(b *batch) {
			logp := policy.Forward(b.tokens).LogSoftmax() // [B, T, V]
			var refLogp *torch.Tensor                     // [B, T, V]
			torch.NoGrad(func() { refLogp = reference.Forward(b.tokens).LogSoftmax() })
			values := critic.Forward(b.tokens)                                         // [B, T]
			d := loss.LogProbs(logp, b.actions).Sub(loss.LogProbs(refLogp, b.actions)) // [B, T]
			kl := loss.MeanOverStates(loss.KL(logp, refLogp), b.mask)                  // [B]
			critique := loss.Value(values, d, b.reward, b.mask, cfg.Beta)              // [B] Eq. 8
			act := loss.Policy(values, d, b.reward, b.mask, cfg.Beta)                  // [B] Eq. 9
			critique.Add(act).Add(kl.Times(cfg.Alpha)).Sum().Times(b.share).Backward()

			b.report("loss/value", critique)
			b.report("loss/policy", act)
			b.report("kl", kl)
			b.report("log_ratio", loss.MeanOverStates(d, b.mask))
			b.report("value/mean", loss.MeanOverStates(values, b.mask))
			b.report("reward/mean", b.reward)
		})
	})
}
