#!/usr/bin/env python3
"""Reference logits, values and gradients of small random models, from Hugging
Face transformers in float32. Needs torch, transformers and safetensors.

usage: reference.py OUTDIR            writes OUTDIR/{qwen2,qwen2-tied,llama,minicpm}
       reference.py OUTDIR MODEL_DIR  writes OUTDIR/expected.safetensors for a real model

MiniCPM has no class in transformers. It is Llama with scaled embeddings,
residuals and logits, and scales can be folded into a Llama's weights; the
reference runs that Llama, and the chain rule brings its gradients back."""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

SHAPE = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=40, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0, bos_token_id=0, eos_token_id=1)
LENGTHS = [11, 7, 3]
SCALE_EMB, SCALE_DEPTH, DIM_MODEL_BASE = 12.0, 1.4, 8


def batch(vocab):
    ids = torch.randint(2, vocab, (len(LENGTHS), max(LENGTHS)))
    mask = torch.zeros(ids.shape)
    for b, n in enumerate(LENGTHS):
        ids[b, n:] = 0
        mask[b, :n] = 1
    return ids, mask


def run(model, ids, mask, value_head):
    """Logits and values at real positions, and gradients of one number that
    depends on all of them."""
    out = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    values = out.hidden_states[-1] @ value_head[0]
    weight = torch.linspace(-1, 1, ids.numel()).view(ids.shape) * mask
    (torch.log_softmax(out.logits, -1)[..., 3] * weight).sum().backward(retain_graph=True)
    policy = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    (values * weight).sum().backward()
    critic = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    critic["value_head.weight"] = value_head.grad.clone()
    logits = out.logits.detach() * mask[..., None]
    return logits, values.detach() * mask, policy, critic


def randomise(model):
    for p in model.parameters():
        torch.nn.init.normal_(p, 1.0 if p.dim() == 1 and p.numel() == SHAPE["hidden_size"] else 0.0, 0.15)


def expected(model, value_head, vocab):
    ids, mask = batch(vocab)
    logits, values, policy, critic = run(model, ids, mask, value_head)
    return {"input_ids": ids, "mask": mask, "logits": logits, "values": values}, policy, critic


def write(folder, config, weights, value_head, out, policy, critic):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config.json", "w") as f:
        json.dump(config, f, indent=1)
    save_file({**weights, "value_head.weight": value_head.detach()}, f"{folder}/model.safetensors", {"format": "pt"})
    out |= {f"policy.{n}": g for n, g in policy.items()} | {f"critic.{n}": g for n, g in critic.items()}
    save_file({k: v.contiguous() for k, v in out.items()}, f"{folder}/expected.safetensors")


def config_json(model_type, tied, **extra):
    return {**SHAPE, "model_type": model_type, "tie_word_embeddings": tied, "hidden_act": "silu", "torch_dtype": "float32", **extra}


def small(folder, cls, cfg_cls, model_type, tied, **extra):
    model = cls(cfg_cls(**SHAPE, tie_word_embeddings=tied, **extra)).float()
    randomise(model)
    value_head = torch.nn.Parameter(torch.randn(1, SHAPE["hidden_size"]))
    out, policy, critic = expected(model, value_head, SHAPE["vocab_size"])
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    write(folder, config_json(model_type, tied, **extra), weights, value_head, out, policy, critic)


def minicpm(folder):
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False)).float()
    randomise(model)
    with torch.no_grad():
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)  # MiniCPM ties them
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    del weights["lm_head.weight"]
    residual = SCALE_DEPTH / SHAPE["num_hidden_layers"] ** 0.5
    factor = {n: residual if n.endswith(("o_proj.weight", "down_proj.weight")) else 1.0 for n in weights}
    factor["model.embed_tokens.weight"] = SCALE_EMB
    factor["lm_head.weight"] = DIM_MODEL_BASE / SHAPE["hidden_size"]
    with torch.no_grad():
        for n, p in model.named_parameters():
            p.mul_(factor[n])
    value_head = torch.nn.Parameter(torch.randn(1, SHAPE["hidden_size"]))
    out, policy, critic = expected(model, value_head, SHAPE["vocab_size"])
    for grads in (policy, critic):
        for n in grads:
            grads[n] = grads[n] * factor.get(n, 1.0)
    policy["model.embed_tokens.weight"] += policy.pop("lm_head.weight")
    critic.pop("lm_head.weight", None)
    extra = dict(scale_emb=SCALE_EMB, scale_depth=SCALE_DEPTH, dim_model_base=DIM_MODEL_BASE)
    write(folder, config_json("minicpm", True, **extra), weights, value_head, out, policy, critic)


def real(out_dir, model_dir):
    model = AutoModelForCausalLM.from_pretrained(model_dir, torch_dtype=torch.float32)
    ids, mask = batch(model.config.vocab_size)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask.long()).logits * mask[..., None]
    save_file({"input_ids": ids, "mask": mask, "logits": logits.contiguous()}, f"{out_dir}/expected.safetensors")


torch.manual_seed(20241216)
target = sys.argv[1]
os.makedirs(target, exist_ok=True)
if len(sys.argv) > 2:
    real(target, sys.argv[2])
else:
    small(f"{target}/qwen2", Qwen2ForCausalLM, Qwen2Config, "qwen2", False)
    small(f"{target}/qwen2-tied", Qwen2ForCausalLM, Qwen2Config, "qwen2", True)
    rope = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
    small(f"{target}/llama", LlamaForCausalLM, LlamaConfig, "llama", False, rope_scaling=rope)
    minicpm(f"{target}/minicpm")
