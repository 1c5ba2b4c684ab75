package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/oreo-go/oreo/runtime/bounded"
)

// Limits on what a file may ask for; the largest published tokenizers stay a factor of ten below them.
const (
	maxFileBytes  = 256 << 20
	maxTokenBytes = 1 << 16
	maxVocab      = 1 << 23
	maxAdded      = 1 << 17
	maxAddedBytes = 512 // of one added token
	maxSteps      = 32  // normalisers, pre-tokenisers and so on
	maxNesting    = 8
	maxGrowth     = 64 // times that normalisation may lengthen a text
)

// Load reads a tokenizer.json, given as a file or by its folder. The error names the file and the field that is wrong or not supported.
func Load(dirOrFile string) (*Tokenizer, error) {
	path := dirOrFile
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := bounded.ReadFile(path, maxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("load tokenizer %s: %w", path, err)
	}
	t.source = path
	return t, nil
}

// file is tokenizer.json. Vocabulary and merges stay raw: they are most of the file and parsed by hand.
type file struct {
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    *node        `json:"normalizer"`
	PreTokenizer  *node        `json:"pre_tokenizer"`
	PostProcessor *node        `json:"post_processor"`
	Decoder       *node        `json:"decoder"`
	Model         struct {
		Type                    string          `json:"type"`
		Dropout                 *float64        `json:"dropout"`
		UnkToken                *string         `json:"unk_token"`
		ContinuingSubwordPrefix *string         `json:"continuing_subword_prefix"`
		EndOfWordSuffix         *string         `json:"end_of_word_suffix"`
		FuseUnk                 bool            `json:"fuse_unk"`
		ByteFallback            bool            `json:"byte_fallback"`
		IgnoreMerges            bool            `json:"ignore_merges"`
		Vocab                   json.RawMessage `json:"vocab"`
		Merges                  json.RawMessage `json:"merges"`
	} `json:"model"`
}

func parse(data []byte) (*Tokenizer, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	t := &Tokenizer{}
	var err error
	if t.normalize, err = buildNormalizers(f.Normalizer); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	byteLevel := false
	if t.split, byteLevel, err = buildSplitters(f.PreTokenizer); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.model, err = buildModel(&f, byteLevel); err != nil {
		return nil, err
	}
	if err := checkAdded(f.AddedTokens, t.model.vocab); err != nil {
		return nil, err
	}
	t.added = newAddedTokens(f.AddedTokens, t.normalize)
	if t.tokens, err = tokenTable(t.model.vocab, f.AddedTokens); err != nil {
		return nil, err
	}
	if t.decoder, err = buildDecoder(f.Decoder); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if t.post, err = buildPostProcessor(f.PostProcessor, len(t.tokens)); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	return t, nil
}

func buildModel(f *file, byteLevel bool) (*bpe, error) {
	s := &f.Model
	if s.Type != "BPE" && s.Type != "" {
		return nil, fmt.Errorf("model.type %q is not supported, only BPE", s.Type)
	}
	if s.Dropout != nil && *s.Dropout != 0 {
		return nil, fmt.Errorf("model.dropout %g: dropout makes ids random; set it to null", *s.Dropout)
	}
	for name, v := range map[string]*string{"continuing_subword_prefix": s.ContinuingSubwordPrefix, "end_of_word_suffix": s.EndOfWordSuffix} {
		if v != nil && *v != "" {
			return nil, fmt.Errorf("model.%s %q is not supported", name, *v)
		}
	}
	m := newBPE()
	var err error
	if m.vocab, err = parseVocab(s.Vocab); err != nil {
		return nil, fmt.Errorf("model.vocab: %w", err)
	}
	m.byteLevel, m.byteFallback, m.ignoreMerges, m.fuseUnk = byteLevel, s.ByteFallback, s.IgnoreMerges, s.FuseUnk
	for b := range m.byteIDs {
		spelling := fmt.Sprintf("<0x%02X>", b)
		if byteLevel {
			spelling = byteSpelling[b]
		}
		m.byteIDs[b] = -1
		if id, ok := m.vocab[spelling]; ok {
			m.byteIDs[b] = id
		}
	}
	if s.UnkToken != nil {
		id, ok := m.vocab[*s.UnkToken]
		if !ok {
			return nil, fmt.Errorf("model.unk_token %q is not in model.vocab", *s.UnkToken)
		}
		m.unk = id
	}
	if err := parseMerges(s.Merges, m); err != nil {
		return nil, fmt.Errorf("model.merges%w", err)
	}
	m.findWordStart()
	return m, nil
}

// checkAdded rejects ids that two tokens claim.
func checkAdded(added []addedToken, vocab map[string]int32) error {
	if len(added) > maxAdded {
		return fmt.Errorf("added_tokens: %d entries, more than %d", len(added), maxAdded)
	}
	for i, a := range added {
		switch id, ok := vocab[a.Content]; {
		case len(a.Content) > maxAddedBytes:
			return fmt.Errorf("added_tokens[%d].content: %d bytes, more than %d", i, len(a.Content), maxAddedBytes)
		case ok && int(id) != a.ID:
			return fmt.Errorf("added_tokens[%d]: %q has id %d here and %d in model.vocab", i, a.Content, a.ID, id)
		}
	}
	return nil
}

// tokenTable lists the tokens by id.
func tokenTable(vocab map[string]int32, added []addedToken) ([]string, error) {
	limit := 1<<16 + 8*(len(vocab)+len(added)) // ids may have holes, but the table must stay in proportion to the file
	highest := -1
	for token, id := range vocab {
		if int(id) >= limit {
			return nil, fmt.Errorf("model.vocab[%q]: id %d is out of range for %d tokens", token, id, len(vocab))
		}
		highest = max(highest, int(id))
	}
	for i, a := range added {
		if a.ID < 0 || a.ID >= limit {
			return nil, fmt.Errorf("added_tokens[%d].id: %d is out of range for %d tokens", i, a.ID, len(vocab)+len(added))
		}
		highest = max(highest, a.ID)
	}
	tokens := make([]string, highest+1)
	for token, id := range vocab {
		if tokens[id] != "" {
			return nil, fmt.Errorf("model.vocab: id %d stands for both %q and %q", id, tokens[id], token)
		}
		tokens[id] = token
	}
	for i, a := range added {
		if other := tokens[a.ID]; other != "" && other != a.Content {
			return nil, fmt.Errorf("added_tokens[%d]: id %d stands for both %q and %q", i, a.ID, other, a.Content)
		}
		tokens[a.ID] = a.Content
	}
	return tokens, nil
}
