package reference

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

func open(t *testing.T, arch, kind string, head model.Head) (*model.Config, *safetensors.File, string) {
	t.Helper()
	dir := filepath.Join("..", "testdata", "tiny-"+arch+"-"+kind)
	c, err := model.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	weights, missing, err := c.Weights(dir, head)
	if err != nil || missing {
		t.Fatal(missing, err)
	}
	t.Cleanup(func() { _ = weights.Close() })
	return c, weights, filepath.Join(dir, "reference.safetensors")
}

// TestForward compares with transformers: see testdata/gen/tiny.py.
func TestForward(t *testing.T) {
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for kind, head := range map[string]model.Head{"policy": model.LMHead, "critic": model.ValueHead} {
			t.Run(arch+"-"+kind, func(t *testing.T) {
				c, weights, path := open(t, arch, kind, head)
				r, err := Load(path, head, c.Vocab)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.IDs) != 2 || len(r.IDs[0]) != 13 || len(r.IDs[1]) != 7 {
					t.Fatal(r.IDs)
				}
				worst := 0.0
				for i, ids := range r.IDs {
					got, err := Forward(t.Context(), Model{Config: c, Head: head, Weights: weights}, ids)
					if err != nil {
						t.Fatal(err)
					}
					for pos := range ids {
						for j, want := range r.Want[i][pos] {
							worst = max(worst, math.Abs(float64(got[pos][j]-want)))
						}
					}
				}
				t.Logf("max |difference| %.2g", worst)
				if !(worst <= 1e-5) {
					t.Errorf("max |difference| from transformers %g, want at most 1e-5", worst)
				}
			})
		}
	}
}

// TestInterrupted cancels before each linear layer in turn.
func TestInterrupted(t *testing.T) {
	c, weights, _ := open(t, "qwen2", "policy", model.LMHead)
	for stop := range 7 * c.Layers {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		p := &pass{ctx: ctx, c: c, m: Model{Weights: weights}, observe: func(string, matrix) {
			if n == stop {
				cancel()
			}
			n++
		}}
		p.backbone([]int64{1, 2, 3})
		if !errors.Is(p.err, context.Canceled) || n != stop+1 {
			t.Errorf("cancelled at layer %d, ended at %d: %v", stop, n, p.err)
		}
	}
}

// TestInputs: the inputs of q, k and v are one and the same, those of another
// matrix are not.
func TestInputs(t *testing.T) {
	c, weights, _ := open(t, "llama", "policy", model.LMHead)
	got, err := Inputs(t.Context(), Model{Config: c, Weights: weights}, []int64{5, 6, 7, 8})
	if err != nil || len(got) != 7*c.Layers {
		t.Fatal(len(got), err)
	}
	q, v, o := got["model.layers.1.self_attn.q_proj.weight"], got["model.layers.1.self_attn.v_proj.weight"], got["model.layers.1.self_attn.o_proj.weight"]
	if &q[0] != &v[0] || &q[0] == &o[0] || len(q) != 4 || len(q[3]) != c.Hidden || len(o[3]) != c.Heads*c.HeadDim {
		t.Errorf("%d by %d, %d by %d", len(q), len(q[3]), len(o), len(o[3]))
	}
}

func TestLoadRefuses(t *testing.T) {
	ids := safetensors.Int64Tensor(idsName, []int{2, 3}, []int64{1, 2, 3, 4, 5, 6})
	values := safetensors.Float32Tensor(valuesName, []int{2, 3}, make([]float32, 6))
	for want, tensors := range map[string][]safetensors.Tensor{
		`no tensor "input_ids"`:        {values},
		`no tensor "values"`:           {ids},
		"dtype F32, want I64":          {safetensors.Float32Tensor(idsName, []int{1, 2}, []float32{1, 2}), values},
		"outside the vocabulary of 10": {safetensors.Int64Tensor(idsName, []int{1, 1}, []int64{10}), values},
		"want [sequences, tokens]":     {safetensors.Int64Tensor(idsName, []int{1, 1, 1}, []int64{1}), values},
		"2 sequences of 3 tokens":      {ids, safetensors.Float32Tensor(valuesName, []int{2, 2}, make([]float32, 4))},
		"1 lengths for 2":              {ids, values, safetensors.Int64Tensor(lengthsName, []int{1}, []int64{3})},
		"element 1 is 4, want 1 to 3":  {ids, values, safetensors.Int64Tensor(lengthsName, []int{2}, []int64{3, 4})},
	} {
		path := filepath.Join(t.TempDir(), "r.safetensors")
		if err := safetensors.Write(path, tensors, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, model.ValueHead, 10); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// FuzzParse: any file is refused or gives answers of one width for every token.
func FuzzParse(f *testing.F) {
	for _, kind := range []string{"policy", "critic"} {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "tiny-qwen2-"+kind, "reference.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "reference.safetensors")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, head := range []model.Head{model.LMHead, model.ValueHead} {
			r, err := Load(path, head, 96)
			if err != nil {
				continue
			}
			for i, ids := range r.IDs {
				if len(r.Want[i]) != len(ids) {
					t.Fatalf("%d answers for %d tokens", len(r.Want[i]), len(ids))
				}
				for _, row := range r.Want[i] {
					if len(row) != r.Width {
						t.Fatalf("%d numbers, want %d", len(row), r.Width)
					}
				}
			}
		}
	})
}
