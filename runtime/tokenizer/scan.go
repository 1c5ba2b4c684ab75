package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// scanner returns the end of the word that starts at byte i of s. Each stands for one regular expression, named in scanners; the
// alternatives of the expression are tried in its order.
type scanner func(s string, i int) int

// The patterns of widely used tokenizers, as they stand in tokenizer.json.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

var scanners = map[string]scanner{
	gpt2Pattern:   scanGPT2,
	llama3Pattern: func(s string, i int) int { return scanCL100K(s, i, 3) },
	qwen2Pattern:  func(s string, i int) int { return scanCL100K(s, i, 1) },
}

// class divides characters the way these patterns do. The tables are those of Go's unicode package; characters that Unicode assigned after
// its version count as other, until Go catches up.
type class uint8

const (
	other  class = iota // [^\s\p{L}\p{N}]
	letter              // \p{L}
	number              // \p{N}
	space               // \s
)

var asciiClass = func() (t [utf8.RuneSelf]class) {
	for r := range rune(utf8.RuneSelf) {
		t[r] = classOf(r)
	}
	return t
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt is the class and width of the character at byte i < len(s).
func classAt(s string, i int) (class, int) {
	if s[i] < utf8.RuneSelf {
		return asciiClass[s[i]], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classOf(r), n
}

// run returns the end of the longest run of class c from byte i on.
func run(s string, i int, c class) int {
	for i < len(s) {
		k, n := classAt(s, i)
		if k != c {
			break
		}
		i += n
	}
	return i
}

func scanGPT2(s string, i int) int {
	if n := contraction(s[i:], false); n > 0 {
		return i + n
	}
	start := i
	if s[i] == ' ' && i+1 < len(s) {
		start++
	}
	if c, n := classAt(s, start); c != space {
		return run(s, start+n, c)
	}
	return scanSpace(s, i, run(s, i, space))
}

// scanCL100K reads the pattern that Llama-3 and Qwen2 took over from OpenAI's cl100k, with up to digits digits to a word.
func scanCL100K(s string, i, digits int) int {
	if n := contraction(s[i:], true); n > 0 {
		return i + n
	}
	c, n := classAt(s, i)
	switch {
	case c == letter:
		return run(s, i+n, letter)
	case c == number:
		end := i + n
		for k := 1; k < digits && end < len(s); k++ {
			c, n := classAt(s, end)
			if c != number {
				break
			}
			end += n
		}
		return end
	}
	if s[i] != '\r' && s[i] != '\n' && i+n < len(s) {
		if next, w := classAt(s, i+n); next == letter {
			return run(s, i+n+w, letter)
		} else if s[i] == ' ' && next == other {
			return newlines(s, run(s, i+n+w, other))
		}
	}
	if c == other {
		return newlines(s, run(s, i+n, other))
	}
	end := run(s, i, space)
	for k := end; k > i; k-- {
		if b := s[k-1]; b == '\r' || b == '\n' { // \s*[\r\n]+ ends with the last newline of the run
			return k
		}
	}
	return scanSpace(s, i, end)
}

// scanSpace reads \s+(?!\S)|\s+ on the run of spaces [i, end): all of it at the end of the text, else all but its last character, which
// belongs to the next word; a lone space stands for itself.
func scanSpace(s string, i, end int) int {
	if end == len(s) {
		return end
	}
	_, n := utf8.DecodeLastRuneInString(s[i:end])
	if end-n == i {
		return end
	}
	return end - n
}

func newlines(s string, i int) int {
	for i < len(s) && (s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// contraction is the length of 's, 't, 're, 've, 'm, 'll or 'd at the start of s.
func contraction(s string, fold bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	lower := func(b byte) byte {
		if fold && b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		return b
	}
	switch lower(s[1]) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && lower(s[2]) == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && lower(s[2]) == 'l' {
			return 3
		}
	}
	const longS = "\u017f" // folds to s
	if fold && len(s) > len(longS) && s[1:1+len(longS)] == longS {
		return 1 + len(longS)
	}
	return 0
}
