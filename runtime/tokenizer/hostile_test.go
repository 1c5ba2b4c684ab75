package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tiny is a tokenizer.json with the parts given in place of its own.
func tiny(parts map[string]string) string {
	p := map[string]string{
		"added_tokens": `[{"id":4,"content":"<s>","special":true}]`, "normalizer": "null", "pre_tokenizer": "null",
		"post_processor": "null", "decoder": "null", "type": `"BPE"`, "vocab": `{"a":0,"b":1,"ab":2,"abab":3}`,
		"merges": `["a b","ab ab"]`, "model": "",
	}
	for k, v := range parts {
		p[k] = v
	}
	return fmt.Sprintf(`{"added_tokens":%s,"normalizer":%s,"pre_tokenizer":%s,"post_processor":%s,"decoder":%s,
		"model":{"type":%s,"vocab":%s,"merges":%s%s}}`, p["added_tokens"], p["normalizer"], p["pre_tokenizer"], p["post_processor"],
		p["decoder"], p["type"], p["vocab"], p["merges"], p["model"])
}

func loadText(t testing.TB, text string) (*Tokenizer, error) {
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestLoadRefuses(t *testing.T) {
	deep := strings.Repeat(`{"type":"Sequence","normalizers":[`, 20) + strings.Repeat(`]}`, 20)
	for _, c := range []struct{ part, value, want string }{
		{"vocab", `{"a":0,"a":1}`, `model.vocab: "a" is listed twice`},
		{"vocab", `{"a":0,"b":0,"ab":1,"abab":2}`, "stands for both"},
		{"vocab", `{"a":0,"b":1,"ab":2,"abab":4000000000}`, "model.vocab"},
		{"vocab", `{"a":0,"b":1,"ab":2,"abab":8000000}`, "out of range"},
		{"vocab", `{"a":-1}`, `model.vocab: "a"`},
		{"vocab", `{"a":0.5}`, "whole number"},
		{"vocab", `{"a":"0"}`, "token id"},
		{"vocab", `["a"]`, "model.vocab: an object"},
		{"vocab", `{"` + strings.Repeat("x", 1<<17) + `":0}`, "model.vocab: entry 0"},
		{"merges", `["a c"]`, `model.merges[0]: token "c"`},
		{"merges", `["a b","b a"]`, `model.merges[1]: merged token "ba"`},
		{"merges", `["a"]`, "model.merges[0]"},
		{"merges", `["a b b"]`, "model.merges[0]"},
		{"merges", `[["a"]]`, "model.merges[0]"},
		{"merges", `[["a","b","b"]]`, "model.merges[0]"},
		{"merges", `[1]`, "model.merges[0]"},
		{"merges", `{}`, "model.merges: a list"},
		{"type", `"Unigram"`, `model.type "Unigram" is not supported`},
		{"model", `,"unk_token":"?"`, `model.unk_token "?"`},
		{"model", `,"dropout":0.1`, "model.dropout"},
		{"model", `,"end_of_word_suffix":"</w>"`, "model.end_of_word_suffix"},
		{"added_tokens", `[{"id":0,"content":"<s>"}]`, "stands for both"},
		{"added_tokens", `[{"id":3,"content":"a"}]`, "added_tokens[0]"},
		{"added_tokens", `[{"id":-1,"content":"x"}]`, "added_tokens[0].id"},
		{"added_tokens", `[{"id":99999999,"content":"x"}]`, "added_tokens[0].id"},
		{"added_tokens", `[{"id":4,"content":"` + strings.Repeat("x", 600) + `"}]`, "added_tokens[0].content: 600 bytes"},
		{"normalizer", `{"type":"Nmt"}`, `normalizer: type "Nmt" is not supported`},
		{"normalizer", `{"type":"Replace","pattern":{"String":""},"content":"x"}`, "normalizer: Replace"},
		{"normalizer", `{"type":"Replace","pattern":{"String":"a"},"content":"` + strings.Repeat("x", 100) + `"}`, "lengthen"},
		{"normalizer", `{"type":"Prepend","prepend":"` + strings.Repeat("x", 100) + `"}`, "normalizer: type Prepend"},
		{"normalizer", deep, "nested"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"Regex":"(("},"behavior":"Isolated"}`, "pre_tokenizer: Split pattern"},
		{"pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Sideways"}`, "Sideways"},
		{"pre_tokenizer", `{"type":"Split","behavior":"Isolated"}`, "without a pattern"},
		{"pre_tokenizer", `{"type":"Metaspace","prepend_scheme":"maybe"}`, "prepend_scheme"},
		{"pre_tokenizer", `{"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]}`, "after ByteLevel"},
		{"decoder", `{"type":"CTC"}`, "decoder"},
		{"post_processor", `{"type":"BertProcessing"}`, "post_processor"},
		{"post_processor", `{"type":"TemplateProcessing","single":[]}`, "names the text 0 times"},
		{"post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]}`, "special_tokens"},
		{"post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":[77]}}}`, "id 77"},
	} {
		_, err := loadText(t, tiny(map[string]string{c.part: c.value}))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "tokenizer.json") {
			t.Errorf("%s %.60s: error %v, want one with %q", c.part, c.value, err, c.want)
		}
	}
	for _, text := range []string{"", "{", "[]", "\xff", `{"model":null}`, `{"model":{"vocab":null,"merges":[]}}`} {
		if _, err := loadText(t, text); err == nil {
			t.Errorf("%q gave no error", text)
		}
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder gave %v", err)
	}
}

// TestRunawayPattern: a pattern that backtracks without end must not hang Encode, nor lose text.
func TestRunawayPattern(t *testing.T) {
	tok, err := loadText(t, tiny(map[string]string{
		"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"}`}))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range tok.split {
		s.(patternSplitter).pattern.(regex).re.MatchTimeout = 50 * time.Millisecond
	}
	start := time.Now()
	if got := len(tok.Encode(strings.Repeat("a", 60) + "b")); got != 60 {
		t.Errorf("%d tokens, want 60", got)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestLongWord: a word of any length takes O(n log n).
func TestLongWord(t *testing.T) {
	tok, err := loadText(t, tiny(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(tok.Encode(strings.Repeat("ab", 200_000))), 100_000; got != want {
		t.Errorf("%d tokens, want %d", got, want)
	}
}
