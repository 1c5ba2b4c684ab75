package train

import (
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
	"github.com/oreo-go/oreo/train/track"
)

// update is the data of one optimizer step and what is reported of it.
type update struct {
	*data.Update
	run     *run
	metrics track.Metrics
}

// each calls f for every micro-batch; the tensors f makes are freed after it.
func (u *update) each(f func(b *batch)) error {
	for _, micro := range u.Micro {
		if err := torch.Scope(func() { f(u.load(micro)) }); err != nil {
			return err
		}
	}
	return nil
}

// eachHalf is each with every second row of the micro-batches: the first or the
// second sequences of pairs.
func (u *update) eachHalf(second bool, f func(b *batch)) error {
	for _, micro := range u.Micro {
		if err := torch.Scope(func() { f(u.load(micro.Half(second))) }); err != nil {
			return err
		}
	}
	return nil
}

// countRewards counts the sequences of the update with this reward.
func (u *update) countRewards(reward float32) int {
	n := 0
	for _, micro := range u.Micro {
		for _, r := range micro.Reward {
			if r == reward {
				n++
			}
		}
	}
	return n
}

// batch is a micro-batch on the device.
type batch struct {
	tokens *torch.Tensor // [B, T] ids
	mask   *torch.Tensor // [B, T] 1 where the next token is the policy's own
	reward *torch.Tensor // [B]

	states  *torch.Tensor // [N] where mask is 1, as positions in [B*T]
	actions *torch.Tensor // [N] the tokens behind them

	share   float64 // of one sequence, or pair, in the update's mean
	metrics track.Metrics
	source  *data.Batch
	run     *run
}

func (u *update) load(b *data.Batch) *batch {
	B, T := int64(b.B), int64(b.T)
	var states, actions []int64
	for i, m := range b.StateMask {
		if m == 1 {
			states, actions = append(states, int64(i)), append(actions, b.Targets[i])
		}
	}
	return &batch{
		tokens:  u.run.ints(b.Tokens, B, T),
		mask:    u.run.floats(b.StateMask, B, T),
		reward:  u.run.floats(b.Reward, B),
		states:  u.run.ints(states, int64(len(states))),
		actions: u.run.ints(actions, int64(len(actions))),
		share:   1 / float64(u.Sequences),
		metrics: u.metrics, source: b, run: u.run,
	}
}

// logProbs is log pi(a_t|s_t) under a policy, [B, T].
func (b *batch) logProbs(m *nn.Model) *torch.Tensor {
	return b.scatter(m.LogProbs(b.gather(m.Hidden(b.tokens)), b.actions))
}

// gather picks the rows of the states from hidden [B, T, C]: [N, C]. Logits are
// made of these alone: prompts and padding have no actions.
func (b *batch) gather(hidden *torch.Tensor) *torch.Tensor {
	return hidden.View(-1, hidden.Shape()[2]).IndexSelect(0, b.states)
}

// scatter puts x [N] back at the states, 0 elsewhere: [B, T].
func (b *batch) scatter(x *torch.Tensor) *torch.Tensor {
	B, T := int64(b.source.B), int64(b.source.T)
	return x.Zeros(B*T).ScatterAdd(0, b.states, x).View(B, T)
}

// reference is log pi_ref(a_t|s_t), [B, T], that recall has filled in.
func (b *batch) reference() *torch.Tensor {
	return b.run.floats(b.source.Reference, int64(b.source.B), int64(b.source.T))
}

// at brings values and log-ratios [B, T] to a level, [B, A], with the mask that
// belongs to it.
func (b *batch) at(level string, values, d *torch.Tensor) (v, ratio, mask *torch.Tensor) {
	switch level {
	case "step":
		B, T, S := int64(b.source.B), int64(b.source.T), b.source.S
		v = loss.StepValues(values, b.run.ints(b.source.StepState, B, int64(S)))
		ratio = loss.StepSums(d, b.run.ints(b.source.StepOf, B, T), S)
		return v, ratio, b.run.floats(b.source.StepMask, B, int64(S))
	case "response":
		return loss.FirstState(values, b.mask), loss.ResponseSum(d, b.mask), loss.HasState(b.mask)
	}
	return values, d, b.mask
}

// report adds the batch's part in the update's mean of x, [B] or [pairs].
func (b *batch) report(name string, x *torch.Tensor) {
	b.metrics[name] += x.Detach().Sum().Item() * b.share
}

// half is every second row of x [2P], from row which on: [P].
func half(x *torch.Tensor, which int64) *torch.Tensor {
	return x.View(-1, 2).Narrow(1, which, 1).Squeeze(1)
}

func (r *run) ints(values []int64, shape ...int64) *torch.Tensor {
	return torch.FromInt64(values, shape...).On(r.device)
}

func (r *run) floats(values []float32, shape ...int64) *torch.Tensor {
	return torch.FromFloat32(values, shape...).On(r.device).To(paramType)
}
