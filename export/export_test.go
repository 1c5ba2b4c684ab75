package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// tiny names a model folder of testdata.
func tiny(arch string, kind manifest.Kind) string {
	return filepath.Join("testdata", "tiny-"+arch+"-"+string(kind))
}

func config(t *testing.T, arch string, kind manifest.Kind, p graph.Precision) Config {
	return Config{Kind: kind, Model: tiny(arch, kind), Out: filepath.Join(t.TempDir(), "out"), Precision: p}
}

// files reads a folder whole.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// copyModel makes a model folder that a test may damage.
func copyModel(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRunIsReproducible(t *testing.T) {
	for _, p := range []graph.Precision{graph.FP32, graph.FP16, graph.Int8, graph.Int4} {
		c := config(t, "minicpm", manifest.Policy, p)
		if err := Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		first := files(t, c.Out)
		if err := Run(t.Context(), c); err != nil { // over the first
			t.Fatal(err)
		}
		second := files(t, c.Out)
		for _, name := range []string{manifest.Name, manifest.GraphFile, manifest.DataFile, manifest.ReferenceFile, manifest.TrainerFile, model.ConfigFile} {
			if first[name] == "" || first[name] != second[name] {
				t.Errorf("%s: %s: %d and %d bytes that differ", p, name, len(first[name]), len(second[name]))
			}
		}
		if siblings, _ := os.ReadDir(filepath.Dir(c.Out)); len(siblings) != 1 {
			t.Errorf("%s: left behind: %v", p, siblings)
		}
	}
}

func TestManifest(t *testing.T) {
	c := config(t, "qwen2", manifest.Critic, graph.FP16)
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Load(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckHashes(t.Context(), c.Out); err != nil {
		t.Error(err)
	}
	if m.Kind != manifest.Critic || m.DType != "fp16" || m.KVDType != manifest.Float16 || m.Opset != 24 || m.Dims.MaxPositions != 512 || len(m.Source.SHA256) != 64 {
		t.Errorf("%+v", m)
	}
	if got := fmt.Sprint(m.Inputs[0], m.Inputs[5], m.Outputs[0], m.Outputs[4]); got !=
		"{input_ids int64 [B S]} {past_k.0 float16 [B 2 M 16]} {values float32 [R]} {present_v.1 float16 [B 2 M 16]}" {
		t.Error(got)
	}
	if err := os.WriteFile(filepath.Join(c.Out, manifest.DataFile), bytes.Repeat([]byte{7}, len(files(t, c.Out)[manifest.DataFile])), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.CheckHashes(t.Context(), c.Out); err == nil || !strings.Contains(err.Error(), "model.onnx.data: SHA-256") {
		t.Error(err)
	}
}

// TestShards: a sharded model gives the graph and data of the single file.
func TestShards(t *testing.T) {
	c := config(t, "llama", manifest.Policy, graph.FP32)
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := files(t, c.Out)
	c.Model = copyModel(t, c.Model)
	f, err := safetensors.OpenModel(c.Model)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	index := map[string]string{}
	for i := range 2 {
		var shard []safetensors.Tensor
		name := fmt.Sprintf("model-%05d-of-00002.safetensors", i+1)
		for j, tensor := range f.Names() {
			if w, _ := f.Get(tensor); j%2 == i {
				shard = append(shard, w)
				index[tensor] = name
			}
		}
		if err := safetensors.Write(filepath.Join(c.Model, name), shard, nil); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := json.Marshal(map[string]any{"weight_map": index})
	if err := errors.Join(create(safetensors.IndexFile, string(text))(c.Model), remove(safetensors.SingleFile)(c.Model)); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	got := files(t, c.Out)
	for _, name := range []string{manifest.GraphFile, manifest.DataFile, manifest.ReferenceFile} {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	if m, err := manifest.Load(c.Out); err != nil || len(m.Source.Files) != 2 || m.Source.Files[1].Name != "model-00002-of-00002.safetensors" {
		t.Error(err, m)
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		name string
		kind manifest.Kind
		harm func(dir string) error
		want string
	}{
		{"no folder", manifest.Policy, os.RemoveAll, "config.json: no such file or directory"},
		{"unknown architecture", manifest.Policy, edit(model.ConfigFile, `"qwen2"`, `"gpt2"`), `config.json: model_type "gpt2" is not supported`},
		{"wrong shape", manifest.Policy, edit(model.ConfigFile, `"intermediate_size": 48`, `"intermediate_size": 64`), "model.layers.0.mlp.gate_proj.weight has shape [48 32], config.json asks for [64 32]"},
		{"missing tensor", manifest.Policy, edit(model.ConfigFile, `"num_hidden_layers": 2`, `"num_hidden_layers": 3`), "model.layers.2."},
		{"no weights", manifest.Policy, remove("model.safetensors"), "neither model.safetensors nor"},
		{"cut weights", manifest.Policy, cut("model.safetensors", 5000), "cut short"},
		{"empty weights", manifest.Policy, cut("model.safetensors", 0), "too short"},
		{"header beyond the file", manifest.Policy, cut("model.safetensors", 100), "header of"},
		{"policy as critic", manifest.Critic, remove("nothing"), "no tensor value_head.weight: this is not a critic"},
		{"broken tokenizer", manifest.Policy, create("tokenizer.json", "{"), "tokenizer.json"},
		{"broken generation config", manifest.Policy, create("generation_config.json", "{"), "generation_config.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyModel(t, tiny("qwen2", manifest.Policy))
			if err := c.harm(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			parent := t.TempDir()
			err := Run(t.Context(), Config{Kind: c.kind, Model: dir, Out: filepath.Join(parent, "out"), Precision: graph.FP32})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func edit(name, from, to string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after := strings.Replace(string(b), from, to, 1)
		if after == string(b) {
			return fmt.Errorf("%s: no %s", path, from)
		}
		return os.WriteFile(path, []byte(after), 0o644)
	}
}

func remove(name string) func(string) error {
	return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
}

func cut(name string, size int64) func(string) error {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, name), size) }
}

func create(name, text string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
}

func TestValidate(t *testing.T) {
	for want, c := range map[string]Config{
		"--model":         {Kind: manifest.Policy, Out: "o", Precision: graph.FP32},
		"--out":           {Kind: manifest.Policy, Model: "m", Precision: graph.FP32},
		`--dtype "bf16"`:  {Kind: manifest.Policy, Model: "m", Out: "o", Precision: "bf16"},
		`kind "reranker"`: {Kind: "reranker", Model: "m", Out: "o", Precision: graph.FP32},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want one with %s", err, want)
		}
	}
}

// TestOutIsSafe: only an artifact is ever replaced.
func TestOutIsSafe(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"other files":       {[]string{"thesis.txt"}, "thesis.txt in it is not part of an artifact"},
		"a model":           {[]string{"config.json", "tokenizer.json"}, "holds no artifact"},
		"artifact and more": {[]string{manifest.Name, manifest.GraphFile, "notes.md"}, "notes.md"},
		"artifact":          {[]string{manifest.Name, manifest.GraphFile}, ""},
		"nothing":           {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, "llama", manifest.Critic, graph.FP32)
			if err := os.Mkdir(cfg.Out, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, f := range c.files {
				if err := create(f, "mine")(cfg.Out); err != nil {
					t.Fatal(err)
				}
			}
			err := Run(t.Context(), cfg)
			if c.want == "" {
				if _, loadErr := manifest.Load(cfg.Out); err != nil || loadErr != nil {
					t.Error(err, loadErr)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if got := files(t, cfg.Out); len(got) != len(c.files) {
				t.Errorf("files were touched: %d left", len(got))
			}
		})
	}
	cfg := config(t, "llama", manifest.Critic, graph.FP32)
	if err := os.WriteFile(cfg.Out, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), cfg); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
}

// TestInterrupted stops the export at each of its steps: nothing may be left,
// and an earlier artifact must stay whole.
func TestInterrupted(t *testing.T) {
	steps := 0
	count := config(t, "qwen2", manifest.Policy, graph.Int4)
	count.Step = func(string) { steps++ }
	if err := Run(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	before := files(t, count.Out)
	for stop := range steps {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		again := count
		again.Step = func(string) {
			if n == stop {
				cancel()
			}
			n++
		}
		if err := Run(ctx, again); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at step %d: %v", stop, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(count.Out)); len(left) != 1 {
			t.Errorf("stopped at step %d, left behind: %v", stop, left)
		}
		after := files(t, count.Out)
		for name := range before {
			if before[name] != after[name] {
				t.Errorf("stopped at step %d: %s changed", stop, name)
			}
		}
	}
}

// TestNoRoom lets every write beyond a file size fail, as a full disk does, in a process
// of its own: go test writes a log of this one's.
func TestNoRoom(t *testing.T) {
	const child = "OREO_TEST_NO_ROOM"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoRoom$")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Skip("no limit on file sizes here: ", err)
	}
	for _, size := range []uint64{100, 4096, 20000} {
		c := config(t, "llama", manifest.Policy, graph.FP32)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
			t.Skip("cannot limit file sizes here: ", err)
		}
		err := Run(t.Context(), c)
		if restore := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); restore != nil {
			t.Fatal(restore)
		}
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), c.Model) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(c.Out)); len(left) > 0 {
			t.Errorf("%d bytes, left behind: %v", size, left)
		}
	}
}
