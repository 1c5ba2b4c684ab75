#!/usr/bin/env python3
"""Step-level beam search as the authors' Python does it, for the benchmark to compare with.

usage: peer.py recompute|llama POLICY CRITIC GGUF THREADS

recompute is the plain form of the paper's search (arXiv 2412.16145, section 4.4; the authors' batch_sbs_qwen.py): at every
step each of the B beams is written B times into the batch, all of it is run from its first token on, the batch is decoded
until its last row has ended, and the critic reads every candidate whole, eight at a time. POLICY and CRITIC are folders of
oreo-export, run by onnxruntime; within a step the new tokens do use a key/value cache, as generate() of transformers has it.

llama generates by llama.cpp instead, with the prefixes kept in its cache and shared by the candidates of a beam, and rows
that ended left out. The critic is the same: llama.cpp has no value head.

Each line read is a task, each line written its answers. Draws take their random numbers from the same streams as the Go
program, so that equal models draw equal tokens.
"""

import json
import os
import sys
import time

import numpy as np

CHUNK = 8  # sequences the critic reads at a time


class ChaCha8:
    """Go's math/rand/v2.ChaCha8 of a key of four 64-bit numbers (the specification is C2SP's chacha8rand)."""

    def __init__(self, *key):
        self.key, self.counter = np.array(key, np.uint64), 0
        self.fill()

    def fill(self):
        key = self.key.view(np.uint32)
        b = np.zeros((16, 4), np.uint32)  # four blocks side by side
        b[:4] = np.array([0x61707865, 0x3320646E, 0x79622D32, 0x6B206574], np.uint32)[:, None]
        b[4:12] = key[:, None]
        b[12] = np.arange(self.counter, self.counter + 4, dtype=np.uint32)

        def quarter(p, q, r, s):
            for x, y, z, n in ((p, q, s, 16), (r, s, q, 12), (p, q, s, 8), (r, s, q, 7)):
                b[x] += b[y]
                b[z] ^= b[x]
                b[z] = (b[z] << np.uint32(n)) | (b[z] >> np.uint32(32 - n))

        for _ in range(4):
            for i in range(4):
                quarter(i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        b[4:12] += key[:, None]
        self.values = b.reshape(-1).view(np.uint64)
        self.next, self.end = 0, 28 if self.counter == 12 else 32

    def random(self):
        if self.next == self.end:
            self.counter += 4
            if self.counter == 16:
                self.key, self.counter = self.values[28:].copy(), 0
            self.fill()
        x = int(self.values[self.next])
        self.next += 1
        return (x & (1 << 53) - 1) / (1 << 53)


def pick(logits, rng):
    """A token drawn at temperature 1."""
    w = np.exp(logits.astype(np.float64) - float(logits.max()))
    total = np.cumsum(w)
    return min(int(np.searchsorted(total, rng.random() * w.sum(), side="right")), len(w) - 1)


class Graph:
    """A graph of oreo-export in onnxruntime, its cache written in place."""

    def __init__(self, folder, threads):
        import onnxruntime

        self.ort = onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(os.path.join(folder, "model.onnx"), options, ["CPUExecutionProvider"])
        with open(os.path.join(folder, "oreo.json")) as f:
            dims = json.load(f)["dims"]
        self.shape = dims["kv_heads"], dims["head_dim"]
        self.cache_names = [i.name for i in self.session.get_inputs() if i.name.startswith("past_")]
        self.answer = self.session.get_outputs()[0].name
        self.cache = {}

    def room(self, rows, tokens):
        """A cache for rows of tokens; what the old one of as many rows held is kept."""
        for name in self.cache_names:
            new = np.zeros((rows, self.shape[0], tokens, self.shape[1]), np.float32)
            if name in self.cache and self.cache[name].shape[0] == rows:
                old = self.cache[name]
                new[:, :, : old.shape[2]] = old
            self.cache[name] = new
        self.values = {n: self.ort.OrtValue.ortvalue_from_numpy(x) for n, x in self.cache.items()}
        self.rows, self.tokens = rows, tokens

    def run(self, ids, lengths, out):
        """ids [B, S] behind lengths [B] tokens; answers for the flat positions out."""
        b, s = ids.shape
        if lengths.max() + s > self.tokens:
            self.cache = {n: v.numpy() for n, v in self.values.items()}
            self.room(b, -(-(int(lengths.max()) + s) // 64) * 64)
        io = self.session.io_binding()
        feed = {
            "input_ids": ids, "position_ids": lengths[:, None] + np.arange(s), "write_indices": lengths,
            "nonpad_kv_seqlen": lengths + s, "out_rows": np.array(out),
        }
        for name, x in feed.items():
            io.bind_cpu_input(name, np.ascontiguousarray(x, np.int64))
        io.bind_output(self.answer, "cpu")
        for name, value in self.values.items():
            io.bind_ortvalue_input(name, value)
            io.bind_ortvalue_output(name.replace("past_", "present_"), value)
        self.session.run_with_iobinding(io)
        return io.get_outputs()[0].numpy()

    def whole(self, sequences):
        """Runs sequences from the start; answers for the last token of each."""
        n = np.array([len(s) for s in sequences])
        ids = np.zeros((len(sequences), n.max()), np.int64)
        for row, s in zip(ids, sequences):
            row[: len(s)] = s
        self.cache = {}
        self.room(len(sequences), -(-(int(n.max()) + 1) // 64) * 64)
        return self.run(ids, np.zeros(len(n), np.int64), np.arange(len(n)) * ids.shape[1] + n - 1)


class Recompute:
    def __init__(self, policy, gguf, threads):
        self.graph = Graph(policy, threads)

    def start(self, prompt, limit):
        pass

    def draw(self, prefixes, draws, ends):
        """New tokens for draws, a list of (prefix, stream, most tokens); ends tells whether a token is the last."""
        logits = self.graph.whole([prefixes[p] for p, _, _ in draws])
        lengths = np.array([len(prefixes[p]) for p, _, _ in draws])
        new, over = [[] for _ in draws], [False] * len(draws)
        while True:
            for i, (_, rng, most) in enumerate(draws):
                if not over[i]:
                    new[i].append(pick(logits[i], rng))
                    over[i] = ends(new[i][-1]) or len(new[i]) == most
            if all(over):
                return new
            ids = np.array([[n[-1]] for n in new])  # rows that ended are decoded too, and nobody looks
            logits = self.graph.run(ids, lengths, np.arange(len(draws)))
            lengths = lengths + 1


class Llama:
    def __init__(self, policy, gguf, threads):
        import llama_cpp

        self.api, self.threads = llama_cpp, threads
        llama_cpp.llama_backend_init()
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, None)
        self.model = llama_cpp.llama_model_load_from_file(gguf.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"peer.py: llama.cpp cannot load {gguf}")
        with open(os.path.join(policy, "oreo.json")) as f:
            self.vocab = json.load(f)["dims"]["vocab"]
        self.context = None

    def start(self, prompt, limit):
        """A cache for one question: sequences 0 to rows-1 are candidates, those above them beams."""
        api, self.rows = self.api, limit["rows"]
        self.stop()
        p = api.llama_context_default_params()
        p.n_ctx = -(-(len(prompt) + 2 * self.rows * limit["tokens"]) // 256) * 256
        p.n_batch = p.n_ubatch = 512
        p.n_seq_max = 2 * self.rows + 1
        p.n_threads = p.n_threads_batch = self.threads
        p.type_k = p.type_v = 0  # float32, as the others' caches
        p.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it is float16 in part: logits 0.01 off
        p.kv_unified = True  # so that candidates share a beam's cells
        self.context = api.llama_init_from_model(self.model, p)
        self.memory = api.llama_get_memory(self.context)
        self.batch = api.llama_batch_init(512, 0, 1)
        self.held = {}  # tokens by sequence

    def stop(self):
        if self.context:
            self.api.llama_batch_free(self.batch)
            self.api.llama_free(self.context)
            self.context = None

    def copy(self, a, b):
        self.api.llama_memory_seq_rm(self.memory, b, -1, -1)
        self.api.llama_memory_seq_cp(self.memory, a, b, -1, -1)
        self.held[b] = list(self.held[a])

    def drop(self, a):
        self.api.llama_memory_seq_rm(self.memory, a, -1, -1)
        self.held.pop(a, None)

    def decode(self, items):
        """items are (token, position, sequence); returns the logits of each item's answer."""
        for i, (token, pos, seq, wanted) in enumerate(items):
            self.batch.token[i], self.batch.pos[i], self.batch.n_seq_id[i] = token, pos, 1
            self.batch.seq_id[i][0], self.batch.logits[i] = seq, wanted
            self.held.setdefault(seq, []).append(token)
        self.batch.n_tokens = len(items)
        if self.api.llama_decode(self.context, self.batch) != 0:
            raise SystemExit("peer.py: llama_decode failed: the cache is full")
        logits = lambda i: np.ctypeslib.as_array(self.api.llama_get_logits_ith(self.context, i), (self.vocab,)).copy()
        return [logits(i) for i, item in enumerate(items) if item[3]]

    def fill(self, seq, tokens):
        for lo in range(len(self.held.get(seq, [])), len(tokens), 512):
            part = tokens[lo : lo + 512]
            self.decode([(t, lo + i, seq, 0) for i, t in enumerate(part)])

    def draw(self, prefixes, draws, ends):
        for k, prefix in enumerate(prefixes):  # all but the last token; the draw it comes from holds just that
            want = prefix[:-1]
            source = next((i for i in range(self.rows) if self.held.get(i) == want), None)
            if source is None:
                self.drop(self.rows + k)
                self.fill(self.rows + k, want)
            else:
                self.copy(source, self.rows + k)
        for i in range(self.rows):
            if i < len(draws):
                self.copy(self.rows + draws[i][0], i)
            else:
                self.drop(i)
        new, live = [[] for _ in draws], list(range(len(draws)))
        last = [prefixes[p][-1] for p, _, _ in draws]
        while live:
            logits = self.decode([(last[i], len(self.held[i]), i, 1) for i in live])
            for i, x in zip(list(live), logits):
                _, rng, most = draws[i]
                last[i] = pick(x, rng)
                new[i].append(last[i])
                if ends(last[i]) or len(new[i]) == most:
                    live.remove(i)
        return new


def search(policy, critic, task):
    """Beam search by the rules of the Go program: the finished compete by value and do not narrow the beams, draws of a beam
    that came out the same are one, and it ends when B are finished and the best of them is worth as much as any beam."""
    prompt, width, newline, eos = task["prompt"], task["width"], set(task["newline"]), set(task["eos"])
    most = task["max_new_tokens"]
    policy.start(prompt, {"rows": width * width, "tokens": most})
    live, done, cut, drawn, step = [{"ids": [], "value": 0.0}], [], [], 0, 0
    by_value = lambda nodes: sorted(nodes, key=lambda n: -n["value"])[:width]
    while step < task["max_steps"] and live and not (len(done) >= width and done[0]["value"] >= live[0]["value"]):
        step += 1
        prefixes = [prompt + n["ids"] for n in live]
        draws = [
            (i, ChaCha8(task["seed"], task["question"], i * width + j, step), most - len(n["ids"]))
            for i, n in enumerate(live)
            for j in range(width)
        ]
        new = policy.draw(prefixes, draws, lambda t: t in newline or t in eos)
        drawn += sum(map(len, new))
        nodes, seen = [], set()
        for (i, _, _), tokens in zip(draws, new):
            if (i, tuple(tokens)) not in seen:
                seen.add((i, tuple(tokens)))
                nodes.append({"ids": live[i]["ids"] + tokens})
        states = [prompt + [t for t in n["ids"] if t not in eos] for n in nodes]
        for lo in range(0, len(states), CHUNK):
            for n, v in zip(nodes[lo:], critic.whole(states[lo : lo + CHUNK])):
                n["value"] = float(v)
        live = by_value([n for n in nodes if n["ids"][-1] not in eos and len(n["ids"]) < most])
        done = by_value(done + [n for n in nodes if n["ids"][-1] in eos])
        cut = by_value(cut + [n for n in nodes if n["ids"][-1] not in eos and len(n["ids"]) >= most])
    best = (done + sorted(live + cut, key=lambda n: -n["value"]))[0]
    return {"ids": best["ids"], "value": best["value"], "tokens": drawn, "steps": step}


def main():
    kind, policy, critic, gguf, threads = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")  # what the libraries print goes elsewhere
    os.dup2(2, 1)
    policy = {"recompute": Recompute, "llama": Llama}[kind](policy, gguf, int(threads))
    critic = Graph(critic, int(threads))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        start = time.process_time()
        answer = search(policy, critic, task)
        print(json.dumps({**answer, "cpu": time.process_time() - start}), file=out, flush=True)


main()
