#!/usr/bin/env python3
"""Greedy continuations by transformers in float32, for the runtime to agree with.

usage: greedy.py MODEL_DIR OUT.jsonl.gz [--prompts 200] [--tokens 32]
needs: pip install torch transformers

Each line is {"prompt": [token…], "tokens": [token…]}: random tokens of eight lengths, and what follows when the likeliest
is taken each time, end tokens included. A prompt on whose way two tokens come within 1e-4 of each other is replaced: there
rounding decides, and kernels may round as they like."""
import argparse
import gzip
import json

import torch


def continuations(model, vocab, prompts=200, tokens=32, lengths=(1, 2, 5, 9, 14, 20, 27, 40)):
    torch.manual_seed(11)
    out, per = [], prompts // len(lengths)
    for length in lengths:
        done = 0
        while done < per:
            ids = torch.randint(3, vocab, (per - done, length))
            sure = torch.ones(len(ids), dtype=torch.bool)
            with torch.no_grad():
                past, new = None, ids
                for _ in range(tokens):
                    answer = model(input_ids=new, past_key_values=past, use_cache=True)
                    past = answer.past_key_values
                    best = answer.logits[:, -1].topk(2)
                    sure &= best.values[:, 0] - best.values[:, 1] > 1e-4
                    new = best.indices[:, :1]
                    ids = torch.cat([ids, new], 1)
            out += [{"prompt": row[:length], "tokens": row[length:]} for row in ids[sure].tolist()]
            done += int(sure.sum())
    return out


def save(path, rows):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as f:  # equal rows, equal bytes
        f.write("".join(json.dumps(r) + "\n" for r in rows).encode())


if __name__ == "__main__":
    from transformers import AutoModelForCausalLM

    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("out")
    ap.add_argument("--prompts", type=int, default=200)
    ap.add_argument("--tokens", type=int, default=32)
    args = ap.parse_args()
    lm = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    save(args.out, continuations(lm, lm.config.vocab_size, args.prompts, args.tokens))
