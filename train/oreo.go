package train

import (
	"context"
	"math"

	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
)

// OREO is the paper's method: policy and critic learn together, each from its
// own side of the soft Bellman equation, on trajectories with a reward at the
// end (Eq. 8 and 9, written out in this package's doc), at the level of tokens,
// steps or whole responses.
//
// The authors' code (github.com/jwhj/OREO) differs from the paper here and there;
// cfg.Original does what it does, and the table in train/loss/original.go has
// every difference.
//
// The policy is saved in cfg.Out, the critic in cfg.Out/critic.
func OREO(ctx context.Context, cfg OREOConfig, ui UI) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	r, err := start("oreo", &cfg, cfg.Config, ui, input{read: cfg.read, original: cfg.Original})
	if err != nil {
		return err
	}
	defer r.close()
	a, err := cfg.open(ctx, r)
	if err != nil {
		return err
	}
	return r.train(ctx, func(u *update) error {
		good := u.countRewards(1)
		err := u.each(func(b *batch) { cfg.backward(a, b, good) })
		if err == nil && r.coefficient != nil && a.learning() {
			u.metrics["kl_coef"] = r.coefficient.Alpha()
			r.coefficient.Update(u.metrics["kl"], cfg.KLTarget, cfg.KLTargetLR)
		}
		return err
	})
}

// read reads the data, cut into steps as the level needs them.
func (c *OREOConfig) read(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
	e.Original = c.Original
	return c.trajectories(e, files)
}

// backward adds a micro-batch's part of the gradients to both models; good is
// the number of the update's sequences with a reward of 1.
func (c *OREOConfig) backward(a *actorCritic, b *batch, good int) {
	v := a.look(b, c.divergence())
	total := c.critique(&v, b) // [B]
	if a.learner != nil {
		if policy := c.policy(a.run, &v, b); a.learning() {
			total = total.Add(policy)
		}
	}
	sum := total.Sum().Times(b.share)
	if c.Hinge > 0 && good > 0 && a.learning() {
		sum = sum.Add(loss.Hinge(v.d, b.reward, b.mask).Sum().Times(c.Hinge / float64(good)))
	}
	sum.Backward()
	v.report(b)
}

// critique is Eq. 8, [B]: over all states, at the step level over those before
// the steps.
func (c *OREOConfig) critique(v *view, b *batch) *torch.Tensor {
	values, d, mask := c.critical(b, v.values, v.target)
	var each *torch.Tensor // [B]
	if c.ClipLogRatio > 0 {
		each = loss.ValueClipped(values, d, b.reward, mask, c.Beta, c.ClipLogRatio)
	} else {
		each = loss.Value(values, d, b.reward, mask, c.Beta)
	}
	b.report("loss/value", each)
	return c.weigh(each, v, b)
}

// policy is Eq. 9, or Eq. 10, or the one-step form, [B].
func (c *OREOConfig) policy(r *run, v *view, b *batch) *torch.Tensor {
	values, d, mask := b.at(c.Level, v.values, v.d)
	objective := loss.Policy
	if c.Objective == "one_step" {
		objective = loss.Bellman
	}
	each, kl := objective(values, d, b.reward, mask, c.Beta), c.regulariser(v, b)
	b.report("loss/policy", each)
	b.report("kl", kl)
	if !c.Original || (c.Objective == "telescoped" && c.Level != "response") {
		each = c.weigh(each, v, b)
	}
	if c.KL == "none" {
		return each
	}
	return each.Add(kl.Times(c.alpha(r)))
}

// weigh applies the importance weights to a loss, [B].
func (c *OREOConfig) weigh(each *torch.Tensor, v *view, b *batch) *torch.Tensor {
	if !c.Importance {
		return each
	}
	d := v.d
	if c.Original {
		d = v.target
	}
	return each.Mul(loss.ImportanceWeights(d, b.mask, 1))
}

// regulariser is L_reg, [B], a mean over all states whatever the level.
func (c *OREOConfig) regulariser(v *view, b *batch) *torch.Tensor {
	kl := v.kl // [B, T]
	if kl == nil {
		kl = loss.K3(v.d) // without a regulariser it is reported all the same
	}
	return loss.MeanOverStates(kl, b.mask)
}

// divergence is what the regulariser needs to know of whole distributions.
func (c *OREOConfig) divergence() torch.Divergence {
	switch c.KL {
	case "exact":
		return torch.KL
	case "forward":
		return torch.ForwardKL
	}
	return torch.NoDivergence
}

// alpha is the regulariser's weight in this update.
func (c *OREOConfig) alpha(r *run) float64 {
	if r.coefficient != nil {
		return r.coefficient.Alpha()
	}
	return c.Alpha
}

// open opens the models that the settings ask for.
func (c *OREOConfig) open(ctx context.Context, r *run) (*actorCritic, error) {
	if c.CriticOnly {
		return c.openCritic(ctx, r)
	}
	a, err := r.openPair(&c.CriticConfig)
	if err != nil {
		return nil, err
	}
	if c.KLTarget > 0 {
		r.coefficient = &loss.Coefficient{Log: math.Log(c.Alpha)}
	}
	if c.TargetEMA > 0 {
		if a.target, err = r.follow(a.learner, "target", c.TargetEMA); err != nil {
			return nil, err
		}
	}
	switch {
	case c.ReferenceEMA > 0:
		a.reference, err = r.follow(a.learner, "reference", c.ReferenceEMA)
	case c.KL == "exact" || c.KL == "forward":
		a.reference, err = r.reference(&c.ReferenceConfig)
	default:
		err = a.recall(ctx, &c.ReferenceConfig)
	}
	return a, err
}

// openCritic opens a critic that learns alone, of a policy that stays: with
// log-ratios of 0 unless pi_ref is another model.
func (c *OREOConfig) openCritic(ctx context.Context, r *run) (*actorCritic, error) {
	critic, err := r.critic(&c.CriticConfig, nil)
	if err != nil {
		return nil, err
	}
	a := &actorCritic{run: r, critic: critic}
	if c.Reference == "" {
		return a, nil
	}
	if a.policy, err = r.initial(); err != nil {
		return nil, err
	}
	return a, a.recall(ctx, &c.ReferenceConfig)
}
