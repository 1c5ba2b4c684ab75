package loss

import "github.com/oreo-go/oreo/train/torch"

// DPO is direct preference optimisation (arXiv 2305.18290, Eq. 7) with label
// smoothing eps (conservative DPO: the chance that a pair's label is wrong), [B]
// pairs. chosen and rejected [B] are the log-ratios of whole responses,
// SumOverStates(d, mask):
//
//	h = chosen - rejected
//	L = -(1-eps) log sigmoid(beta h) - eps log sigmoid(-beta h)
func DPO(chosen, rejected *torch.Tensor, beta, eps float64) *torch.Tensor {
	h := chosen.Sub(rejected).Times(beta)
	loss := h.LogSigmoid().Times(-(1 - eps))
	if eps == 0 {
		return loss
	}
	return loss.Sub(h.Neg().LogSigmoid().Times(eps))
}

// IPO is identity preference optimisation (arXiv 2310.12036, Eq. 17), [B] pairs:
//
//	L = (chosen - rejected - 1 / (2 beta))²
//
// Give it MeanOverStates(d, mask). The equation's log-ratios are sums over a
// response, but then the target 1 / (2 beta) means something else for every length;
// TRL has it from the paper's authors that their results are those of means.
func IPO(chosen, rejected *torch.Tensor, beta float64) *torch.Tensor {
	return chosen.Sub(rejected).Plus(-1 / (2 * beta)).Square()
}

// KTO is Kahneman-Tversky optimisation (arXiv 2402.01306, section 4.1), [B]. logRatio
// [B] is that of whole responses, desirable [B] is 1 for good ones and 0 for bad
// ones, zRef is KTOReference of the whole update, a number for all of its
// micro-batches:
//
//	good  weight_good (1 - sigmoid(beta (logRatio - zRef)))
//	bad   weight_bad  (1 - sigmoid(beta (zRef - logRatio)))
func KTO(logRatio, desirable *torch.Tensor, zRef, beta, weightGood, weightBad float64) *torch.Tensor {
	sign := desirable.Times(2).Plus(-1)                               // [B] 1 good, -1 bad
	weight := desirable.Times(weightGood - weightBad).Plus(weightBad) // [B]
	miss := logRatio.Plus(-zRef).Mul(sign).Times(-beta).Sigmoid()     // [B] 1 - sigmoid(x) = sigmoid(-x)
	return weight.Mul(miss)
}

// KTOReference is z_0 of KTO, an estimate of KL(pi || pi_ref): the mean of the
// log-ratios of prompts with responses to other prompts, at least 0. The mean is
// over the whole update, whatever its micro-batches, so that any batch will do, odd
// ones and those of one sequence too; without pairs it is 0.
func KTOReference(mismatched []float64) float64 {
	if len(mismatched) == 0 {
		return 0
	}
	sum := 0.0
	for _, d := range mismatched {
		sum += d
	}
	return max(0, sum/float64(len(mismatched)))
}
