package loss

import "github.com/oreo-go/oreo/train/torch"

// DQOValue is L_V without w, [B], of direct Q-function optimisation (arXiv
// 2410.09302), soft actor-critic whose Q is parameterised by policy and value:
//
//	Q(s_t, a_t) = V(s_t) + beta d_t                                   (section 4.1)
//	G(s_t)      = r_t - beta d_t + (1-lambda) V(s_{t+1}) + lambda G(s_{t+1})   (4.2)
//	L_V         = w mean_t (V(s_t) - G(s_t))²
//	L_Q         = w mean_t (V(s_t) + beta d_t - r_t - G(s_{t+1}))²
//	w           = ImportanceWeights(d, mask, 1)                       (section 4.3)
//
// with G and V 0 behind the last action, r_t the reward R at the last action and 0
// before. L_V teaches the critic and L_Q the policy; G is a fixed target, as in soft
// actor-critic. With lambda = 1 and w = 1 they are Value and Policy; appendix C of
// arXiv 2412.16145 compares the two methods (and reads DQO's target as not fixed).
func DQOValue(values, logRatio, reward, mask *torch.Tensor, beta, lambda float64) *torch.Tensor {
	g := spread(lambdaReturn(values, logRatio, reward, mask, beta, lambda), mask) // [B, A]
	return MeanOverStates(values.Sub(g).Square(), mask)
}

// DQOPolicy is L_Q without w, [B], with the equations of DQOValue; no gradient reaches
// the critic.
func DQOPolicy(values, logRatio, reward, mask *torch.Tensor, beta, lambda float64) *torch.Tensor {
	g := lambdaReturn(values, logRatio, reward, mask, beta, lambda)
	target := rewards(reward, mask).Add(spread(following(g), mask)) // [B, A] r_t + G(s_{t+1})
	q := values.Detach().Add(logRatio.Times(beta))                  // [B, A] Q(s_t, a_t)
	return MeanOverStates(q.Sub(target).Square(), mask)
}

// lambdaReturn is G, the mean of all n-step soft returns with weights
// (1-lambda) lambda^(n-1), of the states in a row, [B, A], without gradient: V(s_t) +
// sum_l lambda^l delta_{t+l}, delta_t = r_t - beta d_t + V(s_{t+1}) - V(s_t).
func lambdaReturn(values, logRatio, reward, mask *torch.Tensor, beta, lambda float64) *torch.Tensor {
	v := compact(values.Detach(), mask)
	gain := compact(rewards(reward, mask).Sub(logRatio.Detach().Times(beta)), mask)
	delta := gain.Add(following(v)).Sub(v)
	return v.Add(decayedSum(delta, lambda))
}

// decayedSum is sum_l lambda^l x_{t+l} for x [B, A], by doubling the reach.
func decayedSum(x *torch.Tensor, lambda float64) *torch.Tensor {
	b, a := x.Shape()[0], x.Shape()[1]
	for reach, decay := int64(1), lambda; reach < a; reach, decay = 2*reach, decay*decay {
		ahead := torch.Cat(1, x.Narrow(1, reach, a-reach), x.Zeros(b, reach))
		x = x.Add(ahead.Times(decay))
	}
	return x
}
