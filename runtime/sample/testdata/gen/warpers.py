#!/usr/bin/env python3
"""Writes testdata/warpers.json: what transformers' logits processors leave of distributions.

usage: warpers.py > ../warpers.json
Needs torch and transformers. The processors are chained as generate() chains them:
sequence bias, repetition penalty, temperature, top-k, top-p, min-p.
"""
import json

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

generator = torch.Generator().manual_seed(7)
draw = lambda *options: options[torch.randint(len(options), (1,), generator=generator).item()]
cases = []
for _ in range(200):
    size = draw(5, 17, 60)
    logits = (torch.randn(size, generator=generator, dtype=torch.float64) * draw(0.5, 2.0, 6.0)).float()
    seen = torch.randint(size, (draw(1, 4, 9),), generator=generator)
    c = {"bias": {}, "penalty": draw(0.0, 0.0, 1.3, 0.7), "temperature": draw(1.0, 0.5, 1.7),
         "top_k": draw(0, 1, 3, 10), "top_p": draw(0.0, 0.3, 0.8, 0.97), "min_p": draw(0.0, 0.0, 0.05, 0.4)}
    for _ in range(draw(0, 0, 2)):
        c["bias"][torch.randint(size, (1,), generator=generator).item()] = draw(-3.0, 2.5)
    chain = LogitsProcessorList()
    if c["bias"]:
        chain.append(SequenceBiasLogitsProcessor({(k,): v for k, v in c["bias"].items()}))
    if c["penalty"]:
        chain.append(RepetitionPenaltyLogitsProcessor(c["penalty"]))
    chain.append(TemperatureLogitsWarper(c["temperature"]))
    if c["top_k"]:
        chain.append(TopKLogitsWarper(c["top_k"]))
    if c["top_p"]:
        chain.append(TopPLogitsWarper(c["top_p"]))
    if c["min_p"]:
        chain.append(MinPLogitsWarper(c["min_p"]))
    out = torch.softmax(chain(seen[None], logits[None].clone()).double(), -1)[0]
    cases.append({**c, "seen": seen.tolist(), "logits": [round(x, 6) for x in logits.tolist()],
                  "probabilities": [round(x, 7) for x in out.tolist()]})
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
