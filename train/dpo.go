package train

import (
	"context"

	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
)

// DPO is direct preference optimisation (arXiv 2305.18290, Eq. 7) on pairs of
// responses to one prompt, the chosen one y+ and the rejected one y-. With the
// log-ratio of a whole response d(y) = sum_t log pi(a_t|s_t) - log pi_ref(a_t|s_t):
//
//	L = - log sigmoid(beta (d(y+) - d(y-)))
//
// Two relatives: with label smoothing eps a label is taken to be wrong with that
// probability; the loss "ipo" (arXiv 2310.12036, Eq. 17) is
// (d(y+) - d(y-) - 1/(2 beta))² with d the mean over a response's tokens, which
// has its optimum at a finite log-ratio. The mean is over pairs. pi_ref is computed once and kept (reference.go).
func DPO(ctx context.Context, cfg DPOConfig, ui UI) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	r, err := start("dpo", &cfg, cfg.Config, ui, input{read: (*data.Encoder).ReadPairs, group: data.GroupSize})
	if err != nil {
		return err
	}
	defer r.close()
	policy, err := r.policy()
	if err != nil {
		return err
	}
	if err := r.recall(ctx, &cfg.ReferenceConfig, policy.Model); err != nil {
		return err
	}
	response := loss.SumOverStates
	objective := func(chosen, rejected *torch.Tensor) *torch.Tensor {
		return loss.DPO(chosen, rejected, cfg.Beta, cfg.Smoothing)
	}
	if cfg.Loss == "ipo" {
		response = loss.MeanOverStates
		objective = func(chosen, rejected *torch.Tensor) *torch.Tensor { return loss.IPO(chosen, rejected, cfg.Beta) }
	}
	return r.train(ctx, func(u *update) error {
		return u.each(func(b *batch) {
			d := response(b.logProbs(policy.Model).Sub(b.reference()), b.mask) // [2P]
			chosen, rejected := half(d, 0), half(d, 1)                         // [P]
			each := objective(chosen, rejected)                                // [P]
			each.Sum().Times(b.share).Backward()

			margin := chosen.Sub(rejected)
			b.report("loss", each)
			b.report("reward/chosen", chosen.Times(cfg.Beta))
			b.report("reward/rejected", rejected.Times(cfg.Beta))
			b.report("reward/margin", margin.Times(cfg.Beta))
			b.report("reward/accuracy", margin.Above(0))
		})
	})
}
