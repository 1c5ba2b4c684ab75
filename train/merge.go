package train

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// MergeConfig says what Merge merges.
type MergeConfig struct {
	Adapter string `yaml:"adapter" required:"true" doc:"folder of a LoRA adapter in PEFT's layout, which names its base model"`
	Out     string `yaml:"out" required:"true" doc:"folder for the whole model, in Hugging Face form"`
	DType   string `yaml:"dtype" oneof:"float32|bfloat16" doc:"of the saved weights; the sum is computed in float32"`
}

// DefaultMerge keeps what the sum is computed in.
func DefaultMerge() MergeConfig { return MergeConfig{DType: "float32"} }

// Merge adds an adapter, a policy's or a critic's, to its base and saves the
// whole model in cfg.Out, which must not hold one.
func Merge(cfg MergeConfig) (*model.Config, error) {
	if _, err := os.Stat(filepath.Join(cfg.Out, model.ConfigFile)); err == nil {
		return nil, fmt.Errorf("%s: %w: it holds a model; choose another out or remove it", cfg.Out, os.ErrExist)
	}
	head, err := peft.Head(cfg.Adapter)
	if err != nil {
		return nil, err
	}
	from, err := peft.BaseDir(cfg.Adapter)
	if err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(from)
	if err != nil {
		return nil, err
	}
	m, err := nn.Open(cfg.Adapter, head, torch.CPU, torch.Float32)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	dtype := torch.Float32
	if cfg.DType == "bfloat16" {
		dtype = torch.BFloat16
	}
	return m.Config, saveModel(m, tok, from, cfg.Out, dtype)
}
