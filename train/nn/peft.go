package nn

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// The files of an adapter folder, as Hugging Face's PEFT names them.
const (
	AdapterConfigFile = "adapter_config.json"
	AdapterFile       = "adapter_model.safetensors"
)

// In an adapter's file every name stands below this prefix. A critic's value
// head is the weight of PEFT's saved module "score", which belongs to
// transformers' token classifiers: with num_labels=1 and a bias of zero such a
// classifier is this critic, so PEFT loads both kinds of adapter.
const (
	peftPrefix = "base_model.model."
	scoreName  = peftPrefix + "score.weight"
	scoreBias  = peftPrefix + "score.bias"
	policyTask = "CAUSAL_LM"
	criticTask = "TOKEN_CLS"
	baseDigest = "base_digest" // metadata of the tensor file: what digest returned
)

// IsAdapter tells whether dir holds an adapter, not a whole model.
func IsAdapter(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, AdapterConfigFile))
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
	c, err := readAdapterConfig(dir)
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
		filepath.Join(dir, AdapterConfigFile), c.Base, strings.Join(places, " or "))
}

// AdapterHead tells whether the adapter in dir is a policy's or a critic's.
func AdapterHead(dir string) (model.Head, error) {
	c, err := readAdapterConfig(dir)
	if err == nil && c.TaskType == criticTask {
		return model.ValueHead, nil
	}
	return model.LMHead, err
}

// Open reads what dir holds: a whole model as Load does, or an adapter with the
// base it names, for which the LoRA of the result is set. Whole turns the latter
// into the former; LoadAdapter shares a base that is in memory already.
func Open(dir string, head model.Head, device torch.Device, dtype torch.DType) (*Model, error) {
	if !IsAdapter(dir) {
		return Load(dir, head, device, dtype)
	}
	from, err := BaseDir(dir)
	if err != nil {
		return nil, err
	}
	base, err := Load(from, model.LMHead, device, dtype)
	if err != nil {
		return nil, err
	}
	defer base.Free() // its tensors live on in the view
	return LoadAdapter(base, dir, head)
}

// LoadAdapter puts the PEFT adapter in dir on base (see Adapted), whether this
// package or PEFT wrote it. A critic may start from a policy's adapter: its
// value head is then zero. An adapter for other weights than base's, a file that
// does not fit, and every option that would change the result and is not
// implemented are errors.
func LoadAdapter(base *Model, dir string, head model.Head) (*Model, error) {
	c, err := readAdapterConfig(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, AdapterFile)
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := c.checkTensors(file, base.Config, head); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if want := file.Metadata()[baseDigest]; want != "" {
		have, err := base.digest()
		if err != nil {
			return nil, err
		}
		if have != want {
			return nil, fmt.Errorf("%s: the adapter was trained on a base with other weights: metadata %s is %.12s…, this base's is %.12s…", path, baseDigest, want, have)
		}
	}
	m, err := base.adapt(head, c.lora(), func(name string, shape []int, dtype torch.DType) (*torch.Tensor, error) {
		stored := peftPrefix + name
		if name == model.ValueHeadName {
			stored = scoreName
			if !file.Has(stored) {
				return zeros(dtype, shape...), nil
			}
		}
		t, err := file.Get(stored)
		if err != nil {
			return nil, err
		}
		return FromSafetensors(t, dtype)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// SaveAdapter writes the adapter of m, and a critic's value head, to dir in
// PEFT's layout, float32. base is the folder its base was loaded from, or the
// base's name on a model hub; a folder is recorded relative to dir, so that both
// may move together.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.LoRA == nil {
		return errors.New("the model has no adapter to save")
	}
	config, err := m.adapterConfig(dir, base)
	if err != nil {
		return err
	}
	own, err := m.Tensors(torch.Float32)
	if err != nil {
		return err
	}
	for i := range own {
		if own[i].Name == model.ValueHeadName {
			own[i].Name = scoreName
		} else {
			own[i].Name = peftPrefix + own[i].Name
		}
	}
	if m.Head == model.ValueHead {
		own = append(own, safetensors.Float32Tensor(scoreBias, []int{1}, []float32{0}))
	}
	digest, err := m.digest()
	if err != nil {
		return err
	}
	if err := safetensors.Write(filepath.Join(dir, AdapterFile), own, map[string]string{"format": "pt", baseDigest: digest}); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, AdapterConfigFile), config, 0o644)
}

// adapterConfig is the text of adapter_config.json.
func (m *Model) adapterConfig(dir, base string) ([]byte, error) {
	if info, err := os.Stat(base); err == nil && info.IsDir() {
		from, err1 := filepath.Abs(dir)
		to, err2 := filepath.Abs(base)
		rel, err3 := filepath.Rel(from, to)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		base = rel
	}
	c := adapterConfig{PEFTType: "LORA", TaskType: policyTask, Base: base, Rank: m.LoRA.Rank, Alpha: m.LoRA.Alpha, RSLoRA: m.LoRA.RSLoRA,
		Targets: m.LoRA.Targets, Bias: "none", Inference: true}
	if len(c.Targets) == 0 {
		for _, name := range modules {
			c.Targets = append(c.Targets, lastWord(name))
		}
	}
	if m.Head == model.ValueHead {
		c.TaskType, c.Saved = criticTask, []string{"score"}
	}
	text, err := json.MarshalIndent(c, "", "  ")
	return append(text, '\n'), err
}

// digest tells bases apart: a hash over the names, shapes and up to 64 elements
// of every tensor of the backbone, spread evenly, each rounded to bfloat16, so
// that it does not depend on the type the base is held in.
func (m *Model) digest() (string, error) {
	h := sha256.New()
	err := torch.Scope(func() {
		for _, p := range m.Config.Params(model.ValueHead) {
			t := m.at(p.Name)
			if p.Name == model.ValueHeadName || t == nil {
				continue
			}
			n := t.Len()
			some := make([]int64, min(n, 64))
			for i := range some {
				some[i] = int64(i) * n / int64(len(some))
			}
			index := torch.FromInt64(some, int64(len(some))).On(m.Device)
			fmt.Fprintln(h, p.Name, p.Shape)
			h.Write(t.Detach().View(-1).IndexSelect(0, index).To(torch.BFloat16).Bytes())
		}
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// adapterConfig is the part of adapter_config.json that decides what an adapter
// computes.
type adapterConfig struct {
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

// readAdapterConfig reads and checks dir's adapter_config.json. A field it does
// not know must be off: null, false, 0 or empty.
func readAdapterConfig(dir string) (*adapterConfig, error) {
	path := filepath.Join(dir, AdapterConfigFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: an adapter folder in PEFT's form is needed", err)
	}
	if err != nil {
		return nil, err
	}
	var c adapterConfig
	var all map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &c), json.Unmarshal(text, &all)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.check(all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

func (c *adapterConfig) check(all map[string]json.RawMessage) error {
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
	case c.TaskType != "" && c.TaskType != policyTask && c.TaskType != criticTask:
		return fmt.Errorf("task_type %q is not supported: %s is, for a policy, and %s, for a critic", c.TaskType, policyTask, criticTask)
	case c.Bias != "" && c.Bias != "none":
		return fmt.Errorf("bias %q is not supported: none is", c.Bias)
	case len(c.Targets) == 0:
		return errors.New("target_modules is missing")
	case slices.Equal(c.Targets, words{"all-linear"}):
		c.Targets = nil
	}
	for _, name := range c.Saved {
		if c.TaskType != criticTask || (name != "score" && name != "classifier") { // PEFT lists both
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
	if err := c.lora().Validate(); err != nil {
		return fmt.Errorf("r, lora_alpha or target_modules: %w", err)
	}
	return nil
}

func (c *adapterConfig) lora() LoRA {
	return LoRA{Rank: c.Rank, Alpha: c.Alpha, Targets: c.Targets, RSLoRA: c.RSLoRA}
}

// checkTensors asks for every tensor of the adapter, in its shape, and no other.
func (c *adapterConfig) checkTensors(file *safetensors.File, base *model.Config, head model.Head) error {
	shapes := map[string][]int{}
	for _, p := range base.Params(model.LMHead) {
		shapes[p.Name] = p.Shape
	}
	want := map[string][]int{}
	for _, name := range c.lora().adapted(base.Layers) {
		size := shapes[name+".weight"]
		want[peftPrefix+name+loraA] = []int{c.Rank, size[1]}
		want[peftPrefix+name+loraB] = []int{size[0], c.Rank}
	}
	if file.Has(scoreName) || file.Has(scoreBias) {
		if head == model.LMHead {
			return fmt.Errorf("it has %s: a critic's adapter, where a policy's is asked for", scoreName)
		}
		want[scoreName] = []int{1, base.Hidden}
	}
	if file.Has(scoreBias) {
		want[scoreBias] = []int{1}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		t, err := file.Get(name)
		if err != nil {
			return fmt.Errorf("%w; target_modules in %s and the base's %d layers ask for it", err, AdapterConfigFile, base.Layers)
		}
		if !slices.Equal(t.Shape, want[name]) {
			return fmt.Errorf("tensor %s has shape %v; r in %s and the base's sizes ask for %v: is it for another model?", name, t.Shape, AdapterConfigFile, want[name])
		}
	}
	for _, name := range file.Names() {
		if want[name] == nil {
			return fmt.Errorf("tensor %s belongs to no target_modules in %s and to none of the base's %d layers: is it for another model?", name, AdapterConfigFile, base.Layers)
		}
	}
	if !file.Has(scoreBias) {
		return nil
	}
	bias, err := file.Get(scoreBias)
	if err != nil {
		return err
	}
	v, err := bias.Float32()
	if err == nil && v[0] != 0 {
		err = fmt.Errorf("tensor %s is %v: critics here have no bias, so it must be 0", scoreBias, v[0])
	}
	return err
}
