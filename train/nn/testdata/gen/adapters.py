#!/usr/bin/env python3
"""Adapters that Hugging Face's PEFT writes for the small models beside this
folder, what transformers computes with them, and the gradient of every adapter
weight. Needs torch, transformers, safetensors and peft.

usage: adapters.py TESTDATA    reads TESTDATA/{qwen2,llama,minicpm}, which reference.py wrote,
                           writes TESTDATA/{…}/{lora,lora-critic}

MiniCPM runs as the Llama whose weights hold its scales (see reference.py). A
block's output scale multiplies what its last matrix gives, so it joins that
matrix's lora_B, and the chain rule brings the gradient back."""
import json
import os
import shutil
import sys
import tempfile

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForTokenClassification

# One of each: all targets; few of them with the rank-stabilised scale; a rank that no size divides.
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SETTINGS = {
    "qwen2": dict(r=4, lora_alpha=8, target_modules=ALL),
    "llama": dict(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj", "down_proj"], use_rslora=True),
    "minicpm": dict(r=3, lora_alpha=3, target_modules=ALL),
}


def as_llama(folder, into):
    """A MiniCPM folder as a Llama folder; returns each matrix's scale."""
    config = json.load(open(f"{folder}/config.json"))
    weights = load_file(f"{folder}/model.safetensors")
    residual = config.pop("scale_depth") / config["num_hidden_layers"] ** 0.5
    head = config.pop("dim_model_base") / config["hidden_size"]
    embed = config.pop("scale_emb")
    factor = {n: residual for n in weights if n.endswith(("o_proj.weight", "down_proj.weight"))}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * head
    factor["model.embed_tokens.weight"] = embed
    weights = {n: w * factor.get(n, 1.0) for n, w in weights.items()}
    json.dump({**config, "model_type": "llama", "tie_word_embeddings": False}, open(f"{into}/config.json", "w"))
    save_file(weights, f"{into}/model.safetensors", {"format": "pt"})
    return factor


def scale(name, factor):
    """The scale of the matrix that the lora_B of this name belongs to."""
    module, _, rest = name.removeprefix("base_model.model.").partition(".lora_B.")
    return factor.get(module + ".weight", 1.0) if rest else 1.0


def write(folder, base, kind, setting, factor, batch):
    critic = kind == "lora-critic"
    cls, task = (AutoModelForTokenClassification, "TOKEN_CLS") if critic else (AutoModelForCausalLM, "CAUSAL_LM")
    model = cls.from_pretrained(base, dtype=torch.float32, **({"num_labels": 1} if critic else {}))
    model = get_peft_model(model, LoraConfig(task_type=task, **setting)).eval()
    grads = {}
    named = {n.replace(".default", "").replace(".modules_to_save", ""): p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for n, p in named.items():
            torch.nn.init.zeros_(p) if n.endswith("score.bias") else torch.nn.init.normal_(p, 0, 0.3)
    model.save_pretrained(f"{folder}/{kind}")
    with torch.no_grad():
        for n, p in named.items():
            p.mul_(scale(n, factor))
    ids, mask = batch["input_ids"], batch["mask"]
    out = model(input_ids=ids, attention_mask=mask.long()).logits
    weight = torch.linspace(-1, 1, ids.numel()).view(ids.shape) * mask
    number = out[..., 0] if critic else torch.log_softmax(out, -1)[..., 3]
    (number * weight).sum().backward()
    for n, p in named.items():
        if not n.endswith("score.bias"):
            grads["grad." + n] = p.grad * scale(n, factor)
    answer = {"values": out[..., 0] * mask} if critic else {"logits": out * mask[..., None]}
    tensors = {**answer, **grads, "input_ids": ids, "mask": mask}
    save_file({n: t.detach().contiguous() for n, t in tensors.items()}, f"{folder}/{kind}/expected.safetensors")
    # Where the base lies is known here; a card for the model hub is of no use.
    path = f"{folder}/{kind}/adapter_config.json"
    config = json.load(open(path))
    config |= {"base_model_name_or_path": "..", "target_modules": sorted(config["target_modules"])}
    json.dump(config, open(path, "w"), indent=1, sort_keys=True)
    os.remove(f"{folder}/{kind}/README.md")


target = sys.argv[1]
for i, (name, setting) in enumerate(SETTINGS.items()):
    torch.manual_seed(20241216 + i)
    folder = f"{target}/{name}"
    with tempfile.TemporaryDirectory() as temp:
        factor = {}
        if name == "minicpm":
            factor = as_llama(folder, temp)
        else:
            for file in ("config.json", "model.safetensors"):
                shutil.copy(f"{folder}/{file}", temp)
        batch = load_file(f"{folder}/expected.safetensors")
        for kind in ("lora", "lora-critic"):
            write(folder, temp, kind, setting, factor, batch)
