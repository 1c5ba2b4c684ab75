package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/train/card"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// finish saves the trained models in Out, with their cards.
func (r *run) finish() error {
	for _, t := range r.models {
		if err := r.publish(t, filepath.Join(r.Out, t.folder)); err != nil {
			return fmt.Errorf("save %s: %w", filepath.Join(r.Out, t.folder), err)
		}
	}
	s, err := r.state(true)
	if err != nil {
		return err
	}
	return s.write(r.Out)
}

// publish saves a trained model for use: whole, adapters merged and a value head
// on its policy's backbone, and beside it the adapter.
func (r *run) publish(t *trained, dir string) error {
	if t.kind == lora {
		adapter := filepath.Join(dir, peft.Folder)
		if err := os.MkdirAll(adapter, 0o755); err != nil {
			return err
		}
		if err := t.SaveAdapter(adapter, t.baseDir); err != nil {
			return err
		}
		if !r.Merge {
			r.ui.Notef("the adapter is in %s; merge is off, so nothing else was saved of this model", adapter)
			return nil
		}
	}
	if err := r.save(t, dir, r.dtype); err != nil {
		return err
	}
	if err := r.recordReference(dir, t.Head); err != nil {
		return err
	}
	return card.Write(dir, r.card(t))
}

// card describes a model that the run has trained.
func (r *run) card(t *trained) card.Card {
	settings, err := json.MarshalIndent(r.full, "", "  ")
	if err != nil {
		settings = nil // the state that was just written holds them too
	}
	c := card.Card{Method: r.method, Head: t.Head, Model: t.Config, Base: r.Model, Data: r.Data, Sequences: r.stats.Sequences,
		Tokens: r.stats.Tokens, Updates: r.step, Metrics: r.last, Settings: string(settings)}
	if t.kind == lora {
		c.Adapter = peft.Folder
	}
	return c
}

// save writes a Hugging Face folder of a model.
func (r *run) save(t *trained, dir string, dtype torch.DType) error {
	from, err := peft.BaseDir(r.Model)
	if err != nil {
		return err
	}
	return saveModel(t.Model, r.tok, from, dir, dtype)
}

// saveModel writes a Hugging Face folder: weights, adapters merged, config.json,
// the tokenizer, and the generation settings that are in the folder from.
func saveModel(m *nn.Model, tok *tokenizer.Tokenizer, from, dir string, dtype torch.DType) error {
	if err := tok.Save(dir); err != nil {
		return err
	}
	tensors, err := m.Merged(dtype)
	if err != nil {
		return err
	}
	if err := safetensors.WriteModel(dir, tensors); err != nil {
		return err
	}
	const generation = "generation_config.json"
	text, err := os.ReadFile(filepath.Join(from, generation))
	if err == nil {
		err = renameio.WriteFile(filepath.Join(dir, generation), text, 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.Config.Save(dir, m.Head, dtype.String())
}
