package tokenizer

import (
	"container/heap"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// bpe merges neighbouring symbols of a word, lowest rank first, leftmost first among equals (Sennrich et al., arXiv 1508.07909).
type bpe struct {
	vocab  map[string]int32
	merges map[uint64]merge // by pairKey of the two ids

	byteLevel    bool       // symbols are bytes, else characters
	byteIDs      [256]int32 // id of each byte's symbol, or of its token <0xNN>; -1 where the vocabulary has none
	byteFallback bool       // a character outside the vocabulary becomes its bytes
	ignoreMerges bool       // a word that is itself a token is taken whole
	unk          int32      // -1: characters outside the vocabulary are dropped
	fuseUnk      bool
	marksInside  bool   // some merge reaches over the start of a ▁
	wordStart    string // non-empty: no merge reaches over the start of this string, so text may be cut before it

	seed  maphash.Seed
	cache []atomic.Pointer[word]
}

type merge struct{ rank, id int32 }

// word is a cached result: ids, and the byte at which each ends.
type word struct {
	text string
	ids  []int
	ends []int32
}

const (
	cacheSlots   = 1 << 14 // direct-mapped: a new word displaces the old one of its slot, so memory is bounded without a lock
	maxCacheWord = 64      // bytes
	heapFrom     = 48      // symbols from which a heap beats scanning for the best pair
)

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

func newBPE() *bpe {
	return &bpe{unk: -1, seed: maphash.MakeSeed(), cache: make([]atomic.Pointer[word], cacheSlots)}
}

// addMerge joins tokens left and right, which must be in the vocabulary as must be their concatenation.
func (m *bpe) addMerge(rank int, left, right string) error {
	l, ok := m.vocab[left]
	if !ok {
		return fmt.Errorf("token %q is not in model.vocab", left)
	}
	r, ok := m.vocab[right]
	if !ok {
		return fmt.Errorf("token %q is not in model.vocab", right)
	}
	id, ok := m.vocab[left+right]
	if !ok {
		return fmt.Errorf("merged token %q is not in model.vocab", left+right)
	}
	m.merges[pairKey(l, r)] = merge{rank: int32(rank), id: id}
	return nil
}

// encode appends the tokens of p, which the splitters left as one word.
func (m *bpe) encode(p piece, e *encoding) {
	if m.wordStart == "" {
		m.encodeWord(p, e)
		return
	}
	start := 0
	for i := nextWordStart(p.text, 0, m.wordStart); i < len(p.text); i = nextWordStart(p.text, i, m.wordStart) {
		m.encodeWord(p.cut(start, i), e)
		start = i
	}
	m.encodeWord(p.cut(start, len(p.text)), e)
}

// nextWordStart finds the first place after from where mark begins and what stands before it is not mark.
func nextWordStart(s string, from int, mark string) int {
	for i := from; i < len(s); {
		k := strings.Index(s[i:], mark)
		if k < 0 {
			break
		}
		at := i + k
		if at > from && !strings.HasSuffix(s[:at], mark) {
			return at
		}
		i = at + len(mark)
	}
	return len(s)
}

func (m *bpe) encodeWord(p piece, e *encoding) {
	if p.text == "" {
		return
	}
	w := m.lookup(p.text)
	e.ids = append(e.ids, w.ids...)
	if e.wantOffsets {
		start := 0
		for _, end := range w.ends {
			e.offsets = append(e.offsets, p.span(start, int(end)))
			start = int(end)
		}
	}
}

func (m *bpe) lookup(text string) *word {
	if len(text) > maxCacheWord {
		return m.tokenize(text)
	}
	slot := &m.cache[maphash.String(m.seed, text)%cacheSlots]
	if w := slot.Load(); w != nil && w.text == text {
		return w
	}
	w := m.tokenize(strings.Clone(text))
	slot.Store(w)
	return w
}

func (m *bpe) tokenize(text string) *word {
	if m.ignoreMerges {
		spelling := text
		if m.byteLevel {
			spelling = spell(text)
		}
		if id, ok := m.vocab[spelling]; ok {
			return &word{text: text, ids: []int{int(id)}, ends: []int32{int32(len(text))}}
		}
	}
	symbols := m.symbols(text)
	if len(symbols) >= heapFrom {
		symbols = m.mergeHeap(symbols)
	} else {
		symbols = m.mergeScan(symbols)
	}
	w := &word{text: text, ids: make([]int, len(symbols)), ends: make([]int32, len(symbols))}
	end := int32(0)
	for i, s := range symbols {
		end += s.size
		w.ids[i], w.ends[i] = int(s.id), end
	}
	return w
}

// symbol is a token in the making: its id and the bytes it covers.
type symbol struct{ id, size int32 }

// symbols maps the bytes or characters of a word to ids.
func (m *bpe) symbols(text string) []symbol {
	out := make([]symbol, 0, len(text))
	unknown := symbol{id: m.unk}
	flush := func() {
		if unknown.size > 0 {
			out = append(out, unknown)
			unknown.size = 0
		}
	}
	for i := 0; i < len(text); {
		n, id := 1, int32(-1)
		if m.byteLevel {
			id = m.byteIDs[text[i]]
		} else {
			_, n = utf8.DecodeRuneInString(text[i:])
			if v, ok := m.vocab[text[i:i+n]]; ok {
				id = v
			}
		}
		switch {
		case id >= 0:
			flush()
			out = append(out, symbol{id, int32(n)})
		case m.byteFallback && m.hasBytes(text[i:i+n]):
			for k := range n {
				out = append(out, symbol{m.byteIDs[text[i+k]], 1})
			}
		case m.unk >= 0:
			if !m.fuseUnk {
				flush()
			}
			unknown.size += int32(n)
		}
		i += n
	}
	flush()
	return out
}

func (m *bpe) hasBytes(s string) bool {
	for i := range len(s) {
		if m.byteIDs[s[i]] < 0 {
			return false
		}
	}
	return true
}

const noMerge = math.MaxInt64

// rank packs a pair's rank and merged id into one comparable number.
func (m *bpe) rank(a, b int32) int64 {
	if g, ok := m.merges[pairKey(a, b)]; ok {
		return int64(g.rank)<<32 | int64(g.id)
	}
	return noMerge
}

// mergeScan looks for the best pair by scanning: the fastest way for the short words that make up most text.
func (m *bpe) mergeScan(s []symbol) []symbol {
	if len(s) < 2 {
		return s
	}
	var buf [heapFrom]int64
	ranks := buf[:len(s)-1] // ranks[i] belongs to the pair (i, i+1)
	for i := range ranks {
		ranks[i] = m.rank(s[i].id, s[i+1].id)
	}
	for {
		best, at := int64(noMerge), -1
		for i, r := range ranks {
			if r>>32 < best>>32 {
				best, at = r, i
			}
		}
		if at < 0 {
			return s
		}
		s[at] = symbol{int32(best & math.MaxUint32), s[at].size + s[at+1].size}
		s = append(s[:at+1], s[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		if at > 0 {
			ranks[at-1] = m.rank(s[at-1].id, s[at].id)
		}
		if at < len(ranks) {
			ranks[at] = m.rank(s[at].id, s[at+1].id)
		}
	}
}

// candidate is a pair waiting in the heap; it is stale when the symbols at its places changed since.
type candidate struct {
	rank        int64
	left, right int32
	a, b        int32
}

type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	if ri, rj := c[i].rank>>32, c[j].rank>>32; ri != rj {
		return ri < rj
	}
	return c[i].left < c[j].left
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// mergeHeap does the same in O(n log n) for long words: symbols form a linked list, live pairs wait in a heap.
func (m *bpe) mergeHeap(s []symbol) []symbol {
	prev, next := make([]int32, len(s)), make([]int32, len(s))
	h := make(candidates, 0, len(s))
	pair := func(l, r int32) (candidate, bool) {
		rank := m.rank(s[l].id, s[r].id)
		return candidate{rank, l, r, s[l].id, s[r].id}, rank != noMerge
	}
	for i := range s {
		prev[i], next[i] = int32(i-1), int32(i+1)
		if i+1 < len(s) {
			if c, ok := pair(int32(i), int32(i+1)); ok {
				h = append(h, c)
			}
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		c := heap.Pop(&h).(candidate)
		if s[c.left].size == 0 || s[c.right].size == 0 || s[c.left].id != c.a || s[c.right].id != c.b || next[c.left] != c.right {
			continue
		}
		s[c.left] = symbol{int32(c.rank & math.MaxUint32), s[c.left].size + s[c.right].size}
		s[c.right].size = 0
		after := next[c.right]
		next[c.left] = after
		if int(after) < len(s) {
			prev[after] = c.left
			if n, ok := pair(c.left, after); ok {
				heap.Push(&h, n)
			}
		}
		if before := prev[c.left]; before >= 0 {
			if n, ok := pair(before, c.left); ok {
				heap.Push(&h, n)
			}
		}
	}
	out := s[:0]
	for _, x := range s {
		if x.size > 0 {
			out = append(out, x)
		}
	}
	return out
}
