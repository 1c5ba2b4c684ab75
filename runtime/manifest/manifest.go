// Package manifest reads and writes oreo.json, the description of an artifact:
// the folder that oreo-export makes and that the runtime opens. It says what the
// ONNX graph expects and answers, so that nothing has to be guessed from file
// names, and holds the hash of every file.
package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/bounded"
)

// Names of the files in an artifact. Beside them lie config.json,
// generation_config.json, the tokenizer and the chat template of the model.
const (
	Name          = "oreo.json"
	GraphFile     = "model.onnx"
	DataFile      = "model.onnx.data"
	ReferenceFile = "reference.safetensors"
	TrainerFile   = "reference-trainer.safetensors" // only where the model came with one

	// TrainerCriticFile is a pair's TrainerFile for the values.
	TrainerCriticFile = "reference-trainer-critic.safetensors"
)

// Format is the version of oreo.json that this package reads and writes.
const Format = 1

// Kind is what the graph answers.
type Kind string

// A policy answers next-token logits, a critic one value per token. A pair is
// both in one graph, which share their weights.
const (
	Policy Kind = "policy"
	Critic Kind = "critic"
	Pair   Kind = "pair"
)

// Graph inputs and outputs. The KV cache has one tensor [B, K, M, D] per layer
// and name; the layer's number follows a dot, as in past_k.0.
const (
	InputIDs    = "input_ids"    // i64 [B, S], right-padded
	PositionIDs = "position_ids" // i64 [B, S], below Dims.MaxPositions
	OutRows     = "out_rows"     // i64 [R], rows of [B*S] to answer for; in a pair, with logits

	// A pair has these besides; R and Q may be 0. The second is there if the
	// critic is an adapter: the rows of the batch that it changes, which thereby
	// become the critic's.
	ValueRows  = "value_rows"  // i64 [Q], rows of [B*S] to answer for with values
	CriticRows = "critic_rows" // i64 [G, 1], rows of [B]

	WriteIndices = "write_indices"    // i64 [B], cache slot of a row's first new token
	NonpadKVLen  = "nonpad_kv_seqlen" // i64 [B], slots in use after this call: write index + S

	// In the place of the two, in graphs of the grouped form: S is 1, or B is 1,
	// or the cache is empty.
	SeqLensK      = "seqlens_k"             // i32 [B], slots in use after this call, less 1
	TotalLen      = "total_sequence_length" // i32 [1], the most slots in use T
	AttentionBias = "attention_bias"        // f32 [1, 1, S, T], added to the scores; later tokens are masked anyway

	PastK    = "past_k"
	PastV    = "past_v"
	PresentK = "present_k" // may be the buffer of past_k: the graph writes the new slots
	PresentV = "present_v"
	Logits   = "logits" // f32 [R, V]
	Values   = "values" // f32 [R], in a pair [Q]
)

// The position table of a graph: two weights [Dims.MaxPositions, HeadDim/2].
const (
	CosTable = "rotary.cos"
	SinTable = "rotary.sin"
)

// Element types, as Value.DType and Manifest.KVDType spell them.
const (
	Float32 = "float32"
	Float16 = "float16"
	Int64   = "int64"
	Int32   = "int32"
)

// Bounds on what a file may ask for.
const (
	maxJSON  = 16 << 20 // bytes of oreo.json
	maxDim   = 1 << 26
	maxFiles = 1 << 10
)

// Manifest is oreo.json.
type Manifest struct {
	Format    int       `json:"format"`
	Kind      Kind      `json:"kind"`
	Tool      string    `json:"tool"`     // program and version that wrote the artifact
	DType     string    `json:"dtype"`    // of the weights: fp32 fp16 int8 int4
	KVDType   string    `json:"kv_dtype"` // of the cache tensors: float32 or float16
	Opset     int       `json:"opset"`
	IR        int       `json:"ir_version"`
	Dims      Dims      `json:"dims"`
	Inputs    []Value   `json:"inputs"`
	Outputs   []Value   `json:"outputs"`
	Tolerance Tolerance `json:"tolerance"` // of a pair: for the logits, and for
	OfValues  Tolerance `json:"value_tolerance,omitzero"`
	Source    Source    `json:"source"`
	Critic    Source    `json:"critic_source,omitzero"` // of a pair
	Files     []File    `json:"files"`                  // all but oreo.json itself
}

// Dims are the sizes the graph was built with, in elements.
type Dims struct {
	Arch         string `json:"arch"`
	Hidden       int    `json:"hidden"`
	Intermediate int    `json:"intermediate"`
	Layers       int    `json:"layers"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"`
	HeadDim      int    `json:"head_dim"`
	Vocab        int    `json:"vocab"`
	// MaxPositions is the length of the graph's position table in tokens; a
	// longer sequence cannot be run. It may be below config.json's figure.
	MaxPositions int `json:"max_positions"`
}

// Value is an input or output of the graph. Shape holds numbers and the letters
// B, S, R, M for sizes that are free.
type Value struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []any  `json:"shape"`
}

// Tolerance bounds the difference between the graph and the reference values,
// which are computed in float32 from the unquantised weights. 0 is "not checked".
type Tolerance struct {
	MaxAbs  float64 `json:"max_abs"`            // largest |difference| of a logit or value ...
	MaxRel  float64 `json:"max_rel"`            // ... or this share of the largest |reference|, whichever is more
	MeanKL  float64 `json:"mean_kl,omitempty"`  // nats, KL(reference || graph) averaged over positions
	MaxKL   float64 `json:"max_kl,omitempty"`   // and at any one
	MinTop1 float64 `json:"min_top1,omitempty"` // share of positions whose likeliest token agrees
}

// Source identifies the weights the artifact was made from.
type Source struct {
	SHA256 string `json:"sha256"` // of the weight files, in the order of Files
	Files  []File `json:"files"`
}

// File is a file of the artifact.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Load reads dir/oreo.json and checks every field, and that the files it lists
// are there with their sizes. It does not hash them: see CheckHashes.
func Load(dir string) (*Manifest, error) {
	path := filepath.Join(dir, Name)
	text, err := bounded.ReadFile(path, maxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no %s: not a folder made by oreo-export policy or oreo-export critic", dir, Name)
	}
	if err != nil {
		return nil, err
	}
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, file := range m.Files {
		info, err := os.Stat(filepath.Join(dir, file.Name))
		if err != nil {
			return nil, fmt.Errorf("%w; %s lists it: export again", err, Name)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: not a regular file; export again", filepath.Join(dir, file.Name))
		}
		if info.Size() != file.Size {
			return nil, fmt.Errorf("%s: %d bytes, %s says %d: the file was cut or changed; export again", filepath.Join(dir, file.Name), info.Size(), Name, file.Size)
		}
	}
	return m, nil
}

func parse(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return &m, m.validate()
}

// Kinds are the models in the artifact: one, or both of a pair.
func (m *Manifest) Kinds() []Kind {
	if m.Kind == Pair {
		return []Kind{Policy, Critic}
	}
	return []Kind{m.Kind}
}

// Bounds are the tolerance for one of Kinds.
func (m *Manifest) Bounds(of Kind) Tolerance {
	if m.Kind == Pair && of == Critic {
		return m.OfValues
	}
	return m.Tolerance
}

// Save writes dir/oreo.json. Equal manifests give equal bytes.
func (m *Manifest) Save(dir string) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("%s: %w", Name, err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, Name), append(text, '\n'), 0o644)
}

// CheckHashes reads every file of the artifact and compares its SHA-256.
func (m *Manifest) CheckHashes(ctx context.Context, dir string) error {
	for _, want := range m.Files {
		got, err := Hash(ctx, dir, want.Name)
		if err != nil {
			return err
		}
		if got.SHA256 != want.SHA256 {
			return fmt.Errorf("%s: SHA-256 %s, %s says %s: the file was changed; export again", filepath.Join(dir, want.Name), got.SHA256, Name, want.SHA256)
		}
	}
	return nil
}

// Hash describes the file name in dir.
func Hash(ctx context.Context, dir, name string) (File, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, reader{ctx, f})
	if err != nil {
		return File{}, err
	}
	return File{name, n, hex.EncodeToString(h.Sum(nil))}, nil
}

// reader ends with the context's error, so that hashing gigabytes can be stopped.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (m *Manifest) validate() error {
	d := m.Dims
	switch {
	case m.Format != Format:
		return fmt.Errorf("format is %d, this program reads %d: export again with this version", m.Format, Format)
	case m.Kind != Policy && m.Kind != Critic && m.Kind != Pair:
		return fmt.Errorf("kind is %q, want %q, %q or %q", m.Kind, Policy, Critic, Pair)
	case !slices.Contains([]string{"fp32", "fp16", "int8", "int4"}, m.DType):
		return fmt.Errorf("dtype is %q, want fp32, fp16, int8 or int4", m.DType)
	case m.KVDType != Float32 && m.KVDType != Float16:
		return fmt.Errorf("kv_dtype is %q, want %q or %q", m.KVDType, Float32, Float16)
	case len(m.Files) > maxFiles:
		return fmt.Errorf("%d files, want at most %d", len(m.Files), maxFiles)
	}
	for _, n := range []struct {
		field string
		v     int
	}{
		{"hidden", d.Hidden}, {"intermediate", d.Intermediate}, {"layers", d.Layers}, {"heads", d.Heads},
		{"kv_heads", d.KVHeads}, {"head_dim", d.HeadDim}, {"vocab", d.Vocab}, {"max_positions", d.MaxPositions},
	} {
		if n.v <= 0 || n.v > maxDim {
			return fmt.Errorf("dims.%s is %d, want 1 to %d", n.field, n.v, maxDim)
		}
	}
	if d.Heads%d.KVHeads != 0 {
		return fmt.Errorf("dims.heads is %d, not a multiple of dims.kv_heads %d", d.Heads, d.KVHeads)
	}
	for field, values := range map[string][]Value{"inputs": m.Inputs, "outputs": m.Outputs} {
		for _, v := range values {
			if err := v.validate(); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	listed := map[string]bool{}
	for _, f := range m.Files {
		if !filepath.IsLocal(f.Name) || filepath.Base(f.Name) != f.Name || f.Name == "." {
			return fmt.Errorf("files: %q is not a file name in this folder", f.Name)
		}
		if listed[f.Name] {
			return fmt.Errorf("files: %s is listed twice", f.Name)
		}
		listed[f.Name] = true
	}
	for _, need := range []string{GraphFile, "config.json"} {
		if !listed[need] {
			return fmt.Errorf("files: %s is missing", need)
		}
	}
	return nil
}

// validate checks that a shape is made of sizes and letters.
func (v Value) validate() error {
	if !slices.Contains([]string{Float32, Float16, Int64, Int32}, v.DType) {
		return fmt.Errorf("dtype of %s is %q, want %s, %s, %s or %s", v.Name, v.DType, Float32, Float16, Int64, Int32)
	}
	for _, d := range v.Shape {
		_, letter := d.(string)
		number := math.NaN()
		switch d := d.(type) {
		case float64: // as JSON reads it
			number = d
		case int64:
			number = float64(d)
		}
		if !letter && !(number >= 0 && number <= maxDim && number == math.Trunc(number)) {
			return fmt.Errorf("shape of %s is %v, want letters and whole numbers up to %d", v.Name, v.Shape, maxDim)
		}
	}
	return nil
}
