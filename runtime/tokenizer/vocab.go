package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// lexer walks JSON that encoding/json has already found valid.
type lexer struct {
	b []byte
	i int
}

// next skips white space and separators and returns the byte there, 0 at the end.
func (l *lexer) next() byte {
	for l.i < len(l.b) {
		switch l.b[l.i] {
		case ' ', '\t', '\n', '\r', ',', ':':
			l.i++
		default:
			return l.b[l.i]
		}
	}
	return 0
}

// str reads the string that starts here.
func (l *lexer) str() (string, error) {
	if l.next() != '"' {
		return "", errors.New("a string is expected")
	}
	start, escaped := l.i, false
	for l.i++; l.i < len(l.b) && l.b[l.i] != '"'; l.i++ {
		if l.b[l.i] == '\\' {
			escaped = true
			l.i++
		}
	}
	l.i++
	if l.i > len(l.b) {
		return "", errors.New("unfinished string")
	}
	if n := l.i - start; n > maxTokenBytes {
		return "", fmt.Errorf("string of %d bytes, more than %d", n, maxTokenBytes)
	}
	if !escaped {
		return string(l.b[start+1 : l.i-1]), nil
	}
	var s string
	err := json.Unmarshal(l.b[start:l.i], &s)
	return s, err
}

// id reads a token id.
func (l *lexer) id() (int32, error) {
	l.next()
	start := l.i
	n := 0
	for ; l.i < len(l.b) && l.b[l.i] >= '0' && l.b[l.i] <= '9' && n < maxVocab; l.i++ {
		n = 10*n + int(l.b[l.i]-'0')
	}
	if l.i == start {
		return 0, errors.New("a token id (0, 1, 2, ...) is expected")
	}
	if n >= maxVocab {
		return 0, fmt.Errorf("id %d... is more than %d", n, maxVocab)
	}
	if c := l.next(); l.i < len(l.b) && c != '"' && c != '}' {
		return 0, errors.New("a token id is a whole number")
	}
	return int32(n), nil
}

// parseVocab reads {"token": id, ...}.
func parseVocab(raw []byte) (map[string]int32, error) {
	l := &lexer{b: raw}
	if l.next() != '{' {
		return nil, errors.New("an object of token: id is expected")
	}
	l.i++
	vocab := make(map[string]int32, len(raw)/16)
	for l.next() == '"' {
		token, err := l.str()
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(vocab), err)
		}
		id, err := l.id()
		if err != nil {
			return nil, fmt.Errorf("%q: %w", token, err)
		}
		if _, ok := vocab[token]; ok {
			return nil, fmt.Errorf("%q is listed twice", token)
		}
		vocab[token] = id
	}
	return vocab, nil
}

// parseMerges reads ["a b", ...] or [["a","b"], ...] into m. A pair listed twice has the rank of its last entry, as in Hugging Face
// tokenizers.
func parseMerges(raw []byte, m *bpe) error {
	l := &lexer{b: raw}
	if l.next() != '[' {
		return errors.New(": a list is expected")
	}
	l.i++
	m.merges = make(map[uint64]merge, len(raw)/16)
	for rank := 0; ; rank++ {
		var left, right string
		var err error
		switch l.next() {
		case '"':
			var both string
			if both, err = l.str(); err == nil && strings.Count(both, " ") != 1 {
				err = fmt.Errorf("%q is not two tokens with a space between", both)
			}
			left, right, _ = strings.Cut(both, " ")
		case '[':
			l.i++
			if left, err = l.str(); err == nil {
				right, err = l.str()
			}
			if err == nil && l.next() != ']' {
				err = errors.New("a pair of tokens is expected")
			}
			l.i++
		case ']':
			return nil
		default:
			err = errors.New("a string or a pair of strings is expected")
		}
		if err == nil {
			err = m.addMerge(rank, left, right)
		}
		if err != nil {
			return fmt.Errorf("[%d]: %w", rank, err)
		}
		if strings.HasPrefix(right, spMark) && !strings.HasSuffix(left, spMark) || strings.Contains(strings.TrimLeft(left, spMark), spMark) {
			m.marksInside = true
		}
	}
}

// spMark is sentencepiece's sign for a space.
const spMark = "▁"

// findWordStart allows text to be cut before each ▁ that follows another character, so that words can be cached, when no merge reaches
// over such a place. It changes no result.
func (m *bpe) findWordStart() {
	_, known := m.vocab[spMark]
	if known && !m.byteLevel && !m.ignoreMerges && !m.marksInside {
		m.wordStart = spMark
	}
}
