// Package export turns a model folder in Hugging Face form into an artifact: an
// ONNX graph with its weights, a manifest, the tokenizer, and reference values
// to check it by. It needs neither Python nor libtorch.
package export

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/export/reference"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Tool is written into every manifest.
const Tool = "oreo-export 0.1"

// Config says what to export.
type Config struct {
	Kind      manifest.Kind
	Model     string          // folder with config.json and weights
	Critic    string          // of a policy: folder of a critic on its backbone, to be put into the same artifact; may be empty
	Out       string          // folder to make; an earlier artifact there is replaced
	Precision graph.Precision // of the weights
	Attention graph.Attention // form of the graph; empty: the better one for the model
	Step      func(string)    // told what is being done; may be nil
}

func (c Config) step(format string, args ...any) {
	if c.Step != nil {
		c.Step(fmt.Sprintf(format, args...))
	}
}

// Validate names the field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Model == "":
		return errors.New("--model: the folder of the model to export is needed")
	case c.Out == "":
		return errors.New("--out: a folder for the artifact is needed")
	case c.Kind != manifest.Policy && c.Kind != manifest.Critic:
		return fmt.Errorf("kind %q: want %s or %s", c.Kind, manifest.Policy, manifest.Critic)
	case c.Critic != "" && c.Kind != manifest.Policy:
		return errors.New("--critic: only a policy takes a critic along")
	case !slices.Contains([]graph.Precision{graph.FP32, graph.FP16, graph.Int8, graph.Int4}, c.Precision):
		return fmt.Errorf("--dtype %q: want fp32, fp16, int8 or int4", c.Precision)
	case !slices.Contains([]graph.Attention{"", graph.Standard, graph.Grouped}, c.Attention):
		return fmt.Errorf("--attention %q: want standard or grouped", c.Attention)
	}
	return nil
}

// Run writes the artifact. Out appears whole or not at all: the work is done in
// a hidden folder beside it, which is removed when ctx is cancelled or a step
// fails. Equal input gives equal bytes on one kind of processor.
func Run(ctx context.Context, c Config) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	out, err := filepath.Abs(c.Out)
	if err != nil {
		return err
	}
	if err := replaceable(out); err != nil {
		return err
	}
	src, err := open(c)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: make room in %s and export again", err, filepath.Dir(out))
		}
		if err != nil {
			err = fmt.Errorf("export %s: %w", c.Model, errors.Join(err, os.RemoveAll(tmp)))
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(ctx, c, src, tmp); err != nil {
		return err
	}
	return replace(tmp, out)
}

// source is what a graph is made from, with the files behind it.
type source struct {
	graph.Source
	critic *critic // nil if there is none
}

// Close closes the files.
func (s *source) Close() {
	_ = s.Weights.Close()
	if s.critic != nil {
		s.critic.Close()
	}
}

// models are the models in the artifact, in the order of manifest.Kinds.
func (s *source) models() []reference.Model {
	all := []reference.Model{{Config: s.Config, Head: s.Head, Weights: s.Weights}}
	if s.critic != nil {
		all = append(all, reference.Model{Config: s.Config, Head: model.ValueHead, Weights: s.Weights, ValueHead: s.Critic.Head, Change: s.Critic.Change})
	}
	return all
}

// open reads the model, and the critic that goes with it if there is one.
func open(c Config) (*source, error) {
	policy, err := openModel(c)
	if err != nil {
		return nil, err
	}
	src := &source{Source: policy}
	if c.Critic == "" {
		return src, nil
	}
	if src.critic, err = openCritic(c.Critic, c.Model, policy); err != nil {
		src.Close()
		return nil, err
	}
	src.Critic = &src.critic.Critic
	return src, nil
}

// openModel reads the model and checks that it has the head that was asked for.
func openModel(c Config) (graph.Source, error) {
	cfg, err := model.LoadConfig(c.Model)
	if err != nil {
		return graph.Source{}, err
	}
	head := model.LMHead
	if c.Kind == manifest.Critic {
		head = model.ValueHead
	}
	weights, headMissing, err := cfg.Weights(c.Model, head)
	if err != nil {
		return graph.Source{}, err
	}
	if headMissing {
		_ = weights.Close()
		return graph.Source{}, fmt.Errorf("%s: no tensor %s: this is not a critic; export it with `oreo-export policy`, or name the critic folder that oreo-train wrote", c.Model, model.ValueHeadName)
	}
	form := graph.FormOf(cfg, c.Precision)
	if c.Attention == graph.Grouped && form != graph.Grouped {
		_ = weights.Close()
		return graph.Source{}, fmt.Errorf("--attention grouped: its kernel takes heads of a multiple of 16 elements, this model's have %d, and no fp16: use --attention standard", cfg.HeadDim)
	}
	return graph.Source{Config: cfg, Head: head, Weights: weights, Attention: cmp.Or(c.Attention, form)}, nil
}

// replaceable refuses to put an artifact in the place of something else: out must
// not exist, be empty, or hold an artifact and nothing besides.
func replaceable(out string) error {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--out: %w: want a folder that does not exist yet, is empty, or holds an artifact", err)
	}
	own := slices.Concat(companions, []string{manifest.Name, manifest.GraphFile, manifest.DataFile, manifest.ReferenceFile, manifest.TrainerFile, manifest.TrainerCriticFile})
	artifact := false
	for _, e := range entries {
		if !slices.Contains(own, e.Name()) {
			return fmt.Errorf("--out %s: %s in it is not part of an artifact and would be lost: name another folder", out, e.Name())
		}
		artifact = artifact || e.Name() == manifest.Name
	}
	if !artifact {
		return fmt.Errorf("--out %s: the folder is not empty and holds no artifact (no %s): name another folder", out, manifest.Name)
	}
	return nil
}

// replace moves tmp to out, and what was there out of the way first.
func replace(tmp, out string) error {
	old := tmp + ".old"
	err := os.Rename(out, old)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(tmp, out); err != nil {
		_ = os.Rename(old, out)
		return err
	}
	return os.RemoveAll(old)
}

// fill writes all files of the artifact into dir, the manifest last.
func fill(ctx context.Context, c Config, src *source, dir string) error {
	texts, err := newTexts(c.Model, src.Config)
	if err != nil {
		return err
	}
	if c.Precision == graph.Int4 {
		c.step("calibrating on %d tokens", len(texts.calibration()))
		if src.Inputs, err = reference.Inputs(ctx, src.models()[0], texts.calibration()); err != nil {
			return err
		}
	}
	c.step("writing %d weights as %s", len(src.Config.Params(src.Head)), c.Precision)
	data, err := onnx.CreateData(dir, manifest.DataFile)
	if err != nil {
		return err
	}
	m, err := graph.Build(ctx, src.Source, c.Precision, data)
	if closeErr := data.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := onnx.Save(filepath.Join(dir, manifest.GraphFile), m); err != nil {
		return err
	}
	if err := copyCompanions(c.Model, dir); err != nil {
		return err
	}
	if src.critic != nil && src.critic.exact {
		if err := copyFile(filepath.Join(c.Critic, manifest.ReferenceFile), filepath.Join(dir, manifest.TrainerCriticFile)); err != nil {
			return err
		}
	}
	c.step("computing reference values")
	if err := reference.Record(ctx, texts.golden(), filepath.Join(dir, manifest.ReferenceFile), src.models()...); err != nil {
		return err
	}
	return describe(ctx, c, src, m, dir)
}

// companions are copied beside the graph where the model has them.
var companions = []string{
	model.ConfigFile, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
	"added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja", "chat_template.json",
}

func copyCompanions(from, to string) error {
	for _, name := range companions {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return copyFile(filepath.Join(from, manifest.ReferenceFile), filepath.Join(to, manifest.TrainerFile))
}

// copyFile copies a file if there is one.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close())
}

func describe(ctx context.Context, c Config, src *source, m *onnx.ModelProto, dir string) error {
	cfg := src.Config
	man := &manifest.Manifest{
		Format: manifest.Format, Kind: c.Kind, Tool: Tool, DType: string(c.Precision), KVDType: manifest.Float32,
		Opset: graph.Opset, IR: graph.IR,
		Dims: manifest.Dims{Arch: string(cfg.Arch), Hidden: cfg.Hidden, Intermediate: cfg.Intermediate, Layers: cfg.Layers,
			Heads: cfg.Heads, KVHeads: cfg.KVHeads, HeadDim: cfg.HeadDim, Vocab: cfg.Vocab, MaxPositions: graph.Positions(cfg)},
		Inputs: graph.Values(m.Graph.Input), Outputs: graph.Values(m.Graph.Output),
		Tolerance: tolerance(c.Precision, c.Kind),
	}
	if c.Precision == graph.FP16 {
		man.KVDType = manifest.Float16
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := manifest.Hash(ctx, dir, e.Name())
		if err != nil {
			return err
		}
		man.Files = append(man.Files, f)
	}
	names, err := weightFiles(c.Model)
	if err == nil {
		man.Source, err = hashSource(ctx, c.Model, names)
	}
	if err == nil && src.critic != nil {
		man.Kind, man.OfValues = manifest.Pair, tolerance(c.Precision, manifest.Critic)
		man.Critic, err = hashSource(ctx, src.critic.dir, src.critic.files)
	}
	if err != nil {
		return err
	}
	return man.Save(dir)
}

// hashSource identifies weights: the hash of the hashes of their files.
func hashSource(ctx context.Context, dir string, names []string) (manifest.Source, error) {
	var s manifest.Source
	all := sha256.New()
	for _, name := range names {
		f, err := manifest.Hash(ctx, dir, name)
		if err != nil {
			return s, err
		}
		s.Files = append(s.Files, f)
		fmt.Fprintln(all, f.SHA256)
	}
	s.SHA256 = hex.EncodeToString(all.Sum(nil))
	return s, nil
}

// weightFiles lists the weight files of a model, as safetensors.OpenModel finds
// and has checked them.
func weightFiles(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, safetensors.SingleFile)); err == nil {
		return []string{safetensors.SingleFile}, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, safetensors.IndexFile))
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, err
	}
	return slices.Compact(slices.Sorted(maps.Values(index.WeightMap))), nil
}
