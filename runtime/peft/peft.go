// Package peft reads the folders in which Hugging Face's PEFT, and our trainer,
// keep LoRA adapters.
package peft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/bounded"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// The files of an adapter folder, and where the trainer puts that folder: below
// the one of the merged model.
const (
	ConfigFile = "adapter_config.json"
	WeightFile = "adapter_model.safetensors"
	Folder     = "adapter"
)

// In an adapter's file every name stands below a prefix. A critic's value head
// is the weight of PEFT's saved module "score", which belongs to transformers'
// token classifiers: with num_labels=1 and a bias of zero such a classifier is
// this critic, so PEFT loads both kinds of adapter.
const (
	Prefix     = "base_model.model."
	Score      = Prefix + "score.weight"
	ScoreBias  = Prefix + "score.bias"
	PolicyTask = "CAUSAL_LM"
	CriticTask = "TOKEN_CLS"
	BaseDigest = "base_digest" // metadata of the tensor file: what Digest returned for the base
)

// maxConfig bounds adapter_config.json, in bytes.
const maxConfig = 16 << 20

// IsAdapter tells whether dir holds an adapter, not a whole model.
func IsAdapter(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ConfigFile))
	return err == nil
}

// BaseDir returns the folder of the model that the adapter in dir is for, which
// also has its config.json; without an adapter in dir that is dir itself. A
// relative base_model_name_or_path is looked for from dir, then from the
// working directory.
func BaseDir(dir string) (string, error) {
	if !IsAdapter(dir) {
		return dir, nil
	}
	c, err := ReadConfig(dir)
	if err != nil {
		return "", err
	}
	places := []string{c.Base}
	if !filepath.IsAbs(c.Base) {
		places = []string{filepath.Join(dir, c.Base), c.Base}
	}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, model.ConfigFile)); c.Base != "" && err == nil {
			return filepath.Clean(place), nil
		}
	}
	return "", fmt.Errorf("%s: base_model_name_or_path %q: no model folder at %s; put the base model there, or write where it is into that field",
		filepath.Join(dir, ConfigFile), c.Base, strings.Join(places, " or "))
}

// Head tells whether the adapter in dir is a policy's or a critic's.
func Head(dir string) (model.Head, error) {
	c, err := ReadConfig(dir)
	if err == nil && c.TaskType == CriticTask {
		return model.ValueHead, nil
	}
	return model.LMHead, err
}

// Config is the part of adapter_config.json that decides what an adapter
// computes.
type Config struct {
	PEFTType  string   `json:"peft_type"`
	TaskType  string   `json:"task_type"`
	Base      string   `json:"base_model_name_or_path"`
	Rank      int      `json:"r"`
	Alpha     float64  `json:"lora_alpha"`
	RSLoRA    bool     `json:"use_rslora"`
	Targets   words    `json:"target_modules"`
	Saved     []string `json:"modules_to_save"`
	Bias      string   `json:"bias"`
	Dropout   float64  `json:"lora_dropout"` // acts in PEFT's training alone
	Inference bool     `json:"inference_mode"`
}

// LoRA is the adapters' description.
func (c *Config) LoRA() LoRA {
	return LoRA{Rank: c.Rank, Alpha: c.Alpha, Targets: c.Targets, RSLoRA: c.RSLoRA}
}

// words is a list of words, or one.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// harmless are PEFT's fields that change nothing here, whatever they hold.
var harmless = []string{"peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "target_modules", "modules_to_save",
	"bias", "lora_dropout", "inference_mode", "auto_mapping", "peft_version", "revision", "megatron_core", "qalora_group_size", "runtime_config",
	"ensure_weight_tying"}

// ReadConfig reads and checks dir's adapter_config.json. A field it does not
// know must be off: null, false, 0 or empty.
func ReadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, ConfigFile)
	text, err := bounded.ReadFile(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: an adapter folder in PEFT's form is needed", err)
	}
	if err != nil {
		return nil, err
	}
	c, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parse(text []byte) (*Config, error) {
	var c Config
	var all map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &c), json.Unmarshal(text, &all)); err != nil {
		return nil, err
	}
	return &c, c.check(all)
}

func (c *Config) check(all map[string]json.RawMessage) error {
	off := []string{"null", "false", "0", `""`, "[]", "{}"}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		value := string(bytes.Join(bytes.Fields(all[key]), nil))
		// How A and B began does not matter, except where the base was changed too.
		drawn := key == "init_lora_weights" && slices.Contains([]string{"true", `"gaussian"`, `"eva"`, `"orthogonal"`}, value)
		if !drawn && !slices.Contains(harmless, key) && !slices.Contains(off, value) {
			return fmt.Errorf("%s %s is not supported", key, value)
		}
	}
	switch {
	case c.PEFTType != "LORA":
		return fmt.Errorf("peft_type %q is not supported: LORA is", c.PEFTType)
	case c.TaskType != "" && c.TaskType != PolicyTask && c.TaskType != CriticTask:
		return fmt.Errorf("task_type %q is not supported: %s is, for a policy, and %s, for a critic", c.TaskType, PolicyTask, CriticTask)
	case c.Bias != "" && c.Bias != "none":
		return fmt.Errorf("bias %q is not supported: none is", c.Bias)
	case len(c.Targets) == 0:
		return errors.New("target_modules is missing")
	case slices.Equal(c.Targets, words{"all-linear"}):
		c.Targets = nil
	}
	for _, name := range c.Saved {
		if c.TaskType != CriticTask || (name != "score" && name != "classifier") { // PEFT lists both
			return fmt.Errorf("modules_to_save %q is not supported: only a critic's score is", name)
		}
	}
	for i, target := range c.Targets { // a longer end of a module's name means the same
		for _, name := range modules {
			if target == name {
				c.Targets[i] = lastWord(name)
			}
		}
	}
	if err := c.LoRA().Validate(); err != nil {
		return fmt.Errorf("r, lora_alpha or target_modules: %w", err)
	}
	return nil
}

// Adapter is an adapter folder that was opened.
type Adapter struct {
	LoRA
	dir  string
	file *safetensors.File
}

// Open opens the adapter in dir for a base of the given configuration, whether
// our trainer or PEFT wrote it. A critic may start from a policy's adapter: it
// has no value head then. A file that does not fit, and every option that would
// change the result and is not implemented are errors. The caller ends with
// Close, and checks the base with CheckBase.
func Open(dir string, base *model.Config, head model.Head) (*Adapter, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	file, err := safetensors.Open(filepath.Join(dir, WeightFile))
	if err != nil {
		return nil, err
	}
	a := &Adapter{LoRA: c.LoRA(), dir: dir, file: file}
	if err := c.checkTensors(file, base, head); err != nil {
		return nil, errors.Join(a.Errorf("%w", err), file.Close())
	}
	return a, nil
}

// Close closes the file; tensors must not be used any more.
func (a *Adapter) Close() error { return a.file.Close() }

// Errorf is an error of the adapter's tensor file.
func (a *Adapter) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", filepath.Join(a.dir, WeightFile), fmt.Errorf(format, args...))
}

// Get returns the tensor of the given name without prefix, such as
// model.layers.0.self_attn.q_proj.lora_A.weight, or a critic's
// model.ValueHeadName; ok is false where the adapter has none.
func (a *Adapter) Get(name string) (t safetensors.Tensor, ok bool) {
	stored := Prefix + name
	if name == model.ValueHeadName {
		stored = Score
	}
	t, err := a.file.Get(stored)
	return t, err == nil
}

// Base is the Digest of the base that the adapter was trained on, "" where that
// was not recorded.
func (a *Adapter) Base() string { return a.file.Metadata()[BaseDigest] }

// CheckBase compares the digest of a base with that of the one the adapter was
// trained on, where that was recorded.
func (a *Adapter) CheckBase(digest string) error {
	if want := a.Base(); want != "" && digest != want {
		return a.Errorf("the adapter was trained on a base with other weights: metadata %s is %.12s…, this base's is %.12s…", BaseDigest, want, digest)
	}
	return nil
}

// Change turns one model into another on the same base: the adapters of Plus
// are added to it and those of Minus taken off. Both may be nil.
type Change struct{ Plus, Minus *Adapter }

// Part is an adapter and the factor of its product B A.
type Part struct {
	*Adapter
	Factor float64
}

// Parts lists what is to be added.
func (c Change) Parts() (parts []Part) {
	if c.Plus != nil {
		parts = append(parts, Part{c.Plus, c.Plus.Scale()})
	}
	if c.Minus != nil {
		parts = append(parts, Part{c.Minus, -c.Minus.Scale()})
	}
	return parts
}

// checkTensors asks for every tensor of the adapter, in its shape, and no other.
func (c *Config) checkTensors(file *safetensors.File, base *model.Config, head model.Head) error {
	shapes := map[string][]int{}
	for _, p := range base.Params(model.LMHead) {
		shapes[p.Name] = p.Shape
	}
	want := map[string][]int{}
	for _, name := range c.LoRA().Adapted(base.Layers) {
		size := shapes[name+".weight"]
		want[Prefix+name+A] = []int{c.Rank, size[1]}
		want[Prefix+name+B] = []int{size[0], c.Rank}
	}
	if file.Has(Score) || file.Has(ScoreBias) {
		if head == model.LMHead {
			return fmt.Errorf("it has %s: a critic's adapter, where a policy's is asked for", Score)
		}
		want[Score] = []int{1, base.Hidden}
	}
	if file.Has(ScoreBias) {
		want[ScoreBias] = []int{1}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t, err := file.Get(name)
		if err != nil {
			return fmt.Errorf("%w; target_modules in %s and the base's %d layers ask for it", err, ConfigFile, base.Layers)
		}
		if !slices.Equal(t.Shape, want[name]) {
			return fmt.Errorf("tensor %s has shape %v; r in %s and the base's sizes ask for %v: is it for another model?", name, t.Shape, ConfigFile, want[name])
		}
	}
	for _, name := range file.Names() {
		if want[name] == nil {
			return fmt.Errorf("tensor %s belongs to no target_modules in %s and to none of the base's %d layers: is it for another model?", name, ConfigFile, base.Layers)
		}
	}
	if !file.Has(ScoreBias) {
		return nil
	}
	bias, err := file.Get(ScoreBias)
	if err != nil {
		return err
	}
	v, err := bias.Float32()
	if err == nil && v[0] != 0 {
		err = fmt.Errorf("tensor %s is %v: critics here have no bias, so it must be 0", ScoreBias, v[0])
	}
	return err
}
