package nn

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// TestAgainstPEFT loads adapters that testdata/gen/adapters.py wrote with PEFT
// and compares outputs and every adapter weight's gradient.
func TestAgainstPEFT(t *testing.T) {
	for _, name := range []string{"qwen2", "llama", "minicpm"} {
		for _, kind := range []struct {
			folder, output string
			head           model.Head
		}{{"lora", "logits", model.LMHead}, {"lora-critic", "values", model.ValueHead}} {
			t.Run(name+"/"+kind.folder, func(t *testing.T) {
				dir := filepath.Join("testdata", name, kind.folder)
				ref := open(t, filepath.Join(dir, "expected.safetensors"))
				m, err := Open(dir, kind.head, torch.CPU, torch.Float32)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				m.Train()
				scope(t, func() {
					mask := tensor(t, ref, "mask")
					out := m.Forward(tensor(t, ref, "input_ids"))
					real, score := mask, out
					if kind.head == model.LMHead {
						real, score = mask.Unsqueeze(-1), out.LogSoftmax().Narrow(-1, 3, 1).Squeeze(-1)
					}
					compare(t, kind.output, out.Mul(real), tensor(t, ref, kind.output), 1e-4)
					score.Mul(ramp(mask)).Sum().Backward()
					for i, p := range m.Params() {
						stored := "grad." + peft.Prefix + m.Names()[i]
						if m.Names()[i] == model.ValueHeadName {
							stored = "grad." + peft.Score
						}
						if p.Grad() == nil {
							t.Errorf("%s: no gradient", stored)
							continue
						}
						compare(t, stored, p.Grad(), tensor(t, ref, stored), 1e-4)
					}
				})
			})
		}
	}
}

// TestPEFTLoadsOurs writes adapters and merged models, and lets PEFT and
// transformers compute with them.
func TestPEFTLoadsOurs(t *testing.T) {
	python := os.Getenv("OREO_TEST_PEFT")
	if python == "" {
		t.Skip("OREO_TEST_PEFT, a Python with torch, transformers and peft, is not set")
	}
	for _, name := range []string{"qwen2-tied", "llama"} {
		for _, head := range []model.Head{model.LMHead, model.ValueHead} {
			m := adapted(t, load(t, name, torch.Float32), head, peft.LoRA{Rank: 4, Alpha: 8, Targets: []string{"q_proj", "down_proj"}, RSLoRA: name == "llama"}, 9)
			dir := t.TempDir()
			adapter, merged := filepath.Join(dir, "adapter"), filepath.Join(dir, "merged")
			tensors, err := m.Merged(torch.Float32)
			err = errors.Join(err, os.Mkdir(adapter, 0o755), os.Mkdir(merged, 0o755), m.SaveAdapter(adapter, filepath.Join("testdata", name)),
				safetensors.WriteModel(merged, tensors), m.Config.Save(merged, head, "float32"))
			if err != nil {
				t.Fatal(err)
			}
			scope(t, func() {
				out := m.Forward(ids())
				answer := safetensors.Float32Tensor("values", []int{2, 6}, out.Float32s())
				if head == model.LMHead {
					answer = safetensors.Float32Tensor("logits", []int{2, 6, m.Config.Vocab}, out.Float32s())
				}
				err = safetensors.Write(filepath.Join(adapter, "reference.safetensors"), []safetensors.Tensor{answer,
					safetensors.Int64Tensor("lengths", []int{2}, []int64{6, 4}),
					{Name: "input_ids", DType: safetensors.I64, Shape: []int{2, 6}, Data: ids().Bytes()}}, nil)
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(python, "testdata/peft_check.py", adapter, merged).CombinedOutput()
			t.Logf("%s: %s", name, out)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// saved writes an adapter of the tiny Llama to a folder beside a copy of its
// base, and returns both.
func saved(t *testing.T, head model.Head, cfg peft.LoRA) (m *Model, dir, base string) {
	t.Helper()
	m = adapted(t, load(t, "llama", torch.Float32), head, cfg, 4)
	root := t.TempDir()
	dir, base = filepath.Join(root, "runs", "adapter"), filepath.Join(root, "models", "llama")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.CopyFS(base, os.DirFS("testdata/llama")))
	if err == nil {
		err = m.SaveAdapter(dir, base)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, dir, base
}

// An adapter comes back as it was, with its base found from its own folder, and
// the same bytes come out when it is saved again.
func TestAdapterRoundTrip(t *testing.T) {
	for _, head := range []model.Head{model.LMHead, model.ValueHead} {
		m, dir, base := saved(t, head, peft.LoRA{Rank: 3, Alpha: 5, RSLoRA: true, Targets: []string{"o_proj", "up_proj"}})
		if got, err := peft.BaseDir(dir); err != nil || got != base {
			t.Errorf("base %q, %v, want %q", got, err, base)
		}
		back, err := Open(dir, head, torch.CPU, torch.Float32)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Free()
		again := filepath.Join(filepath.Dir(dir), "again")
		if err := errors.Join(os.Mkdir(again, 0o755), back.SaveAdapter(again, base)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{peft.WeightFile, peft.ConfigFile} {
			a, err1 := os.ReadFile(filepath.Join(dir, name))
			b, err2 := os.ReadFile(filepath.Join(again, name))
			if err := errors.Join(err1, err2); err != nil || string(a) != string(b) {
				t.Errorf("%s saved twice differs, %v", name, err)
			}
		}
		scope(t, func() { compare(t, "output", back.Forward(ids()), m.Forward(ids()), 0) })
	}
	if got, err := peft.BaseDir("testdata/llama"); err != nil || got != "testdata/llama" {
		t.Errorf("base of a whole model: %q, %v", got, err)
	}
}

// A critic starts from a policy's adapter with its value head at zero.
func TestCriticFromPolicyAdapter(t *testing.T) {
	policy, dir, _ := saved(t, model.LMHead, peft.LoRA{Rank: 2, Alpha: 2})
	critic, err := LoadAdapter(policy, dir, model.ValueHead)
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Free()
	scope(t, func() {
		compare(t, "hidden", critic.Hidden(ids()), policy.Hidden(ids()), 0)
		if v := critic.Forward(ids()).Square().Sum().Item(); v != 0 {
			t.Errorf("the new critic's values: %v", v)
		}
	})
}

func TestAdapterMistakes(t *testing.T) {
	edit := func(key string, value any) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, peft.ConfigFile)
			var all map[string]any
			text, err := os.ReadFile(path)
			if err == nil {
				err = json.Unmarshal(text, &all)
			}
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(all, map[string]any{key: value})
			text, err = json.Marshal(all)
			if err = errors.Join(err, os.WriteFile(path, text, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		head model.Head
		do   func(*testing.T, string)
		want []string
	}{
		{"dora", model.LMHead, edit("use_dora", true), []string{peft.ConfigFile, "use_dora true is not supported"}},
		{"ranks", model.LMHead, edit("rank_pattern", map[string]int{"q_proj": 4}), []string{peft.ConfigFile, `rank_pattern {"q_proj":4} is not supported`}},
		{"pissa", model.LMHead, edit("init_lora_weights", "pissa"), []string{peft.ConfigFile, `init_lora_weights "pissa" is not supported`}},
		{"bias", model.LMHead, edit("bias", "all"), []string{peft.ConfigFile, `bias "all"`}},
		{"some layers", model.LMHead, edit("layers_to_transform", []int{0}), []string{"layers_to_transform [0] is not supported"}},
		{"a field of tomorrow", model.LMHead, edit("use_magic", 0.5), []string{"use_magic 0.5 is not supported"}},
		{"embeddings", model.LMHead, edit("modules_to_save", []string{"embed_tokens"}), []string{`modules_to_save "embed_tokens"`}},
		{"kind", model.LMHead, edit("peft_type", "IA3"), []string{`peft_type "IA3"`}},
		{"task", model.LMHead, edit("task_type", "SEQ_2_SEQ_LM"), []string{`task_type "SEQ_2_SEQ_LM"`}},
		{"regex", model.LMHead, edit("target_modules", ".*_proj"), []string{peft.ConfigFile, "target_modules", `".*_proj"`}},
		{"rank", model.LMHead, edit("r", 5), []string{peft.WeightFile, "lora_A.weight has shape [4 16]", "ask for [5 16]"}},
		{"rank type", model.LMHead, edit("r", "four"), []string{peft.ConfigFile, "r of type int"}},
		{"rank 0", model.LMHead, edit("r", 0), []string{peft.ConfigFile, "rank 0"}},
		{"huge rank", model.LMHead, edit("r", 1<<40), []string{peft.ConfigFile, "rank 1099511627776"}},
		{"fewer targets", model.LMHead, edit("target_modules", []string{"q_proj"}), []string{peft.WeightFile, "v_proj", "belongs to no target_modules"}},
		{"more targets", model.LMHead, edit("target_modules", []string{"q_proj", "v_proj", "k_proj"}), []string{peft.WeightFile, "k_proj", "ask for it"}},
		{"no base", model.LMHead, edit("base_model_name_or_path", "org/model"), []string{peft.ConfigFile, `base_model_name_or_path "org/model": no model folder`}},
		{"another base", model.LMHead, edit("base_model_name_or_path", "../../models/other"), []string{peft.WeightFile, "base with other weights"}},
		{"another family", model.LMHead, edit("base_model_name_or_path", "../../models/qwen2"), []string{peft.WeightFile, "base with other weights"}},
		{"critic for policy", model.LMHead, nil, []string{peft.WeightFile, "a critic's adapter"}},
		{"not JSON", model.LMHead, func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, peft.ConfigFile), []byte("{"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{peft.ConfigFile, "unexpected end"}},
		{"cut", model.LMHead, func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, peft.WeightFile), 2000); err != nil {
				t.Fatal(err)
			}
		}, []string{peft.WeightFile, "cut short"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			head := c.head
			if c.do == nil {
				head = model.ValueHead
			}
			m, dir, base := saved(t, head, peft.LoRA{Rank: 4, Alpha: 4, Targets: []string{"q_proj", "v_proj"}})
			if err := os.CopyFS(filepath.Join(filepath.Dir(base), "qwen2"), os.DirFS("testdata/qwen2")); err != nil {
				t.Fatal(err)
			}
			other(t, m, filepath.Join(filepath.Dir(base), "other"))
			if c.do != nil {
				c.do(t, dir)
			}
			before := torch.Live()
			back, err := Open(dir, c.head, torch.CPU, torch.Float32)
			if err == nil {
				back.Free()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %s", err, want)
				}
			}
			if torch.Live() != before {
				t.Errorf("%d tensor handles left", torch.Live()-before)
			}
		})
	}
}

// other saves a model of m's shape with other weights.
func other(t *testing.T, m *Model, dir string) {
	t.Helper()
	fresh, err := New(m.Config, torch.CPU, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Free()
	tensors, err := fresh.Tensors(torch.Float32)
	err = errors.Join(err, os.MkdirAll(dir, 0o755))
	if err == nil {
		err = errors.Join(safetensors.WriteModel(dir, tensors), m.Config.Save(dir, model.LMHead, "float32"))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDigestOfFile: the digest that libtorch computes is the one that
// peft.DigestOf reads from the file, also of a base in bfloat16.
func TestDigestOfFile(t *testing.T) {
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
		m := load(t, "qwen2", dtype)
		want, err := m.digest()
		if err != nil {
			t.Fatal(err)
		}
		tensors, err := m.Tensors(dtype)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := safetensors.WriteModel(dir, tensors); err != nil {
			t.Fatal(err)
		}
		got, err := peft.DigestOf(m.Config, open(t, filepath.Join(dir, safetensors.SingleFile)))
		if err != nil || got != want {
			t.Errorf("%v: %v, want %v (%v)", dtype, got, want, err)
		}
	}
}
