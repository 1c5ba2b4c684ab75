// # What the authors' code does differently
//
// The authors' code is github.com/jwhj/OREO at 6f7403b, trainer/pcl_trainer.py unless
// another file is named. TestAgainstAuthors runs that trainer and compares: where a
// row names a function, its loss and gradients are the trainer's.
//
//	                       here, as in the paper      the authors' code                       same as, or what to do
//	value, Eq. 8           mean over states           the same                                Value
//	policy, Eq. 9          later actions fixed        the same, with --dro_actor_loss         Policy
//	                                                  no actor loss named: stops at once      -
//	step level             a state before each step   the same, for the critic too            StepSums, StepValues
//	response level         policy at s_0, critic at   the same, --traj_actor_loss             FirstState, ResponseSum
//	                       every state, Eq. 10 and 8
//	  hinge                none                       + hinge_coeff mean over rewards of 1    Hinge, summed, over the
//	                                                  of max(0, -sum d), per micro-batch      number of rewards of 1
//	one step, Eq. 3        V of the next state        V of the next position, so of an        Bellman; several turns need
//	                                                  observation behind a turn, but with     their --step_level, as their
//	                                                  --step_level of the next state          agents have it
//	regulariser            KL(pi || pi_ref)           K3; --unbiased_kl: KL; --forward_kl     K3, KL, ForwardKL
//	                       mean over all tokens       the same, at the step level too         MeanOverStates
//	learned KL weight      none                       --kl_targ: Adam, rate 1e-3, from 1      Coefficient
//	clipped log-ratios     none                       --clip_log: the critic's to-go sums     ValueClipped
//	importance weights     none                       --importance_sampling: Eq. 8 and 9,     ImportanceWeights, limit 1
//	                                                  not Eq. 3, Eq. 10 or the regulariser
//	                                                  --importance_sampling_2: and a mean     sequences weighed by their
//	                                                  over the states of a micro-batch        number of states
//	averaged policy        none                       --enable_ema: in the critic's targets   its d in Value and in
//	                                                  and the weights; pi_ref stays           ImportanceWeights
//	reward                 as in the data             math: 2 R - 1, unless --rew_mul 1       rewards before the loss
//	                                                  --rew_add 0 (the paper's scripts);
//	                                                  agents: as in the data
//	no states in a row     0 in the mean              0/0, which is NaN                       -
//	short last batch       used                       dropped (utils/deepspeed.py)            drop it
//	frozen actor           warm-up and cosine over    its cosine is shorter by the frozen     the schedule
//	                       the updates it learns in   updates, its warm-up is not
//	                                                  (train_pcl.py)
//	cosine                 ends with the last update  counts epochs twice, unless             the schedule
//	                                                  --fix_max_steps (train_pcl.py)
//	end of a response      the end token              a space before it (pcl_dataset.py)      the data
//	cut response           as configured              cut; steps behind the cut are gone      the data
//	agents' first turn     an action                  none: actions begin with the fourth     the data
//	                                                  message (pcl_dataset_alfworld.py)
//	value of a state       its position               training the same; search one token     the search
//	                                                  before (scratch/sbs_qwen.py)
package loss

import "github.com/oreo-go/oreo/train/torch"

// Hinge is max(0, -sum_t d_t) for sequences whose reward [B] is 1, 0 for others,
// [B]: it keeps the likelihood of good responses from falling below the
// reference's.
func Hinge(logRatio, reward, mask *torch.Tensor) *torch.Tensor {
	return SumOverStates(logRatio, mask).Neg().AtLeast(0).Mul(reward.Equals(1))
}
