package pddl

import (
	"fmt"
	"strings"
)

// Limits on what a file may ask for. Real games are two orders of magnitude
// below each of them.
const (
	maxDepth   = 100     // nesting of parentheses
	maxNodes   = 150_000 // atoms and lists in one text
	maxObjects = 5_000
	maxArity   = 16
	maxSlots   = 64 // parameters and quantified variables of one action
)

// node is one atom or one parenthesised list, with the line it starts on.
type node struct {
	atom string
	list []node
	line int
}

func (n node) isList() bool { return n.atom == "" }

// head is the first atom of a list, "" when there is none.
func (n node) head() string {
	if len(n.list) == 0 {
		return ""
	}
	return n.list[0].atom
}

// reader turns text into nodes. Names are lower-cased, as the Lisp reader of
// the reference planner does; ';' starts a comment that ends with the line.
type reader struct {
	text  string
	pos   int
	line  int
	nodes int
	open  []node // of the lists being read
	block []node // where finished lists are laid out
}

func readOne(text string) (node, error) {
	r := &reader{text: strings.ToLower(text), line: 1}
	n, err := r.next(0)
	if err != nil {
		return node{}, err
	}
	if !n.isList() {
		return node{}, fmt.Errorf("line %d: want (define ...), got %q", n.line, n.atom)
	}
	r.skip()
	if r.pos < len(r.text) {
		return node{}, fmt.Errorf("line %d: text after the closing parenthesis: %.20q", r.line, r.text[r.pos:])
	}
	return n, nil
}

func (r *reader) skip() {
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == '\n':
			r.line++
			r.pos++
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			r.pos++
		case c == ';':
			end := strings.IndexByte(r.text[r.pos:], '\n')
			if end < 0 {
				r.pos = len(r.text)
				return
			}
			r.pos += end
		default:
			return
		}
	}
}

func (r *reader) next(depth int) (node, error) {
	r.skip()
	if r.pos == len(r.text) {
		return node{}, fmt.Errorf("line %d: the text ends inside a list: a ) is missing", r.line)
	}
	if r.nodes++; r.nodes > maxNodes {
		return node{}, fmt.Errorf("line %d: more than %d symbols", r.line, maxNodes)
	}
	if depth > maxDepth {
		return node{}, fmt.Errorf("line %d: parentheses nest deeper than %d", r.line, maxDepth)
	}
	start := r.line
	switch r.text[r.pos] {
	case ')':
		return node{}, fmt.Errorf("line %d: a ) without its (", r.line)
	case '(':
		r.pos++
		first := len(r.open)
		for {
			r.skip()
			if r.pos < len(r.text) && r.text[r.pos] == ')' {
				r.pos++
				return node{line: start, list: r.close(first)}, nil
			}
			kid, err := r.next(depth + 1)
			if err != nil {
				return node{}, err
			}
			r.open = append(r.open, kid)
		}
	}
	from := r.pos
	for r.pos < len(r.text) && !ends[r.text[r.pos]] {
		r.pos++
	}
	return node{atom: r.text[from:r.pos], line: start}, nil
}

// close takes the nodes from first on off the open ones.
func (r *reader) close(first int) []node {
	list := r.open[first:]
	if len(list) > len(r.block) {
		r.block = make([]node, max(1024, len(list)))
	}
	done := r.block[:len(list):len(list)]
	r.block = r.block[len(list):]
	copy(done, list)
	r.open = r.open[:first]
	return done
}

// ends marks the bytes that end a name.
var ends = func() (t [256]bool) {
	for _, c := range []byte("() \t\r\n\f\v;") {
		t[c] = true
	}
	return t
}()
