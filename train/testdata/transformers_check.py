#!/usr/bin/env python3
"""Loads model folders that oreo-train saved in Hugging Face transformers and
compares what they compute with the reference.safetensors the trainer left in
them. A critic loads as its backbone; its value head is read beside it.
Needs torch, transformers and safetensors.

usage: transformers_check.py DIR...       exit code 1 if a difference exceeds 1e-4"""
import json
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

worst = 0.0
for folder in sys.argv[1:]:
    ref = load_file(f"{folder}/reference.safetensors")
    ids, lengths = ref["input_ids"], ref["lengths"].tolist()
    mask = torch.tensor([[int(t < n) for t in range(ids.shape[1])] for n in lengths])
    with torch.no_grad():
        if "values" in ref:
            model = AutoModel.from_pretrained(folder, dtype=torch.float32)
            head = load_file(f"{folder}/model.safetensors")["value_head.weight"].float()
            got = model(input_ids=ids, attention_mask=mask).last_hidden_state @ head[0]
            want = ref["values"]
        else:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            got = model(input_ids=ids, attention_mask=mask).logits
            want = ref["logits"]
    diff = max((got[b, :n] - want[b, :n]).abs().max().item() for b, n in enumerate(lengths))
    text = AutoTokenizer.from_pretrained(folder).decode(ids[0, : lengths[0]])
    print(json.dumps({"folder": folder, "class": type(model).__name__, "max_difference": diff, "first_tokens": text[:40]}))
    worst = max(worst, diff)
sys.exit(worst > 1e-4)
