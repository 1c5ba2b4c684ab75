package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/train"
	"github.com/oreo-go/oreo/train/recipe"
)

// TestRecipesAreThePapers holds every recipe against appendix A.3 of arXiv
// 2412.16145: the batch is 128 everywhere; 0 is what the row does not have.
func TestRecipesAreThePapers(t *testing.T) {
	type row struct {
		epochs      int
		lr          float64
		beta, alpha float64
		level       string
		criticLR    float64
		criticRank  int // 0: a critic trained in full
		maxLen      int // of the authors' scripts
	}
	paper := map[string]row{
		"qwen2.5-math-1.5b-sft":           {epochs: 3, lr: 2e-5, maxLen: 8192},
		"qwen2.5-math-1.5b-rejection":     {epochs: 1, lr: 5e-6, maxLen: 2048},
		"qwen2.5-math-1.5b-dpo":           {epochs: 1, lr: 5e-7, beta: 0.1, maxLen: 2048},
		"qwen2.5-math-1.5b-kto":           {epochs: 1, lr: 5e-8, beta: 0.1, maxLen: 2048},
		"qwen2.5-math-1.5b-oreo":          {epochs: 1, lr: 5e-6, beta: 0.03, alpha: 0.01, level: "token", criticLR: 5e-6, maxLen: 2048},
		"qwen2.5-math-1.5b-oreo-step":     {epochs: 1, lr: 5e-6, beta: 0.03, alpha: 0.1, level: "step", criticLR: 5e-6, maxLen: 2048},
		"qwen2.5-math-1.5b-oreo-response": {epochs: 1, lr: 5e-6, beta: 0.03, alpha: 0.3, level: "response", criticLR: 5e-6, maxLen: 2048},
		"deepseekmath-7b-rejection":       {epochs: 1, lr: 5e-6, maxLen: 2048},
		"deepseekmath-7b-dpo":             {epochs: 1, lr: 5e-7, beta: 0.1, maxLen: 2048},
		"deepseekmath-7b-kto":             {epochs: 2, lr: 1e-7, beta: 0.1, maxLen: 2048},
		"deepseekmath-7b-oreo":            {epochs: 2, lr: 5e-6, beta: 0.03, alpha: 0.01, level: "token", criticLR: 1e-4, criticRank: 64, maxLen: 2048},
		"minicpm-2b-alfworld-sft":         {epochs: 2, lr: 2e-5, maxLen: 8192},
		"minicpm-2b-alfworld-rejection":   {epochs: 1, lr: 2e-5, maxLen: 4096},
		"minicpm-2b-alfworld-dpo":         {epochs: 1, lr: 5e-7, beta: 0.1, maxLen: 4096},
		"minicpm-2b-alfworld-oreo":        {epochs: 3, lr: 5e-6, beta: 0.03, alpha: 0.01, level: "token", criticLR: 5e-6, maxLen: 4096},
	}
	for _, r := range recipe.All() {
		want, ok := paper[r.Name]
		if !ok {
			t.Errorf("%s is not in the paper's table", r.Name)
			continue
		}
		delete(paper, r.Name)
		have, c := row{}, (*train.Config)(nil)
		apply := func(dst any) {
			if err := config.Apply(dst, r.Name, []byte(r.Text)); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
		switch r.Method {
		case "sft":
			cfg := train.DefaultSFT()
			apply(&cfg)
			c = &cfg.Config
		case "rejection":
			cfg := train.DefaultRejection()
			apply(&cfg)
			c = &cfg.Config
		case "dpo":
			cfg := train.DefaultDPO()
			apply(&cfg)
			c, have.beta = &cfg.Config, cfg.Beta
			if cfg.Loss != "sigmoid" || cfg.Smoothing != 0 {
				t.Errorf("%s: %+v is not plain DPO", r.Name, cfg)
			}
		case "kto":
			cfg := train.DefaultKTO()
			apply(&cfg)
			c, have.beta = &cfg.Config, cfg.Beta
		case "oreo":
			cfg := train.DefaultOREO()
			apply(&cfg)
			c, have.beta, have.alpha, have.level, have.criticLR = &cfg.Config, cfg.Beta, cfg.Alpha, cfg.Level, cfg.CriticLR
			if cfg.Kind == "lora" {
				have.criticRank = cfg.CriticRank
				if cfg.CriticAlpha != 64 {
					t.Errorf("%s: critic_lora_alpha %v", r.Name, cfg.CriticAlpha)
				}
			}
			if cfg.KL != "exact" || cfg.Objective != "telescoped" || cfg.KLTarget != 0 || cfg.Freeze != 0 {
				t.Errorf("%s: %+v is not the paper's objective", r.Name, cfg)
			}
			if err := cfg.Validate(); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		default:
			t.Fatalf("%s: method %q", r.Name, r.Method)
		}
		have.epochs, have.lr, have.maxLen = c.Epochs, c.LR, c.MaxLen
		if have != want {
			t.Errorf("%s:\nhave %+v\nwant %+v", r.Name, have, want)
		}
		if c.BatchSize != 128 || c.WarmupRatio != 0.03 || c.ClipNorm != 1 || c.WeightDecay != 0 || c.LoRARank != 0 || c.Model != "" || c.Out != "" || len(c.Data) > 0 {
			t.Errorf("%s: %+v", r.Name, *c)
		}
		for _, word := range []string{"# Start:", "# Data:", "# Source: arXiv 2412.16145"} {
			if !strings.Contains(r.Text, word) {
				t.Errorf("%s has no line %s", r.Name, word)
			}
		}
	}
	for name := range paper {
		t.Errorf("no recipe %s", name)
	}
}

// TestRecipeOrder: defaults < recipe < file < --set.
func TestRecipeOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(file, []byte("model: no/such/model\nout: "+t.TempDir()+"\nlr: 3e-7\nbeta: 0.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := train.DefaultOREO()
	cfg.Seed = 9
	err := config.Apply(&cfg, "recipe", []byte("epochs: 4\nlr: 1e-7\nbeta: 0.25\nalpha: 0.75\n"))
	if err == nil {
		err = config.Load(&cfg, file, []string{"data=a.jsonl", "beta=2"})
	}
	if err != nil || cfg.Seed != 9 || cfg.Epochs != 4 || cfg.Alpha != 0.75 || cfg.LR != 3e-7 || cfg.Beta != 2 {
		t.Errorf("%v: seed %d, epochs %d, alpha %v, lr %v, beta %v", err, cfg.Seed, cfg.Epochs, cfg.Alpha, cfg.LR, cfg.Beta)
	}
}

func TestRecipesCommand(t *testing.T) {
	for _, c := range []struct{ args, out, err string }{
		{"recipes", "deepseekmath-7b-oreo             oreo       DeepSeekMath-7B-Instruct on GSM8K and MATH, OREO", ""},
		{"recipes qwen2.5-math-1.5b-oreo", "\nbeta: 0.03\nalpha: 0.01\n", ""},
		{"recipes qwen2.5-math-1.5b-ore", "", `did you mean "qwen2.5-math-1.5b-oreo"?`},
		{"recipes a b", "", `unexpected argument "b"`},
		{"sft --recipe qwen2.5-math-1.5b-oreo --set model=m data=d out=o", "", "recipe qwen2.5-math-1.5b-oreo is for oreo-train oreo"},
		{"sft --recipe nonsense --set model=m data=d out=o", "", `unknown recipe "nonsense"; there are deepseekmath-7b-dpo`},
	} {
		app := newApp()
		var out bytes.Buffer
		app.Writer = &out
		err := app.RunContext(context.Background(), append([]string{"oreo-train"}, strings.Fields(c.args)...))
		if c.err == "" && (err != nil || !strings.Contains(out.String(), c.out)) {
			t.Errorf("%s: %v\n%s", c.args, err, out.String())
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %s", c.args, err, c.err)
		}
	}
}
