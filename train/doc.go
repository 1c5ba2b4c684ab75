// Package train holds the methods, one file each, and the loop they share.
//
// Letters of tensor shapes, here and in all packages below:
//
//	B  sequences of a micro-batch     L  layers
//	T  tokens of the longest one      H  query heads
//	V  vocabulary                     K  key and value heads
//	C  hidden size                    D  head dimension
//
// # Time
//
// A sequence is prompt and response, x_0 … x_n. Position t holds state s_t, the
// tokens up to x_t, and its action a_t is the next token x_{t+1}; mask[t] is 1
// where that token is the policy's own. So logits, log-ratios d, values V and
// masks are all [B, T] with one clock, and "last prompt token" is the first state.
//
// # Equations
//
// Numbers without another source are those of arXiv 2412.16145. What stands in [..]
// is fixed: no gradient flows through it. Package train/loss has them as functions.
//
//	d_t   = log pi(a_t|s_t) - log pi_ref(a_t|s_t)
//	D     = sum_t d_t, of a whole response
//	R     = the trajectory's reward, known at its end; r_t = R at the last action, else 0
//
//	OREO, an action being a token or a step (its d_t the sum over its tokens):
//	Eq. 8    value     mean_t (V(s_t) - R + [beta sum_{i>=t} d_i])²
//	Eq. 9    policy    mean_t ([V(s_t)] - R + beta d_t + [beta sum_{i>t} d_i])² + alpha L_reg
//	Eq. 10   policy    ([V(s_0)] - R + beta D)² + alpha L_reg                  response level
//	Eq. 3    policy    mean_t ([V(s_t) - V(s_{t+1})] - r_t + beta d_t)² + alpha L_reg   one step
//	L_reg    mean_t KL(pi(.|s_t) || pi_ref(.|s_t)), or KL(pi_ref || pi), or
//	         mean_t (exp(-d_t) + d_t - 1); always over tokens
//	alpha    given, or e^c with c learned on -c ([mean KL] - target)
//	weights  [min(e^D, e)] times a sequence's Eq. 8 and 9, on request
//
//	The baselines:
//	SFT      -1/N sum log pi(a_t|s_t) over the N action tokens of an update; rejection
//	         sampling is SFT on the trajectories with a good reward
//	DPO      -(1-eps) log sigmoid(beta h) - eps log sigmoid(-beta h),  h = D_chosen - D_rejected
//	         (arXiv 2305.18290, Eq. 7; eps: label smoothing)
//	IPO      (h' - 1/(2 beta))²,  h' = h with means over tokens for sums (arXiv 2310.12036, Eq. 17)
//	KTO      good w_good (1 - sigmoid(beta (D - z))), bad w_bad (1 - sigmoid(beta (z - D))),
//	         z = [max(0, mean D over prompts with responses to others)] (arXiv 2402.01306)
//	DQO      value  w mean_t (V(s_t) - [G_t])²,  policy  w mean_t ([V(s_t)] + beta d_t - [r_t + G_{t+1}])²
//	         G_t = r_t - beta d_t + (1-lambda) V(s_{t+1}) + lambda G_{t+1},  w = [min(e^D, e)]
//	         (arXiv 2410.09302)
//
// Means are over the states of a sequence first and over sequences then, and a
// batch that is split into micro-batches gives what the whole batch gives.
//
// # Options of the authors' code
//
// The flags of train_pcl.py (github.com/jwhj/OREO) and the keys of OREO here that
// compute the same. What differs is in one table, in package loss (original.go).
//
//	--pretrain, --load_actor        reference, model (reference empty: model is both)
//	--load_critic                   critic
//	--dro_actor_loss                objective: telescoped (the default)
//	--single_step_actor_loss        objective: one_step
//	--traj_actor_loss               level: response
//	--hinge_coeff                   hinge
//	--step_level                    level: step; agents: step: turn
//	--token_level_agent             level: token, on conversations
//	--period_as_delimiter           step: period
//	--beta, --kl_reg                beta, alpha
//	--unbiased_kl, + --forward_kl   kl: exact, kl: forward; neither: kl: k3; no --kl_reg: kl: none
//	--kl_targ, --kl_coeff_lr        kl_target with alpha: 1, kl_target_lr
//	--clip_log                      clip_log_ratio
//	--importance_sampling           importance_weights
//	--enable_ema, --ema_beta        target_ema
//	--actor_freeze_ratio            actor_freeze_ratio
//	--critic_only                   critic_only
//	--only_critic_lora, --lora_rank critic_kind: lora, critic_lora_rank; without the former also lora_rank
//	--rew_mul, --rew_add            rewards as they stand in the data
package train
