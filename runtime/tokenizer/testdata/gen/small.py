#!/usr/bin/env python3
"""Makes the small tokenizers of testdata/small, one per way of building a pipeline, and what Hugging Face tokenizers answers for them.

usage: small.py [OUT]     (pip: tokenizers)"""
import gzip
import io
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from oracle import rows
from strings_of import CJK, WORDS, varied

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEXTS = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(0, len(WORDS), 3)] + [CJK, "x = 12 + 345;\n\n    return x\n", "the  the\tthe 2024"] * 3


def train(tok, **options):
    options = dict(vocab_size=360, show_progress=False, min_frequency=2) | options
    tok.train_from_iterator(TEXTS, trainers.BpeTrainer(**options))
    return tok


def byte_level(**options):
    return train(Tokenizer(models.BPE()) if "tok" not in options else options.pop("tok"),
                 initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)


def gpt2():
    """Prefix space, trimmed offsets, one token that takes its neighbours' spaces, one that is matched in normalised text."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.post_processor = processors.ByteLevel(trim_offsets=True)
    tok.decoder = decoders.ByteLevel()
    byte_level(tok=tok)
    tok.add_special_tokens(["<|endoftext|>", AddedToken("<think>", lstrip=True, rstrip=True)])
    tok.add_tokens([AddedToken("caf\u00e9", normalized=True), AddedToken("ok", single_word=True), AddedToken("</s>", rstrip=True), "▁▁"])
    return tok


def llama3():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    byte_level(tok=tok, special_tokens=["<s>", "<|im_end|>"])
    tok.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True, add_prefix_space=False),
        processors.TemplateProcessing(single="<s> $A <|im_end|>", special_tokens=[("<s>", 0), ("<|im_end|>", 1)])])
    return tok


def llama2():
    """Sentencepiece as converted for Llama-2 and MiniCPM: ▁ by normalisation, bytes for unknown characters."""
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    tok.pre_tokenizer = pre_tokenizers.Metaspace(split=True)  # for training only
    train(tok, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, limit_alphabet=60, vocab_size=420)
    tok.pre_tokenizer = None
    spec = json.loads(tok.to_str())
    spec["added_tokens"] = spec["added_tokens"][:3]
    tok = Tokenizer.from_str(json.dumps(spec))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tok


def metaspace():
    """A prefix for the first word only, unknown characters one by one."""
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tok.decoder = decoders.Metaspace(prepend_scheme="first")
    return train(tok, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=60, vocab_size=300)


def regexes():
    """Patterns without a scanner, in every behaviour."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"[’ʼ]"), "'")])
    split = pre_tokenizers.Split
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        split(Regex(r"[\r\n]"), "isolated"), split(Regex(r"\s?[A-Za-zÀ-ÿ]+"), "isolated"), split(Regex("[一-龥ぁ-ヿ]+"), "contiguous"),
        split(",", "merged_with_previous"), split(Regex("[=(]"), "merged_with_next"), split(Regex(r"\t"), "removed"),
        split(Regex(r"\S+|\s+"), "removed", invert=True), pre_tokenizers.Digits(False), pre_tokenizers.ByteLevel(False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    return byte_level(tok=tok)


def decomposed():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFD()
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    return byte_level(tok=tok)


def main(out):
    strings = [s for s in varied(1000) if len(s) < 300]
    strings = strings[:9] + strings[9::4]
    for make in (gpt2, llama3, llama2, metaspace, regexes, decomposed):
        dst = pathlib.Path(out, make.__name__)
        dst.mkdir(parents=True, exist_ok=True)
        tok = make()
        (dst / "tokenizer.json").write_text(json.dumps(json.loads(tok.to_str()), ensure_ascii=False), encoding="utf-8")
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows(tok, strings))
        buf = io.BytesIO()
        with gzip.GzipFile(fileobj=buf, mode="wb", mtime=0) as f:
            f.write(lines.encode())
        (dst / "oracle.jsonl.gz").write_bytes(buf.getvalue())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "small")
