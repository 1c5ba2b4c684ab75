#!/usr/bin/env python3
"""Reference values for the losses, written from the equations with loops, one state
at a time, in float64. Needs torch and safetensors.

Every objective is a function of two models: gradients flow into `live`, what an
equation holds fixed is read from `fixed`, the same numbers. So the derivative of an
objective is a plain derivative, and finite differences of `live` confirm it: the
script stops if they do not.

Sources: arXiv 2412.16145 (Eq. 3, 8, 9, 10), 2305.18290 (DPO), 2310.12036 (IPO),
2402.01306 (KTO), 2410.09302 (DQO).

usage: reference.py OUT.safetensors"""
import random
import sys

import torch
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
BETA, CLIP, LOG_WEIGHT = 0.3, 0.8, 1.0
SMOOTHING, GOOD, BAD = 0.1, 1.3, 0.7
LAMBDAS = {"0": 0.0, "07": 0.7, "1": 1.0}
zero = torch.zeros(())


class Model:
    """logits [B, T, V] and values [B, T], read one state at a time."""

    def __init__(self, batch, logits, values):
        self.batch, self.logits, self.values = batch, logits, values

    def log_pi(self, b, t, action):
        return self.logits[b, t, action] - torch.logsumexp(self.logits[b, t], 0)

    def d(self, b, t):
        a = self.batch.actions[b, t]
        ref = self.batch.ref_logits[b, t]
        return self.log_pi(b, t, a) - (ref[a] - torch.logsumexp(ref, 0))

    def V(self, b, t):
        return self.values[b, t]

    def sum_d(self, b, states):
        return sum((self.d(b, t) for t in states), zero)


class Batch:
    """B random trajectories: prompts of any length, turns with observations between
    them, steps within the turns, padding on the right behind all but the first."""

    def __init__(self, seed, B, T, V, empty=()):
        rng, gen = random.Random(seed), torch.Generator().manual_seed(seed)
        self.B, self.T, self.V = B, T, V
        self.logits = 1.5 * torch.randn(B, T, V, generator=gen)
        self.ref_logits = torch.randn(B, T, V, generator=gen)
        self.values = torch.randn(B, T, generator=gen)
        self.actions = torch.randint(V, (B, T), generator=gen)
        self.reward = torch.tensor([rng.choice([0.0, 1.0, 1.0, 0.25]) for _ in range(B)])
        self.steps = [[] if b in empty else self.trajectory(rng, T if b == 0 else rng.randint(1, T)) for b in range(B)]
        self.states = [[t for step in steps for t in step] for steps in self.steps]
        self.S = max([1] + [len(s) for s in self.steps])

    def trajectory(self, rng, end):
        t, steps = rng.randint(0, min(4, end - 1)), []
        while t < end:
            for _ in range(rng.randint(1, 2)):  # steps of a turn
                n = min(rng.randint(1, 3), end - t)
                if n > 0:
                    steps.append(list(range(t, t + n)))
                    t += n
            t += rng.randint(0, 3)  # observation
        return steps

    def arrays(self):
        mask, step_of = torch.zeros(self.B, self.T), torch.full((self.B, self.T), self.S)
        step_state, step_mask = torch.zeros(self.B, self.S, dtype=torch.int64), torch.zeros(self.B, self.S)
        for b, steps in enumerate(self.steps):
            for k, step in enumerate(steps):
                step_state[b, k], step_mask[b, k] = step[0], 1
                for t in step:
                    mask[b, t], step_of[b, t] = 1, k
        return {"logits": self.logits, "ref_logits": self.ref_logits, "values": self.values, "actions": self.actions,
                "reward": self.reward, "mask": mask, "step_of": step_of, "step_state": step_state, "step_mask": step_mask}


def mean(terms):
    return sum(terms) / len(terms) if terms else zero


# An action is a list of states whose tokens it takes: one, a step's, or all.
def tokens(x, b):
    return [[t] for t in x.states[b]]


def steps(x, b):
    return x.steps[b]


def response(x, b):
    return [x.states[b]] if x.states[b] else []


def value(level, clip=None):
    def loss(x, live, fixed, b):
        terms, actions = [], level(x, b)
        for k, action in enumerate(actions):
            to_go = sum((fixed.sum_d(b, a) for a in actions[k:]), zero)
            if clip is not None:
                to_go = max(min(to_go, torch.tensor(clip)), torch.tensor(-clip))
            terms.append((live.V(b, action[0]) - x.reward[b] + BETA * to_go) ** 2)
        return mean(terms)
    return loss


def policy(level):
    def loss(x, live, fixed, b):
        terms, actions = [], level(x, b)
        for k, action in enumerate(actions):
            later = sum((fixed.sum_d(b, a) for a in actions[k + 1:]), zero)
            terms.append((fixed.V(b, action[0]) - x.reward[b] + BETA * live.sum_d(b, action) + BETA * later) ** 2)
        return mean(terms)
    return loss


def bellman(level):
    def loss(x, live, fixed, b):
        terms, actions = [], level(x, b)
        for k, action in enumerate(actions):
            last = k == len(actions) - 1
            after = zero if last else fixed.V(b, actions[k + 1][0])
            r = x.reward[b] if last else zero
            terms.append((fixed.V(b, action[0]) - after - r + BETA * live.sum_d(b, action)) ** 2)
        return mean(terms)
    return loss


def weighted(objective):
    def loss(x, live, fixed, b):
        w = torch.exp(torch.minimum(fixed.sum_d(b, x.states[b]), torch.tensor(LOG_WEIGHT)))
        return w * objective(x, live, fixed, b)
    return loss


def lambda_return(x, fixed, b, k, lam):
    """The n-step returns of state k, weighed (1-lambda) lambda^(n-1), the last one with the rest."""
    states = x.states[b]
    total, gain = zero, zero
    for n in range(1, len(states) - k + 1):
        t = states[k + n - 1]
        last = k + n == len(states)
        gain = gain - BETA * fixed.d(b, t) + (x.reward[b] if last else zero)
        weight = lam ** (n - 1) if last else (1 - lam) * lam ** (n - 1)
        total = total + weight * (gain if last else gain + fixed.V(b, states[k + n]))
    return total


def dqo_value(lam):
    def loss(x, live, fixed, b):
        return mean([(live.V(b, t) - lambda_return(x, fixed, b, k, lam)) ** 2 for k, t in enumerate(x.states[b])])
    return loss


def dqo_policy(lam):
    def loss(x, live, fixed, b):
        terms, states = [], x.states[b]
        for k, t in enumerate(states):
            last = k == len(states) - 1
            target = x.reward[b] if last else lambda_return(x, fixed, b, k + 1, lam)
            terms.append((fixed.V(b, t) + BETA * live.d(b, t) - target) ** 2)
        return mean(terms)
    return loss


def kl(forward):
    def loss(x, live, fixed, b):
        terms = []
        for t in x.states[b]:
            total = zero
            for a in range(x.V):
                p = live.log_pi(b, t, a)
                q = x.ref_logits[b, t, a] - torch.logsumexp(x.ref_logits[b, t], 0)
                total = total + (torch.exp(q) * (q - p) if forward else torch.exp(p) * (p - q))
            terms.append(total)
        return mean(terms)
    return loss


def k3(x, live, fixed, b):
    return mean([torch.exp(-live.d(b, t)) + live.d(b, t) - 1 for t in x.states[b]])


def nll(x, live, fixed, b):
    return -sum((live.log_pi(b, t, x.actions[b, t]) for t in x.states[b]), zero)


def hinge(x, live, fixed, b):
    d = live.sum_d(b, x.states[b])
    return -d if x.reward[b] == 1 and d < 0 else 0 * d


# Pairs: the response of b against that of the next sequence.
def margin(x, live, b, average=False):
    def ratio(c):
        n = max(1, len(x.states[c])) if average else 1
        return live.sum_d(c, x.states[c]) / n
    return ratio(b) - ratio((b + 1) % x.B)


def dpo(smoothing):
    def loss(x, live, fixed, b):
        h = BETA * margin(x, live, b)
        return -(1 - smoothing) * torch.log(1 / (1 + torch.exp(-h))) - smoothing * torch.log(1 / (1 + torch.exp(h)))
    return loss


def ipo(average):
    def loss(x, live, fixed, b):
        return (margin(x, live, b, average) - 1 / (2 * BETA)) ** 2
    return loss


MISMATCHED = {"kto": [0.3, -0.2, 0.9], "kto_clamped": [-0.5, 0.1], "kto_alone": []}


def kto(name):
    pairs = MISMATCHED[name]
    z = max(0.0, sum(pairs) / len(pairs)) if pairs else 0.0

    def loss(x, live, fixed, b):
        r = live.sum_d(b, x.states[b])
        if x.reward[b] == 1:
            return GOOD * (1 - 1 / (1 + torch.exp(-BETA * (r - z))))
        return BAD * (1 - 1 / (1 + torch.exp(-BETA * (z - r))))
    return loss


OBJECTIVES = {
    "value": value(tokens), "value_steps": value(steps), "value_response": value(response), "value_clipped": value(tokens, CLIP),
    "policy": policy(tokens), "policy_steps": policy(steps), "policy_response": policy(response),
    "bellman": bellman(tokens), "bellman_steps": bellman(steps), "bellman_response": bellman(response),
    "value_weighted": weighted(value(tokens)), "policy_weighted": weighted(policy(tokens)),
    "kl": kl(False), "forward_kl": kl(True), "k3": k3, "nll": nll, "hinge": hinge,
    "dpo": dpo(0.0), "dpo_smoothed": dpo(SMOOTHING), "ipo": ipo(False), "ipo_average": ipo(True),
    **{name: kto(name) for name in MISMATCHED},
    **{f"dqo_value_{n}": dqo_value(lam) for n, lam in LAMBDAS.items()},
    **{f"dqo_policy_{n}": dqo_policy(lam) for n, lam in LAMBDAS.items()},
}


def losses(x, live, fixed, objective):
    return torch.stack([objective(x, live, fixed, b) for b in range(x.B)])


def gradients(x, objective):
    logits, values = x.logits.clone().requires_grad_(), x.values.clone().requires_grad_()
    per_sequence = losses(x, Model(x, logits, values), Model(x, x.logits, x.values), objective)
    weights = torch.arange(1.0, x.B + 1)  # so that no two sequences can be confused
    total = (per_sequence * weights).sum()
    if total.requires_grad:
        total.backward()
    return per_sequence.detach(), [torch.zeros_like(p) if p.grad is None else p.grad for p in (logits, values)]


def finite_differences(x, objective, h=1e-5):
    """d (sum of weighted losses) / d live, one number at a time, by central differences."""
    fixed, weights = Model(x, x.logits, x.values), torch.arange(1.0, x.B + 1)
    out = []
    for name in ("logits", "values"):
        p = getattr(x, name)
        g = torch.zeros_like(p)
        for i in range(p.numel()):
            sides = []
            for sign in (1, -1):
                moved = {"logits": x.logits.clone(), "values": x.values.clone()}
                moved[name].view(-1)[i] += sign * h
                sides.append((losses(x, Model(x, **moved), fixed, objective) * weights).sum())
            g.view(-1)[i] = (sides[0] - sides[1]) / (2 * h)
        out.append(g)
    return out


def adam():
    """The learned KL weight: Adam on -log_alpha (kl - target)."""
    kls = [0.5, 0.02, 0.3, 0.01, 0.01, 0.08]
    log_alpha = torch.tensor(-1.0, requires_grad=True)
    optimizer, out = torch.optim.Adam([log_alpha], lr=0.05), []
    for k in kls:
        optimizer.zero_grad()
        (-log_alpha * (k - 0.1)).backward()
        optimizer.step()
        out.append(log_alpha.item())
    return {"coefficient.kl": torch.tensor(kls), "coefficient.log": torch.tensor(out)}


BATCHES = [Batch(1, 6, 14, 5, empty=(3,)), Batch(2, 5, 9, 7, empty=(4,)), Batch(3, 1, 8, 4), Batch(4, 1, 3, 4, empty=(0,)), Batch(5, 3, 6, 3)]
DIFFERENCES = 4  # the batch that finite differences are taken on

if __name__ == "__main__":
    torch.set_num_threads(1)
    out = adam()
    with torch.no_grad():
        fd = {name: finite_differences(BATCHES[DIFFERENCES], f) for name, f in OBJECTIVES.items()}
    for i, x in enumerate(BATCHES):
        out.update({f"{i}.{k}": v for k, v in x.arrays().items()})
        for name, f in OBJECTIVES.items():
            per_sequence, grads = gradients(x, f)
            out[f"{i}.{name}.loss"] = per_sequence
            for what, g in zip(("logits", "values"), grads):
                out[f"{i}.{name}.{what}"] = g
            if i == DIFFERENCES:
                for what, g, d in zip(("logits", "values"), grads, fd[name]):
                    worst = (g - d).abs().max().item()
                    if not worst < 1e-8:
                        sys.exit(f"{name}: d/d {what} differs from finite differences by {worst}")
                    out[f"{i}.{name}.{what}.differences"] = d
    save_file({k: v.detach().clone().contiguous() for k, v in out.items()}, sys.argv[1])
