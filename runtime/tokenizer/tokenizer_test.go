package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func TestLookups(t *testing.T) {
	tok := smallTokenizers(t)["llama3"]
	id, ok := tok.TokenID("<|im_end|>")
	if s, known := tok.Token(id); !ok || !known || s != "<|im_end|>" || !tok.IsSpecial(id) {
		t.Errorf("<|im_end|> has id %d, %v; that id is %q, %v", id, ok, s, known)
	}
	if id, ok := tok.TokenID("Ġthe"); !ok || tok.IsSpecial(id) || tok.Decode([]int{id}, true) != " the" {
		t.Errorf("Ġthe has id %d, %v", id, ok)
	}
	if _, ok := tok.TokenID("no such token"); ok {
		t.Error("a token that is not there was found")
	}
	for _, id := range []int{-1, tok.VocabSize(), 1 << 40} {
		if s, ok := tok.Token(id); ok || tok.IsSpecial(id) {
			t.Errorf("id %d is %q", id, s)
		}
	}
}

// TestDecoderHoldsBack: an emoji spread over tokens comes out whole, with the token that completes it.
func TestDecoderHoldsBack(t *testing.T) {
	for name, tok := range smallTokenizers(t) {
		if name == "metaspace" || name == "decomposed" { // no bytes; no decoder
			continue
		}
		ids := tok.Encode("a😀b")
		d := tok.NewDecoder(true)
		var parts []string
		for _, id := range ids {
			if s := d.Push(id); s != "" {
				parts = append(parts, s)
			}
		}
		if last := d.Flush(); last != "" {
			parts = append(parts, last)
		}
		if !slices.ContainsFunc(parts, func(s string) bool { return s == "😀" || s == "😀b" }) {
			t.Errorf("%s: parts %q", name, parts)
		}
	}
}

// TestSaveLoaded: what was loaded is saved with its companions, and only those.
func TestSaveLoaded(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder")
	original, err := os.ReadFile("testdata/small/gpt2/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"tokenizer.json": string(original), "tokenizer_config.json": "{}", "chat_template.jinja": "x", "model.safetensors": "big"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tok, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time over itself
		if err := tok.Save(dst); err != nil {
			t.Fatal(err)
		}
	}
	if saved, err := os.ReadFile(filepath.Join(dst, "tokenizer.json")); err != nil || string(saved) != string(original) {
		t.Errorf("tokenizer.json changed: %v", err)
	}
	entries, _ := os.ReadDir(dst)
	if len(entries) != 3 {
		t.Errorf("saved %v", entries)
	}
	if err := tok.Save(filepath.Join(src, "tokenizer.json")); err == nil {
		t.Error("a file in place of the folder gave no error")
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := smallTokenizers(t)["gpt2"]
	texts := sampleTexts(200)
	want := make([][]int, len(texts))
	for i, s := range texts {
		want[i] = tok.Encode(s)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i, s := range texts {
				if got := tok.Encode(s); !slices.Equal(got, want[i]) {
					t.Errorf("%q: %d, alone %d", s, got, want[i])
				}
			}
		})
	}
	wg.Wait()
}
