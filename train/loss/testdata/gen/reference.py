#!/usr/bin/env python3
"""Reference values for the losses, written from the equations of arXiv 2412.16145
with loops, one state at a time, in float64. Needs torch and safetensors.

usage: reference.py OUT.safetensors"""
import sys

import torch
from safetensors.torch import save_file

torch.manual_seed(20241216)
torch.set_default_dtype(torch.float64)
B, T, V = 5, 9, 7
BETA = 0.03

logits = torch.randn(B, T, V, requires_grad=True)
ref_logits = torch.randn(B, T, V)
values = torch.randn(B, T, requires_grad=True)
actions = torch.randint(V, (B, T))
reward = torch.tensor([1.0, 0.0, 1.0, 0.5, 0.0])
# Ragged: a whole row, a late start, two separate turns, one state, no state at all.
mask = torch.tensor([[1] * 9, [0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 1, 1, 1, 0],
                     [0, 0, 0, 0, 1, 0, 0, 0, 0], [0] * 9]).double()


def log_prob(z, b, t):
    return z[b, t, actions[b, t]] - torch.logsumexp(z[b, t], 0)


def states(b):
    return [t for t in range(T) if mask[b, t] == 1]


def ratio(b, t):
    return log_prob(logits, b, t) - log_prob(ref_logits, b, t)


def mean(terms):
    return sum(terms) / len(terms) if terms else torch.zeros(())


def value_loss(b):
    with torch.no_grad():
        to_go = {t: sum(ratio(b, i) for i in states(b) if i >= t) for t in states(b)}
    return mean([(values[b, t] - reward[b] + BETA * to_go[t]) ** 2 for t in states(b)])


def policy_loss(b):
    terms = []
    for t in states(b):
        later = sum((ratio(b, i) for i in states(b) if i > t), torch.zeros(())).detach()
        terms.append((values[b, t].detach() - reward[b] + BETA * ratio(b, t) + BETA * later) ** 2)
    return mean(terms)


def kl(b):
    terms = []
    for t in states(b):
        p, q = torch.softmax(logits[b, t], 0), torch.softmax(ref_logits[b, t], 0)
        terms.append((p * (p / q).log()).sum())
    return mean(terms)


out = {"logits": logits, "ref_logits": ref_logits, "values": values, "actions": actions, "reward": reward, "mask": mask,
       "beta": torch.tensor([BETA])}
for name, fn in {"value": value_loss, "policy": policy_loss, "kl": kl}.items():
    per_sequence = torch.stack([fn(b) for b in range(B)])
    logits.grad = values.grad = None
    weights = torch.arange(1.0, B + 1)  # so that no two sequences can be confused
    (per_sequence * weights).sum().backward()
    out[f"{name}.loss"] = per_sequence
    out[f"{name}.grad_logits"] = torch.zeros_like(logits) if logits.grad is None else logits.grad.clone()
    out[f"{name}.grad_values"] = torch.zeros_like(values) if values.grad is None else values.grad.clone()

save_file({k: v.detach().contiguous() for k, v in out.items()}, sys.argv[1])
