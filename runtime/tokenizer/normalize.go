package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites text and keeps track of where each byte came from.
type normalizer interface {
	apply(p piece) piece
}

// prependNormalizer puts text before a non-empty piece.
type prependNormalizer struct{ text string }

func (n prependNormalizer) apply(p piece) piece { return p.prepend(n.text) }

// replaceNormalizer replaces each match; the new text takes the origin of the last character it replaces.
type replaceNormalizer struct {
	pattern matcher
	with    string
}

func (n replaceNormalizer) apply(p piece) piece {
	found := n.pattern.find(p.text)
	if !slices.ContainsFunc(found, func(m match) bool { return m.hit }) {
		return p
	}
	b := p.rewrite()
	for _, m := range found {
		if m.hit {
			b.put(n.with, m.end-1)
		} else {
			b.keep(m.start, m.end)
		}
	}
	return b.piece()
}

// unicodeNormalizer is NFC, NFD, NFKC or NFKD. It takes the tables from x/text, but not its algorithm, which does not say where a character
// came from, breaks long runs of marks and gives up after bytes that are not UTF-8.
type unicodeNormalizer struct{ form norm.Form }

func (n unicodeNormalizer) apply(p piece) piece {
	if n.form.IsNormalString(p.text) && utf8.ValidString(p.text) {
		return p
	}
	chars := decompose(n.form, p.text)
	if n.form == norm.NFC || n.form == norm.NFKC {
		chars = compose(chars)
	}
	return realign(p, chars)
}

// change is a character of normalised text. shift says how the alignment of Hugging Face tokenizers sees it: 1 is a character that was
// inserted, 0 one that replaces a character, -k one that replaces a character and swallows the k that follow.
type change struct {
	r     string
	class uint8 // canonical combining class
	shift int
}

func decompose(form norm.Form, text string) []change {
	if form == norm.NFC {
		form = norm.NFD
	} else if form == norm.NFKC {
		form = norm.NFKD
	}
	out := make([]change, 0, len(text))
	marks := 0 // from here on they wait for their canonical order
	emit := func(c change) {
		if c.class == 0 {
			sortMarks(out[marks:])
			marks = len(out) + 1
		}
		out = append(out, c)
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		char := text[i : i+n]
		i += n
		if r < utf8.RuneSelf || r == utf8.RuneError {
			emit(change{r: char})
			continue
		}
		for k, r := range []rune(form.String(char)) {
			emit(change{r: string(r), class: form.PropertiesString(string(r)).CCC(), shift: min(k, 1)})
		}
	}
	sortMarks(out[min(marks, len(out)):])
	return out
}

func sortMarks(marks []change) {
	slices.SortStableFunc(marks, func(a, b change) int { return int(a.class) - int(b.class) })
}

// compose joins each starter with the marks that follow it and are not blocked (Unicode standard, section 3.11).
func compose(in []change) []change {
	out := make([]change, 0, len(in))
	starter, last := -1, uint8(0) // index in out; class of the last mark kept after it
	for _, c := range in {
		if starter >= 0 {
			adjacent := starter == len(out)-1
			if adjacent || last < c.class {
				if joined, ok := composePair(out[starter].r, c.r); ok {
					out[starter].r = joined
					out[starter].shift += c.shift - 1
					continue
				}
			}
		}
		if c.class == 0 {
			starter = len(out)
		}
		last = c.class
		out = append(out, c)
	}
	return out
}

func composePair(a, b string) (string, bool) {
	joined := norm.NFC.String(a + b)
	if utf8.RuneCountInString(joined) != 1 || !utf8.ValidString(joined) {
		return "", false
	}
	return joined, true
}

// realign writes the normalised characters, walking the old ones as their shifts say.
func realign(p piece, chars []change) piece {
	b := p.rewrite()
	at := 0 // byte of the old text
	skip := func() {
		if at < len(p.text) {
			_, n := utf8.DecodeRuneInString(p.text[at:])
			at += n
		}
	}
	for _, c := range chars {
		if c.shift > 0 {
			b.put(c.r, at-1)
			continue
		}
		b.put(c.r, at)
		for range 1 - c.shift {
			skip()
		}
	}
	return b.piece()
}

// matcher divides text into matches and the gaps between them, in order and without holes.
type matcher interface {
	find(text string) []match
}

type match struct {
	start, end int
	hit        bool
}

// literal matches one fixed string.
type literal string

func (l literal) find(text string) []match {
	var out []match
	at := 0
	for {
		k := strings.Index(text[at:], string(l))
		if k < 0 {
			break
		}
		if k > 0 {
			out = append(out, match{at, at + k, false})
		}
		out = append(out, match{at + k, at + k + len(l), true})
		at += k + len(l)
	}
	if at < len(text) {
		out = append(out, match{at, len(text), false})
	}
	return out
}
