package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// TestVerifyNamesTheLayer damages one weight at a time, in the file of its
// artifact, and wants to be told where it is.
func TestVerifyNamesTheLayer(t *testing.T) {
	tiny.Library(t)
	policy := tiny.Model(t, model.Llama, model.LMHead, 1)
	adapter := tiny.Adapter(t, policy, model.ValueHead, 3)
	for _, c := range []struct{ dtype, attention, critic, tensor, where string }{
		{"fp32", "grouped", "", "model.layers.0.self_attn.o_proj.weight.T", "layer 0, attention"},
		{"fp32", "grouped", "", "model.layers.1.self_attn.q_proj.weight+k_proj+v_proj.T", "layer 1, attention"},
		{"fp32", "grouped", "", "model.layers.1.mlp.down_proj.weight.T", "layer 1, mlp"},
		{"fp32", "standard", "", "model.layers.0.mlp.up_proj.weight.T", "layer 0, mlp"},
		{"fp32", "standard", "", "model.layers.1.post_attention_layernorm.weight", "layer 1, mlp"},
		{"fp32", "standard", "", "model.norm.weight", "final norm"},
		{"fp32", "standard", "", "lm_head.weight", "the head is at fault"},
		{"fp16", "standard", "", "model.layers.1.mlp.gate_proj.weight.T", "layer 1, mlp"},
		{"int8", "grouped", "", "model.layers.1.mlp.down_proj.weight.scales", "layer 1, mlp"},
		{"int4", "grouped", "", "model.layers.0.self_attn.o_proj.weight.scales", "layer 0, attention"},
		{"fp32", "grouped", adapter, "/model/layers.1/self_attn/o_proj/lora/B", "layer 1, attention"},
		{"fp32", "standard", adapter, "value_head.weight", "the head is at fault"},
	} {
		t.Run(strings.ReplaceAll(c.dtype+" "+c.attention+" "+c.tensor, "/", "|"), func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if text, err := run(t, "policy", "--model", policy, "--critic", c.critic, "--out", out, "--dtype", c.dtype, "--attention", c.attention); err != nil {
				t.Fatal(err, text)
			}
			damage(t, out, c.tensor)
			before, err := os.ReadDir(out)
			if err != nil {
				t.Fatal(err)
			}
			_, err = run(t, "verify", out)
			if !errors.Is(err, export.ErrTolerance) || !strings.Contains(err.Error(), c.where) || !strings.Contains(err.Error(), "bound") {
				t.Errorf("error %v, want one with %q", err, c.where)
			}
			t.Log(err)
			if after, _ := os.ReadDir(out); len(after) != len(before) {
				t.Errorf("left behind: %v", after)
			}
		})
	}
}

// damage makes the first element of a tensor, wherever it is stored, far too
// large, and brings the manifest into agreement.
func damage(t *testing.T, dir, tensor string) {
	t.Helper()
	path := filepath.Join(dir, manifest.GraphFile)
	g, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range g.Graph.Initializer {
		if w.GetName() != tensor {
			continue
		}
		element := binary.LittleEndian.AppendUint32(nil, math.Float32bits(60))
		if w.GetDataType() == int32(onnx.TensorProto_FLOAT16) {
			element = []byte{0x80, 0x53} // 60
		}
		if len(w.RawData) > 0 {
			copy(w.RawData, element)
			if err := onnx.Save(path, g); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range w.ExternalData {
			if e.GetKey() != "offset" {
				continue
			}
			at, err := strconv.ParseInt(e.GetValue(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(dir, manifest.DataFile), os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(element, at)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		rehash(t, dir)
		return
	}
	t.Fatal(fmt.Errorf("no tensor %s", tensor))
}

// rehash records the files of an artifact as they are.
func rehash(t *testing.T, dir string) {
	t.Helper()
	m, err := manifest.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Files {
		if m.Files[i], err = manifest.Hash(t.Context(), dir, f.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
}
