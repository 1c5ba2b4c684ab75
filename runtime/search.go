package runtime

import (
	"context"
	"fmt"

	"github.com/oreo-go/oreo/runtime/sample"
	"github.com/oreo-go/oreo/runtime/sample/grammar"
	"github.com/oreo-go/oreo/runtime/search"
)

// SearchConfig says how to search; see search.Config. A zero Rule ends steps at
// newlines.
type SearchConfig = search.Config

// SearchResult holds the answers of a search, best first, and why it ended.
type SearchResult = search.Result

// Search looks for the answer to prompt that the critic values most, by the
// paper's step-level beam search unless cfg says otherwise. v may be nil for a
// majority vote over best-of-N.
//
// When ctx ends, the best so far is returned together with its error; the end of
// a budget is no error. SearchResult.Reason tells which it was.
func Search(ctx context.Context, p *Policy, v *Value, prompt Prompt, cfg SearchConfig) (*SearchResult, error) {
	m, err := searchModels(p, v)
	if err != nil {
		return nil, err
	}
	ids, err := p.Tokens(prompt)
	if err != nil {
		return nil, err
	}
	if cfg.Rule == nil {
		cfg.Rule = search.Delimiters{"\n"}
	}
	return search.Run(ctx, m, ids, cfg)
}

func searchModels(p *Policy, v *Value) (search.Models, error) {
	m := search.Models{
		Policy: p.engine, EOS: p.config.IsEOS, Encode: p.tokenizer.Encode,
		NewDecoder: func() func(int) string { return p.tokenizer.NewDecoder(true).Push },
	}
	if v == nil {
		return m, nil
	}
	m.Critic = v.engine
	if v.policy == p.Model {
		m.Critic = m.Policy
	}
	return m, compatible(p, v)
}

// compatible checks that two models read the same tokens.
func compatible(p *Policy, v *Value) error {
	const file = "tokenizer.json"
	hash := func(m *Model) string {
		for _, f := range m.manifest.Files {
			if f.Name == file {
				return f.SHA256
			}
		}
		return ""
	}
	if p.manifest.Dims.Vocab != v.manifest.Dims.Vocab || hash(p.Model) != hash(v.Model) {
		return fmt.Errorf("%w: %s and %s differ in %s, but policy and critic must share their tokens", ErrKind, p.dir, v.dir, file)
	}
	return nil
}

// Grammar restricts what a policy may write, token by token. Those that a policy
// makes belong to it, and are safe for concurrent use.
type Grammar interface {
	// New returns a walk from the start of a text, of use to one answer.
	New() sample.Constraint
}

// Choices allows exactly one of the given texts, such as the commands an
// environment admits.
func (p *Policy) Choices(texts []string) (Grammar, error) {
	return grammar.Choices(texts, p.manifest.Dims.Vocab, p.config.EOS, p.tokenizer.Encode)
}

// Regexp allows the texts that expr matches as a whole; see grammar.Regexp.
func (p *Policy) Regexp(expr string) (Grammar, error) { return grammar.Regexp(p.vocabulary(), expr) }

// JSONSchema allows the JSON that a schema describes. What of JSON Schema is
// supported, grammar.Schema says; the rest is an error that names it.
func (p *Policy) JSONSchema(schema []byte) (Grammar, error) {
	return grammar.JSON(p.vocabulary(), schema)
}

// vocabulary is sorted when the first grammar asks for it.
func (p *Policy) vocabulary() *grammar.Vocabulary {
	p.sortVocabulary.Do(func() {
		p.sorted = grammar.NewVocabulary(p.manifest.Dims.Vocab, p.config.EOS, p.tokenizer.Bytes)
	})
	return p.sorted
}
