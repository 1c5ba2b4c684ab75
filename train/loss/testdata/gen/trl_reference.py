#!/usr/bin/env python3
"""Reference values for DPO, IPO and KTO from TRL's own code (its version is written to
the file): the loss functions of DPOTrainer and KTOTrainer, called on a "model" that
looks its log-probabilities up in given logits, in float64. Needs torch, safetensors
and trl.

TRL shifts a sequence by one: the logits before a token are at the index before. So
row t of `logits` scores token t+1 of input_ids, which is actions[t].

usage: trl_reference.py OUT.safetensors"""
import collections
import sys
from types import SimpleNamespace

import torch
import trl
from safetensors.torch import save_file
from trl import DPOTrainer, KTOTrainer

torch.set_default_dtype(torch.float64)
BETA, SMOOTHING, GOOD, BAD = 0.3, 0.1, 1.3, 0.7
V = 7


class LookUp(torch.nn.Module):
    """Gives log_probs [B, T], 0 where labels are -100, for known input_ids."""

    is_gradient_checkpointing = False

    def __init__(self, table):
        super().__init__()
        self.table = table  # {input_ids as a tuple: logits [T, V]}

    def forward(self, input_ids, labels, **_):
        logits = torch.stack([self.table[tuple(row.tolist())] for row in input_ids])
        targets = labels[:, 1:]
        chosen = torch.log_softmax(logits, -1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        log_probs = torch.where(targets == -100, 0.0, chosen)
        nothing = torch.zeros_like(log_probs)
        return SimpleNamespace(log_probs=log_probs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())


def trainer(cls, model, ref_model, **settings):
    """A trainer with what its loss reads and nothing else: no data, no optimizer."""
    t = object.__new__(cls)
    same = lambda x: x
    t.model, t.ref_model = model, ref_model
    t.accelerator = SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=same, gather=same, unwrap_model=same)
    t.args = SimpleNamespace(gradient_checkpointing_kwargs=None)
    t.aux_loss_enabled = t.precompute_ref_logps = False
    t._metrics = {m: collections.defaultdict(list) for m in ("train", "eval")}
    t._total_train_tokens, t._tp_size = 0, 1
    for name, v in settings.items():
        setattr(t, name, v)
    return t


def sequences(gen, lengths, T):
    """Rows of (prompt, response) lengths: input_ids [B, T+1], the responses' mask [B, T+1], attention."""
    B = len(lengths)
    ids = torch.randint(V, (B, T + 1), generator=gen)
    completion, attention = torch.zeros(B, T + 1, dtype=torch.int64), torch.zeros(B, T + 1, dtype=torch.int64)
    for b, (prompt, response) in enumerate(lengths):
        completion[b, prompt:prompt + response] = 1
        attention[b, :prompt + response] = 1
    return ids, completion, attention


def models(ids, logits, ref_logits):
    def table(z):
        return LookUp({tuple(row.tolist()): z[b] for b, row in enumerate(ids)})
    return table(logits), table(ref_logits)


def dpo(gen, out, name, lengths, T):
    """Rows 0..P-1 are the chosen responses, rows P..2P-1 the rejected ones."""
    ids, completion, attention = sequences(gen, lengths, T)
    logits, ref_logits = (1.5 * torch.randn(len(lengths), T, V, generator=gen) for _ in range(2))
    P = len(lengths) // 2
    out.update({f"{name}.logits": logits, f"{name}.ref_logits": ref_logits, f"{name}.actions": ids[:, 1:],
                f"{name}.mask": completion[:, 1:].double()})
    # Label smoothing is in TRL's "aot" losses, which sort a batch and so are conservative DPO for one pair.
    for kind, loss_type, smoothing in (("dpo", "sigmoid", 0.0), ("ipo", "ipo", 0.0), ("cdpo", "aot_unpaired", SMOOTHING)):
        live = logits.clone().requires_grad_()
        model, ref_model = models(ids, live, ref_logits)
        losses = []
        for p in range(P):
            t = trainer(DPOTrainer, model, ref_model, beta=BETA, label_smoothing=smoothing, loss_types=[loss_type],
                        loss_weights=[1.0], ld_alpha=None, f_divergence_type="reverse_kl", use_weighting=False)
            pair = [p, P + p]
            losses.append(t._compute_loss(model, {"input_ids": ids[pair], "attention_mask": attention[pair],
                                                  "completion_mask": completion[pair]}, False))
        total = torch.stack(losses)
        (total * torch.arange(1.0, P + 1)).sum().backward()
        out.update({f"{name}.{kind}.loss": total.detach(), f"{name}.{kind}.logits": live.grad})


def kto(gen, out, name, lengths, labels, T):
    """The mean loss of a batch; the pairs for the KL are the prompts with the responses one row before."""
    B = len(lengths)
    ids, completion, attention = sequences(gen, lengths, T)
    kl_ids, kl_completion = torch.zeros_like(ids), torch.zeros_like(ids)
    for b, (prompt, _) in enumerate(lengths):
        other = ids[b - 1][completion[b - 1] == 1]
        n = min(len(other), T + 1 - prompt)
        kl_ids[b, :prompt], kl_ids[b, prompt:prompt + n] = ids[b, :prompt], other[:n]
        kl_completion[b, prompt:prompt + n] = 1
    logits, ref_logits, kl_logits, kl_ref_logits = (torch.randn(B, T, V, generator=gen) for _ in range(4))
    live = logits.clone().requires_grad_()
    both = torch.cat([ids, kl_ids])
    model, ref_model = models(both, torch.cat([live, kl_logits]), torch.cat([ref_logits, kl_ref_logits]))
    t = trainer(KTOTrainer, model, ref_model, beta=BETA, loss_type="kto", desirable_weight=GOOD, undesirable_weight=BAD,
                calculate_KL=True)
    batch = {"input_ids": ids, "attention_mask": attention, "completion_mask": completion, "KL_input_ids": kl_ids,
             "KL_attention_mask": attention, "KL_completion_mask": kl_completion, "label": torch.tensor(labels)}
    loss = t._compute_loss(model, batch, False)
    loss.backward()
    out.update({f"{name}.logits": logits, f"{name}.ref_logits": ref_logits, f"{name}.actions": ids[:, 1:],
                f"{name}.mask": completion[:, 1:].double(), f"{name}.label": torch.tensor(labels).double(),
                f"{name}.kl_logits": kl_logits, f"{name}.kl_ref_logits": kl_ref_logits,
                f"{name}.kl_actions": kl_ids[:, 1:], f"{name}.kl_mask": kl_completion[:, 1:].double(),
                f"{name}.kl": torch.tensor([t._metrics["train"]["kl"][0]]),
                f"{name}.kto.loss": loss.detach().view(1), f"{name}.kto.logits": live.grad})


if __name__ == "__main__":
    torch.set_num_threads(1)
    gen, out = torch.Generator().manual_seed(7), {}
    dpo(gen, out, "pairs", [(2, 5), (1, 3), (4, 6), (2, 8), (1, 1), (4, 2)], 11)
    dpo(gen, out, "pair", [(3, 2), (3, 4)], 7)
    kto(gen, out, "odd", [(2, 5), (1, 3), (4, 6), (3, 1), (2, 4)], [1, 0, 0, 1, 0], 11)
    kto(gen, out, "good", [(2, 5), (1, 3)], [1, 1], 7)
    kto(gen, out, "bad", [(2, 5), (1, 3), (2, 2)], [0, 0, 0], 7)
    save_file({k: v.detach().clone().contiguous() for k, v in out.items()}, sys.argv[1],
              {"trl": trl.__version__, "torch": torch.__version__})
    print("trl", trl.__version__, {k: v.item() for k, v in out.items() if k.endswith(".kl")})
