package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens: a string that is cut out of the text before BPE sees it.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // matches only where no word character touches it
	LStrip     bool   `json:"lstrip"`      // takes the white space on its left with it
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"` // is matched against normalised text
	Special    bool   `json:"special"`    // left out by Decode on demand
}

type addedTokens struct {
	byID            map[int]addedToken
	byContent       map[string]addedToken
	raw, normalized *trie
}

// newAddedTokens sorts the tokens into those that match the raw text and those that match normalised text. A string listed twice keeps
// its last entry.
func newAddedTokens(list []addedToken, normalize []normalizer) *addedTokens {
	a := &addedTokens{
		byID: map[int]addedToken{}, byContent: map[string]addedToken{},
		raw: newTrie(), normalized: newTrie(),
	}
	for _, tok := range list {
		if tok.Content != "" {
			a.byID[tok.ID], a.byContent[tok.Content] = tok, tok
		}
	}
	for _, tok := range a.byContent {
		if !tok.Normalized {
			a.raw.insert(tok.Content, tok)
			continue
		}
		p := piece{text: tok.Content, first: true}
		for _, n := range normalize {
			p = n.apply(p)
		}
		a.normalized.insert(p.text, tok)
	}
	return a
}

// trie finds the longest of many strings at a place.
type trie struct {
	starts [256]bool
	edges  map[trieEdge]int
	tokens map[int]addedToken // by node
	nodes  int
}

type trieEdge struct {
	node int
	b    byte
}

func newTrie() *trie {
	return &trie{edges: map[trieEdge]int{}, tokens: map[int]addedToken{}, nodes: 1}
}

func (t *trie) insert(s string, tok addedToken) {
	if s == "" {
		return
	}
	t.starts[s[0]] = true
	node := 0
	for i := range len(s) {
		next, ok := t.edges[trieEdge{node, s[i]}]
		if !ok {
			next = t.nodes
			t.nodes++
			t.edges[trieEdge{node, s[i]}] = next
		}
		node = next
	}
	t.tokens[node] = tok
}

// longest returns the longest token at the start of s and its length there.
func (t *trie) longest(s string) (tok addedToken, length int) {
	node := 0
	for i := range len(s) {
		next, ok := t.edges[trieEdge{node, s[i]}]
		if !ok {
			break
		}
		node = next
		if hit, ok := t.tokens[node]; ok {
			tok, length = hit, i+1
		}
	}
	return tok, length
}

// cut adds the tokens found in p to e, leftmost and longest first, and hands the text between them to gap.
func (t *trie) cut(p piece, e *encoding, gap func(piece)) {
	done := 0
	for i := 0; i < len(p.text); {
		if !t.starts[p.text[i]] {
			i++
			continue
		}
		tok, n := t.longest(p.text[i:])
		if n == 0 {
			i++
			continue
		}
		start, end := i, i+n
		i = end
		if tok.SingleWord && (wordBefore(p.text[:start]) || wordAfter(p.text[end:])) {
			continue
		}
		if tok.LStrip {
			start = max(done, trimRight(p.text, start))
		}
		if tok.RStrip {
			end = run(p.text, end, space)
		}
		if done < start {
			gap(p.cut(done, start))
		}
		e.add(tok.ID, p, start, end)
		done = end
		i = max(i, end)
	}
	if done < len(p.text) {
		gap(p.cut(done, len(p.text)))
	}
}

// trimRight is the start of the white space that ends at byte i.
func trimRight(s string, i int) int {
	for i > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:i])
		if !unicode.IsSpace(r) {
			break
		}
		i -= n
	}
	return i
}

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}

// isWord is \w of Unicode technical standard 18: alphabetic, mark, decimal number, connector punctuation, join control.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}
