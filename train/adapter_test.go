package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// adapted trains policy and critic as adapters and returns the run's folder.
func adapted(t *testing.T, model, data string, change func(*OREOConfig)) string {
	t.Helper()
	cfg := small(t, model, data, filepath.Join(t.TempDir(), "adapted"))
	cfg.Epochs, cfg.LoRARank, cfg.Kind, cfg.CriticRank = 1, 2, "lora", 2
	change(&cfg)
	if err := OREO(context.Background(), cfg, &quiet{}); err != nil {
		t.Fatal(err)
	}
	return cfg.Out
}

// TestMergedIsTheAdapter: the folder that every command loads computes what the
// base with the adapter beside it computes, for a policy and for a critic.
func TestMergedIsTheAdapter(t *testing.T) {
	data := records(t, 24)
	out := adapted(t, tiny(t, data), data, func(*OREOConfig) {})
	for folder, head := range map[string]model.Head{"": model.LMHead, "critic": model.ValueHead} {
		merged, adapter := outputs(t, filepath.Join(out, folder), head), outputs(t, filepath.Join(out, folder, peft.Folder), head)
		later := MergeConfig{Adapter: filepath.Join(out, folder, peft.Folder), Out: filepath.Join(t.TempDir(), "later"), DType: "float32"}
		if _, err := Merge(later); err != nil {
			t.Fatal(err)
		}
		if got := outputs(t, later.Out, head); !slices.Equal(got, merged) {
			t.Errorf("%q: merged later: %v, want %v", folder, got, merged)
		}
		if _, err := Merge(later); !errors.Is(err, os.ErrExist) {
			t.Errorf("merged over a model: %v", err)
		}
		for i := range merged {
			if d := math.Abs(float64(merged[i] - adapter[i])); !(d < 1e-5) {
				t.Errorf("%q: output %d is %v merged, %v with the adapter", folder, i, merged[i], adapter[i])
			}
		}
		if _, err := os.Stat(filepath.Join(out, folder, "README.md")); err != nil {
			t.Error(err)
		}
	}
}

// outputs is what the model in dir computes for some tokens.
func outputs(t *testing.T, dir string, head model.Head) (values []float32) {
	t.Helper()
	m, err := nn.Open(dir, head, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := torch.Scope(func() { values = m.Forward(torch.FromInt64([]int64{3, 1, 4, 1, 5}, 1, 5)).Float32s() }); err != nil {
		t.Fatal(err)
	}
	return values
}

// TestAdapterGoesOn: training begins with an adapter where model names one: the
// adapter is trained on, or merged and all parameters trained; either way it is
// pi_ref, so that the first update's log-ratio is zero.
func TestAdapterGoesOn(t *testing.T) {
	data := records(t, 24)
	base := tiny(t, data)
	first := adapted(t, base, data, func(c *OREOConfig) { c.Merge, c.LR = false, 1e-2 })
	if _, err := os.Stat(filepath.Join(first, "config.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("merge is off, but there is a whole model: %v", err)
	}
	if outputs(t, base, model.LMHead)[0] == outputs(t, filepath.Join(first, peft.Folder), model.LMHead)[0] {
		t.Fatal("the adapter has learnt nothing")
	}
	for name, change := range map[string]func(*OREOConfig){
		"adapter":          func(*OREOConfig) {},
		"all parameters":   func(c *OREOConfig) { c.LoRARank, c.Kind = 0, "full" },
		"critic's adapter": func(c *OREOConfig) { c.Critic = filepath.Join(first, "critic", peft.Folder) },
		"head alone":       func(c *OREOConfig) { c.Kind = "head" },
	} {
		out := adapted(t, filepath.Join(first, peft.Folder), data, change)
		h := history(t, out)
		if d := h[0]["log_ratio"]; math.Abs(d) > 1e-6 {
			t.Errorf("%s: the first update's log-ratio is %v, want 0", name, d)
		}
		started := h[0]["value/mean"] != 0
		if want := name == "critic's adapter"; started != want {
			t.Errorf("%s: the first update's mean value is %v", name, h[0]["value/mean"])
		}
	}
}

// TestBadAdapters: an adapter that does not belong to the model, or is no whole
// one, is an error that says so.
func TestBadAdapters(t *testing.T) {
	data := records(t, 16)
	base := tiny(t, data)
	first := adapted(t, base, data, func(*OREOConfig) {})
	adapter := filepath.Join(first, peft.Folder)
	change := func(name string, f func(dir string) error) string {
		dir := filepath.Join(filepath.Dir(first), name) // as deep as the first: its base is found
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.CopyFS(filepath.Join(dir, peft.Folder), os.DirFS(adapter)), f(filepath.Join(dir, peft.Folder))); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, peft.Folder)
	}
	replace := func(old, new string) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, peft.ConfigFile)
			text, err := os.ReadFile(path)
			if !strings.Contains(string(text), old) {
				t.Fatalf("%q is not in %s", old, text)
			}
			return errors.Join(err, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o644))
		}
	}
	rel, err := filepath.Rel(adapter, base)
	if err != nil {
		t.Fatal(err)
	}
	other, err := filepath.Rel(adapter, tinySeed(t, data, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, model, critic string
		rank                int
		want                string
	}{
		{"another model's", change("other", replace(rel, other)), "", 2, "base with other weights"},
		{"no base", change("lost", replace(rel, "gone")), "", 2, "no model folder at"},
		{"cut short", change("cut", func(dir string) error { return os.Truncate(filepath.Join(dir, peft.WeightFile), 3000) }), "", 2, "cut short"},
		{"other rank", adapter, "", 3, "lora_rank: 3, but the adapter"},
		{"no head", base, base, 0, "has no value_head.weight"},
	} {
		cfg := small(t, c.model, data, filepath.Join(t.TempDir(), "out"))
		cfg.LoRARank, cfg.Critic, cfg.Kind = c.rank, c.critic, "head"
		if err := OREO(context.Background(), cfg, &quiet{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestBadCheckpoints: a checkpoint that lost something is an error that names
// the file; the run does not begin anew over it.
func TestBadCheckpoints(t *testing.T) {
	data := records(t, 24)
	base := tiny(t, data)
	for name, damage := range map[string]struct {
		file string
		size int64 // -1: removed
		want string
	}{
		"moments cut":     {"optimizer.safetensors", 2000, "optimizer.safetensors"},
		"moments gone":    {"optimizer.safetensors", -1, "optimizer.safetensors"},
		"policy cut":      {"adapter_model.safetensors", 1000, "adapter_model.safetensors"},
		"critic gone":     {"critic/model.safetensors", -1, "critic"},
		"average cut":     {"average-reference.safetensors", 1000, "average-reference.safetensors"},
		"state gone":      {"trainer_state.json", -1, "not a checkpoint; remove it"},
		"state malformed": {"trainer_state.json", 40, "trainer_state.json"},
	} {
		cfg := small(t, base, data, filepath.Join(t.TempDir(), "out"))
		cfg.LoRARank, cfg.ReferenceEMA = 2, 0.9
		ctx, cancel := context.WithCancel(context.Background())
		if err := OREO(ctx, cfg, &quiet{cancel, 2}); !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		path := filepath.Join(cfg.Out, "checkpoint-000002", damage.file)
		damaged := os.Remove
		if damage.size >= 0 {
			damaged = func(path string) error { return os.Truncate(path, damage.size) }
		}
		if err := damaged(path); err != nil {
			t.Fatal(err)
		}
		before := torch.Live()
		if err := OREO(context.Background(), cfg, &quiet{}); err == nil || !strings.Contains(err.Error(), damage.want) {
			t.Errorf("%s: %v, want %q", name, err, damage.want)
		}
		if n := torch.Live() - before; n != 0 {
			t.Errorf("%s: %d tensor handles left", name, n)
		}
	}
}
