package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/nn"
)

// TestPlanCounts: what the plan says of parameters, updates and disk is what the
// run then has, for every way a policy and a critic can be trained.
func TestPlanCounts(t *testing.T) {
	data := records(t, 40)
	dir := tiny(t, data)
	for name, change := range map[string]func(*OREOConfig){
		"full":            func(*OREOConfig) {},
		"critic head":     func(c *OREOConfig) { c.Kind = "head" },
		"critic adapter":  func(c *OREOConfig) { c.Kind, c.CriticRank, c.CriticOn = "lora", 2, []string{"q_proj", "up_proj"} },
		"policy adapter":  func(c *OREOConfig) { c.LoRARank, c.LoRAAlpha, c.TargetEMA = 3, 3, 0.9 },
		"adapters, no KL": func(c *OREOConfig) { c.LoRARank, c.Kind, c.KL, c.CacheDir = 3, "lora", "k3", t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := small(t, dir, data, filepath.Join(t.TempDir(), "run"))
			change(&cfg)
			cfg.SaveEvery, cfg.KeepLast = 3, 2
			plan, err := MakePlan(&cfg, &quiet{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(cfg.Out); err == nil {
				t.Error("the plan wrote something")
			}
			wantTrained, wantFrozen := opened(t, cfg)
			trained, frozen := 0, 0
			for _, m := range plan.Models {
				trained, frozen = trained+m.Trained, frozen+m.Frozen
			}
			if trained != wantTrained || frozen != wantFrozen {
				t.Errorf("the plan has %d trained and %d frozen parameters, the run %d and %d\n%+v", trained, frozen, wantTrained, wantFrozen, plan.Models)
			}
			if plan.Updates != 10 || plan.Epoch != 5 || plan.Warmup != 1 || plan.BatchSize != 8 || plan.Rows != 8 {
				t.Errorf("%+v", plan)
			}
			if err := OREO(context.Background(), cfg, &quiet{}); err != nil {
				t.Fatal(err)
			}
			checkpoints, _ := filepath.Glob(filepath.Join(cfg.Out, "checkpoint-*"))
			if len(checkpoints) != 2 {
				t.Fatalf("checkpoints %v", checkpoints)
			}
			if have, want := weights(t, checkpoints[0]), plan.Disk[0].Bytes/3; have < want || have > want+4 { // PEFT's bias of a critic
				t.Errorf("a checkpoint has %d bytes of weights, the plan says %d", have, want)
			}
			result := weights(t, cfg.Out) - weights(t, checkpoints[0]) - weights(t, checkpoints[1])
			if want := plan.Disk[1].Bytes; result < want || result > want+4 {
				t.Errorf("the result has %d bytes of weights, the plan says %d", result, want)
			}
		})
	}
}

// opened counts the parameters that a run of cfg has in memory.
func opened(t *testing.T, cfg OREOConfig) (trained, frozen int) {
	t.Helper()
	r, err := start("oreo", &cfg, cfg.Config, &quiet{}, input{read: cfg.read})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if _, err := cfg.open(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	count := func(m *nn.Model) (n int) {
		for _, p := range m.Params() {
			n += int(p.Len())
		}
		return n
	}
	for _, m := range r.models {
		trained += count(m.Model)
	}
	for _, m := range r.frozen {
		frozen += count(m)
	}
	for _, a := range r.averages {
		frozen += count(a.Model)
	}
	return trained, frozen
}

// weights sums up the tensors' files in dir, less their headers.
func weights(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".safetensors") && d.Name() != "reference.safetensors" {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n += len(text) - 8 - int(binary.LittleEndian.Uint64(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPlanSizes holds the sums against ones done by hand for Qwen2.5-Math-1.5B.
func TestPlanSizes(t *testing.T) {
	c, err := model.Parse([]byte(`{"model_type":"qwen2","hidden_size":1536,"intermediate_size":8960,"num_hidden_layers":28,
"num_attention_heads":12,"num_key_value_heads":2,"vocab_size":151936,"max_position_embeddings":4096,"tie_word_embeddings":true}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := c.NumParams(model.LMHead); n != 1543714304 {
		t.Errorf("%d parameters", n)
	}
	lora := peft.LoRA{Rank: 64, Alpha: 64}
	// q, o: 1536+1536; k, v: 1536+256; gate, up, down: 1536+8960
	if n, want := lora.NumParams(c), 28*64*(2*3072+2*1792+3*10496); n != want {
		t.Errorf("%d parameters in adapters, want %d", n, want)
	}
	if n, want := nn.ActivationBytes(c, nil, 1, false), 4*(9*1536+2*256+4*8960); n != want {
		t.Errorf("%d bytes a token and layer, want %d", n, want)
	}
}

func TestPlanIsWritten(t *testing.T) {
	data := records(t, 16)
	cfg := small(t, tiny(t, data), data, "out")
	cfg.Config.Device = "cuda" // need not be here
	plan, err := MakePlan(&cfg, &quiet{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := plan.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"policy", "critic", "starting policy", "for pi_ref", "memory of the gpu, matrix products in bfloat16, estimated",
		"AdamW moments", "activations, critic", "sum", "updates", "checkpoints", "one, at an interruption"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
