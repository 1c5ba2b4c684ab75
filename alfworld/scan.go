package alfworld

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanGame reads the JSON of a game file in one pass: loading is mostly
// reading, and encoding/json goes over the long strings three times. Whatever
// is not plain, ok is false and encoding/json decides.
func scanGame(data []byte) (f gameFile, ok bool) {
	if !utf8.Valid(data) {
		return f, false
	}
	s := &jsonScanner{data: data}
	if !s.accept('{') {
		return f, false
	}
	for {
		key, ok := s.str()
		if !ok || !s.accept(':') || !s.field(&f, key) {
			return f, false
		}
		if !s.accept(',') {
			break
		}
	}
	return f, s.accept('}') && s.peek() == 0 && s.pos == len(data)
}

func (s *jsonScanner) field(f *gameFile, key string) bool {
	switch key {
	case "pddl_domain", "grammar", "pddl_problem":
		text, ok := s.str()
		switch key {
		case "pddl_domain":
			f.Domain = &text
		case "grammar":
			f.Grammar = &text
		default:
			f.Problem = &text
		}
		return ok
	case "solvable":
		truth := s.word("true")
		f.Solvable = &truth
		return truth || s.word("false")
	case "walkthrough":
		f.Walkthrough = nil
		if !s.accept('[') {
			return false
		}
		for !s.accept(']') {
			if len(f.Walkthrough) > 0 && !s.accept(',') {
				return false
			}
			text, ok := s.str()
			if !ok {
				return false
			}
			f.Walkthrough = append(f.Walkthrough, text)
		}
		return true
	}
	return false
}

type jsonScanner struct {
	data []byte
	pos  int
}

// peek skips white space; 0 is the end.
func (s *jsonScanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *jsonScanner) accept(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

func (s *jsonScanner) word(w string) bool {
	if s.peek(); !bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	return true
}

var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// str reads a string. Surrogate pairs are left to encoding/json.
func (s *jsonScanner) str() (string, bool) {
	if !s.accept('"') {
		return "", false
	}
	end := bytes.IndexByte(s.data[s.pos:], '"')
	if end < 0 {
		return "", false
	}
	var out strings.Builder
	out.Grow(end)
	for {
		run := s.pos
		for run < len(s.data) && s.data[run] != '"' && s.data[run] != '\\' {
			if s.data[run] < 0x20 {
				return "", false
			}
			run++
		}
		if run >= len(s.data) {
			return "", false
		}
		out.Write(s.data[s.pos:run])
		s.pos = run + 1
		if s.data[run] == '"' {
			return out.String(), true
		}
		if bytes.HasPrefix(s.data[s.pos:], []byte("u")) && s.pos+5 <= len(s.data) {
			code, err := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 16)
			if err != nil || code >= 0xd800 && code < 0xe000 {
				return "", false
			}
			out.WriteRune(rune(code))
			s.pos += 5
			continue
		}
		if s.pos == len(s.data) || plainEscapes[s.data[s.pos]] == 0 {
			return "", false
		}
		out.WriteByte(plainEscapes[s.data[s.pos]])
		s.pos++
	}
}
