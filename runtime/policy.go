package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/sample"
	"github.com/oreo-go/oreo/runtime/sample/grammar"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// Policy is a language model that was opened for generation.
type Policy struct {
	*Model
	sortVocabulary sync.Once
	sorted         *grammar.Vocabulary
}

// OpenPolicy opens the folder that `oreo-export policy` made. The caller ends
// with Close.
func OpenPolicy(dir string, opt Options) (*Policy, error) {
	m, err := open(dir, manifest.Policy, opt)
	if err != nil {
		return nil, err
	}
	return &Policy{Model: m}, nil
}

// OpenPair opens the folder that `oreo-export policy --critic` made as policy and
// critic on one set of weights in memory. Each has a cache of its own, but where
// the critic is no more than a head, a search takes its values from the policy's
// passes and leaves the critic's cache empty. The caller ends both with Close, in
// any order. OpenPolicy and OpenValue open such a folder as one of the two. An
// artifact with one model is an ErrKind.
func OpenPair(dir string, opt Options) (*Policy, *Value, error) {
	p, err := OpenPolicy(dir, opt)
	if err != nil {
		return nil, nil, err
	}
	if p.manifest.Kind != manifest.Pair {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w: it is a policy alone, made without a critic", dir, ErrKind), p.Close())
	}
	critic := &Model{
		dir: dir, kind: manifest.Critic, manifest: p.manifest, config: p.config, tokenizer: p.tokenizer, chat: p.chat, prefix: p.prefix, prefixed: p.prefixed,
	}
	if critic.session, err = p.session.Share(critic.spec()); err == nil {
		err = critic.start(opt)
	}
	if err != nil {
		return nil, nil, errors.Join(err, p.Close())
	}
	v := &Value{Model: critic}
	if p.engine.Spec().Valued {
		v.policy = p.Model
	}
	return p, v, nil
}

// GenerateConfig says how to continue a prompt. The zero value is greedy.
type GenerateConfig struct {
	sample.Config          // temperature, filters, bias and penalty
	MaxNewTokens  int      // 0 is 256; the model's positions bound it too
	Stop          []string // texts that end the answer and are not part of it
	Grammar       Grammar  // what the answer may say; nil is anything
	Seed          uint64
	Question      uint64 // index of the question, and
	Sample        uint64 // of the sample: with Seed they fix all draws
}

// Finish says why an answer ended.
type Finish string

// Reasons to end.
const (
	FinishEnd     Finish = "end"     // the model wrote an end token
	FinishStop    Finish = "stop"    // a stop string appeared
	FinishGrammar Finish = "grammar" // the grammar leaves nothing to add
	FinishLength  Finish = "length"  // MaxNewTokens, or no position was left
)

// Token is a piece of an answer as it is generated.
type Token struct {
	ID      int
	Text    string  // what can be shown now; it may lag behind the tokens
	LogProb float64 // natural, under the model itself: temperature 1, no filters
	Finish  Finish  // not empty with the last token
}

// Completion is a whole answer.
type Completion struct {
	Text     string // special tokens and the stop string left out
	IDs      []int  // the end token included, if there is one
	LogProbs []float64
	Finish   Finish
}

// Generate continues prompt token by token. Leaving the loop, like the end of
// ctx, stops the work. An error ends the sequence.
func (p *Policy) Generate(ctx context.Context, prompt Prompt, cfg GenerateConfig) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		// Room for a whole answer: a slow reader must not hold up the batch.
		tokens := make(chan Token, p.newTokens(cfg))
		failed := make(chan error, 1)
		go func() {
			defer close(tokens)
			failed <- p.sample(ctx, prompt, 1, cfg, func(_ int, t Token) { tokens <- t })
		}()
		for t := range tokens {
			if !yield(t, nil) {
				cancel()
				<-failed // the model is let go of before Generate returns
				return
			}
		}
		if err := <-failed; err != nil {
			yield(Token{}, err)
		}
	}
}

const defaultNewTokens = 256

// newTokens bounds the length of an answer.
func (p *Policy) newTokens(cfg GenerateConfig) int {
	if cfg.MaxNewTokens <= 0 {
		return min(defaultNewTokens, p.MaxPositions())
	}
	return min(cfg.MaxNewTokens, p.MaxPositions())
}

// Sample draws n answers to prompt, which is run once for all of them. They are
// numbered from cfg.Sample on. If ctx ends, what was reached is returned with
// its error; answers cut short have no Finish.
func (p *Policy) Sample(ctx context.Context, prompt Prompt, n int, cfg GenerateConfig) ([]Completion, error) {
	if n < 1 {
		return nil, fmt.Errorf("%d samples, want 1 or more", n)
	}
	out := make([]Completion, n)
	texts := make([]strings.Builder, n)
	err := p.sample(ctx, prompt, n, cfg, func(i int, t Token) {
		texts[i].WriteString(t.Text)
		out[i].IDs = append(out[i].IDs, t.ID)
		out[i].LogProbs = append(out[i].LogProbs, t.LogProb)
		out[i].Finish = t.Finish
	})
	for i := range out {
		out[i].Text = texts[i].String()
	}
	return out, err
}

// sample draws n answers, as many at once as there are rows. emit is called for
// each token and must not wait; calls for different samples may overlap.
func (p *Policy) sample(ctx context.Context, prompt Prompt, n int, cfg GenerateConfig, emit func(i int, t Token)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	ids, err := p.Tokens(prompt)
	if err != nil {
		return err
	}
	if cfg.MaxNewTokens < 0 {
		return fmt.Errorf("max new tokens is %d, want 0 (%d) or more", cfg.MaxNewTokens, defaultNewTokens)
	}
	cfg.MaxNewTokens = min(p.newTokens(cfg), p.MaxPositions()+1-len(ids)) // the last token is not run
	rows := min(n, p.MaxRows())
	lease, err := p.engine.Reserve(ctx, rows)
	if err != nil {
		return err
	}
	defer lease.Close()
	root := p.engine.NewSeq()
	root.Append(ids...)
	if err := p.engine.Run(ctx, engine.Job{Seq: root}); err != nil {
		p.engine.Free(root)
		return err
	}
	forks, err := p.engine.Fork(rows-1, root)
	if err != nil {
		p.engine.Free(root)
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for first, seq := range append(forks[0], root) {
		g.Go(func() error {
			defer lease.GiveBack() // others may have it while longer samples go on
			defer p.engine.Free(seq)
			for i := first; i < n; i += rows {
				if i > first { // back to the prompt, whose last token is to be run again
					if err := seq.Rewind(len(ids) - 1); err != nil {
						return err
					}
					seq.Append(ids[len(ids)-1])
				}
				if err := p.write(ctx, seq, ids, i, cfg, emit); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// write draws sample i behind prompt, which is in seq.
func (p *Policy) write(ctx context.Context, seq *engine.Seq, prompt []int, i int, cfg GenerateConfig, emit func(int, Token)) error {
	w := &writer{
		p: p, left: cfg.MaxNewTokens, stop: sample.NewStopper(cfg.Stop), decoder: p.tokenizer.NewDecoder(true),
		sampler: sample.New(cfg.Config, sample.Rand(cfg.Seed, cfg.Question, cfg.Sample+uint64(i), 0)),
		emit:    func(t Token) { emit(i, t) },
	}
	w.sampler.Saw(prompt...)
	if cfg.Grammar != nil {
		w.allowed = cfg.Grammar.New()
		w.sampler.Constrain(w.allowed)
	}
	err := p.engine.Run(ctx, engine.Job{Seq: seq, Step: w.step})
	return cmp.Or(err, w.err)
}

// writer turns the model's answers into one sample's tokens.
type writer struct {
	p       *Policy
	left    int // tokens it may still write
	sampler *sample.Sampler
	allowed sample.Constraint // nil if anything may be said
	decoder *tokenizer.Decoder
	stop    *sample.Stopper
	emit    func(Token)
	err     error
}

func (w *writer) step(_ int, logits []float32) (next int, more bool) {
	id, logProb, err := w.sampler.Pick(logits)
	if err != nil {
		w.err = err
		return 0, false
	}
	t := Token{ID: id, LogProb: logProb}
	w.left--
	var stopped bool
	t.Text, stopped = w.stop.Push(w.decoder.Push(id))
	switch {
	case w.p.config.IsEOS(id):
		t.Finish = FinishEnd
	case stopped:
		t.Finish = FinishStop
	case w.allowed != nil && w.allowed.Complete():
		t.Finish = FinishGrammar
	case w.left == 0:
		t.Finish = FinishLength
	}
	if t.Finish != "" && !stopped {
		rest, _ := w.stop.Push(w.decoder.Flush())
		t.Text += rest + w.stop.Flush()
	}
	w.emit(t)
	return id, t.Finish == ""
}
