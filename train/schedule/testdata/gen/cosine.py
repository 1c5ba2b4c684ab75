"""Writes testdata/cosine.json: learning-rate factors and warm-up steps as
transformers computes them. Needs: pip install torch transformers

    python train/schedule/testdata/gen/cosine.py
"""
import json
import math
import os

import torch
from transformers import get_cosine_schedule_with_warmup

cases = []
for total, ratio in [(100, 0.03), (467, 0.03), (10, 0.0), (10, 0.1), (7, 0.5), (1, 0.0), (1, 0.03), (3, 1.0), (20, 0.29)]:
    warmup = math.ceil(total * ratio)  # TrainingArguments.get_warmup_steps
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = get_cosine_schedule_with_warmup(optimizer, warmup, total)
    factors = []
    for _ in range(total):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    cases.append({"total": total, "ratio": ratio, "warmup": warmup, "factors": factors})
path = os.path.join(os.path.dirname(__file__), "..", "cosine.json")
with open(path, "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print([(c["total"], c["ratio"], c["warmup"]) for c in cases])
