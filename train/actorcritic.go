package train

import (
	"context"
	"math"

	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// actorCritic is what OREO and DQO learn with: a policy, its critic and pi_ref.
type actorCritic struct {
	run       *run
	policy    *nn.Model // nil: it is pi_ref, and stays
	learner   *trained  // of policy; nil where the critic alone is trained
	critic    *trained
	reference *nn.Model // nil: pi_ref's log-probabilities come with the batches
	target    *nn.Model // the policy in the critic's target; nil: policy
}

// trajectories reads rewarded records, cut into steps as the level needs them.
func (c *CriticConfig) trajectories(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
	if err := e.SetSteps(c.Step); err != nil {
		return nil, data.Stats{}, err
	}
	return e.Read(files, true)
}

// openPair opens policy and critic.
func (r *run) openPair(c *CriticConfig) (*actorCritic, error) {
	policy, err := r.policy()
	if err != nil {
		return nil, err
	}
	policy.frozenFor = int(c.Freeze * float64(r.steps))
	if r.original {
		policy.frozenFor = int(math.Ceil(c.Freeze * float64(r.Epochs*r.steps)))
	}
	critic, err := r.critic(c, policy)
	if err != nil {
		return nil, err
	}
	return &actorCritic{run: r, policy: policy.Model, learner: policy, critic: critic}, nil
}

// recall lets the batches bring pi_ref's log-probabilities.
func (a *actorCritic) recall(ctx context.Context, c *ReferenceConfig) error {
	return a.run.recall(ctx, c, a.policy)
}

// learning tells whether the next update moves the policy.
func (a *actorCritic) learning() bool { return a.learner != nil && !a.run.rests(a.learner) }

// view is what the models say of a batch.
type view struct {
	values *torch.Tensor // [B, T]
	d      *torch.Tensor // [B, T] log-ratios of the actions, 0 elsewhere
	kl     *torch.Tensor // [B, T] divergence of whole distributions; nil unless asked for
	target *torch.Tensor // [B, T] log-ratios for the critic's target
}

// look runs the models on a batch; divergence says how pi and pi_ref are
// compared beyond the actions. A policy that does not learn gets no graph.
func (a *actorCritic) look(b *batch, divergence torch.Divergence) view {
	var v view
	var hidden, refLogp *torch.Tensor // [B, T, C], [B, T]
	forward := func() {
		if a.policy == nil {
			v.d = b.mask.Times(0)
			return
		}
		hidden = a.policy.Hidden(b.tokens)
		v.d, refLogp, v.kl = a.compare(b, hidden, divergence)
	}
	if a.learning() {
		forward()
	} else {
		torch.NoGrad(forward)
	}
	if a.critic.kind == onlyTop {
		v.values = a.critic.Values(hidden.Detach())
	} else {
		v.values = a.critic.Forward(b.tokens)
	}
	v.target = v.d
	if a.target != nil {
		torch.NoGrad(func() { v.target = b.logProbs(a.target).Sub(refLogp) })
	}
	return v
}

// compare returns d, log pi_ref of the actions and the divergence, [B, T] each.
func (a *actorCritic) compare(b *batch, hidden *torch.Tensor, divergence torch.Divergence) (d, refLogp, kl *torch.Tensor) {
	rows := b.gather(hidden) // [N, C]
	if a.reference == nil {
		refLogp = b.reference()
		return b.scatter(a.policy.LogProbs(rows, b.actions)).Sub(refLogp), refLogp, nil
	}
	var refRows *torch.Tensor // [N, C]
	torch.NoGrad(func() { refRows = b.gather(a.reference.Hidden(b.tokens)) })
	if divergence == torch.NoDivergence {
		torch.NoGrad(func() { refLogp = b.scatter(a.reference.LogProbs(refRows, b.actions)) })
		return b.scatter(a.policy.LogProbs(rows, b.actions)).Sub(refLogp), refLogp, nil
	}
	logp, ref, kl := a.policy.Compare(rows, b.actions, a.reference, refRows, divergence) // [N]
	return b.scatter(logp.Sub(ref)), b.scatter(ref), b.scatter(kl)
}

// critical brings values and log-ratios [B, T] to what the critic learns from,
// [B, A]: all states, at the step level those before the steps.
func (c *CriticConfig) critical(b *batch, values, d *torch.Tensor) (v, ratio, mask *torch.Tensor) {
	if c.Level == "step" {
		return b.at(c.Level, values, d)
	}
	return values, d, b.mask
}

// report writes what is known of every batch.
func (v *view) report(b *batch) {
	b.report("log_ratio", loss.MeanOverStates(v.d, b.mask))
	b.report("value/mean", loss.MeanOverStates(v.values, b.mask))
	b.report("reward/mean", b.reward)
}
