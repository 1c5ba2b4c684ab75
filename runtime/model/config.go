// Package model describes the decoder-only transformers that this project
// trains, exports and serves: Qwen2, Llama and MiniCPM, as their Hugging Face
// config.json describes them. It holds the numbers and the names of the
// weights, no arithmetic, so that the trainer, the exporter and the runtime
// read one and the same description.
package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/oreo-go/oreo/runtime/bounded"
)

// Arch is a model family, spelled as model_type in config.json.
type Arch string

// The families. They share one shape (pre-norm, rotary positions, grouped-query
// attention, SwiGLU) and differ as said.
const (
	Llama   Arch = "llama"
	Qwen2   Arch = "qwen2"   // biases on q, k and v
	MiniCPM Arch = "minicpm" // scaled embeddings, residuals and logits
)

// Config is the shape of a model. Lengths are in elements.
type Config struct {
	Arch         Arch
	Hidden       int // C, width of the residual stream
	Intermediate int // width of the SwiGLU layer
	Layers       int // L
	Heads        int // H, query heads
	KVHeads      int // K, key and value heads; divides Heads
	HeadDim      int // D, even
	Vocab        int // V
	MaxPositions int // longest sequence the positions allow, tokens

	NormEps       float64 // epsilon of RMSNorm
	RopeTheta     float64 // base of the rotary frequencies
	RopeScaling   *RopeScaling
	TieEmbeddings bool // the LM head is the embedding matrix
	QKVBias       bool

	// MiniCPM (arXiv 2404.06395, section 4): 1, 0 and 0 elsewhere.
	ScaleEmb     float64 // embeddings are multiplied by this
	ScaleDepth   float64 // each block's output by ScaleDepth / sqrt(Layers)
	DimModelBase int     // the head's input is divided by Hidden / DimModelBase

	BOS, Pad int   // token ids, -1 where the model has none
	EOS      []int // ids that end a text, from generation_config.json first
	DType    string

	// raw keeps the fields of config.json that this package does not read, so
	// that saving a model loses nothing.
	raw map[string]json.RawMessage
}

// RopeScaling is Llama 3.1's frequency scaling ("llama3") or plain position
// interpolation ("linear", where only Factor counts).
type RopeScaling struct {
	Type           string  `json:"rope_type"`
	Factor         float64 `json:"factor"`
	LowFreqFactor  float64 `json:"low_freq_factor,omitempty"`
	HighFreqFactor float64 `json:"high_freq_factor,omitempty"`
	OriginalMax    float64 `json:"original_max_position_embeddings,omitempty"`
}

// fields is config.json as transformers 4 and 5 write it.
type fields struct {
	ModelType        string          `json:"model_type"`
	Hidden           int             `json:"hidden_size"`
	Intermediate     int             `json:"intermediate_size"`
	Layers           int             `json:"num_hidden_layers"`
	Heads            int             `json:"num_attention_heads"`
	KVHeads          *int            `json:"num_key_value_heads"`
	HeadDim          *int            `json:"head_dim"`
	Vocab            int             `json:"vocab_size"`
	MaxPositions     int             `json:"max_position_embeddings"`
	NormEps          *float64        `json:"rms_norm_eps"`
	RopeTheta        *float64        `json:"rope_theta"`
	RopeScaling      json.RawMessage `json:"rope_scaling"`
	RopeParameters   json.RawMessage `json:"rope_parameters"` // transformers 5
	Tie              *bool           `json:"tie_word_embeddings"`
	AttentionBias    bool            `json:"attention_bias"`
	MLPBias          bool            `json:"mlp_bias"`
	UseSlidingWindow bool            `json:"use_sliding_window"`
	Act              string          `json:"hidden_act"`
	ScaleEmb         *float64        `json:"scale_emb"`
	ScaleDepth       float64         `json:"scale_depth"`
	DimModelBase     int             `json:"dim_model_base"`
	BOS              *int            `json:"bos_token_id"`
	Pad              *int            `json:"pad_token_id"`
	EOS              tokenIDs        `json:"eos_token_id"`
	DType            string          `json:"dtype"`
	TorchDType       string          `json:"torch_dtype"`
}

// tokenIDs is a number or a list of numbers.
type tokenIDs []int

func (t *tokenIDs) UnmarshalJSON(b []byte) error {
	var one int
	if json.Unmarshal(b, &one) == nil {
		if string(b) != "null" {
			*t = tokenIDs{one}
		}
		return nil
	}
	return json.Unmarshal(b, (*[]int)(t))
}

// maxJSON bounds a file of settings, in bytes.
const maxJSON = 16 << 20

// ConfigFile is the file name of a model's description in its folder.
const ConfigFile = "config.json"

// LoadConfig reads dir/config.json, and the end tokens of
// dir/generation_config.json where that exists. Errors name the file, the field
// and the value.
func LoadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, ConfigFile)
	text, err := bounded.ReadFile(path, maxJSON)
	if err != nil {
		return nil, fmt.Errorf("%w: a model folder in Hugging Face form is needed", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	genPath := filepath.Join(dir, "generation_config.json")
	text, err = bounded.ReadFile(genPath, maxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var gen struct {
		EOS tokenIDs `json:"eos_token_id"`
	}
	if err := json.Unmarshal(text, &gen); err != nil {
		return nil, fmt.Errorf("%s: %w", genPath, err)
	}
	if len(gen.EOS) > 0 {
		c.EOS = gen.EOS
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", genPath, err)
	}
	return c, nil
}

// Parse reads the text of a config.json.
func Parse(text []byte) (*Config, error) {
	var f fields
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	c := &Config{
		Arch: Arch(f.ModelType), Hidden: f.Hidden, Intermediate: f.Intermediate, Layers: f.Layers, Heads: f.Heads,
		KVHeads: or(f.KVHeads, f.Heads), Vocab: f.Vocab, MaxPositions: f.MaxPositions,
		NormEps: or(f.NormEps, 1e-6), RopeTheta: or(f.RopeTheta, 10000),
		ScaleEmb: or(f.ScaleEmb, 1), ScaleDepth: f.ScaleDepth, DimModelBase: f.DimModelBase,
		BOS: or(f.BOS, -1), Pad: or(f.Pad, -1), EOS: f.EOS, DType: f.DType,
	}
	if c.DType == "" {
		c.DType = f.TorchDType
	}
	if f.Heads > 0 {
		c.HeadDim = or(f.HeadDim, f.Hidden/f.Heads)
	}
	if err := json.Unmarshal(text, &c.raw); err != nil {
		return nil, err
	}
	switch c.Arch {
	case Qwen2:
		c.QKVBias = true
	case MiniCPM:
		c.TieEmbeddings = true
	case Llama:
	default:
		return nil, fmt.Errorf("model_type %q is not supported: %s, %s and %s are", f.ModelType, Llama, Qwen2, MiniCPM)
	}
	c.TieEmbeddings = or(f.Tie, c.TieEmbeddings)
	if err := f.refuse(); err != nil {
		return nil, err
	}
	for _, raw := range []json.RawMessage{f.RopeScaling, f.RopeParameters} {
		if err := c.readRope(raw); err != nil {
			return nil, err
		}
	}
	return c, c.Validate()
}

// refuse names the options of config.json that change the arithmetic and that
// this project does not implement.
func (f *fields) refuse() error {
	switch {
	case f.AttentionBias:
		return errors.New("attention_bias true is not supported")
	case f.MLPBias:
		return errors.New("mlp_bias true is not supported")
	case f.UseSlidingWindow:
		return errors.New("use_sliding_window true is not supported")
	case f.Act != "" && f.Act != "silu":
		return fmt.Errorf("hidden_act %q is not supported: silu is", f.Act)
	}
	return nil
}

func (c *Config) readRope(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var r struct {
		RopeScaling
		OldType string   `json:"type"`
		Theta   *float64 `json:"rope_theta"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("rope_scaling: %w", err)
	}
	if r.Type == "" {
		r.Type = r.OldType
	}
	c.RopeTheta = or(r.Theta, c.RopeTheta)
	switch r.Type {
	case "", "default":
	case "linear", "llama3":
		c.RopeScaling = &r.RopeScaling
	default:
		return fmt.Errorf("rope_scaling type %q is not supported: linear and llama3 are", r.Type)
	}
	return nil
}

// Validate checks every number, so that later code may trust them.
func (c *Config) Validate() error {
	for _, n := range []struct {
		field    string
		v, limit int
	}{
		{"hidden_size", c.Hidden, 1 << 20}, {"intermediate_size", c.Intermediate, 1 << 22},
		{"num_hidden_layers", c.Layers, 1 << 12}, {"num_attention_heads", c.Heads, 1 << 14},
		{"num_key_value_heads", c.KVHeads, 1 << 14}, {"head_dim", c.HeadDim, 1 << 14},
		{"vocab_size", c.Vocab, 1 << 24}, {"max_position_embeddings", c.MaxPositions, 1 << 26},
	} {
		if n.v <= 0 || n.v > n.limit {
			return fmt.Errorf("%s is %d, want 1 to %d", n.field, n.v, n.limit)
		}
	}
	for _, n := range []struct {
		field string
		v     float64
	}{{"rms_norm_eps", c.NormEps}, {"rope_theta", c.RopeTheta}, {"scale_emb", c.ScaleEmb}} {
		if !(n.v > 0) || math.IsInf(n.v, 0) {
			return fmt.Errorf("%s is %v, want a positive number", n.field, n.v)
		}
	}
	if r := c.RopeScaling; r != nil && !(r.Factor > 0 && (r.Type != "llama3" || (r.HighFreqFactor > r.LowFreqFactor && r.LowFreqFactor > 0 && r.OriginalMax > 0))) {
		return fmt.Errorf("rope_scaling %+v: factors must be positive and high_freq_factor above low_freq_factor", *r)
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("num_attention_heads %d is not a multiple of num_key_value_heads %d", c.Heads, c.KVHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d is odd; rotary positions need an even one", c.HeadDim)
	case c.ScaleDepth < 0 || c.DimModelBase < 0:
		return fmt.Errorf("scale_depth %v and dim_model_base %d must not be negative", c.ScaleDepth, c.DimModelBase)
	}
	for _, id := range append([]int{c.BOS, c.Pad}, c.EOS...) {
		if id < -1 || id >= c.Vocab {
			return fmt.Errorf("token id %d lies outside the vocabulary of %d", id, c.Vocab)
		}
	}
	return nil
}

// IsEOS tells whether id ends a text.
func (c *Config) IsEOS(id int) bool {
	for _, e := range c.EOS {
		if e == id {
			return true
		}
	}
	return false
}

// InvFreq returns the D/2 rotary frequencies, in radians per position:
// theta^(-2i/D), scaled as RopeScaling says (Llama 3.1 keeps high frequencies,
// divides low ones by Factor, and blends those between).
func (c *Config) InvFreq() []float64 {
	freq := make([]float64, c.HeadDim/2)
	for i := range freq {
		freq[i] = math.Pow(c.RopeTheta, -float64(2*i)/float64(c.HeadDim))
		r := c.RopeScaling
		switch {
		case r == nil:
		case r.Type == "linear":
			freq[i] /= r.Factor
		default:
			turns := r.OriginalMax * freq[i] / (2 * math.Pi) // full turns over the original context
			keep := (turns - r.LowFreqFactor) / (r.HighFreqFactor - r.LowFreqFactor)
			keep = min(max(keep, 0), 1)
			freq[i] *= keep + (1-keep)/r.Factor
		}
	}
	return freq
}

// ResidualScale multiplies the output of each attention and MLP block before it
// joins the residual stream: ScaleDepth / sqrt(Layers) for MiniCPM, else 1.
func (c *Config) ResidualScale() float64 {
	if c.ScaleDepth == 0 {
		return 1
	}
	return c.ScaleDepth / math.Sqrt(float64(c.Layers))
}

// LogitScale multiplies the input of the LM head: DimModelBase / Hidden for
// MiniCPM, else 1.
func (c *Config) LogitScale() float64 {
	if c.DimModelBase == 0 {
		return 1
	}
	return float64(c.DimModelBase) / float64(c.Hidden)
}

// Save writes dir/config.json for a model with the given head and dtype
// ("float32", "bfloat16" …). Fields this package does not know are kept from the
// file it was read from.
func (c *Config) Save(dir string, head Head, dtype string) error {
	out := maps.Clone(c.raw)
	if out == nil {
		out = map[string]json.RawMessage{}
	}
	set := map[string]any{
		"model_type": c.Arch, "architectures": []string{c.className(head)},
		"hidden_size": c.Hidden, "intermediate_size": c.Intermediate, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim,
		"vocab_size": c.Vocab, "max_position_embeddings": c.MaxPositions, "hidden_act": "silu",
		"rms_norm_eps": c.NormEps, "rope_theta": c.RopeTheta, "tie_word_embeddings": c.TieEmbeddings,
		"torch_dtype": dtype,
	}
	if c.RopeScaling != nil {
		set["rope_scaling"] = c.RopeScaling
	}
	if c.Arch == MiniCPM {
		set["scale_emb"], set["scale_depth"], set["dim_model_base"] = c.ScaleEmb, c.ScaleDepth, c.DimModelBase
	}
	if c.BOS >= 0 {
		set["bos_token_id"] = c.BOS
	}
	if c.Pad >= 0 {
		set["pad_token_id"] = c.Pad
	}
	if len(c.EOS) > 0 {
		set["eos_token_id"] = c.EOS
	}
	delete(out, "dtype") // transformers 5's name for torch_dtype
	for k, v := range set {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("config.json: %s: %w", k, err)
		}
		out[k] = raw
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, ConfigFile), append(text, '\n'), 0o644)
}

// className is the transformers class that loads the folder; a critic loads as
// its backbone, and its value head is read beside it.
func (c *Config) className(head Head) string {
	base := map[Arch]string{Llama: "Llama", Qwen2: "Qwen2", MiniCPM: "MiniCPM"}[c.Arch]
	if head == ValueHead {
		return base + "Model"
	}
	return base + "ForCausalLM"
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
