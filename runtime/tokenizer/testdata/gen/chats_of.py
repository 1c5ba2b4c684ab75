"""Conversations rendered by transformers' own apply_chat_template."""
import datetime
import json
import pathlib

from transformers import PreTrainedTokenizerFast

CHATS = [
    [("user", "What is 2+2?")],
    [("system", "You solve problems.\nThink first."), ("user", " a < b && \"c\" \n")],
    [("user", "Hi"), ("assistant", "Hello!"), ("user", "求 1+1 😀\n\nnow")],
    [("system", "S"), ("user", "u1"), ("assistant", "<think>\nhm\n</think>\n\na1"), ("user", "u2"), ("assistant", "a2\n")],
    [("user", "")],
    [("assistant", "first"), ("user", "x")],
    [("user", "a"), ("user", "b")],
    [("tool", "5"), ("user", "so?")],
]


def conversations(folder):
    """For each chat the text, or the error, of the folder's template; nothing where it has none."""
    config = json.loads(pathlib.Path(folder, "tokenizer_config.json").read_text())
    template = pathlib.Path(folder, "chat_template.jinja")
    source = template.read_text() if template.exists() else config.get("chat_template")
    if not source:
        return
    names = {k: config[k] for k in ("bos_token", "eos_token", "pad_token", "unk_token") if isinstance(config.get(k), str)}
    tok = PreTrainedTokenizerFast(tokenizer_file=str(pathlib.Path(folder, "tokenizer.json")), **names)
    for chat in CHATS:
        messages = [dict(role=r, content=c) for r, c in chat]
        for prompt in (False, True):
            row = dict(messages=messages, prompt=prompt, date=datetime.date.today().isoformat())
            try:
                row["text"] = tok.apply_chat_template(messages, chat_template=source, add_generation_prompt=prompt, tokenize=False)
            except Exception as e:  # the template may refuse a chat
                row["error"] = str(e)
            yield row
