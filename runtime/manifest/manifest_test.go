package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// sample writes a folder with a manifest that is in order.
func sample(t testing.TB) (string, *Manifest) {
	t.Helper()
	dir := t.TempDir()
	m := &Manifest{Format: Format, Kind: Policy, Tool: "test", DType: "fp32", KVDType: Float32, Opset: 24, IR: 11,
		Dims:   Dims{Arch: "llama", Hidden: 8, Intermediate: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 2, Vocab: 10, MaxPositions: 64},
		Inputs: []Value{{InputIDs, Int64, []any{"B", "S"}}}, Outputs: []Value{{Logits, Float32, []any{"R", float64(10)}}},
		Tolerance: Tolerance{MaxAbs: 1e-4}}
	for _, name := range []string{GraphFile, DataFile, "config.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Hash(t.Context(), dir, name)
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func TestRoundTrip(t *testing.T) {
	dir, m := sample(t)
	back, err := Load(dir)
	if err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("%v\n%+v\n%+v", err, m, back)
	}
	if err := back.CheckHashes(t.Context(), dir); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := back.CheckHashes(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"format", "2", "format is 2, this program reads 1"},
		{"kind", `"reward"`, `kind is "reward"`},
		{"kv_dtype", `"int8"`, `kv_dtype is "int8"`},
		{"dims", `{}`, "dims.hidden is 0"},
		{"dims", `{"hidden":1e99}`, "dims.hidden"},
		{"files", `[]`, "files: model.onnx is missing"},
		{"files", `[{"name":"../model.onnx"}]`, `"../model.onnx" is not a file name in this folder`},
		{"files", `[{"name":"."}]`, `"." is not a file name`},
		{"files", `[{"name":"/etc/passwd"}]`, `"/etc/passwd" is not a file name`},
		{"files", `[{"name":"model.onnx","size":10},{"name":"config.json","size":9}]`, "config.json: 11 bytes, oreo.json says 9"},
		{"files", `[{"name":"model.onnx","size":10},{"name":"config.json","size":11},{"name":"gone","size":1}]`, "gone"},
	} {
		dir, _ := sample(t)
		path := filepath.Join(dir, Name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &raw); err != nil {
			t.Fatal(err)
		}
		raw[c.path] = json.RawMessage(c.value)
		if text, err = json.Marshal(raw); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", c.value, err)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a folder made by oreo-export") {
		t.Error(err)
	}
	dir, _ := sample(t)
	if err := os.WriteFile(filepath.Join(dir, Name), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, Name)) {
		t.Error(err)
	}
}

// FuzzParse: what is accepted is within bounds and survives a round trip.
func FuzzParse(f *testing.F) {
	dir, _ := sample(f)
	text, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":1,"kind":"pair","dtype":"fp32","kv_dtype":"float32","dims":{"hidden":1,"intermediate":1,"layers":1,"heads":1,"kv_heads":1,"head_dim":2,"vocab":1,"max_positions":1},"inputs":[{"name":"a","dtype":"int64","shape":["B",1e7]}],"files":[{"name":"model.onnx"},{"name":"config.json"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parse(again); err != nil || !reflect.DeepEqual(m, back) {
			t.Errorf("%s: %v", again, err)
		}
		for _, file := range m.Files {
			if filepath.Dir(filepath.Join("x", file.Name)) != "x" {
				t.Errorf("file %q leaves the folder", file.Name)
			}
		}
	})
}
