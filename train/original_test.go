package train

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOriginalSchedule: learning rates of two epochs of 5 updates with the first
// 20 % at rest. Here the policy's warm-up and cosine run over the 8 updates in
// which it learns; the authors' code (train_pcl.py) counts 2 epochs of 10
// updates, 4 of them at rest, and smaller last updates are left out.
func TestOriginalSchedule(t *testing.T) {
	data := records(t, 44) // of which 8 make an update: 5 and a half
	base := tiny(t, data)
	cosine := func(step, total, warmup float64) float64 {
		if step < warmup {
			return step / warmup
		}
		return 0.5 * (1 + math.Cos(math.Pi*(step-warmup)/(total-warmup)))
	}
	for _, original := range []bool{false, true} {
		cfg := small(t, base, data, filepath.Join(t.TempDir(), "out"))
		cfg.Original, cfg.Freeze, cfg.LR, cfg.CriticLR = original, 0.2, 1, 1
		cfg.ClipNorm, cfg.WeightDecay = 1e-9, 0
		if err := OREO(context.Background(), cfg, &quiet{}); err != nil {
			t.Fatal(err)
		}
		h := history(t, cfg.Out)
		steps, rest, length, warmup := 12, 2, 10.0, 1.0
		if original {
			steps, rest, length, warmup = 10, 4, 16, 1
		}
		if len(h) != steps {
			t.Fatalf("original %v: %d updates, want %d", original, len(h), steps)
		}
		for i, m := range h {
			want := 0.0
			if i >= rest {
				want = cosine(float64(i-rest), length, warmup)
			}
			if math.Abs(m["lr"]-want) > 1e-12 {
				t.Errorf("original %v, update %d: lr %v, want %v", original, i+1, m["lr"], want)
			}
			if want := cosine(float64(i), length+float64(rest), warmup); math.Abs(m["lr/critic"]-want) > 1e-12 {
				t.Errorf("original %v, update %d: lr of the critic %v, want %v", original, i+1, m["lr/critic"], want)
			}
		}
	}
}

// TestConversations: agents' trajectories of several turns train at the token
// and at the step level, where a turn is a step.
func TestConversations(t *testing.T) {
	const turns = `{"conversations":[{"role":"user","content":"task: find a cup"},{"role":"assistant","content":"OK"},` +
		`{"role":"user","content":"you see a desk"},{"role":"assistant","content":"go to desk"},` +
		`{"role":"user","content":"a cup"},{"role":"assistant","content":"take cup"}],"reward":`
	path := filepath.Join(t.TempDir(), "agent.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat(turns+"1}\n"+turns+"0}\n", 4)), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultInit()
	cfg.Out, cfg.Data = filepath.Join(t.TempDir(), "agent"), []string{path}
	cfg.Vocab, cfg.Hidden, cfg.Intermediate, cfg.Layers, cfg.MaxPositions = 400, 16, 24, 1, 256
	if _, err := Init(cfg); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		level    string
		original bool
		steps    string // of 8 trajectories
	}{{"token", false, "in 24 steps"}, {"step", false, "in 24 steps"}, {"step", true, "in 16 steps"}} {
		o := small(t, cfg.Out, path, filepath.Join(t.TempDir(), "out"))
		o.Level, o.Step, o.Original = c.level, "turn", c.original
		ui := &noted{}
		if err := OREO(context.Background(), o, ui); err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(ui.notes, "\n"); !strings.Contains(notes, c.steps) {
			t.Errorf("%+v: %s", c, notes)
		}
		for _, m := range history(t, o.Out) {
			if !(m["loss/policy"] > 0 && m["loss/value"] > 0 && m["grad_norm"] > 0) {
				t.Errorf("%+v: %v", c, m)
			}
		}
	}
}

// TestKTOBatchOfOne: a batch of one sample has a z of its own, from another
// record's response.
func TestKTOBatchOfOne(t *testing.T) {
	data := records(t, 9)
	cfg := DefaultKTO()
	cfg.Config = small(t, tiny(t, data), data, filepath.Join(t.TempDir(), "out")).Config
	cfg.BatchSize, cfg.LR, cfg.CacheDir = 1, 1e-2, t.TempDir()
	if err := KTO(context.Background(), cfg, &quiet{}); err != nil {
		t.Fatal(err)
	}
	positive := 0
	for _, m := range history(t, cfg.Out) {
		if m["kl"] > 0 {
			positive++
		}
		_, good := m["reward/chosen"]
		_, bad := m["reward/rejected"]
		if good == bad {
			t.Errorf("one sample is good or bad: %v", m)
		}
	}
	if positive == 0 {
		t.Error("z was 0 in all updates")
	}
}
