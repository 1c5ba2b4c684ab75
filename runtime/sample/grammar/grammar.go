// Package grammar restricts generated text: to one of a list of texts, a regular
// expression, or the JSON that a schema describes. It tells, token by token, which
// tokens of a vocabulary can still lead to such a text.
//
// A regular language is a finite automaton over bytes, made deterministic as far
// as it is walked. A vocabulary is walked through it once per state, in sorted
// order, so that tokens with a common start share the way; the answer is kept. A
// list of texts is a tree of their own tokens instead: a model knows "fridge"
// better as it reads it than spelled in letters.
package grammar

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/oreo-go/oreo/runtime/sample"
)

// Vocabulary is the tokens of a model as the bytes they stand for.
type Vocabulary struct {
	ends         []int // tokens that end a text
	words        int   // length of a set, in words of 64 tokens
	first, later sortedTokens
}

// NewVocabulary asks bytesOf for every token below size; first tells whether the
// token is to be the text's first, where some vocabularies drop a space. Tokens
// without bytes are never allowed; ends are, where a text is complete.
func NewVocabulary(size int, ends []int, bytesOf func(id int, first bool) (string, bool)) *Vocabulary {
	v := &Vocabulary{ends: ends, words: (size + 63) / 64}
	v.first, v.later = sorted(size, bytesOf, true), sorted(size, bytesOf, false)
	return v
}

// sortedTokens are in the order of their bytes, each with the length of the start
// it shares with the one before.
type sortedTokens struct {
	text   []string // by id; "" may never come
	id     []int
	shared []int
}

func sorted(size int, bytesOf func(int, bool) (string, bool), first bool) sortedTokens {
	s := sortedTokens{text: make([]string, size)}
	for id := range size {
		if text, ok := bytesOf(id, first); ok && text != "" {
			s.text[id] = text
			s.id = append(s.id, id)
		}
	}
	slices.SortStableFunc(s.id, func(a, b int) int { return strings.Compare(s.text[a], s.text[b]) })
	before := ""
	for _, id := range s.id {
		n := 0
		for n < min(len(before), len(s.text[id])) && before[n] == s.text[id][n] {
			n++
		}
		before = s.text[id]
		s.shared = append(s.shared, n)
	}
	return s
}

func (v *Vocabulary) tokens(first bool) *sortedTokens {
	if first {
		return &v.first
	}
	return &v.later
}

// Language is a regular language over a vocabulary. It is safe for concurrent use.
type Language struct {
	vocabulary *Vocabulary

	mu    sync.Mutex
	dfa   *dfa
	masks map[maskKey][]uint64
}

type maskKey struct {
	state int
	first bool
}

// maxMasks bounds the sets that are kept; one takes a bit per token.
const maxMasks = 4096

// Regexp is the language of the texts that expr matches as a whole, in the
// syntax of package regexp without anchors, word borders and look-around.
func Regexp(v *Vocabulary, expr string) (*Language, error) {
	n, err := compile(expr)
	if err != nil {
		return nil, fmt.Errorf("grammar: %w", err)
	}
	return &Language{vocabulary: v, dfa: newDFA(n), masks: map[maskKey][]uint64{}}, nil
}

// JSON is the language of the JSON texts that a schema describes, see Schema.
func JSON(v *Vocabulary, schema []byte) (*Language, error) {
	expr, err := Schema(schema)
	if err != nil {
		return nil, err
	}
	return Regexp(v, expr)
}

// Matches tells whether the language holds text.
func (g *Language) Matches(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := g.dfa.run(0, text)
	return state >= 0 && g.dfa.states[state].accepts
}

// New returns a walk from the start of a text, of use to one answer.
func (g *Language) New() sample.Constraint { return &walk{g: g, first: true} }

// walk is a text under way.
type walk struct {
	g     *Language
	state int // -1 once the text left the language
	first bool
}

// Allowed implements sample.Constraint.
func (w *walk) Allowed() []uint64 {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	if w.state < 0 {
		return nil
	}
	key := maskKey{w.state, w.first}
	if m, ok := w.g.masks[key]; ok {
		return m
	}
	if len(w.g.masks) >= maxMasks {
		clear(w.g.masks)
	}
	m := w.g.mask(key)
	w.g.masks[key] = m
	return m
}

// Accept implements sample.Constraint.
func (w *walk) Accept(id int) {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	tokens := w.g.vocabulary.tokens(w.first)
	w.first = false
	if id >= len(tokens.text) || tokens.text[id] == "" {
		w.state = -1 // an end token, or one that may not come
		return
	}
	w.state = w.g.dfa.run(w.state, tokens.text[id])
}

// Complete implements sample.Constraint.
func (w *walk) Complete() bool {
	w.g.mu.Lock()
	defer w.g.mu.Unlock()
	return w.state >= 0 && w.g.dfa.states[w.state].accepts && !w.g.dfa.goesOn(w.state)
}

// mask walks the vocabulary from a state: what shares a start that leads nowhere
// is passed over.
func (g *Language) mask(key maskKey) []uint64 {
	set := make([]uint64, g.vocabulary.words)
	allow := func(id int) { set[id/64] |= 1 << (id % 64) }
	if g.dfa.states[key.state].accepts {
		for _, id := range g.vocabulary.ends {
			if id/64 < len(set) {
				allow(id)
			}
		}
	}
	tokens := g.vocabulary.tokens(key.first)
	path := []int{key.state} // states along the token at hand
	dead := 0                // length of its start that leads nowhere
	for i, id := range tokens.id {
		text, keep := tokens.text[id], tokens.shared[i]
		if dead > 0 && keep >= dead {
			continue
		}
		dead = 0
		path = path[:keep+1]
		for k := keep; k < len(text); k++ {
			next := g.dfa.next(path[k], text[k])
			if next < 0 {
				dead = k + 1
				break
			}
			path = append(path, next)
		}
		if dead == 0 {
			allow(id)
		}
	}
	return set
}
