package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/runtime/traj"
	"github.com/oreo-go/oreo/train/torch"
)

// trial is a method with settings.
type trial struct {
	name  string
	pairs bool // its data

	variant bool // of a method that another trial is about
	train   func(context.Context, Config, UI) error
}

// trials are all methods, every kind of critic, adapters and averages.
func trials(t *testing.T) []trial {
	oreo := func(name string, change func(*OREOConfig)) trial {
		return trial{name: "oreo " + name, variant: name != "token", train: func(ctx context.Context, c Config, ui UI) error {
			cfg := DefaultOREO()
			cfg.Config, cfg.CriticLR = c, 1e-3
			change(&cfg)
			return OREO(ctx, cfg, ui)
		}}
	}
	dpo := func(name string, change func(*DPOConfig)) trial {
		return trial{name: "dpo " + name, variant: name != "sigmoid", pairs: true, train: func(ctx context.Context, c Config, ui UI) error {
			cfg := DefaultDPO()
			cfg.Config = c
			change(&cfg)
			return DPO(ctx, cfg, ui)
		}}
	}
	kto := func(name string, change func(*KTOConfig)) trial {
		return trial{name: "kto " + name, variant: name != "full", train: func(ctx context.Context, c Config, ui UI) error {
			cfg := DefaultKTO()
			cfg.Config = c
			change(&cfg)
			return KTO(ctx, cfg, ui)
		}}
	}
	dqo := func(name string, change func(*DQOConfig)) trial {
		return trial{name: "dqo " + name, variant: name != "full", train: func(ctx context.Context, c Config, ui UI) error {
			cfg := DefaultDQO()
			cfg.Config, cfg.CriticLR = c, 1e-3
			change(&cfg)
			return DQO(ctx, cfg, ui)
		}}
	}
	t.Setenv("OREO_CACHE", t.TempDir())
	start := tinySeed(t, records(t, 24), 1)
	return []trial{
		{name: "sft", train: func(ctx context.Context, c Config, ui UI) error { return SFT(ctx, SFTConfig{c}, ui) }},
		{name: "sft lora", variant: true, train: func(ctx context.Context, c Config, ui UI) error {
			c.LoRARank = 2
			return SFT(ctx, SFTConfig{c}, ui)
		}},
		{name: "rejection", variant: true, train: func(ctx context.Context, c Config, ui UI) error {
			return Rejection(ctx, RejectionConfig{c, 1}, ui)
		}},
		dpo("sigmoid", func(c *DPOConfig) { c.Smoothing = 0.1 }),
		dpo("ipo lora", func(c *DPOConfig) { c.Loss, c.LoRARank = "ipo", 2 }),
		kto("full", func(*KTOConfig) {}),
		kto("lora", func(c *KTOConfig) { c.LoRARank, c.Undesirable = 2, 0.5 }),
		dqo("full", func(*DQOConfig) {}),
		dqo("step head", func(c *DQOConfig) { c.Level, c.Kind, c.LoRARank = "step", "head", 2 }),
		oreo("token", func(*OREOConfig) {}),
		oreo("step lora critic", func(c *OREOConfig) { c.Level, c.Kind, c.CriticRank = "step", "lora", 2 }),
		oreo("response head critic", func(c *OREOConfig) { c.Level, c.Kind = "response", "head" }),
		oreo("one step, forward KL, frozen at first", func(c *OREOConfig) { c.Objective, c.KL, c.Freeze = "one_step", "forward", 0.4 }),
		oreo("k3, clipped, weighted", func(c *OREOConfig) { c.KL, c.ClipLogRatio, c.Importance = "k3", 0.5, true }),
		oreo("averages, learned KL weight", func(c *OREOConfig) { c.ReferenceEMA, c.TargetEMA, c.KLTarget = 0.9, 0.8, 0.01 }),
		oreo("averages of adapters", func(c *OREOConfig) {
			c.ReferenceEMA, c.TargetEMA, c.LoRARank, c.Kind, c.CriticRank = 0.9, 0.8, 2, "lora", 2
		}),
		oreo("original", func(c *OREOConfig) {
			c.Original, c.Importance, c.TargetEMA, c.Level, c.Hinge, c.Freeze = true, true, 0.9, "response", 0.5, 0.2
		}),
		oreo("critic of a policy and its start", func(c *OREOConfig) {
			c.CriticOnly, c.Reference = true, start
		}),
		oreo("critic only", func(c *OREOConfig) { c.CriticOnly, c.Kind, c.CriticRank = true, "lora", 2 }),
	}
}

// pairs writes n pairs of sums.
func pairs(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pairs.jsonl")
	w, err := jsonl.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		a, b := i%7, i%5
		answer := func(x int) traj.Text {
			return traj.Text{Plain: fmt.Sprintf("%d and %d\n%s%d", a, b, strings.Repeat("so\n", i%3), x)}
		}
		if err := w.Write(traj.Pair{Prompt: traj.Text{Plain: fmt.Sprintf("sum of %d and %d?\n", a, b)}, Chosen: answer(a + b), Rejected: answer(a + b + 1 + i%2)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestResume: for every method, kind of critic, adapter and average 2N updates
// are N, a save, a load and N more, bit for bit, and no tensor is left behind.
func TestResume(t *testing.T) {
	rewards := records(t, 24)
	model := tiny(t, rewards)
	for _, c := range trials(t) {
		t.Run(c.name, func(t *testing.T) {
			cfg := small(t, model, rewards, filepath.Join(t.TempDir(), "whole")).Config
			if c.pairs {
				cfg.Data = []string{pairs(t, 24)}
			}
			before, probe := torch.Live(), &handles{}
			if err := c.train(context.Background(), cfg, probe); err != nil {
				t.Fatal(err)
			}
			if n := len(probe.live); probe.live[n-1] != probe.live[1] {
				t.Errorf("tensor handles after each update: %v", probe.live)
			}
			halves := cfg
			halves.Out = filepath.Join(t.TempDir(), "halves")
			ctx, cancel := context.WithCancel(context.Background())
			if err := c.train(ctx, halves, &quiet{cancel, 2}); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "after update 2 of") {
				t.Fatalf("interrupted run: %v", err)
			}
			if err := c.train(context.Background(), halves, &quiet{}); err != nil {
				t.Fatal(err)
			}
			if n := torch.Live() - before; n != 0 {
				t.Errorf("%d tensor handles left", n)
			}
			sameFiles(t, cfg.Out, halves.Out)
			a, b := history(t, cfg.Out), history(t, halves.Out)
			if len(a) < 4 || fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("metrics differ:\n%v\n%v", a, b)
			}
		})
	}
}

// handles counts the tensors after each update.
type handles struct {
	quiet
	live []int
}

func (h *handles) Progress(int, int, string) { h.live = append(h.live, torch.Live()) }

// sameFiles asks that both folders hold the same tensor files.
func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".safetensors" {
			return err
		}
		files++
		rel, _ := filepath.Rel(a, path)
		x, err1 := os.ReadFile(path)
		y, err2 := os.ReadFile(filepath.Join(b, rel))
		if !bytes.Equal(x, y) {
			t.Errorf("%s differs after the resume", rel)
		}
		return errors.Join(err1, err2)
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files: %v", files, err)
	}
}

// history is what a run logged, without what is measured by the clock.
func history(t *testing.T, dir string) (all []map[string]float64) {
	t.Helper()
	for l, err := range jsonl.Read[map[string]float64](filepath.Join(dir, "metrics.jsonl")) {
		if err != nil {
			t.Fatal(err)
		}
		delete(l, "time")
		delete(l, "tokens_per_s")
		all = append(all, l)
	}
	return all
}

// TestAccumulation: 1 x 128 sequences, 4 x 32 and 128 x 1 give the same update
// in float64, for every method: the metrics of two updates and the parameters
// after them agree to 1e-9.
func TestAccumulation(t *testing.T) {
	paramType = torch.Float64
	defer func() { paramType = torch.Float32 }()
	rewards, preferences := records(t, 256), pairs(t, 128)
	model := tiny(t, rewards)
	for _, c := range trials(t) {
		t.Run(c.name, func(t *testing.T) {
			var want string
			for _, micro := range []int{0, 32, 1} {
				cfg := small(t, model, rewards, filepath.Join(t.TempDir(), fmt.Sprint(micro))).Config
				if c.pairs {
					cfg.Data = []string{preferences}
				}
				cfg.BatchSize, cfg.MicroBatch, cfg.MaxSteps, cfg.WarmupRatio = 128, micro, 2, 0
				if c.variant && !testing.Verbose() {
					cfg.BatchSize, cfg.MicroBatch = 16, min(4, micro) // the cut is what matters; 128 of each take a minute
				}
				if err := c.train(context.Background(), cfg, &quiet{}); err != nil {
					t.Fatal(err)
				}
				if want == "" {
					want = cfg.Out
					continue
				}
				closeMetrics(t, micro, history(t, cfg.Out), history(t, want))
				closeParameters(t, micro, cfg.Out, want)
			}
		})
	}
}

func closeMetrics(t *testing.T, micro int, got, want []map[string]float64) {
	t.Helper()
	for i := range want {
		for name, w := range want[i] {
			if g := got[i][name]; !(math.Abs(g-w) <= 1e-9*max(1, math.Abs(w))) {
				t.Errorf("micro_batch %d, update %d: %s is %v, want %v", micro, i+1, name, g, w)
			}
		}
	}
}

func closeParameters(t *testing.T, micro int, got, want string) {
	t.Helper()
	for _, folder := range []string{"", "critic"} {
		if _, err := os.Stat(filepath.Join(want, folder, "model.safetensors")); err != nil {
			continue // a method without a critic, or with nothing else
		}
		a, err := safetensors.OpenModel(filepath.Join(want, folder))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := safetensors.OpenModel(filepath.Join(got, folder))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for _, name := range a.Names() {
			x, err1 := a.Get(name)
			y, err2 := b.Get(name)
			if err := errors.Join(err1, err2); err != nil || x.DType != safetensors.F64 {
				t.Fatalf("%s, %s: %v", name, x.DType, err)
			}
			worst := 0.0
			err := torch.Scope(func() {
				n := int64(x.Len())
				d := torch.FromBytes(torch.Float64, []int64{n}, x.Data).Sub(torch.FromBytes(torch.Float64, []int64{n}, y.Data))
				for _, v := range d.Float64s() {
					worst = max(worst, math.Abs(v))
				}
			})
			if err != nil || !(worst <= 1e-9) {
				t.Errorf("micro_batch %d: %s/%s differs by %.2g (%v)", micro, folder, name, worst, err)
			}
		}
	}
}
