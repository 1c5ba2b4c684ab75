package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// sampleTexts are small word problems to train on.
func sampleTexts(n int) []string {
	names, things := []string{"Ada", "Ben", "Cleo", "Dan"}, []string{"apples", "marbles", "books", "coins"}
	var out []string
	for i := range n {
		a, b := i%17+2, i%29+3
		out = append(out, fmt.Sprintf("%s has %d %s and gets %d more.\nStep 1: %d + %d = %d.\n#### %d<|im_end|>",
			names[i%4], a, things[i/4%4], b, a, b, a+b, a+b))
	}
	return out
}

func TestTrain(t *testing.T) {
	specials := []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>"}
	tok, err := Train(slices.Values(sampleTexts(500)), 305, specials)
	if err != nil {
		t.Fatal(err)
	}
	if tok.VocabSize() != 305 {
		t.Errorf("vocabulary of %d tokens, want 305", tok.VocabSize())
	}
	for id, s := range specials {
		if got, ok := tok.TokenID(s); !ok || got != id || !tok.IsSpecial(id) {
			t.Errorf("special token %s has id %d, %v", s, got, ok)
		}
	}
	text := "Cleo has 12 apples\r\n and 345 épées 😀<|im_end|>\xff"
	ids := tok.Encode(text)
	if got, want := tok.Decode(ids, false), strings.Replace(text, "\xff", "\ufffd", 1); got != want {
		t.Errorf("decoded %q, want %q", got, want)
	}
	if id, ok := tok.TokenID("Ġapples"); !ok || !slices.Contains(ids, id) {
		t.Errorf("the frequent word \" apples\" is not one token in %d", ids)
	}
	for _, id := range ids {
		if s, _ := tok.Token(id); len(s) > 1 && strings.ContainsAny(s, "0123456789") {
			t.Errorf("token %q joins a digit", s)
		}
	}

	again, _ := Train(slices.Values(sampleTexts(500)), 305, specials)
	if !slices.Equal(tok.tokens, again.tokens) {
		t.Error("the same texts gave another vocabulary")
	}
	dir := t.TempDir()
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(sampleTexts(50), text) {
		if a, b := tok.Encode(s), loaded.Encode(s); !slices.Equal(a, b) {
			t.Errorf("%q: trained %d, loaded %d", s, a, b)
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	none := slices.Values([]string{})
	for _, c := range []struct {
		size     int
		specials []string
	}{{255, nil}, {257, []string{"<a>", "<b>"}}, {300, []string{"<a>", "<a>"}}, {300, []string{""}}, {300, []string{"a"}}, {300, []string{"Ġthe"}}} {
		if _, err := Train(none, c.size, c.specials); err == nil {
			t.Errorf("Train(%d, %q) gave no error", c.size, c.specials)
		}
	}
}
