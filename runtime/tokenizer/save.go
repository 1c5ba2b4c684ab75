package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/bounded"
)

// companions are the files that transformers may read beside tokenizer.json.
var companions = []string{
	"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
	"chat_template.jinja",
}

// Save writes the tokenizer into folder dir, made if need be, so that transformers loads it. One that was loaded is copied with the files
// beside it, a chat template among them; one that was trained is written as tokenizer.json and tokenizer_config.json.
func (t *Tokenizer) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	if t.source != "" {
		return t.copyTo(dir)
	}
	for name, v := range map[string]any{"tokenizer.json": t.file(), "tokenizer_config.json": t.config()} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
		if err := write(filepath.Join(dir, name), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("save tokenizer: %w", err)
	}
	return nil
}

func (t *Tokenizer) copyTo(dir string) error {
	data, err := bounded.ReadFile(t.source, maxFileBytes)
	if err != nil {
		return fmt.Errorf("save tokenizer: the file it was loaded from is gone: %w", err)
	}
	if err := write(filepath.Join(dir, "tokenizer.json"), data); err != nil {
		return err
	}
	for _, name := range companions {
		data, err := bounded.ReadFile(filepath.Join(filepath.Dir(t.source), name), maxFileBytes)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
		if err := write(filepath.Join(dir, name), data); err != nil {
			return err
		}
	}
	return nil
}

// file is tokenizer.json of a trained tokenizer.
func (t *Tokenizer) file() map[string]any {
	byteLevel := map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "normalizer": nil, "post_processor": nil,
		"added_tokens": t.addedList(),
		"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
			map[string]any{"type": "Digits", "individual_digits": true}, byteLevel}},
		"decoder": byteLevel,
		"model": map[string]any{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": t.model.vocab, "merges": t.mergeList()},
	}
}

func (t *Tokenizer) addedList() []addedToken {
	list := make([]addedToken, 0, len(t.added.byID))
	for _, a := range t.added.byID {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b addedToken) int { return a.ID - b.ID })
	return list
}

// mergeList writes the merges as pairs of tokens, by rank.
func (t *Tokenizer) mergeList() [][2]string {
	keys := make([]uint64, 0, len(t.model.merges))
	for k := range t.model.merges {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b uint64) int { return int(t.model.merges[a].rank) - int(t.model.merges[b].rank) })
	list := make([][2]string, len(keys))
	for i, k := range keys {
		list[i] = [2]string{t.tokens[k>>32], t.tokens[uint32(k)]}
	}
	return list
}

// The names by which the special tokens of a trained tokenizer take their roles in tokenizer_config.json.
var roles = []struct {
	key   string
	names []string
}{
	{"bos_token", []string{"<s>", "<bos>", "<|begin_of_text|>"}},
	{"eos_token", []string{"<|im_end|>", "</s>", "<eos>", "<|endoftext|>"}},
	{"pad_token", []string{"<pad>", "<|pad|>", "<|endoftext|>", "</s>", "<|im_end|>", "<eos>"}},
}

// config is tokenizer_config.json of a trained tokenizer.
func (t *Tokenizer) config() map[string]any {
	c := map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false}
	for _, role := range roles {
		for _, name := range role.names {
			if a, ok := t.added.byContent[name]; ok && a.Special {
				c[role.key] = name
				break
			}
		}
	}
	return c
}
