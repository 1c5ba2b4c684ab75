package tokenizer

import (
	"container/heap"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Train learns a byte-level BPE of at most vocabSize tokens: the special tokens first, from id 0 on, then the 256 bytes, then merges of the
// pairs that occur most often in texts. Words are cut as by GPT-2, with every digit a token of its own, which suits arithmetic. Training
// stops early when no pair occurs twice. The same texts give the same tokenizer, ties being decided by the lower ids.
func Train(texts iter.Seq[string], vocabSize int, specials []string) (*Tokenizer, error) {
	if least := len(specials) + 256; vocabSize < least || vocabSize > maxVocab {
		return nil, fmt.Errorf("train tokenizer: vocabulary of %d tokens, want %d to %d: 256 bytes, %d special tokens and the merges",
			vocabSize, least, maxVocab, len(specials))
	}
	t := &Tokenizer{
		split:   []splitter{digitSplitter{individual: true}, scanSplitter{scanGPT2}},
		model:   newBPE(),
		decoder: tokenDecoder{byteLevel: true},
	}
	t.model.byteLevel = true
	t.model.vocab = map[string]int32{}
	t.model.merges = map[uint64]merge{}
	var added []addedToken
	for id, s := range specials {
		// What the bytes could spell otherwise, such as "a" or "Ġthe", would be two tokens at once.
		if len(s) < 2 || len(s) > maxAddedBytes || unspell(s) != s || slices.Contains(specials[:id], s) {
			return nil, fmt.Errorf("train tokenizer: special token %d (%.40q) is too short, too long, ambiguous or listed twice", id, s)
		}
		added = append(added, addedToken{ID: id, Content: s, Special: true})
		t.tokens = append(t.tokens, s)
		t.model.vocab[s] = int32(id) // transformers numbers anew what the model does not know
	}
	t.added = newAddedTokens(added, nil)
	for b, spelling := range byteSpelling {
		t.model.byteIDs[b] = int32(len(t.tokens))
		t.model.vocab[spelling] = int32(len(t.tokens))
		t.tokens = append(t.tokens, spelling)
	}
	newTrainer(t, texts).run(vocabSize)
	return t, nil
}

// trainer holds the distinct words as symbols and where each pair of neighbours occurs.
type trainer struct {
	t     *Tokenizer
	words [][]int32
	count []int // of each word in the texts
	pairs map[uint64]*pairUse
	queue pairQueue
}

// pairUse counts a pair over all texts. words may list words that have lost the pair since.
type pairUse struct {
	key    uint64
	count  int
	words  []int32
	queued int // the count under which the pair waits in the queue
}

func newTrainer(t *Tokenizer, texts iter.Seq[string]) *trainer {
	counts := map[string]int{}
	for text := range texts {
		var drop encoding // special tokens in the texts take no part
		t.added.raw.cut(piece{text: text, first: true}, &drop, func(gap piece) {
			t.eachWord(0, gap, func(w string) {
				if _, ok := counts[w]; !ok {
					w = strings.Clone(w)
				}
				counts[w]++
			})
		})
	}
	r := &trainer{t: t, pairs: map[uint64]*pairUse{}}
	distinct := make([]string, 0, len(counts))
	for w := range counts {
		distinct = append(distinct, w)
	}
	slices.Sort(distinct)
	for _, w := range distinct {
		ids := make([]int32, len(w))
		for i := range len(w) {
			ids[i] = t.model.byteIDs[w[i]]
		}
		r.words, r.count = append(r.words, ids), append(r.count, counts[w])
	}
	for w, ids := range r.words {
		for i := range len(ids) - 1 {
			r.change(pairKey(ids[i], ids[i+1]), r.count[w], int32(w))
		}
	}
	for _, p := range r.pairs {
		r.enqueue(p)
	}
	return r
}

func (t *Tokenizer) eachWord(step int, p piece, yield func(string)) {
	if step == len(t.split) {
		yield(p.text)
		return
	}
	t.split[step].split(p, func(q piece) { t.eachWord(step+1, q, yield) })
}

// change adds by to the count of a pair that word w has gained or lost.
func (r *trainer) change(key uint64, by int, w int32) *pairUse {
	p := r.pairs[key]
	if p == nil {
		p = &pairUse{key: key}
		r.pairs[key] = p
	}
	p.count += by
	if n := len(p.words); by > 0 && (n == 0 || p.words[n-1] != w) {
		p.words = append(p.words, w)
	}
	return p
}

func (r *trainer) enqueue(p *pairUse) {
	if p.count > 1 {
		p.queued = p.count
		heap.Push(&r.queue, queuedPair{p, p.count})
	}
}

func (r *trainer) run(vocabSize int) {
	for rank := 0; len(r.t.tokens) < vocabSize && len(r.queue) > 0; {
		top := heap.Pop(&r.queue).(queuedPair)
		p := top.pair
		if top.count != p.queued {
			continue // queued again since
		}
		if top.count != p.count {
			r.enqueue(p)
			continue
		}
		a, b := int32(p.key>>32), int32(uint32(p.key))
		token := r.t.tokens[a] + r.t.tokens[b]
		id, known := r.t.model.vocab[token] // two pairs may spell the same token
		if !known {
			id = int32(len(r.t.tokens))
			r.t.tokens = append(r.t.tokens, token)
			r.t.model.vocab[token] = id
		}
		r.t.model.merges[p.key] = merge{int32(rank), id}
		rank++
		r.merge(p, a, b, id)
	}
}

// merge replaces the pair by id in every word and updates the pairs around it.
func (r *trainer) merge(p *pairUse, a, b, id int32) {
	touched := map[uint64]*pairUse{}
	note := func(x, y int32, by int, w int32) {
		key := pairKey(x, y)
		touched[key] = r.change(key, by, w)
	}
	for _, w := range p.words {
		ids, n := r.words[w], r.count[w]
		out := ids[:0]
		for i := 0; i < len(ids); i++ {
			if i+1 == len(ids) || ids[i] != a || ids[i+1] != b {
				out = append(out, ids[i])
				continue
			}
			if k := len(out); k > 0 {
				note(out[k-1], a, -n, w)
				note(out[k-1], id, n, w)
			}
			if i+2 < len(ids) {
				note(b, ids[i+2], -n, w)
				note(id, ids[i+2], n, w)
			}
			out = append(out, id)
			i++
		}
		r.words[w] = out
	}
	delete(touched, p.key)
	delete(r.pairs, p.key)
	for _, q := range touched {
		if q.count > q.queued { // a smaller count is seen when the pair comes up
			r.enqueue(q)
		}
	}
}

type queuedPair struct {
	pair  *pairUse
	count int
}

// pairQueue is a heap with the most frequent pair on top.
type pairQueue []queuedPair

func (q pairQueue) Len() int { return len(q) }
func (q pairQueue) Less(i, j int) bool {
	if q[i].count != q[j].count {
		return q[i].count > q[j].count
	}
	return q[i].pair.key < q[j].pair.key
}
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *pairQueue) Push(x any)   { *q = append(*q, x.(queuedPair)) }
func (q *pairQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
