// Package tokenizer turns text into token ids and back, in pure Go, from the tokenizer.json of a Hugging Face model folder.
//
// Supported are BPE models in their two forms: byte-level (GPT-2, Llama-3, Qwen2, SmolLM) and sentencepiece-like (Llama-2, MiniCPM).
// A part of the pipeline that is not supported is an error of [Load], never a silent difference. [Train] makes a byte-level BPE from text
// and [Tokenizer.Save] writes a folder that transformers loads.
//
// Ids, decoded text and offsets equal those of the Python package tokenizers; testdata/gen holds the script that makes the comparison.
package tokenizer

// Tokenizer is immutable after Load or Train and safe for use by many goroutines.
type Tokenizer struct {
	source string // the tokenizer.json that was read; empty after Train

	added     *addedTokens
	normalize []normalizer
	split     []splitter
	model     *bpe
	post      postProcessor
	decoder   tokenDecoder

	tokens []string // by id; "" where the id names no token
}

// Encode returns the ids of text. Special tokens written out in text are recognised; nothing is added. Bytes that are not UTF-8 are kept
// where the vocabulary spells bytes.
func (t *Tokenizer) Encode(text string) []int {
	return t.encode(text, false).ids
}

// EncodeSpecial is Encode with what the post-processor adds around a text, such as the BOS token of Llama.
func (t *Tokenizer) EncodeSpecial(text string) []int {
	e := encoding{ids: append(make([]int, 0, len(text)/3+8), t.post.prefix...)}
	t.encodeInto(&e, text)
	return append(e.ids, t.post.suffix...)
}

// EncodeOffsets returns the ids of text, as Encode does, and for each the bytes [start, end) of text it came from. The offsets of a token
// that holds part of a character cover the whole character, so consecutive spans may overlap; characters that normalisation drops may
// belong to none.
func (t *Tokenizer) EncodeOffsets(text string) ([]int, [][2]int) {
	e := t.encode(text, true)
	t.post.trim(t, text, &e)
	return e.ids, e.offsets
}

// TokenID returns the id of a token as tokenizer.json spells it ("Ġthe", "▁the", "<|im_end|>").
func (t *Tokenizer) TokenID(token string) (int, bool) {
	if a, ok := t.added.byContent[token]; ok {
		return a.ID, true
	}
	id, ok := t.model.vocab[token]
	return int(id), ok
}

// Token returns the spelling of a token in tokenizer.json.
func (t *Tokenizer) Token(id int) (string, bool) {
	if id < 0 || id >= len(t.tokens) || t.tokens[id] == "" {
		return "", false
	}
	return t.tokens[id], true
}

// VocabSize is the highest id plus one: the least number of embedding rows a model of this tokenizer needs.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// IsSpecial reports whether id is an added token marked as special.
func (t *Tokenizer) IsSpecial(id int) bool {
	a, ok := t.added.byID[id]
	return ok && a.Special
}

// encoding collects the result; offsets stay empty unless asked for.
type encoding struct {
	ids         []int
	offsets     [][2]int
	wantOffsets bool
}

func (t *Tokenizer) encode(text string, wantOffsets bool) encoding {
	e := encoding{ids: make([]int, 0, len(text)/3+4), wantOffsets: wantOffsets}
	t.encodeInto(&e, text)
	return e
}

// encodeInto runs the pipeline of Hugging Face tokenizers: cut out the added tokens that match the raw text, normalise what lies between
// them, cut out those that match normalised text, split the rest into words and apply BPE to each word.
func (t *Tokenizer) encodeInto(e *encoding, text string) {
	whole := piece{text: text, first: true}
	if e.wantOffsets {
		whole.origin = identityOrigin(text)
	}
	t.added.raw.cut(whole, e, func(gap piece) {
		for _, n := range t.normalize {
			gap = n.apply(gap)
		}
		t.added.normalized.cut(gap, e, func(gap piece) {
			t.splitFrom(0, gap, e)
		})
	})
}

func (t *Tokenizer) splitFrom(step int, p piece, e *encoding) {
	if step == len(t.split) {
		t.model.encode(p, e)
		return
	}
	t.split[step].split(p, func(word piece) { t.splitFrom(step+1, word, e) })
}

// add appends one token made of bytes [start, end) of p.
func (e *encoding) add(id int, p piece, start, end int) {
	e.ids = append(e.ids, id)
	if e.wantOffsets {
		e.offsets = append(e.offsets, p.span(start, end))
	}
}
