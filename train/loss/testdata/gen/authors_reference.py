#!/usr/bin/env python3
"""Reference values from the authors' code: PCLTrainer.fit of github.com/jwhj/OREO,
unchanged, runs one step of each set of options on the batches of reference.py, in
float64, and the losses it would back-propagate are written with their gradients.
Only rows with states go in: the authors divide by a row's states. Needs torch,
numpy, tqdm and safetensors.

usage: authors_reference.py CLONE_OF_OREO OUT.safetensors"""
import importlib.util
import pathlib
import sys
from types import SimpleNamespace

import torch
from safetensors.torch import save_file

sys.dont_write_bytecode = True
from reference import BATCHES, BETA, CLIP  # beside this file

HINGE = 0.2


def load(clone):
    path = pathlib.Path(clone, "openrlhf/trainer/pcl_trainer.py")
    spec = importlib.util.spec_from_file_location("pcl_trainer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PCLTrainer


class Policy(torch.nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, ids, attention_mask, return_output):
        behind = torch.zeros_like(self.logits[:, :1])  # what follows the last token is not read
        return {"logits": torch.cat([self.logits, behind], 1)}


class Critic(torch.nn.Module):
    def __init__(self, values):
        super().__init__()
        self.values = torch.nn.Parameter(values)

    def forward(self, ids, attention_mask, action_mask):
        return self.values


class Strategy:
    """Records what is back-propagated; no optimizer, one process."""

    accumulated_gradient = 1

    def __init__(self):
        self.args, self.losses = SimpleNamespace(use_wandb=None), {}

    def is_rank_0(self):
        return False

    def backward(self, loss, model, optimizer):
        self.losses[type(model)] = loss.detach()
        loss.backward()

    def optimizer_step(self, optimizer, model, scheduler):
        pass

    def moving_average(self, *_):
        pass


class Loader(list):
    sampler = None


def run(trainer_class, x, rows, level, ema=False, **options):
    """One step; the policy's and the critic's loss and gradients, and the trainer."""
    averaged = Policy((x.logits[rows] + x.ref_logits[rows]) / 2) if ema else None
    state, action = (torch.zeros(len(rows), x.T + 1, dtype=torch.int64) for _ in range(2))
    for i, b in enumerate(rows):
        for step in x.steps[b]:
            state[i, step if level == "token" else step[:1]] = 1
            action[i, [t + 1 for t in step]] = 1
    ids = torch.cat([torch.zeros(len(rows), 1, dtype=torch.int64), x.actions[rows]], 1)
    policy, critic, strategy = Policy(x.logits[rows]), Critic(x.values[rows]), Strategy()
    batch = [t.unsqueeze(1) for t in (ids, torch.ones_like(ids), state, action)] + [x.reward[rows].unsqueeze(1)]
    trainer = trainer_class(policy, critic, Policy(x.ref_logits[rows]), averaged, strategy, None, None, None, Loader([batch]), None,
                            None, None, beta=BETA, max_epochs=1, **options)
    trainer.fit(SimpleNamespace(eval_steps=0, save_steps=10**9, logging_steps=10**9))
    return strategy.losses, policy.logits.grad, critic.values.grad, trainer


# Options of a run, and what is taken of it: the critic's loss or the policy's.
CRITIC = {
    "value": dict(level="token"), "value_steps": dict(level="step", step_level=True), "value_clipped": dict(level="token", clip_log=CLIP),
    "value_weighted": dict(level="token", importance_sampling=True),
    "value_weighted_2": dict(level="token", importance_sampling=True, importance_sampling_2=True),
    "value_averaged": dict(level="token", importance_sampling=True, ema=True),
    "value_under_response": dict(level="token", traj_actor_loss=True, critic_only=False),
}
ACTOR = {
    "policy": dict(level="token", dro_actor_loss=True), "policy_agent": dict(level="token", step_level=True, dro_actor_loss=True),
    "policy_steps": dict(level="step", step_level=True, dro_actor_loss=True),
    "policy_weighted": dict(level="token", dro_actor_loss=True, importance_sampling=True),
    "policy_weighted_2": dict(level="token", dro_actor_loss=True, importance_sampling=True, importance_sampling_2=True),
    "policy_averaged": dict(level="token", dro_actor_loss=True, importance_sampling=True, ema=True),
    "policy_response": dict(level="token", traj_actor_loss=True),
    "policy_hinge": dict(level="token", traj_actor_loss=True, hinge_coeff=HINGE),
    "bellman": dict(level="token", step_level=True, single_step_actor_loss=True),
    "bellman_steps": dict(level="step", step_level=True, single_step_actor_loss=True),
    "policy_k3": dict(level="token", dro_actor_loss=True, kl_reg=0.4),
    "policy_kl": dict(level="token", dro_actor_loss=True, kl_reg=0.4, unbiased_kl=True),
    "policy_steps_kl": dict(level="step", step_level=True, dro_actor_loss=True, kl_reg=0.4, unbiased_kl=True),
    "policy_forward_kl": dict(level="token", dro_actor_loss=True, kl_reg=0.4, unbiased_kl=True, forward_kl=True),
    "policy_target": dict(level="token", dro_actor_loss=True, unbiased_kl=True, kl_targ=0.1, init_log_kl_coeff=-1.0, kl_coeff_lr=0.05),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.cuda.current_device = lambda: "cpu"
    torch.distributed.all_reduce = lambda *_: None
    trainer_class, out = load(sys.argv[1]), {}
    for i, x in enumerate(BATCHES):
        rows = [b for b in range(x.B) if x.states[b]]
        if not rows:
            continue

        def whole(g):  # back in the batch's rows
            full = torch.zeros(x.B, *g.shape[1:])
            full[rows] = g
            return full

        for name, options in CRITIC.items():
            losses, _, grad, _ = run(trainer_class, x, rows, **{"critic_only": True} | options)
            out.update({f"{i}.{name}.loss": losses[Critic].view(1), f"{i}.{name}.values": whole(grad)})
        for name, options in ACTOR.items():
            losses, grad, _, trainer = run(trainer_class, x, rows, **options)
            out.update({f"{i}.{name}.loss": losses[Policy].view(1), f"{i}.{name}.logits": whole(grad)})
            if name == "policy_target":
                out[f"{i}.{name}.log"] = trainer.log_kl_coeff.detach().view(1)
        try:
            run(trainer_class, x, rows, level="token")
            sys.exit("the authors' default actor loss runs: the table in original.go is out of date")
        except (AttributeError, TypeError) as e:
            out_of_order = e
    save_file({k: v.clone().contiguous() for k, v in out.items()}, sys.argv[2])
    print(f"without --dro_actor_loss: {type(out_of_order).__name__}: {out_of_order}")
