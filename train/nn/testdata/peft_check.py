#!/usr/bin/env python3
"""Loads adapter folders that this project wrote in Hugging Face's PEFT, and the
models merged from them in transformers, and compares what both compute with
the reference.safetensors in the adapter's folder: input_ids, lengths and
logits or values, as oreo-train leaves them. The base is where
base_model_name_or_path says, seen from the folder. A critic's adapter loads on
a token classifier with one label. Needs torch, transformers, safetensors, peft.

usage: peft_check.py ADAPTER [MERGED]      exit code 1 if a difference exceeds 1e-4"""
import json
import os
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForTokenClassification

adapter, merged = sys.argv[1], sys.argv[2:]
ref = load_file(f"{adapter}/reference.safetensors")
ids, lengths = ref["input_ids"], ref["lengths"].tolist()
mask = torch.tensor([[int(t < n) for t in range(ids.shape[1])] for n in lengths])
critic = "values" in ref
config = json.load(open(f"{adapter}/adapter_config.json"))
base = os.path.join(adapter, config["base_model_name_or_path"])


def difference(got):
    want = ref["values" if critic else "logits"]
    return max((got[b, :n] - want[b, :n]).abs().max().item() for b, n in enumerate(lengths))


@torch.no_grad()
def peft_logits(merge):
    if critic:
        model = AutoModelForTokenClassification.from_pretrained(base, dtype=torch.float32, num_labels=1)
    else:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    if merge:
        model = model.merge_and_unload()
    out = model(input_ids=ids, attention_mask=mask).logits
    return out[..., 0] if critic else out


@torch.no_grad()
def merged_logits(folder):
    if critic:
        head = load_file(f"{folder}/model.safetensors")["value_head.weight"].float()
        return AutoModel.from_pretrained(folder, dtype=torch.float32)(input_ids=ids, attention_mask=mask).last_hidden_state @ head[0]
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(input_ids=ids, attention_mask=mask).logits


report = {"peft": difference(peft_logits(False)), "merged by peft": difference(peft_logits(True))}
report |= {"merged here": difference(merged_logits(folder)) for folder in merged}
print(json.dumps(report))
sys.exit(max(report.values()) > 1e-4)
