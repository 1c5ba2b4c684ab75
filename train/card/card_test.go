package card

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/oreo-go/oreo/runtime/model"
)

func config(arch model.Arch) *model.Config {
	return &model.Config{Arch: arch, Hidden: 64, Intermediate: 128, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16, Vocab: 32000, TieEmbeddings: true}
}

func write(t *testing.T, c Card) string {
	t.Helper()
	dir := t.TempDir()
	if err := Write(dir, c); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWrite(t *testing.T) {
	for _, c := range []struct {
		name         string
		card         Card
		has, hasNone []string
	}{
		{"full critic", Card{Method: "oreo", Head: model.ValueHead, Model: config(model.Qwen2), Base: "/home/me/sft", Data: []string{"/data/gsm8k.jsonl", "more.jsonl.gz"},
			Sequences: 74730, Tokens: 1540000000, Updates: 584, Metrics: map[string]float64{"loss/value": 0.12345, "kl": 1e-5}, Settings: "lr: 5e-6\nbeta: 0.03", Version: "v1"},
			[]string{"# Value function trained by OREO", "arXiv 2412.16145", "`sft`", "`gsm8k.jsonl`, `more.jsonl.gz` (74730 sequences, 1.54 B tokens)", "Updates: 584",
				"| kl | 1e-05 |\n| loss/value | 0.1235 |\n", "value_head.weight", "AutoModel.from_pretrained", "oreo-export critic", "```\nlr: 5e-6\nbeta: 0.03\n```\n", "2.12 M parameters"},
			[]string{"/home", "/data", "pipeline_tag", "trust_remote_code", "CausalLM"}},
		{"bare policy", Card{Method: "sft", Head: model.LMHead, Model: config(model.MiniCPM)},
			[]string{"# Policy trained by supervised fine-tuning", "pipeline_tag: text-generation", "AutoModelForCausalLM", "trust_remote_code=True", "oreo-export policy"},
			[]string{"value_head", "## Configuration", "Data:", "| metric", "Updates", "Started from"}},
	} {
		text := write(t, c.card)
		for _, s := range c.has {
			if !strings.Contains(text, s) {
				t.Errorf("%s: lacks %q:\n%s", c.name, s, text)
			}
		}
		for _, s := range append(c.hasNone, "{{", "<no value>", "\n\n\n", " \n") {
			if strings.Contains(text, s) {
				t.Errorf("%s: has %q:\n%s", c.name, s, text)
			}
		}
		front, _, ok := strings.Cut(strings.TrimPrefix(text, "---\n"), "\n---\n")
		var meta struct {
			Library string   `yaml:"library_name"`
			Tags    []string `yaml:"tags"`
		}
		if err := yaml.Unmarshal([]byte(front), &meta); !ok || err != nil || meta.Library != "transformers" || len(meta.Tags) != 3 {
			t.Errorf("%s: front matter %q: %v, %+v", c.name, front, err, meta)
		}
	}
}

func TestUnknownMethod(t *testing.T) {
	err := Write(t.TempDir(), Card{Method: "ppo", Model: config(model.Llama)})
	if err == nil || !strings.Contains(err.Error(), `"ppo" is not one of dpo, dqo, kto, oreo, rejection, sft`) {
		t.Errorf("error %v", err)
	}
}
