#!/usr/bin/env python3
"""Greedy decoding by llama.cpp or onnxruntime-genai, for the benchmark to compare with.

usage: peer.py llama|genai MODEL WORK fp32|int8|int4 THREADS

MODEL is a Hugging Face folder of the Llama shape; its weights are converted once, into WORK. The first line written says
who answers and how many bytes of weights a token reads. Then each line read is one task, {"prompt": [token…], "first":
[token…], "steps": n}: every row begins with the prompt, goes on with its own first token, and is continued greedily. The
answer holds 1 + n new tokens per row, and CPU seconds: "decode" are those of the last n steps, "prefill" what came before.
"""

import json
import os
import pathlib
import sys
import time

import numpy as np
from safetensors import safe_open

cpu = time.process_time


class Weights:
    """A Hugging Face folder: configuration, and tensors as float32."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        if self.config["model_type"] != "llama":
            raise SystemExit(f"peer.py: {folder}/config.json: model_type {self.config['model_type']}, only llama is known here")
        self.tensors = {}
        for file in sorted(folder.glob("*.safetensors")):
            f = safe_open(file, "np")
            self.tensors.update({name: f for name in f.keys()})

    def __getitem__(self, name):
        return self.tensors[name].get_tensor(name).astype(np.float32)

    def __contains__(self, name):
        return name in self.tensors

    @property
    def head(self):
        return self["lm_head.weight" if "lm_head.weight" in self else "model.embed_tokens.weight"]

    @property
    def table_bytes(self):
        return 4 * self.config["vocab_size"] * self.config["hidden_size"]

    @property
    def head_dim(self):
        return self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"]


class Llama:
    """llama.cpp through its C interface. Rows share the cells of the prompt in the cache."""

    def __init__(self, weights, work, dtype, threads):
        import llama_cpp

        self.api = llama_cpp
        self.threads = threads
        file = work / f"llama-{dtype}.gguf"
        if not file.exists():
            self.convert(weights, file, dtype)
        llama_cpp.llama_backend_init()
        quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        self.quiet = quiet  # must outlive the library's use of it
        llama_cpp.llama_log_set(quiet, None)
        self.model = llama_cpp.llama_model_load_from_file(str(file).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"peer.py: llama.cpp cannot load {file}")
        self.vocab = weights.config["vocab_size"]
        self.name = f"llama.cpp {llama_cpp.__version__} {'F32 Q8_0 Q4_0'.split()[('fp32', 'int8', 'int4').index(dtype)]}"
        self.bytes = file.stat().st_size

    @staticmethod
    def convert(weights, file, dtype):
        import gguf

        c = weights.config
        kind = {"fp32": gguf.GGMLQuantizationType.F32, "int8": gguf.GGMLQuantizationType.Q8_0, "int4": gguf.GGMLQuantizationType.Q4_0}[dtype]
        table = gguf.GGMLQuantizationType.Q8_0 if dtype == "int4" else kind  # embeddings and head, one table if tied
        w = gguf.GGUFWriter(file.with_suffix(".part"), "llama")
        w.add_context_length(c["max_position_embeddings"])
        w.add_embedding_length(c["hidden_size"])
        w.add_block_count(c["num_hidden_layers"])
        w.add_feed_forward_length(c["intermediate_size"])
        w.add_head_count(c["num_attention_heads"])
        w.add_head_count_kv(c["num_key_value_heads"])
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        w.add_rope_dimension_count(weights.head_dim)
        w.add_rope_freq_base(c["rope_theta"])
        w.add_vocab_size(c["vocab_size"])
        w.add_tokenizer_model("no_vocab")

        def add(name, x, to):
            w.add_tensor(name, gguf.quants.quantize(np.ascontiguousarray(x), to), raw_dtype=to)

        def turned(x, heads):  # rotary pairs side by side, as this format has them, not half a head apart
            return x.reshape(heads, 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape)

        f32 = gguf.GGMLQuantizationType.F32
        add("token_embd.weight", weights["model.embed_tokens.weight"], table)
        add("output_norm.weight", weights["model.norm.weight"], f32)
        if "lm_head.weight" in weights:
            add("output.weight", weights.head, table)
        for i in range(c["num_hidden_layers"]):
            of, to = f"model.layers.{i}.", f"blk.{i}."
            add(to + "attn_norm.weight", weights[of + "input_layernorm.weight"], f32)
            add(to + "ffn_norm.weight", weights[of + "post_attention_layernorm.weight"], f32)
            add(to + "attn_q.weight", turned(weights[of + "self_attn.q_proj.weight"], c["num_attention_heads"]), kind)
            add(to + "attn_k.weight", turned(weights[of + "self_attn.k_proj.weight"], c["num_key_value_heads"]), kind)
            add(to + "attn_v.weight", weights[of + "self_attn.v_proj.weight"], kind)
            add(to + "attn_output.weight", weights[of + "self_attn.o_proj.weight"], kind)
            add(to + "ffn_gate.weight", weights[of + "mlp.gate_proj.weight"], kind)
            add(to + "ffn_up.weight", weights[of + "mlp.up_proj.weight"], kind)
            add(to + "ffn_down.weight", weights[of + "mlp.down_proj.weight"], kind)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        file.with_suffix(".part").rename(file)

    def run(self, prompt, first, steps):
        api, rows = self.api, len(first)
        p = api.llama_context_default_params()
        p.n_ctx = -(-(len(prompt) + rows * (steps + 2)) // 256) * 256
        p.n_batch = p.n_ubatch = 512
        p.n_seq_max = rows
        p.n_threads = p.n_threads_batch = self.threads
        p.kv_unified = True  # so that rows share the prompt's cells
        ctx = api.llama_init_from_model(self.model, p)
        batch = api.llama_batch_init(max(512, rows), 0, rows)

        def put(i, token, pos, row, answer):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, pos, 1, answer
            batch.seq_id[i][0] = row

        def decode(n):
            batch.n_tokens = n
            if api.llama_decode(ctx, batch) != 0:
                raise SystemExit("peer.py: llama_decode failed")

        start = cpu()
        for lo in range(0, len(prompt), 512):
            part = prompt[lo : lo + 512]
            for i, token in enumerate(part):
                put(i, token, lo + i, 0, 0)
            decode(len(part))
        for row in range(1, rows):
            api.llama_memory_seq_cp(api.llama_get_memory(ctx), 0, row, -1, -1)
        tokens, last = [[] for _ in first], list(first)
        for step in range(steps + 1):
            for row, token in enumerate(last):
                put(row, token, len(prompt) + step, row, 1)
            decode(rows)
            for row in range(rows):
                last[row] = int(np.ctypeslib.as_array(api.llama_get_logits_ith(ctx, row), (self.vocab,)).argmax())
                tokens[row].append(last[row])
            if step == 0:
                prefill, start = cpu() - start, cpu()
        took = cpu() - start
        api.llama_batch_free(batch)
        api.llama_free(ctx)
        return tokens, prefill, took


class GenAI:
    """onnxruntime-genai on a graph of the operators its own model builder emits: packed q, k and v into GroupQueryAttention,
    SkipSimplifiedLayerNormalization, MatMulNBits with 8-bit activations, and the head on the last position alone."""

    def __init__(self, weights, work, dtype, threads):
        import onnxruntime_genai

        self.api = onnxruntime_genai
        folder = work / f"genai-{dtype}"
        if not (folder / "genai_config.json").exists():
            folder.mkdir(exist_ok=True)
            Graph(weights, folder, dtype).write()
        self.configure(weights.config, weights.head_dim, folder, threads)
        self.model = onnxruntime_genai.Model(str(folder))
        self.name = f"onnxruntime-genai {onnxruntime_genai.__version__} {dtype}"
        self.bytes = (folder / "model.onnx.data").stat().st_size - weights.table_bytes  # of which a step reads one row

    @staticmethod
    def configure(c, head_dim, folder, threads):
        decoder = {
            "session_options": {"intra_op_num_threads": threads, "provider_options": []},
            "filename": "model.onnx",
            "head_size": head_dim,
            "hidden_size": c["hidden_size"],
            "inputs": {"input_ids": "input_ids", "attention_mask": "attention_mask", "past_key_names": "past_key_values.%d.key", "past_value_names": "past_key_values.%d.value"},
            "outputs": {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
            "num_attention_heads": c["num_attention_heads"],
            "num_hidden_layers": c["num_hidden_layers"],
            "num_key_value_heads": c["num_key_value_heads"],
        }
        model = {"type": "llama", "vocab_size": c["vocab_size"], "context_length": c["max_position_embeddings"], "decoder": decoder, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
        search = {"max_length": c["max_position_embeddings"], "past_present_share_buffer": True}
        (folder / "genai_config.json").write_text(json.dumps({"model": model, "search": search}, indent=1))

    def run(self, prompt, first, steps):
        p = self.api.GeneratorParams(self.model)
        length = len(prompt) + 2 + steps
        p.set_search_options(max_length=length, min_length=length, batch_size=len(first))  # no row ends early
        g = self.api.Generator(self.model, p)
        start = cpu()
        g.append_tokens(np.array([prompt + [t] for t in first], np.int32))
        g.generate_next_token()
        prefill, start = cpu() - start, cpu()
        for _ in range(steps):
            g.generate_next_token()
        took = cpu() - start
        return [[int(t) for t in g.get_sequence(row)[len(prompt) + 1 :]] for row in range(len(first))], prefill, took


class Graph:
    """The ONNX graph for GenAI."""

    def __init__(self, weights, folder, dtype):
        import onnx

        self.onnx, self.w, self.c, self.folder, self.bits = onnx, weights, weights.config, folder, {"fp32": 0, "int8": 8, "int4": 4}[dtype]
        self.nodes, self.consts, self.inputs, self.outputs = [], [], [], []
        self.data = open(folder / "model.onnx.data", "wb")

    def const(self, name, x):
        t = self.onnx.numpy_helper.from_array(np.ascontiguousarray(x), name)
        if x.nbytes >= 4096:
            self.data.write(b"\0" * (-self.data.tell() % 4096))
            raw = t.raw_data
            t.ClearField("raw_data")
            t.data_location = self.onnx.TensorProto.EXTERNAL
            for key, value in (("location", "model.onnx.data"), ("offset", self.data.tell()), ("length", len(raw))):
                t.external_data.add(key=key, value=str(value))
            self.data.write(raw)
        self.consts.append(t)
        return name

    def op(self, kind, inputs, outputs=1, contrib=True, **attributes):
        if isinstance(outputs, int):
            outputs = [f"{kind}.{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, outputs, domain="com.microsoft" if contrib else "", **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def port(self, ports, name, kind, shape):
        ports.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def linear(self, x, name, weight, bits=None):
        bits = self.bits if bits is None else bits
        if not bits:
            return self.op("MatMul", [x, self.const(name, weight.T)], contrib=False)
        n, k = weight.shape
        blocks = weight.reshape(n, k // 32, 32)
        half = 1 << (bits - 1)
        at = np.abs(blocks).argmax(-1, keepdims=True)
        scale = np.take_along_axis(blocks, at, -1) / -half  # symmetric, the largest weight on the code -half
        q = np.clip(np.round(blocks / np.where(scale == 0, 1, scale)) + half, 0, 2 * half - 1).astype(np.uint8)
        if bits == 4:
            q = q[..., 0::2] | q[..., 1::2] << 4
        inputs = [x, self.const(name + ".q", q), self.const(name + ".s", scale.reshape(-1))]
        return self.op("MatMulNBits", inputs, K=k, N=n, bits=bits, block_size=32, accuracy_level=4)

    def norm(self, name, x, skip, eps):
        gain = self.const(name, self.w[name + ".weight"])
        if skip is None:
            return self.op("SimplifiedLayerNormalization", [x, gain], contrib=False, epsilon=eps, axis=-1), x
        y = self.op("SkipSimplifiedLayerNormalization", [x, skip, gain], [name + ".y", "", "", name + ".sum"], epsilon=eps)
        return y[0], y[3]

    def layer(self, i, x, skip):
        c, w, p, float32 = self.c, self.w, f"model.layers.{i}.", self.onnx.TensorProto.FLOAT
        get = lambda name: w[p + name + ".weight"]
        y, x = self.norm(p + "input_layernorm", x, skip, c["rms_norm_eps"])
        qkv = self.linear(y, p + "qkv", np.concatenate([get(f"self_attn.{n}_proj") for n in "qkv"]))
        past, present = [], []
        for kind in ("key", "value"):
            shape = ["B", c["num_key_value_heads"], "T", w.head_dim]
            past.append(self.port(self.inputs, f"past_key_values.{i}.{kind}", float32, shape))
            present.append(self.port(self.outputs, f"present.{i}.{kind}", float32, shape))
        y = self.op("GroupQueryAttention", [qkv, "", "", *past, "lengths", "total", "cos", "sin"], [p + "attention", *present],
                    num_heads=c["num_attention_heads"], kv_num_heads=c["num_key_value_heads"], do_rotary=1, scale=w.head_dim**-0.5)[0]
        y, x = self.norm(p + "post_attention_layernorm", x, self.linear(y, p + "o", get("self_attn.o_proj")), c["rms_norm_eps"])
        gate, up = (self.linear(y, p + n, get(f"mlp.{n}_proj")) for n in ("gate", "up"))
        silu = self.op("Mul", [gate, self.op("Sigmoid", [gate], contrib=False)], contrib=False)
        return x, self.linear(self.op("Mul", [silu, up], contrib=False), p + "down", get("mlp.down_proj"))

    def lengths(self):
        """seqlens_k and total_sequence_length of GroupQueryAttention, from the mask."""
        t, one = self.onnx.TensorProto, self.const("one", np.array([1], np.int64))
        count = self.op("ReduceSum", ["attention_mask", one], contrib=False, keepdims=0)
        self.op("Cast", [self.op("Sub", [count, one], contrib=False)], ["lengths"], contrib=False, to=t.INT32)
        size = self.op("Gather", [self.op("Shape", ["attention_mask"], contrib=False), self.const("axis", np.array(1, np.int64))], contrib=False, axis=0)
        self.op("Cast", [size], ["total"], contrib=False, to=t.INT32)

    def write(self):
        c, w, t = self.c, self.w, self.onnx.TensorProto
        self.port(self.inputs, "input_ids", t.INT64, ["B", "S"])
        self.port(self.inputs, "attention_mask", t.INT64, ["B", "T"])
        self.port(self.outputs, "logits", t.FLOAT, ["B", 1, c["vocab_size"]])
        self.lengths()
        angles = np.arange(c["max_position_embeddings"])[:, None] / c["rope_theta"] ** (np.arange(0, w.head_dim, 2) / w.head_dim)
        self.const("cos", np.cos(angles).astype(np.float32))
        self.const("sin", np.sin(angles).astype(np.float32))
        x, skip = self.op("Gather", [self.const("embed", w["model.embed_tokens.weight"]), "input_ids"], contrib=False), None
        for i in range(c["num_hidden_layers"]):
            x, skip = self.layer(i, x, skip)
        y, _ = self.norm("model.norm", x, skip, c["rms_norm_eps"])
        last = self.const("last", np.array([-1], np.int64))
        end = self.const("end", np.array([np.iinfo(np.int64).max], np.int64))
        y = self.op("Slice", [y, last, end, "one"], contrib=False)
        self.nodes.append(self.onnx.helper.make_node("Identity", [self.linear(y, "head", w.head, min(self.bits * 2, 8))], ["logits"]))
        self.data.close()
        graph = self.onnx.helper.make_graph(self.nodes, "peer", self.inputs, self.outputs, self.consts)
        versions = [self.onnx.helper.make_opsetid("", 21), self.onnx.helper.make_opsetid("com.microsoft", 1)]
        self.onnx.save(self.onnx.helper.make_model(graph, opset_imports=versions, ir_version=10), self.folder / "model.onnx")


def main():
    kind, model, work, dtype, threads = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")  # what the libraries print goes elsewhere
    os.dup2(2, 1)
    peer = {"llama": Llama, "genai": GenAI}[kind](Weights(pathlib.Path(model)), pathlib.Path(work), dtype, int(threads))
    print(json.dumps({"name": peer.name, "bytes": peer.bytes}), file=out, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        tokens, prefill, decode = peer.run(task["prompt"], task["first"], task["steps"])
        print(json.dumps({"tokens": tokens, "prefill": prefill, "decode": decode}), file=out, flush=True)


main()
