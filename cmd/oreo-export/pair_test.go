package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// pairs are the ways in which policy and critic share a backbone: folders for
// --model and --critic.
var pairs = map[string]func(t *testing.T, arch model.Arch) (policy, critic string){
	"head": func(t *testing.T, arch model.Arch) (policy, critic string) {
		policy = tiny.Model(t, arch, model.LMHead, 1)
		return policy, tiny.Headed(t, policy, 2)
	},
	"adapter on the policy": func(t *testing.T, arch model.Arch) (policy, critic string) {
		policy = tiny.Model(t, arch, model.LMHead, 1)
		return policy, tiny.Adapter(t, policy, model.ValueHead, 4)
	},
	"adapters on one base": func(t *testing.T, arch model.Arch) (policy, critic string) {
		base := tiny.Model(t, arch, model.LMHead, 1)
		policy = tiny.Merged(t, base, tiny.Adapter(t, base, model.LMHead, 2), model.LMHead)
		return policy, tiny.Merged(t, base, tiny.Adapter(t, base, model.ValueHead, 3), model.ValueHead)
	},
}

// TestPairsRunAsTheyShould exports policy and critic into one graph, in each form,
// and compares both answers in every mode with the plain forward pass.
func TestPairsRunAsTheyShould(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []model.Arch{model.Qwen2, model.Llama, model.MiniCPM} {
		for name, make := range pairs {
			policy, critic := make(t, arch)
			for _, form := range []string{"fp32 grouped", "int8 grouped", "int4 grouped", "fp32 standard", "fp16 standard"} {
				t.Run(string(arch)+" "+name+" "+form, func(t *testing.T) {
					dtype, attention, _ := strings.Cut(form, " ")
					out := filepath.Join(t.TempDir(), "out")
					if text, err := run(t, "policy", "--model", policy, "--critic", critic, "--out", out, "--dtype", dtype, "--attention", attention); err != nil {
						t.Fatal(err, text)
					}
					text, err := run(t, "verify", out)
					if err != nil {
						t.Error(err)
					}
					for _, mode := range []string{"whole", "chunks", "cached", "ragged"} {
						for _, kind := range []string{"policy", "critic"} {
							if !strings.Contains(strings.Join(strings.Fields(text), " "), "reference.safetensors "+kind+" "+mode) {
								t.Errorf("%s, mode %s is not reported", kind, mode)
							}
						}
					}
					t.Log("\n" + text)
					if text, err := run(t, "inspect", out); err != nil {
						t.Error(err, text)
					}
				})
			}
		}
	}
}

// TestPairIsPEFTs: a pair of a model and an adapter that PEFT trained on it
// answers what transformers and PEFT do.
func TestPairIsPEFTs(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		policy := filepath.Join("..", "..", "train", "nn", "testdata", arch)
		critic := filepath.Join(policy, "lora-critic")
		out := filepath.Join(t.TempDir(), "out")
		if text, err := run(t, "policy", "--model", policy, "--critic", critic, "--out", out); err != nil {
			t.Fatal(err, text)
		}
		m, err := manifest.Load(out)
		if err != nil {
			t.Fatal(err)
		}
		for name, from := range map[string]string{manifest.TrainerFile: policy, manifest.TrainerCriticFile: critic} {
			asReference(t, filepath.Join(from, "expected.safetensors"), filepath.Join(out, name))
			f, err := manifest.Hash(t.Context(), out, name)
			if err != nil {
				t.Fatal(err)
			}
			m.Files = append(m.Files, f)
		}
		if err := m.Save(out); err != nil {
			t.Fatal(err)
		}
		text, err := run(t, "verify", out)
		if err != nil || strings.Count(text, "reference-trainer") != 8 {
			t.Errorf("%s: %v\n%s", arch, err, text)
		}
	}
}

// asReference turns the expected outputs of the trainer's tests, padded on the
// right as a mask says, into a reference file.
func asReference(t *testing.T, from, to string) {
	t.Helper()
	f, err := safetensors.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mask, err := f.Get("mask")
	if err != nil {
		t.Fatal(err)
	}
	real, err := mask.Float32()
	if err != nil {
		t.Fatal(err)
	}
	lengths := make([]int64, mask.Shape[0])
	for i, v := range real {
		lengths[i/mask.Shape[1]] += int64(v)
	}
	tensors := []safetensors.Tensor{safetensors.Int64Tensor("lengths", []int{len(lengths)}, lengths)}
	for _, name := range []string{"input_ids", "logits", "values"} {
		if w, err := f.Get(name); err == nil {
			tensors = append(tensors, w)
		}
	}
	if err := safetensors.Write(to, tensors, nil); err != nil {
		t.Fatal(err)
	}
}

// TestUnfitCritics: a critic that does not share the policy's backbone is refused.
func TestUnfitCritics(t *testing.T) {
	policy := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	other := tiny.Model(t, model.Qwen2, model.LMHead, 2)
	for name, c := range map[string]struct{ critic, want string }{
		"backbone of its own": {tiny.Model(t, model.Qwen2, model.ValueHead, 2), "tensor model.embed_tokens.weight is not the policy's"},
		"a policy":            {other, "no tensor value_head.weight: this is not a critic"},
		"adapter of another":  {tiny.Adapter(t, other, model.ValueHead, 3), "its adapter is for another backbone"},
		"a policy's adapter":  {tiny.Adapter(t, policy, model.LMHead, 3), "no tensor base_model.model.score.weight"},
		"another family":      {tiny.Adapter(t, tiny.Model(t, model.Llama, model.LMHead, 1), model.ValueHead, 3), "its adapter is for another backbone"},
		"nothing":             {t.TempDir(), "config.json"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := run(t, "policy", "--model", policy, "--critic", c.critic, "--out", out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
