#!/usr/bin/env python3
"""Millions of tokens a second of CPU time of Hugging Face tokenizers on one thread, for BenchmarkEncode to compare with.

usage: speed.py OUT     (what oracle.py wrote)"""
import json
import os
import pathlib
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

for path in sorted(pathlib.Path(sys.argv[1]).glob("*/oracle.jsonl")):
    texts = [json.loads(line)["text"] for line in open(path, encoding="utf-8")]
    start = time.process_time()
    tok = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
    load = time.process_time() - start
    best = 1e9
    for _ in range(5):
        start = time.process_time()
        n = sum(len(tok.encode(s, add_special_tokens=False).ids) for s in texts)
        best = min(best, time.process_time() - start)
    print(f"{path.parent.name}: load {load:.2f} s, {n / best / 1e6:.2f} Mtok/s")
