package loss

import (
	"math"

	"github.com/oreo-go/oreo/train/torch"
)

// Value is Eq. 8, [B]. values [B, A] and logRatio d [B, A] belong to the states
// and actions that mask [B, A] marks, reward is R [B]; no gradient reaches the
// policy.
func Value(values, logRatio, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	return valueLoss(values, toGo(logRatio, mask), reward, mask, beta)
}

// ValueClipped is Value with sum_{i>=t} d_i held within [-limit, limit], which
// bounds the critic's targets where the policy has moved far from the reference.
func ValueClipped(values, logRatio, reward, mask *torch.Tensor, beta, limit float64) *torch.Tensor {
	return valueLoss(values, toGo(logRatio, mask).AtLeast(-limit).AtMost(limit), reward, mask, beta)
}

func toGo(logRatio, mask *torch.Tensor) *torch.Tensor {
	return sumFrom(logRatio.Detach().Mul(mask)) // [B, A] sum_{i>=t} d_i
}

func valueLoss(values, toGo, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	residual := values.Sub(reward.Unsqueeze(1)).Add(toGo.Times(beta)) // [B, A]
	return MeanOverStates(residual.Square(), mask)
}

// Policy is the first term of Eq. 9, [B], and of Eq. 10 where A = 1. The gradient
// flows through the whole log-ratio of an action, all of a step's tokens at the
// step level, and reaches neither the critic nor later actions.
func Policy(values, logRatio, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	d := logRatio.Mul(mask)
	later := sumFrom(d).Sub(d).Detach()                                                            // [B, A] sum_{i>t} d_i
	residual := values.Detach().Sub(reward.Unsqueeze(1)).Add(d.Times(beta)).Add(later.Times(beta)) // [B, A]
	return MeanOverStates(residual.Square(), mask)
}

// Bellman is the policy's loss from Eq. 3 one step at a time, [B]:
//
//	mean_t (V(s_t) - V(s_{t+1}) - r_t + beta d_t)²,   r_t = R at the last action, else 0
//
// The next state is the one before the next action, also across the observation
// between two turns; behind the last action V is 0. V is fixed: the critic learns
// from Eq. 8.
func Bellman(values, logRatio, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	v := values.Detach()
	next := spread(following(compact(v, mask)), mask) // [B, A] V(s_{t+1})
	residual := v.Sub(next).Sub(rewards(reward, mask)).Add(logRatio.Mul(mask).Times(beta))
	return MeanOverStates(residual.Square(), mask)
}

// ImportanceWeights is min(prod_t pi(a_t|s_t) / pi_ref(a_t|s_t), e^limit), [B],
// without gradient, for the losses to be multiplied with: where the reference sampled
// the data, the weights make it the policy's, no sequence counting more than e^limit.
// DQO (section 4.3) and the authors' code take limit = 1.
func ImportanceWeights(logRatio, mask *torch.Tensor, limit float64) *torch.Tensor {
	return SumOverStates(logRatio.Detach(), mask).AtMost(limit).Exp()
}

// Coefficient is a KL weight alpha = e^Log that is learned, so that the policy's
// mean KL per token comes to a target: Adam on the loss -Log (kl - target). All
// fields are state that a checkpoint keeps.
type Coefficient struct {
	Log  float64 `json:"log"`
	M    float64 `json:"m"`
	V    float64 `json:"v"`
	Step int     `json:"step"`
}

// Alpha is the weight itself.
func (c *Coefficient) Alpha() float64 { return math.Exp(c.Log) }

// Update makes one step with the update's mean KL.
func (c *Coefficient) Update(kl, target, lr float64) {
	const beta1, beta2, eps = 0.9, 0.999, 1e-8
	g := -(kl - target)
	c.Step++
	c.M = beta1*c.M + (1-beta1)*g
	c.V = beta2*c.V + (1-beta2)*g*g
	m := c.M / (1 - math.Pow(beta1, float64(c.Step)))
	v := c.V / (1 - math.Pow(beta2, float64(c.Step)))
	c.Log -= lr * m / (math.Sqrt(v) + eps)
}

// sumFrom returns sum_{i>=t} x_i along time for x [B, A].
func sumFrom(x *torch.Tensor) *torch.Tensor { return x.Flip(1).Cumsum(1).Flip(1) }

// rewards is r_t, [B, A]: reward [B] at the last state of mask, 0 elsewhere.
func rewards(reward, mask *torch.Tensor) *torch.Tensor {
	last := mask.Mul(sumFrom(mask).Equals(1))
	return last.Mul(reward.Unsqueeze(1))
}

// compact moves the states of x [B, A] to the front of their rows, zeros behind.
func compact(x, mask *torch.Tensor) *torch.Tensor {
	return x.Zeros(x.Shape()...).ScatterAdd(1, rank(mask), x.Mul(mask))
}

// spread is the inverse of compact; what it writes outside of mask means nothing.
func spread(x, mask *torch.Tensor) *torch.Tensor { return x.Gather(1, rank(mask)) }

// following is x_{t+1} of compact rows x [B, A], 0 at the end.
func following(x *torch.Tensor) *torch.Tensor {
	s := x.Shape()
	return torch.Cat(1, x.Narrow(1, 1, s[1]-1), x.Zeros(s[0], 1))
}

// rank counts the states before position t, [B, A] int64.
func rank(mask *torch.Tensor) *torch.Tensor {
	last := float64(mask.Shape()[1] - 1) // stay within the row behind its states
	return mask.Cumsum(1).Sub(mask).AtMost(last).To(torch.Int64)
}
