// Package loss has the objectives as pure functions of tensors. Shapes and
// equation numbers are those of train/doc.go; A is the number of actions of the
// longest sequence: T at the token level, S at the step level, 1 at the response
// level. A loss is returned per sequence (per pair for DPO and IPO), [B]: the
// caller weighs sequences, so that accumulated micro-batches add up to the whole
// batch. A sequence without states gives 0 and no gradient.
//
//	loss.go        LogProbs KL ForwardKL K3 MeanOverStates SumOverStates NLL
//	oreo.go        Value ValueClipped (Eq. 8), Policy (Eq. 9, 10), Bellman (Eq. 3),
//	               ImportanceWeights, Coefficient (learned KL weight)
//	level.go       StepSums StepValues | ResponseSum FirstState HasState
//	preference.go  DPO IPO KTO KTOReference
//	dqo.go         DQOValue DQOPolicy
//	original.go    Hinge, and the table below
//
// # Levels
//
// Value, Policy and Bellman take values, log-ratios and masks [B, A] of any level:
//
//	token     values, d, mask as they are                                  A = T
//	step      StepValues(values, stepState), StepSums(d, stepOf, S), stepMask  A = S
//	response  FirstState(values, mask), ResponseSum(d, mask), HasState(mask)   A = 1
//
// At the step level both losses see the states before the steps only. At the
// response level the paper changes the policy's objective alone (section 4.2, "the
// action objective considers only the initial state"), and so does the authors'
// code, whose critic always gets Eq. 8 over all states of the data: train the
// critic there with the token level's Value and the policy with the response
// level's Policy. The regulariser is the mean over all tokens at every level.
package loss

import "github.com/oreo-go/oreo/train/torch"

// LogProbs returns log pi(a_t|s_t), [B, T], from log-softmaxed logits
// logp [B, T, V] and the next tokens actions [B, T].
func LogProbs(logp, actions *torch.Tensor) *torch.Tensor {
	return logp.Gather(-1, actions.Unsqueeze(-1)).Squeeze(-1)
}

// MeanOverStates is sum_t mask x / sum_t mask for x and mask [B, A]: [B]. A
// sequence without states gives 0.
func MeanOverStates(x, mask *torch.Tensor) *torch.Tensor {
	return SumOverStates(x, mask).Div(mask.SumDim(1).AtLeast(1))
}

// SumOverStates is sum_t mask x for x and mask [B, A]: [B].
func SumOverStates(x, mask *torch.Tensor) *torch.Tensor {
	return x.Mul(mask).SumDim(1)
}

// NLL is - sum_t mask log pi(a_t|s_t), [B], for the actions' log-probabilities
// logProb [B, T]: supervised fine-tuning and rejection sampling divide its sum by
// the action tokens of the whole update.
func NLL(logProb, mask *torch.Tensor) *torch.Tensor {
	return SumOverStates(logProb, mask).Neg()
}

// KL is KL(pi(.|s_t) || pi_ref(.|s_t)) over the whole vocabulary, [B, T], from
// log-softmaxed logits [B, T, V].
func KL(logp, refLogp *torch.Tensor) *torch.Tensor {
	return logp.Exp().Mul(logp.Sub(refLogp)).SumDim(-1)
}

// ForwardKL is KL(pi_ref(.|s_t) || pi(.|s_t)) over the whole vocabulary, [B, T],
// from log-softmaxed logits [B, T, V].
func ForwardKL(logp, refLogp *torch.Tensor) *torch.Tensor {
	return KL(refLogp, logp)
}

// K3 is exp(-d) + d - 1 for log-ratios d [B, T]: never negative, 0 where pi is pi_ref,
// and cheap, since it asks for the taken actions alone. Its mean over actions that pi
// sampled is KL(pi || pi_ref); over data of another policy it is a penalty, no estimate.
func K3(logRatio *torch.Tensor) *torch.Tensor {
	return logRatio.Neg().Exp().Add(logRatio).Plus(-1)
}
