package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/enginetest"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/ort"
)

// openSession opens an artifact as the engine sees it.
func openSession(t testing.TB, dir string, opt ort.Options) *ort.Session {
	t.Helper()
	m, err := manifest.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	spec := engine.Spec{Width: 1, Vocab: m.Dims.Vocab, MaxPositions: m.Dims.MaxPositions}
	if m.Kind == manifest.Policy {
		spec.Width = spec.Vocab
	}
	s, err := ort.Open(filepath.Join(dir, manifest.GraphFile), spec, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// onnxruntime behind an engine keeps the engine's contract, for every family, and
// wherever the cache lies.
func TestSessionsKeepTheContract(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []model.Arch{model.Qwen2, model.Llama, model.MiniCPM} {
		for name, head := range map[string]model.Head{"policy": model.LMHead, "critic": model.ValueHead} {
			dir, _ := tiny.Artifact(t, arch, head, 1)
			for _, device := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s device=%t", arch, name, device), func(t *testing.T) {
					s := openSession(t, dir, ort.Options{DeviceCache: device})
					enginetest.Contract(t, func(*testing.T) engine.Model { return s }, 2e-4)
				})
			}
		}
	}
}

// forms are the graphs that a policy can be exported to. The CPU has no kernels for
// half precision in the grouped form.
var forms = []struct {
	name      string
	attention graph.Attention
	precision graph.Precision
}{
	{"standard fp32", graph.Standard, graph.FP32}, {"standard fp16", graph.Standard, graph.FP16}, {"grouped fp32", graph.Grouped, graph.FP32},
}

// Where the cache lies changes no bit of any answer, whatever is done to its rows.
func TestDeviceCacheIsExact(t *testing.T) {
	tiny.Library(t)
	source := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "artifact")
			cfg := export.Config{Kind: manifest.Policy, Model: source, Out: dir, Precision: form.precision, Attention: form.attention}
			if err := export.Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			host := wander(t, openSession(t, dir, ort.Options{Threads: 1}))
			device := wander(t, openSession(t, dir, ort.Options{Threads: 1, DeviceCache: true}))
			if len(host) < 1000 || !slices.Equal(host, device) {
				t.Errorf("%d and %d numbers, which differ", len(host), len(device))
			}
		})
	}
}

// wander starts, forks, rewinds, extends and frees sequences in an order that looks
// random and is always the same, and returns all answers.
func wander(t *testing.T, s *ort.Session) (answers []float32) {
	t.Helper()
	e, err := engine.New(s, engine.Options{Chunk: 24})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	rng := rand.New(rand.NewPCG(5, 5))
	var seqs []*engine.Seq
	for range 150 {
		switch op := rng.IntN(6); {
		case op == 0 || len(seqs) < 2:
			seqs = append(seqs, e.NewSeq())
		case op == 1 && len(seqs) < 12:
			forks, err := e.Fork(1+rng.IntN(3), seqs[rng.IntN(len(seqs))])
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, forks[0]...)
		case op == 2:
			q := seqs[rng.IntN(len(seqs))]
			if err := q.Rewind(rng.IntN(q.Len() + 1)); err != nil {
				t.Fatal(err)
			}
		case op == 3:
			i := rng.IntN(len(seqs))
			e.Free(seqs[i])
			seqs = slices.Delete(seqs, i, i+1)
		}
		var jobs []engine.Job
		out := make([][]float32, len(seqs))
		for i, q := range seqs {
			n := rng.IntN(12)
			if n == 0 || q.Len()+n > e.Spec().MaxPositions {
				continue
			}
			for range n {
				q.Append(rng.IntN(e.Spec().Vocab))
			}
			jobs = append(jobs, engine.Job{Seq: q, Step: func(_ int, a []float32) (int, bool) {
				out[i] = slices.Clone(a)
				return 0, false
			}})
		}
		if err := e.Run(t.Context(), jobs...); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, slices.Concat(out...)...)
	}
	return answers
}
