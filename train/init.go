package train

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/runtime/traj"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// InitConfig describes a model made from nothing: random weights and a
// byte-level BPE tokenizer learnt from the data it is to be trained on.
type InitConfig struct {
	Out  string   `yaml:"out" required:"true" doc:"folder for the new model, in Hugging Face form"`
	Data []string `yaml:"data" required:"true" doc:"JSONL files of records: their text trains the tokenizer"`

	Arch         string `yaml:"arch" oneof:"llama|qwen2" doc:"model family"`
	Vocab        int    `yaml:"vocab" range:"[258,)" doc:"tokens at most: 256 bytes, 2 special ones (4 with conversations), and the rest learnt; fewer if the text is small"`
	Hidden       int    `yaml:"hidden" range:"[2,)" doc:"width of the residual stream"`
	Intermediate int    `yaml:"intermediate" range:"[1,)" doc:"width of the SwiGLU layer"`
	Layers       int    `yaml:"layers" range:"[1,)" doc:"number of layers"`
	Heads        int    `yaml:"heads" range:"[1,)" doc:"query heads; divides hidden"`
	KVHeads      int    `yaml:"kv_heads" range:"[1,)" doc:"key and value heads; divides heads"`
	MaxPositions int    `yaml:"max_positions" range:"[2,)" doc:"longest sequence, tokens"`
	Seed         uint64 `yaml:"seed" doc:"of the weights"`
}

// DefaultInit is a model of about a million parameters.
func DefaultInit() InitConfig {
	return InitConfig{Arch: "qwen2", Vocab: 512, Hidden: 128, Intermediate: 384, Layers: 4, Heads: 4, KVHeads: 4, MaxPositions: 512}
}

// The special tokens of a model made from nothing, with the ids 0 and 1, and, if
// the data has conversations, those of ChatML with the ids 2 and 3.
const (
	endToken  = "<|endoftext|>"
	padToken  = "<|padding|>"
	turnToken = "<|im_start|>"
	doneToken = "<|im_end|>"
)

// chatML is the chat template of a model made from conversations.
const chatML = "{% for m in messages %}" + turnToken + "{{ m.role }}\n{{ m.content }}" + doneToken + "\n{% endfor %}" +
	"{% if add_generation_prompt %}" + turnToken + "assistant\n{% endif %}"

// Init makes the model and saves it in cfg.Out, which must not hold one.
func Init(cfg InitConfig) (*model.Config, error) {
	if _, err := os.Stat(filepath.Join(cfg.Out, model.ConfigFile)); err == nil {
		return nil, fmt.Errorf("%s: %w: it holds a model; choose another out or remove it", cfg.Out, os.ErrExist)
	}
	conversations, err := haveConversations(cfg.Data)
	if err != nil {
		return nil, err
	}
	specials, ends := []string{endToken, padToken}, []int{0}
	if conversations {
		specials, ends = append(specials, turnToken, doneToken), append(ends, 3)
	}
	var bad error
	tok, err := tokenizer.Train(texts(cfg.Data, &bad), cfg.Vocab, specials)
	if bad != nil {
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	config := &model.Config{
		Arch: model.Arch(cfg.Arch), QKVBias: cfg.Arch == string(model.Qwen2), TieEmbeddings: true,
		Hidden: cfg.Hidden, Intermediate: cfg.Intermediate, Layers: cfg.Layers, Heads: cfg.Heads, KVHeads: cfg.KVHeads,
		HeadDim: cfg.Hidden / cfg.Heads, Vocab: tok.VocabSize(), MaxPositions: cfg.MaxPositions,
		NormEps: 1e-6, RopeTheta: 10000, ScaleEmb: 1, BOS: -1, EOS: ends, Pad: 1,
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	m, err := nn.New(config, torch.CPU, cfg.Seed)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	tensors, err := m.Tensors(torch.Float32)
	if err != nil {
		return nil, err
	}
	if err := tok.Save(cfg.Out); err != nil {
		return nil, err
	}
	if conversations {
		if err := renameio.WriteFile(filepath.Join(cfg.Out, "chat_template.jinja"), []byte(chatML), 0o644); err != nil {
			return nil, err
		}
	}
	if err := safetensors.WriteModel(cfg.Out, tensors); err != nil {
		return nil, err
	}
	return config, config.Save(cfg.Out, model.LMHead, torch.Float32.String())
}

// haveConversations tells whether the first record of any file is a conversation.
func haveConversations(paths []string) (bool, error) {
	for _, path := range paths {
		for rec, err := range traj.Read(path, false) {
			if err != nil || len(rec.Conversations) > 0 {
				return true, err
			}
			break
		}
	}
	return false, nil
}

// texts yields the prompts, responses and messages of the records; an error
// ends the sequence and is left in bad.
func texts(paths []string, bad *error) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, path := range paths {
			for rec, err := range traj.Read(path, false) {
				if err != nil {
					*bad = err
					return
				}
				pieces := []string{rec.Prompt, rec.Response}
				for _, m := range rec.Conversations {
					pieces = append(pieces, m.Content)
				}
				for _, s := range pieces {
					if s != "" && !yield(s) {
						return
					}
				}
			}
		}
	}
}
