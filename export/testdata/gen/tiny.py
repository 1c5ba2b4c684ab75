#!/usr/bin/env python3
"""Random models in Hugging Face form with the answers transformers gives.

usage: tiny.py OUT [--tokenizer DIR] [--hidden 32]
needs: pip install torch transformers safetensors

Writes OUT/{tiny-qwen2,tiny-llama,tiny-minicpm}-{policy,critic}: config.json,
model.safetensors (bf16, so that files stay small) and reference.safetensors with
input_ids [2, T], lengths [2] and logits [2, T, V] or values [2, T], computed in
float32 as one ragged batch. Beside a policy lies what greedy.py makes of it. With --tokenizer the vocabulary and the tokenizer
files are those of DIR.

transformers has no MiniCPM class of its own. Its three scales are folded into
the weights of a Llama here, while config.json keeps them: embeddings times
scale_emb, o_proj and down_proj times scale_depth / sqrt(layers), head times
dim_model_base / hidden.
"""
import argparse, json, math, os, shutil
import torch
from safetensors.torch import save_file
import greedy
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

ap = argparse.ArgumentParser()
ap.add_argument("out")
ap.add_argument("--tokenizer")
ap.add_argument("--hidden", type=int, default=32)
args = ap.parse_args()

C = args.hidden
vocab, special = 96, dict(bos_token_id=1, eos_token_id=2, pad_token_id=2)
if args.tokenizer:
    source = json.load(open(f"{args.tokenizer}/config.json"))
    vocab = source["vocab_size"]
    special = {k: source.get(k) for k in special}
shape = dict(vocab_size=vocab, hidden_size=C, intermediate_size=C * 3 // 2, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-5, **special)
scales = dict(scale_emb=12, scale_depth=1.4, dim_model_base=C // 3)
MODELS = {
    "qwen2": (Qwen2Config(**shape, rope_theta=1e6, tie_word_embeddings=True), Qwen2ForCausalLM),
    "llama": (LlamaConfig(**shape, rope_theta=5e5, tie_word_embeddings=False, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)), LlamaForCausalLM),
    "minicpm": (LlamaConfig(**shape, rope_theta=1e4, tie_word_embeddings=False), LlamaForCausalLM),
}


def randomise(model):
    """Weights as a trained model has them: rows of norm about 1, norms near 1."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.normal_(1, 0.1)
            elif name.endswith("bias"):
                p.normal_(0, 0.2)
            elif "embed" in name:
                p.normal_(0, 0.3)
            else:
                p.normal_(0, p.shape[1] ** -0.5)
            p.copy_(p.bfloat16().float())


def fold(weights, layers):
    """MiniCPM's scales as weights of a Llama with the same answers."""
    out = {}
    for name, w in weights.items():
        if "embed" in name:
            w = w * scales["scale_emb"]
        elif "o_proj" in name or "down_proj" in name:
            w = w * (scales["scale_depth"] / math.sqrt(layers))
        elif "lm_head" in name:
            w = w * (scales["dim_model_base"] / C)
        out[name] = w
    return out


def save(folder, model_config, weights, reference):
    os.makedirs(folder, exist_ok=True)
    json.dump(model_config, open(f"{folder}/config.json", "w"), indent=1, sort_keys=True)
    save_file({k: v.bfloat16().contiguous() for k, v in weights.items()}, f"{folder}/model.safetensors", {"format": "pt"})
    save_file(reference, f"{folder}/reference.safetensors")
    if args.tokenizer:
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"):
            if os.path.exists(f"{args.tokenizer}/{name}"):
                shutil.copy(f"{args.tokenizer}/{name}", folder)


for arch, (config, cls) in MODELS.items():
    torch.manual_seed(7)
    model = cls._from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    randomise(model)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    if arch == "minicpm":
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        model.load_state_dict(fold(weights, config.num_hidden_layers))
    if arch != "llama":  # tied: stored once
        del weights["lm_head.weight"]
    value_head = (torch.randn(1, C) * C**-0.5).bfloat16().float()
    lengths = torch.tensor([13, 7])
    ids = torch.randint(3, vocab, (2, 13))
    ids[1, 7:] = 0
    mask = (torch.arange(13)[None] < lengths[:, None]).long()
    with torch.no_grad():
        hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        logits, values = model.lm_head(hidden), (hidden @ value_head.T)[..., 0]
    base = json.loads(config.to_json_string(use_diff=False))
    base = {k: base[k] for k in sorted(base) if k in shape or k in
            ("model_type", "rope_theta", "rope_scaling", "rope_parameters", "tie_word_embeddings", "hidden_act", "head_dim")}
    base["dtype"] = "bfloat16"
    if arch == "minicpm":
        base.update(scales, model_type="minicpm", tie_word_embeddings=True)
    name = {"qwen2": "Qwen2", "llama": "Llama", "minicpm": "MiniCPM"}[arch]
    prompt = dict(input_ids=ids, lengths=lengths)
    save(f"{args.out}/tiny-{arch}-policy", base | {"architectures": [name + "ForCausalLM"]}, weights, prompt | {"logits": logits})
    greedy.save(f"{args.out}/tiny-{arch}-policy/greedy.jsonl.gz", greedy.continuations(model, vocab))
    weights.pop("lm_head.weight", None)
    save(f"{args.out}/tiny-{arch}-critic", base | {"architectures": [name + "Model"]},
         weights | {"value_head.weight": value_head}, prompt | {"values": values})
    print(arch, "logits", tuple(logits.shape), "abs max", logits[mask.bool()].abs().max().item(), "values", values[mask.bool()].tolist()[:4])
