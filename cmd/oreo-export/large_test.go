package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/ort"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// TestDataBeyond2GiB exports and runs a critic whose embeddings alone take more
// than 2 GiB, so that one tensor is longer, and all behind it begin later, than 32
// bits can say. Nearly all of them are zeros, which the model's file does not
// store.
func TestDataBeyond2GiB(t *testing.T) {
	if os.Getenv("OREO_LONG") == "" || testing.Short() {
		t.Skip("writes 2.3 GiB: set OREO_LONG=1")
	}
	tiny.Library(t)
	c := tiny.Config(model.Llama, 9<<20)
	c.Hidden = 64
	dir := sparseCritic(t, c)
	out := filepath.Join(t.TempDir(), "out")
	if text, err := run(t, "critic", "--model", dir, "--out", out); err != nil {
		t.Fatal(err, text)
	}
	if info, err := os.Stat(filepath.Join(out, manifest.DataFile)); err != nil || info.Size() < 1<<31 {
		t.Fatal(info, err)
	}
	if text, err := run(t, "verify", out); err != nil {
		t.Error(err, text)
	}
	ids := []int{3, c.Vocab - 1, 17, c.Vocab - 200, c.Vocab / 2, 40, 1<<23 + 5}
	want := tiny.Reference(t, dir, model.ValueHead, ids)
	s, err := ort.Open(filepath.Join(out, manifest.GraphFile), engine.Spec{Width: 1, Vocab: c.Vocab, MaxPositions: c.MaxPositions}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := &engine.Batch{B: 1, S: len(ids), Write: []int64{0}, Used: []int64{int64(len(ids))}}
	for i, id := range ids {
		b.IDs, b.Pos, b.Out = append(b.IDs, int64(id)), append(b.Pos, int64(i)), append(b.Out, int64(i))
	}
	if err := s.Store().Resize(1, len(ids), nil); err != nil {
		t.Fatal(err)
	}
	got, err := s.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		if d := math.Abs(float64(got[i] - want[i][0])); !(d <= 1e-4) {
			t.Errorf("value of token %d: %v, want %v", ids[i], got[i], want[i][0])
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for _, line := range strings.Split(string(status), "\n") {
			if strings.HasPrefix(line, "RssAnon") || strings.HasPrefix(line, "RssFile") { // own memory and mapped files
				t.Log(line)
			}
		}
	}
}

// sparseCritic writes a model folder whose embeddings are zero but for the first
// and the last rows, which a hole in the file stands for.
func sparseCritic(t *testing.T, c *model.Config) string {
	t.Helper()
	dir := t.TempDir()
	if err := c.Save(dir, model.ValueHead, "float32"); err != nil {
		t.Fatal(err)
	}
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header := map[string]entry{}
	var end int64
	for _, p := range c.Params(model.ValueHead) { // the embeddings come first
		size := int64(4)
		for _, d := range p.Shape {
			size *= int64(d)
		}
		header[p.Name] = entry{"F32", p.Shape, [2]int64{end, end + size}}
		end += size
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, safetensors.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	write := func(at, bytes int64, shift, scale float64) {
		var b []byte
		for range bytes / 4 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(shift+scale*rng.NormFloat64())))
		}
		if _, err := f.WriteAt(b, 8+int64(len(text))+at); err != nil {
			t.Fatal(err)
		}
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...))
	if err := errors.Join(err, f.Truncate(8+int64(len(text))+end)); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Params(model.ValueHead) {
		at := header[p.Name].Offsets
		rows := 300 * 4 * int64(c.Hidden)
		switch {
		case p.Name == model.EmbedName:
			write(at[0], rows, 0, 1)
			write(at[1]-rows, rows, 0, 1)
		case strings.HasSuffix(p.Name, "norm.weight"):
			write(at[0], at[1]-at[0], 1, 0.1)
		default:
			write(at[0], at[1]-at[0], 0, 1/math.Sqrt(float64(p.Shape[len(p.Shape)-1])))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}
