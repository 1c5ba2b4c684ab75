"""Encodes texts with Hugging Face tokenizers on one thread, for the benchmark in this folder.

Each line of standard input is {"file": tokenizer.json, "texts": [text…]}; each reply is {"ids": [[id…]…], "cpu": seconds}.
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

loaded = {}
for line in sys.stdin:
    task = json.loads(line)
    if task["file"] not in loaded:
        loaded[task["file"]] = Tokenizer.from_file(task["file"])
    encode = loaded[task["file"]].encode
    start = time.process_time()
    ids = [encode(text, add_special_tokens=False).ids for text in task["texts"]]
    print(json.dumps({"ids": ids, "cpu": time.process_time() - start}), flush=True)
