package train

import (
	"context"

	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
)

// DQO is direct Q-function optimisation (arXiv 2410.09302), soft actor-critic
// whose Q-function is the policy itself, on the same trajectories as OREO:
//
//	Q(s_t, a_t) = V(s_t) + beta d_t
//	G_t         = r_t - beta d_t + (1-lambda) V(s_{t+1}) + lambda G_{t+1}    fixed
//	L_V         = w mean_t (V(s_t) - G_t)²
//	L_Q         = w mean_t (Q(s_t, a_t) - r_t - G_{t+1})²                    V fixed
//	w           = min(prod_t pi(a_t|s_t) / pi_ref(a_t|s_t), e)               fixed
//
// OREO at the token level without a regulariser is lambda = 1 and w = 1. It has
// no regulariser, so pi_ref is computed once and kept (reference.go). The policy
// is saved in cfg.Out, the critic in cfg.Out/critic.
func DQO(ctx context.Context, cfg DQOConfig, ui UI) error {
	r, err := start("dqo", &cfg, cfg.Config, ui, input{read: cfg.trajectories})
	if err != nil {
		return err
	}
	defer r.close()
	a, err := r.openPair(&cfg.CriticConfig)
	if err != nil {
		return err
	}
	if err := a.recall(ctx, &cfg.ReferenceConfig); err != nil {
		return err
	}
	return r.train(ctx, func(u *update) error {
		return u.each(func(b *batch) {
			v := a.look(b, torch.NoDivergence)
			values, d, mask := cfg.critical(b, v.values, v.d) // [B, A]
			critique := loss.DQOValue(values, d, b.reward, mask, cfg.Beta, cfg.Lambda)
			values, d, mask = b.at(cfg.Level, v.values, v.d)
			act := loss.DQOPolicy(values, d, b.reward, mask, cfg.Beta, cfg.Lambda)
			b.report("loss/value", critique)
			b.report("loss/policy", act)

			total := critique // [B]
			if a.learning() {
				total = total.Add(act)
			}
			if cfg.Importance {
				total = total.Mul(loss.ImportanceWeights(v.d, b.mask, 1))
			}
			total.Sum().Times(b.share).Backward()
			b.report("kl", loss.MeanOverStates(loss.K3(v.d), b.mask))
			v.report(b)
		})
	})
}
