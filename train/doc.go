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
// # Equations (arXiv 2412.16145)
//
//	d_t   = log pi(a_t|s_t) - log pi_ref(a_t|s_t)
//	R     = the trajectory's reward, known at its end
//	Eq. 8   value   mean_t (V(s_t) - R + beta sum_{i>=t} d_i)²              pi fixed
//	Eq. 9   policy  mean_t (V(s_t) - R + beta d_t + [beta sum_{i>t} d_i])²
//	                + alpha mean_t KL(pi(.|s_t) || pi_ref(.|s_t))           V and [..] fixed
//
// Means are over the states of a sequence first and over sequences then, and a
// batch that is split into micro-batches gives what the whole batch gives.
package train
