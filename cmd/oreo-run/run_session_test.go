package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/enginetest"
	"github.com/oreo-go/oreo/runtime/kernel"
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
	if m.Kind != manifest.Critic {
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
			for _, opt := range []ort.Options{{}, {DeviceCache: true}, {Plain: true}, {Plain: true, DeviceCache: true}} {
				t.Run(fmt.Sprintf("%s %s device=%t plain=%t", arch, name, opt.DeviceCache, opt.Plain), func(t *testing.T) {
					s := openSession(t, dir, opt)
					enginetest.Contract(t, func(*testing.T) engine.Model { return s }, tolerance(s))
				})
			}
		}
	}
}

// tolerance is 0 for a session that package kernel computes: what is beside a token in a
// pass changes no bit of its answer.
func tolerance(s *ort.Session) float64 {
	if s.Spec().Segments {
		return 0
	}
	return 2e-4
}

// Our kernels answer what onnxruntime's do, for heads and weights of all kinds: in
// float32 up to rounding, and with codes as near as those to float32.
func TestKernelsAgreeWithOnnxruntime(t *testing.T) {
	tiny.Library(t)
	for name, c := range map[string]struct {
		heads, kv, dim int
		precision      graph.Precision
	}{
		"fp32, 6 heads of 16 on 2": {6, 2, 16, graph.FP32}, "fp32, 4 heads of 64 on 4": {4, 4, 64, graph.FP32},
		"fp32, 14 heads of 64 on 2": {14, 2, 64, graph.FP32}, "fp32, 8 heads of 128 on 4": {8, 4, 128, graph.FP32},
		"fp32, 3 heads of 48 on 1": {3, 1, 48, graph.FP32},
		"int8, 6 heads of 64 on 2": {6, 2, 64, graph.Int8}, "int4, 6 heads of 64 on 2": {6, 2, 64, graph.Int4},
	} {
		t.Run(name, func(t *testing.T) {
			source := tiny.Changed(t, model.Llama, model.LMHead, 1, func(m *model.Config) {
				m.Hidden, m.Intermediate, m.Heads, m.KVHeads, m.HeadDim = 128, 192, c.heads, c.kv, c.dim
			})
			artifact := func(p graph.Precision) string {
				dir := filepath.Join(t.TempDir(), "artifact")
				if err := export.Run(t.Context(), export.Config{Kind: manifest.Policy, Model: source, Out: dir, Precision: p}); err != nil {
					t.Fatal(err)
				}
				return dir
			}
			dir := artifact(c.precision)
			s := openSession(t, dir, ort.Options{})
			if !s.Spec().Segments || c.precision != graph.FP32 && !strings.Contains(kernel.Have(), "8-bit") {
				t.Skip("this machine has no kernels for it")
			}
			exact := wander(t, openSession(t, artifact(graph.FP32), ort.Options{Plain: true}))
			worst, off := distance(t, wander(t, s), exact)
			if c.precision == graph.FP32 {
				if !(worst <= 2e-4) {
					t.Errorf("the worst numbers differ by %.2g", worst)
				}
			} else if _, theirs := distance(t, wander(t, openSession(t, dir, ort.Options{Plain: true})), exact); !(off <= 1.05*theirs) || off == 0 {
				t.Errorf("off float32 by %.4f in the mean square, onnxruntime by %.4f", off, theirs)
			}
			enginetest.Contract(t, func(*testing.T) engine.Model { return s }, 0)
		})
	}
}

// distance is the largest difference of equally many numbers and the root of the mean
// square.
func distance(t *testing.T, got, want []float32) (worst, mean float64) {
	t.Helper()
	if len(got) != len(want) || len(got) < 1000 {
		t.Fatalf("%d and %d numbers", len(got), len(want))
	}
	for i := range want {
		d := math.Abs(float64(got[i] - want[i]))
		worst, mean = max(worst, d), mean+d*d
	}
	return worst, math.Sqrt(mean / float64(len(want)))
}

// The two halves of a pair keep it beside each other, each with a device's cache.
func TestPairKeepsTheContract(t *testing.T) {
	pair, _, _, policyModel, criticModel := pairOf(t)
	t.Run("fp32", func(t *testing.T) { halvesKeepTheContract(t, pair, 2e-4) })
	t.Run("fp16", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "pair")
		cfg := export.Config{Kind: manifest.Policy, Model: policyModel, Critic: criticModel, Out: dir, Precision: graph.FP16}
		if err := export.Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		halvesKeepTheContract(t, dir, 5e-2)
	})
}

func halvesKeepTheContract(t *testing.T, pair string, tol float64) {
	policy := openSession(t, pair, ort.Options{DeviceCache: true})
	spec := policy.Spec()
	spec.Width = 1
	critic, err := policy.Share(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := critic.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, s := range map[string]*ort.Session{"policy": policy, "critic": critic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enginetest.Contract(t, func(*testing.T) engine.Model { return s }, tol)
		})
	}
}

// A policy and a value head on it keep the contract with values besides.
func TestHeadPairKeepsTheContract(t *testing.T) {
	tiny.Library(t)
	source := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	critic := tiny.Headed(t, source, 2)
	for _, form := range []graph.Attention{graph.Grouped, graph.Standard} {
		t.Run(string(form), func(t *testing.T) {
			s := openSession(t, exportPair(t, source, critic, form), ort.Options{})
			if !s.Spec().Valued {
				t.Error("it answers no values besides")
			}
			enginetest.Contract(t, func(*testing.T) engine.Model { return s }, 2e-4)
		})
	}
}

// exportStandard exports a policy in the form that every device has kernels for.
func exportStandard(t testing.TB, source string, precision graph.Precision) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "artifact")
	cfg := export.Config{Kind: manifest.Policy, Model: source, Out: dir, Precision: precision, Attention: graph.Standard}
	if err := export.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Where the cache lies changes no bit of any answer, whatever is done to its rows.
func TestDeviceCacheIsExact(t *testing.T) {
	tiny.Library(t)
	source := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	grouped := tiny.Export(t, source, model.LMHead)
	for name, dir := range map[string]string{
		"grouped fp32": grouped, "standard fp32": exportStandard(t, source, graph.FP32), "standard fp16": exportStandard(t, source, graph.FP16),
	} {
		t.Run(name, func(t *testing.T) {
			host := wander(t, openSession(t, dir, ort.Options{Threads: 1}))
			device := wander(t, openSession(t, dir, ort.Options{Threads: 1, DeviceCache: true}))
			if len(host) < 1000 || !slices.Equal(host, device) {
				t.Errorf("%d and %d numbers, which differ", len(host), len(device))
			}
		})
	}
}

// gpu skips what needs a GPU where there is none.
func gpu(t testing.TB) {
	t.Helper()
	tiny.Library(t)
	info, err := ort.Probe("")
	if err != nil {
		t.Fatal(err)
	}
	if info.CUDA != nil {
		t.Skipf("needs a GPU: %v", info.CUDA)
	}
}

// Without a GPU, cuda is an error that says what is missing, and auto takes the CPU
// and says why.
func TestNoGPU(t *testing.T) {
	tiny.Library(t)
	if info, err := ort.Probe(""); err != nil || info.CUDA == nil {
		t.Skip("there is a GPU")
	}
	dir := exported(t, model.LMHead)
	_, err := runtime.OpenPolicy(dir, runtime.Options{Device: "cuda"})
	if !errors.Is(err, runtime.ErrDevice) || !strings.Contains(err.Error(), "choose device cpu") {
		t.Errorf("cuda: %v", err)
	}
	var told error
	p, err := runtime.OpenPolicy(dir, runtime.Options{Device: "auto", OnFallback: func(reason error) { told = reason }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Device() != "cpu" || !errors.Is(p.Fallback(), runtime.ErrDevice) || told != p.Fallback() {
		t.Errorf("auto: device %s, fallback %v, told %v", p.Device(), p.Fallback(), told)
	}
	if _, err := p.Sample(t.Context(), runtime.Text("3"), 1, runtime.GenerateConfig{MaxNewTokens: 2}); err != nil {
		t.Error(err)
	}
}

// A GPU answers as the CPU does, up to rounding, and keeps the engine's contract.
func TestCUDAAgreesWithCPU(t *testing.T) {
	gpu(t)
	source := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	for precision, tol := range map[graph.Precision]float64{graph.FP32: 1e-3, graph.FP16: 5e-2} {
		t.Run(string(precision), func(t *testing.T) {
			dir := exportStandard(t, source, precision)
			cpu := wander(t, openSession(t, dir, ort.Options{}))
			s := openSession(t, dir, ort.Options{Device: "cuda"})
			for i, got := range wander(t, s) {
				if d := math.Abs(float64(got - cpu[i])); !(d <= tol) {
					t.Fatalf("number %d is %v, on the CPU %v", i, got, cpu[i])
				}
			}
			enginetest.Contract(t, func(*testing.T) engine.Model { return s }, tol)
		})
	}
}

// BenchmarkDecode tells the tokens per second of greedy decoding, on every device
// there is, for the model folder OREO_SMOLLM2 or a tiny model.
func BenchmarkDecode(b *testing.B) {
	source := os.Getenv("OREO_SMOLLM2")
	if source == "" {
		source = tiny.Model(b, model.Qwen2, model.LMHead, 1)
	}
	for _, device := range []string{"cpu", "cuda"} {
		for _, precision := range []graph.Precision{graph.FP32, graph.FP16} {
			for _, rows := range []int{1, 8, 25} {
				b.Run(fmt.Sprintf("%s/%s/rows=%d", device, precision, rows), func(b *testing.B) {
					if device == "cuda" {
						gpu(b)
					}
					tiny.Library(b)
					benchmarkDecode(b, openSession(b, exportStandard(b, source, precision), ort.Options{Device: device}), rows)
				})
			}
		}
	}
}

func benchmarkDecode(b *testing.B, s *ort.Session, rows int) {
	e, err := engine.New(s, engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	const prompt, steps = 64, 32
	for b.Loop() {
		var jobs []engine.Job
		for row := range rows {
			q := e.NewSeq()
			for i := range prompt {
				q.Append((row*31 + i*17) % e.Spec().Vocab)
			}
			left := steps
			jobs = append(jobs, engine.Job{Seq: q, Step: func(_ int, a []float32) (int, bool) {
				left--
				return slices.Index(a, slices.Max(a)), left > 0
			}})
		}
		if err := e.Run(b.Context(), jobs...); err != nil {
			b.Fatal(err)
		}
		for _, j := range jobs {
			e.Free(j.Seq)
		}
	}
	b.ReportMetric(float64(b.N*rows*steps)/b.Elapsed().Seconds(), "tokens/s")
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
