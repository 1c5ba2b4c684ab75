package tokenizer

import "testing"

// The bytes of a text's tokens, joined, are the text that they decode to.
func TestBytesAreTheText(t *testing.T) {
	for name, tok := range smallTokenizers(t) {
		if name == "decomposed" { // no decoder
			continue
		}
		for _, text := range []string{"the cat", " two  spaces", "café 你好 a😀b\n", "12+3=15. <|im_end|>x"} {
			joined, whole := "", true
			ids := tok.Encode(text)
			first := true
			for _, id := range ids {
				b, ok := tok.Bytes(id, first)
				if ok == tok.IsSpecial(id) {
					t.Errorf("%s: token %d: bytes %q, %v", name, id, b, ok)
				}
				if ok {
					first = false
				}
				joined += b
				whole = whole && ok
			}
			if want := tok.Decode(ids, true); whole && lossy(joined) != want {
				t.Errorf("%s: %q from bytes, %q decoded", name, joined, want)
			}
		}
		for _, id := range []int{-1, tok.VocabSize()} {
			if b, ok := tok.Bytes(id, true); ok {
				t.Errorf("%s: id %d has bytes %q", name, id, b)
			}
		}
	}
}
