package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// openAs opens an artifact in the way its kind asks for, uses it a little, and
// closes it.
func openAs(t testing.TB, kind manifest.Kind, dir string) error {
	opt := runtime.Options{Threads: 1, MaxRows: 2}
	var policy *runtime.Policy
	var critic *runtime.Value
	var err error
	switch kind {
	case manifest.Policy:
		policy, err = runtime.OpenPolicy(dir, opt)
	case manifest.Critic:
		critic, err = runtime.OpenValue(dir, opt)
	default:
		policy, critic, err = runtime.OpenPair(dir, opt)
	}
	if err != nil {
		return err
	}
	if policy != nil {
		_, err = policy.Sample(t.Context(), runtime.Text("3+14="), 2, runtime.GenerateConfig{MaxNewTokens: 3})
		err = errors.Join(err, policy.Close())
	}
	if critic != nil {
		_, scoreErr := critic.Score(t.Context(), runtime.Text("3+14="), "17")
		err = errors.Join(err, scoreErr, critic.Close())
	}
	return err
}

// replace edits a file of an artifact.
func replace(name, from, to string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after := strings.Replace(string(text), from, to, 1)
		if after == string(text) {
			return fmt.Errorf("%s: no %s", path, from)
		}
		return os.WriteFile(path, []byte(after), 0o644)
	}
}

// regraph edits the graph of an artifact.
func regraph(edit func(g *onnx.GraphProto)) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, manifest.GraphFile)
		m, err := onnx.Load(path)
		if err != nil {
			return err
		}
		edit(m.Graph)
		return onnx.Save(path, m)
	}
}

// reweight edits the initializer whose name ends so.
func reweight(name string, edit func(w *onnx.TensorProto)) func(dir string) error {
	return regraph(func(g *onnx.GraphProto) {
		edit(g.Initializer[slices.IndexFunc(g.Initializer, func(w *onnx.TensorProto) bool { return strings.HasSuffix(w.GetName(), name) })])
	})
}

// entry sets a part of an external tensor's place.
func entry(key, value string) func(w *onnx.TensorProto) {
	return func(w *onnx.TensorProto) {
		for _, e := range w.ExternalData {
			if e.GetKey() == key {
				e.Value = &value
			}
		}
	}
}

func cut(name string, size int64) func(dir string) error {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, name), size) }
}

// setManifest sets a field of oreo.json, below dims where there is a dot.
func setManifest(field string, value any) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, manifest.Name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all := map[string]any{}
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
		if parent, child, ok := strings.Cut(field, "."); ok {
			all[parent].(map[string]any)[child] = value
		} else {
			all[field] = value
		}
		if text, err = json.Marshal(all); err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	}
}

// fitSizes brings the sizes in oreo.json into agreement with the files, so that
// damage is found by what reads a file.
func fitSizes(dir string) error {
	path := filepath.Join(dir, manifest.Name)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	all := map[string]any{}
	if json.Unmarshal(text, &all) != nil {
		return nil // it is oreo.json that was damaged
	}
	files, _ := all["files"].([]any)
	for _, f := range files {
		if f, ok := f.(map[string]any); ok {
			if info, err := os.Stat(filepath.Join(dir, fmt.Sprint(f["name"]))); err == nil {
				f["size"] = info.Size()
			}
		}
	}
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// TestMalformedArtifacts: whatever is wrong with an artifact, opening it is an
// error that names the file and what is wrong in it.
func TestMalformedArtifacts(t *testing.T) {
	policyModel := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	tiny.Library(t)
	artifacts := map[manifest.Kind]string{
		manifest.Policy: tiny.Export(t, policyModel, model.LMHead),
		manifest.Critic: tiny.Export(t, tiny.Headed(t, policyModel, 2), model.ValueHead),
		manifest.Pair:   exportPair(t, policyModel, tiny.Adapter(t, policyModel, model.ValueHead, 3), graph.Grouped),
	}
	const graph, data, config, tokens = manifest.GraphFile, manifest.DataFile, model.ConfigFile, "tokenizer.json"
	size := func(dir, name string) int64 {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	graphSize := size(artifacts[manifest.Policy], graph)
	nan := []byte{0, 0, 0xc0, 0x7f}
	for name, c := range map[string]struct {
		harm func(dir string) error
		want []string
	}{
		"graph cut":            {cut(graph, graphSize/2), []string{graph, "not a graph"}},
		"graph empty":          {cut(graph, 0), []string{graph, "no graph"}},
		"graph huge":           {cut(graph, 1<<40), []string{graph, "larger than"}},
		"data cut":             {cut(data, 5000), []string{data, "was cut"}},
		"data gone":            {func(dir string) error { return os.Remove(filepath.Join(dir, data)) }, []string{data, "no such file"}},
		"data elsewhere":       {reweight("up_proj.weight.T", entry("location", "../"+data)), []string{graph, "up_proj", "same folder"}},
		"data in another file": {reweight("up_proj.weight.T", entry("location", config)), []string{graph, "up_proj", "was cut"}},
		"offset beyond":        {reweight("up_proj.weight.T", entry("offset", "99999999")), []string{graph, "up_proj", "was cut"}},
		"offset negative":      {reweight("up_proj.weight.T", entry("offset", "-4096")), []string{graph, "up_proj", "bytes -4096"}},
		"offset overflows":     {reweight("up_proj.weight.T", entry("offset", "99999999999999999999")), []string{graph, "value out of range"}},
		"length short":         {reweight("up_proj.weight.T", entry("length", "4")), []string{graph, "up_proj", "length 4"}},
		"shape absurd":         {reweight("up_proj.weight.T", func(w *onnx.TensorProto) { w.Dims = []int64{1 << 40, 1 << 40} }), []string{graph, "up_proj", "shape [1099511627776"}},
		"shape negative":       {reweight("up_proj.weight.T", func(w *onnx.TensorProto) { w.Dims[0] = -1 }), []string{graph, "up_proj", "shape [-1"}},
		"shape turned":         {reweight("up_proj.weight.T", func(w *onnx.TensorProto) { slices.Reverse(w.Dims) }), []string{graph}},
		"norm too short":       {reweight("layers.0.input_layernorm.weight", func(w *onnx.TensorProto) { w.RawData = w.RawData[:60] }), []string{graph, "input_layernorm", "60 bytes"}},
		"norm NaN":             {reweight("layers.0.input_layernorm.weight", func(w *onnx.TensorProto) { copy(w.RawData, nan) }), []string{graph, "NaN"}},
		"weights NaN": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, data), bytes.Repeat(nan, int(size(dir, data)/4)), 0o644)
		}, []string{graph, "NaN"}},
		"an operator unknown":   {regraph(func(g *onnx.GraphProto) { g.Node[0].OpType = new("Loop") }), []string{graph, `"Loop"`}},
		"an input gone":         {regraph(func(g *onnx.GraphProto) { g.Input = g.Input[1:] }), []string{graph, "inputs"}},
		"an output renamed":     {regraph(func(g *onnx.GraphProto) { g.Output[0].Name = new("other") }), []string{graph, "outputs"}},
		"nodes in no order":     {regraph(func(g *onnx.GraphProto) { g.Node[0].Input[0] = "nothing" }), []string{graph}},
		"a node without inputs": {regraph(func(g *onnx.GraphProto) { g.Node[len(g.Node)-1].Input = nil }), []string{graph}},
		"an attribute absurd":   {regraph(func(g *onnx.GraphProto) { heads(g, 1<<40) }), []string{graph}},
		"heads that do not fit": {regraph(func(g *onnx.GraphProto) { heads(g, 3) }), []string{graph}},

		"manifest cut":           {cut(manifest.Name, 100), []string{manifest.Name, "unexpected end"}},
		"manifest of no kind":    {setManifest("kind", "reward"), []string{manifest.Name, `kind is "reward"`}},
		"manifest type":          {setManifest("dtype", "fp8"), []string{manifest.Name, `dtype is "fp8"`}},
		"vocabulary larger":      {setManifest("dims.vocab", 1000), []string{config, "vocab_size"}},
		"more layers":            {setManifest("dims.layers", 3), []string{config, "num_hidden_layers"}},
		"more positions":         {setManifest("dims.max_positions", 512), []string{graph, "dims.max_positions is 512"}},
		"absurd positions":       {setManifest("dims.max_positions", 1<<40), []string{manifest.Name, "dims.max_positions"}},
		"half a cache":           {setManifest("kv_dtype", "float16"), []string{graph, "kv_dtype float16"}},
		"inputs not the graph's": {setManifest("inputs", []any{}), []string{graph, "inputs lists 0 values"}},
		"shape of letters":       {setManifest("outputs", []any{map[string]any{"name": "logits", "dtype": "float32", "shape": []any{true}}}), []string{manifest.Name, "shape of logits"}},
		"a file elsewhere":       {setManifest("files", []any{map[string]any{"name": "../x"}}), []string{manifest.Name, `"../x"`}},

		"config gone":              {func(dir string) error { return os.Remove(filepath.Join(dir, config)) }, []string{config}},
		"config of another family": {replace(config, `"qwen2"`, `"llama"`), []string{config, "model_type is llama"}},
		"config of other heads":    {replace(config, `"num_attention_heads": 4`, `"num_attention_heads": 2`), []string{config, "num_attention_heads is 2"}},
		"config absurd":            {replace(config, `"num_hidden_layers": 2`, `"num_hidden_layers": 99999999`), []string{config, "num_hidden_layers"}},
		"end outside":              {replace(config, `"eos_token_id": [`, `"eos_token_id": [99999,`), []string{config, "token id 99999"}},
		"config no JSON":           {replace(config, `{`, `[`), []string{config}},

		"tokenizer cut":           {cut(tokens, 300), []string{tokens}},
		"tokenizer of no kind":    {replace(tokens, `"BPE"`, `"WordPiece"`), []string{tokens, "WordPiece"}},
		"tokens beyond the model": {replace(tokens, `"added_tokens": [`, `"added_tokens": [{"id":280,"content":"<far>","special":true},`), []string{tokens, "dims.vocab"}},
		"tokenizer deep":          {replace(tokens, `"normalizer":`, `"normalizer":`+strings.Repeat(`{"type":"Sequence","normalizers":[`, 5000)+strings.Repeat(`]}`, 5000)+`,"was":`), []string{tokens, "max depth"}},
		"chat template endless":   {create("chat_template.jinja", strings.Repeat("{% if a %}", 10000)), []string{"chat_template.jinja"}},
		"chat template no JSON":   {create("tokenizer_config.json", "{"), []string{"tokenizer_config.json"}},
		"generation config wrong": {create("generation_config.json", `{"eos_token_id": "x"}`), []string{"generation_config.json"}},
		"a pipe": {func(dir string) error {
			path := filepath.Join(dir, config)
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644))
		}, []string{config, "not a regular file"}},
	} {
		for kind, artifact := range artifacts {
			t.Run(fmt.Sprint(name, ", ", kind), func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(artifact)); err != nil {
					t.Fatal(err)
				}
				if err := c.harm(dir); err != nil {
					t.Fatal(err)
				}
				if err := fitSizes(dir); err != nil {
					t.Fatal(err)
				}
				err := soon(t, func() error { return openAs(t, kind, dir) })
				for _, want := range c.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Fatalf("%v, want an error with %q", err, want)
					}
				}
			})
		}
	}
}

// heads sets the number of heads of the first attention operator.
func heads(g *onnx.GraphProto, n int64) {
	for _, node := range g.Node {
		for _, a := range node.Attribute {
			if a.GetName() == "num_heads" {
				a.I = &n
				return
			}
		}
	}
}

func create(name, text string) func(dir string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
}

// soon runs f and fails the test if it takes longer than any artifact of a test
// should.
func soon(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
		return nil
	}
}

// TestMutatedArtifacts flips, cuts, repeats and overwrites bytes of an artifact's
// files: it opens and works, or is refused; the process lives on.
func TestMutatedArtifacts(t *testing.T) {
	policyModel := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	tiny.Library(t)
	artifact := exportPair(t, policyModel, tiny.Adapter(t, policyModel, model.ValueHead, 3), graph.Grouped)
	names := []string{manifest.GraphFile, manifest.GraphFile, manifest.GraphFile, manifest.DataFile, manifest.Name, model.ConfigFile, "tokenizer.json", "tokenizer_config.json"}
	files := map[string][]byte{}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(artifact)); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Clone(names), manifest.ReferenceFile) {
		text, err := os.ReadFile(filepath.Join(artifact, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	times := 300
	if os.Getenv("OREO_LONG") != "" {
		times = 10000
	}
	opened := map[string]int{}
	for i := range times {
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		name := names[rng.IntN(len(names))]
		for file, text := range files {
			if file == name {
				text = mutate(rng, text)
			}
			if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := fitSizes(dir); err != nil {
			t.Fatal(err)
		}
		// What is opened may be killed by it: so that the case can be found.
		t.Logf("case %d: %s", i, name)
		err := soon(t, func() error { return openAs(t, manifest.Pair, dir) })
		if err == nil {
			opened[name]++
		}
	}
	t.Log("opened all the same:", opened)
}

// mutate damages a text in one to four places.
func mutate(rng *rand.Rand, text []byte) []byte {
	out := slices.Clone(text)
	for range 1 + rng.IntN(4) {
		if len(out) == 0 {
			break
		}
		at := rng.IntN(len(out))
		n := min(1+rng.IntN(16), len(out)-at)
		switch rng.IntN(6) {
		case 0:
			out[at] ^= 1 << rng.IntN(8)
		case 1:
			out = out[:at]
		case 2:
			out = slices.Delete(out, at, at+n)
		case 3:
			out = slices.Insert(out, at, out[at:at+n]...)
		case 4:
			out[at] = []byte{0, 0xff, 0x7f, 0x80, '9', '"'}[rng.IntN(6)]
		case 5: // a number far too large, where one stands
			if digit := bytes.IndexAny(out[at:], "0123456789"); digit >= 0 {
				out = slices.Insert(out, at+digit, []byte("99999999999"[:1+rng.IntN(11)])...)
			}
		}
	}
	return out
}
