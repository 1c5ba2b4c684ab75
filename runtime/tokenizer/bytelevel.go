package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Byte-level vocabularies spell every byte as one printable character, as GPT-2 does: the printable bytes of Latin-1 stand for themselves,
// the others take the characters from U+0100 on, in order.
var (
	byteSpelling [256]string
	spelledByte  = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if printable := b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE; !printable {
			r = next
			next++
		}
		byteSpelling[b] = string(r)
		spelledByte[r] = byte(b)
	}
}

// spell writes raw bytes the way a byte-level vocabulary does.
func spell(raw string) string {
	var b strings.Builder
	b.Grow(len(raw) + 2)
	for i := range len(raw) {
		b.WriteString(byteSpelling[raw[i]])
	}
	return b.String()
}

// unspell returns the bytes that a token of a byte-level vocabulary stands for. A token with a character that spells no byte, as added
// tokens may have, stands for itself.
func unspell(token string) string {
	raw := make([]byte, 0, len(token))
	for _, r := range token {
		b, ok := spelledByte[r]
		if !ok {
			return token
		}
		raw = append(raw, b)
	}
	return string(raw)
}

// lossy replaces each maximal ill-formed part by U+FFFD, the practice of the Unicode standard (section 3.9) and of Rust's from_utf8_lossy.
func lossy(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n := wellFormed(s)
		b.WriteString(s[:n])
		if s = s[n:]; s != "" {
			b.WriteRune(utf8.RuneError)
			s = s[illFormed(s):]
		}
	}
	return b.String()
}

// wellFormed is the length of the longest prefix of s that is valid UTF-8.
func wellFormed(s string) int {
	i := 0
	for i < len(s) {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// illFormed is the length of the ill-formed part at the start of s: the longest prefix of a valid sequence, at least one byte.
func illFormed(s string) int {
	n := 1
	for n < len(s) && n < utf8.UTFMax && !utf8.FullRuneInString(s[:n]) {
		if utf8.FullRuneInString(s[:n+1]) {
			break // the next byte does not continue the sequence: a full rune here means U+FFFD of width 1
		}
		n++
	}
	return n
}

// unfinished is the length of the suffix of s that could still grow into a character.
func unfinished(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if tail[0] >= utf8.RuneSelf && !utf8.FullRuneInString(tail) {
				return n
			}
			return 0
		}
	}
	return 0
}
