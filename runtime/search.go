package runtime

import (
	"context"
	"fmt"

	"github.com/oreo-go/oreo/runtime/search"
)

// SearchConfig says how to search; see search.Config. A zero Rule ends steps at
// newlines.
type SearchConfig = search.Config

// SearchResult holds the answers of a search, best first.
type SearchResult = search.Result

// Search looks for the answer to prompt that the critic values most, by the
// paper's step-level beam search.
func Search(ctx context.Context, p *Policy, v *Value, prompt Prompt, cfg SearchConfig) (*SearchResult, error) {
	if err := compatible(p, v); err != nil {
		return nil, err
	}
	ids, err := p.Tokens(prompt)
	if err != nil {
		return nil, err
	}
	if cfg.Rule == nil {
		cfg.Rule = search.Delimiters{"\n"}
	}
	return search.Run(ctx, search.Models{
		Policy: p.engine, Critic: v.engine,
		NewDecoder: func() func(int) string { return p.tokenizer.NewDecoder(true).Push },
		EOS:        p.config.IsEOS,
	}, ids, cfg)
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
