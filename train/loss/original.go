package loss

import "github.com/oreo-go/oreo/train/torch"

// Hinge is max(0, -sum_t d_t) for sequences whose reward [B] is 1, 0 for others,
// [B]: it keeps the likelihood of good responses from falling below the
// reference's. The authors' code adds hinge_coeff times its mean over the good
// sequences to the response level's policy loss.
func Hinge(logRatio, reward, mask *torch.Tensor) *torch.Tensor {
	return SumOverStates(logRatio, mask).Neg().AtLeast(0).Mul(reward.Equals(1))
}
