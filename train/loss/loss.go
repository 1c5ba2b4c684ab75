// Package loss has the objectives as pure functions of tensors. Shapes and
// equation numbers are those of train/doc.go. A loss is returned per sequence,
// [B]: the caller weighs sequences, so that accumulated micro-batches add up to
// the whole batch.
package loss

import "github.com/oreo-go/oreo/train/torch"

// LogProbs returns log pi(a_t|s_t), [B, T], from log-softmaxed logits
// logp [B, T, V] and the next tokens actions [B, T].
func LogProbs(logp, actions *torch.Tensor) *torch.Tensor {
	return logp.Gather(-1, actions.Unsqueeze(-1)).Squeeze(-1)
}

// MeanOverStates is sum_t mask x / sum_t mask for x and mask [B, T]: [B]. A
// sequence without states gives 0.
func MeanOverStates(x, mask *torch.Tensor) *torch.Tensor {
	return x.Mul(mask).SumDim(1).Div(mask.SumDim(1).AtLeast(1))
}

// KL is KL(pi(.|s_t) || pi_ref(.|s_t)) over the whole vocabulary, [B, T], from
// log-softmaxed logits [B, T, V].
func KL(logp, refLogp *torch.Tensor) *torch.Tensor {
	return logp.Exp().Mul(logp.Sub(refLogp)).SumDim(-1)
}

// Value is Eq. 8 at the token level, [B]. logRatio is d [B, T] and reward R [B];
// no gradient reaches the policy.
func Value(values, logRatio, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	toGo := sumFrom(logRatio.Detach().Mul(mask))                      // [B, T] sum_{i>=t} d_i
	residual := values.Sub(reward.Unsqueeze(1)).Add(toGo.Times(beta)) // [B, T]
	return MeanOverStates(residual.Square(), mask)
}

// Policy is the first term of Eq. 9 at the token level, [B]; no gradient reaches
// the critic, nor later actions.
func Policy(values, logRatio, reward, mask *torch.Tensor, beta float64) *torch.Tensor {
	d := logRatio.Mul(mask)
	later := sumFrom(d).Sub(d).Detach()                                                            // [B, T] sum_{i>t} d_i
	residual := values.Detach().Sub(reward.Unsqueeze(1)).Add(d.Times(beta)).Add(later.Times(beta)) // [B, T]
	return MeanOverStates(residual.Square(), mask)
}

// sumFrom returns sum_{i>=t} x_i along time for x [B, T].
func sumFrom(x *torch.Tensor) *torch.Tensor { return x.Flip(1).Cumsum(1).Flip(1) }
