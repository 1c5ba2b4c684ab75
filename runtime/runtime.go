package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/ort"
	"github.com/oreo-go/oreo/runtime/sample"
	"github.com/oreo-go/oreo/runtime/search"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// Options say where and how a model runs; the zero value is the CPU.
type Options struct {
	Library string // libonnxruntime file or folder; empty: ORT_LIB, then where make setup put it, then the system
	Device  string // cpu (also empty), cuda, cuda:N, or auto: the GPU if there is one
	Threads int    // CPU threads; 0 is all that Go may use
	MaxRows int    // sequences in the cache at once; 0 is 64. Beam search needs Width*Width
	Chunk   int    // most tokens of one prefill pass; 0 is 512
	GPU     GPU    // how a GPU is used

	// OnFallback is told why device auto runs on the CPU; may be nil.
	OnFallback func(reason error)
}

// GPU says how a GPU is used; the zero value takes what it needs.
type GPU = ort.GPU

// Errors that callers may want to tell apart, besides those of ctx.
var (
	ErrNoLibrary = ort.ErrNoLibrary                  // onnxruntime was not found
	ErrDevice    = ort.ErrDevice                     // the device cannot be used
	ErrGraph     = ort.ErrGraph                      // the ONNX file is not one of oreo-export
	ErrTooLong   = engine.ErrTooLong                 // more tokens than the model has positions
	ErrRows      = engine.ErrRows                    // more sequences at once than Options.MaxRows
	ErrClosed    = engine.ErrClosed                  // the model was closed
	ErrNoChat    = chat.ErrNoTemplate                // messages for a model without a chat template
	ErrStuck     = sample.ErrStuck                   // grammar and logit bias leave no token to choose
	ErrLogits    = sample.ErrNaN                     // a policy's answer is no number: damaged weights
	ErrValues    = search.ErrNaN                     // a critic's answer is no number: damaged weights
	ErrKind      = errors.New("wrong kind of model") // a critic opened as policy, or the other way round
)

// Prompt is what a model reads first: either Text, taken as it is, or Messages,
// put through the model's chat template with the assistant's turn opened.
type Prompt struct {
	Text     string
	Messages []chat.Message
}

// Text is a prompt of plain text.
func Text(text string) Prompt { return Prompt{Text: text} }

// Chat is a prompt of messages.
func Chat(messages ...chat.Message) Prompt { return Prompt{Messages: messages} }

// Model is what an opened Policy and Value have in common.
type Model struct {
	dir       string
	kind      manifest.Kind // policy or critic
	manifest  *manifest.Manifest
	config    *model.Config
	tokenizer *tokenizer.Tokenizer
	chat      *chat.Template // nil if the model has none
	session   *ort.Session
	engine    *engine.Engine
	prefix    []int  // tokens the model wants before any text, such as <s>
	prefixed  string // their text
}

func open(dir string, kind manifest.Kind, opt Options) (_ *Model, err error) {
	m := &Model{dir: dir, kind: kind}
	if m.manifest, err = manifest.Load(dir); err != nil {
		return nil, err
	}
	if !slices.Contains(m.manifest.Kinds(), kind) {
		return nil, fmt.Errorf("%s: %w: it is a %s, a %s is needed", dir, ErrKind, m.manifest.Kind, kind)
	}
	if m.config, err = model.LoadConfig(dir); err != nil {
		return nil, err
	}
	if err := agree(m.config, m.manifest.Dims); err != nil {
		return nil, fmt.Errorf("%s: %w: export again", filepath.Join(dir, model.ConfigFile), err)
	}
	if m.tokenizer, err = tokenizer.Load(dir); err != nil {
		return nil, err
	}
	if n, vocab := m.tokenizer.VocabSize(), m.manifest.Dims.Vocab; n > vocab {
		return nil, fmt.Errorf("%s: tokenizer.json has %d tokens, dims.vocab in %s is %d: they are of different models", dir, n, manifest.Name, vocab)
	}
	if m.chat, err = chat.Load(dir); err != nil && !errors.Is(err, chat.ErrNoTemplate) {
		return nil, err
	}
	m.session, err = ort.Open(filepath.Join(dir, manifest.GraphFile), m.spec(), ort.Options{
		Library: opt.Library, Device: opt.Device, Threads: opt.Threads, GPU: opt.GPU, Manifest: m.manifest,
	})
	if err != nil {
		return nil, err
	}
	if reason := m.Fallback(); reason != nil && opt.OnFallback != nil {
		opt.OnFallback(reason)
	}
	m.findPrefix()
	return m, m.start(opt)
}

// agree checks that a configuration is that of the graph.
func agree(c *model.Config, d manifest.Dims) error {
	for _, n := range []struct {
		field       string
		config, dim int
	}{
		{"hidden_size", c.Hidden, d.Hidden}, {"intermediate_size", c.Intermediate, d.Intermediate}, {"num_hidden_layers", c.Layers, d.Layers},
		{"num_attention_heads", c.Heads, d.Heads}, {"num_key_value_heads", c.KVHeads, d.KVHeads}, {"head_dim", c.HeadDim, d.HeadDim},
		{"vocab_size", c.Vocab, d.Vocab},
	} {
		if n.config != n.dim {
			return fmt.Errorf("%s is %d, dims in %s say %d", n.field, n.config, manifest.Name, n.dim)
		}
	}
	if string(c.Arch) != d.Arch {
		return fmt.Errorf("model_type is %s, dims in %s say %q", c.Arch, manifest.Name, d.Arch)
	}
	return nil
}

// spec describes the model to the engine.
func (m *Model) spec() engine.Spec {
	spec := engine.Spec{Width: 1, Vocab: m.manifest.Dims.Vocab, MaxPositions: m.manifest.Dims.MaxPositions}
	if m.kind == manifest.Policy {
		spec.Width = spec.Vocab
	}
	return spec
}

// start puts an engine over the session.
func (m *Model) start(opt Options) (err error) {
	if m.engine, err = engine.New(m.session, engine.Options{MaxRows: opt.MaxRows, Chunk: opt.Chunk}); err != nil {
		return errors.Join(err, m.session.Close())
	}
	return nil
}

// Close frees the model; calls under way fail with ErrClosed.
func (m *Model) Close() error {
	return errors.Join(m.engine.Close(), m.session.Close())
}

// Device is where the model runs: cpu or cuda:N.
func (m *Model) Device() string { return m.session.Device() }

// Fallback says why device auto did not take the GPU; nil if it did or was not
// asked for. Options.OnFallback is told, too.
func (m *Model) Fallback() error { return m.session.Fallback() }

// Source identifies the weights the model was made from: their SHA-256; for the
// critic of a pair, that of its own.
func (m *Model) Source() string {
	if m.kind == manifest.Critic && m.manifest.Kind == manifest.Pair {
		return m.manifest.Critic.SHA256
	}
	return m.manifest.Source.SHA256
}

// Tokenizer is the model's.
func (m *Model) Tokenizer() *tokenizer.Tokenizer { return m.tokenizer }

// MaxPositions is the length in tokens of the longest sequence.
func (m *Model) MaxPositions() int { return m.engine.Spec().MaxPositions }

// MaxRows is the number of sequences the model runs at once.
func (m *Model) MaxRows() int { return m.engine.MaxRows() }

// Render returns the text the model reads for p: chat markup and the special
// tokens that the tokenizer puts first included.
func (m *Model) Render(p Prompt) (string, error) {
	text, _, err := m.render(p)
	return text, err
}

// Tokens returns the tokens of the text that Render gives.
func (m *Model) Tokens(p Prompt) ([]int, error) {
	_, ids, err := m.render(p)
	return ids, err
}

func (m *Model) render(p Prompt) (string, []int, error) {
	text := p.Text
	switch {
	case p.Text != "" && len(p.Messages) > 0:
		return "", nil, errors.New("prompt has both text and messages")
	case len(p.Messages) > 0 && m.chat == nil:
		return "", nil, fmt.Errorf("%s: %w: give the prompt as text", m.dir, ErrNoChat)
	case len(p.Messages) > 0:
		var err error
		if text, err = m.chat.Render(p.Messages, true); err != nil {
			return "", nil, err
		}
		ids := m.tokenizer.Encode(text)
		return text, ids, m.fits(ids)
	}
	ids := m.tokenizer.Encode(text)
	if len(m.prefix) > 0 && (len(ids) < len(m.prefix) || !slices.Equal(ids[:len(m.prefix)], m.prefix)) {
		text, ids = m.prefixed+text, slices.Concat(m.prefix, ids)
	}
	return text, ids, m.fits(ids)
}

func (m *Model) fits(ids []int) error {
	switch limit := m.MaxPositions(); {
	case len(ids) == 0:
		return errors.New("prompt is empty")
	case len(ids) > limit:
		return fmt.Errorf("%w: prompt of %d tokens, %d positions", ErrTooLong, len(ids), limit)
	}
	return nil
}

// findPrefix learns which special tokens the tokenizer puts before a text.
func (m *Model) findPrefix() {
	plain, full := m.tokenizer.Encode("a"), m.tokenizer.EncodeSpecial("a")
	for i := range full {
		if len(full)-i >= len(plain) && slices.Equal(full[i:i+len(plain)], plain) {
			m.prefix = full[:i]
			m.prefixed = m.tokenizer.Decode(m.prefix, false)
			return
		}
	}
}
