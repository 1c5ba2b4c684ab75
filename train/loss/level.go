package loss

import "github.com/oreo-go/oreo/train/torch"

// StepSums adds up x [B, T] within each of S steps, [B, S]. stepOf [B, T] names the
// step of the action at t, S where there is none. So sums of log-ratios are
// log-ratios of whole steps (section 4.2: pi(a|s) is the product over its tokens).
func StepSums(x, stepOf *torch.Tensor, steps int) *torch.Tensor {
	b := x.Shape()[0]
	return x.Zeros(b, int64(steps)+1).ScatterAdd(1, stepOf, x).Narrow(1, 0, int64(steps))
}

// StepValues is the values [B, T] at the states before each step, [B, S], from
// their positions stepState [B, S].
func StepValues(values, stepState *torch.Tensor) *torch.Tensor {
	return values.Gather(1, stepState)
}

// ResponseSum adds up x over all states of a sequence, [B, 1] from [B, T].
func ResponseSum(x, mask *torch.Tensor) *torch.Tensor {
	return SumOverStates(x, mask).Unsqueeze(1)
}

// FirstState is x at s_0, the first state of each sequence, [B, 1] from [B, T]; 0
// without states.
func FirstState(x, mask *torch.Tensor) *torch.Tensor {
	first := mask.Mul(mask.Cumsum(1).Equals(1))
	return SumOverStates(x, first).Unsqueeze(1)
}

// HasState is the response level's mask, [B, 1] from [B, T]: 1 for a sequence with
// states.
func HasState(mask *torch.Tensor) *torch.Tensor {
	return mask.SumDim(1).AtMost(1).Unsqueeze(1)
}
