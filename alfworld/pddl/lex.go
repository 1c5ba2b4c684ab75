package pddl

import (
	"fmt"
	"strings"
)

// Limits on what a file may ask for. Real games are two orders of magnitude
// below each of them.
const (
	maxDepth      = 100     // nesting of parentheses
	maxNodes      = 150_000 // atoms and lists in one text
	maxObjects    = 5_000
	maxPredicates = 5_000
	maxArity      = 16
	maxSlots      = 64 // parameters and quantified variables of one action
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
	name  []byte // the last name read
}

func readOne(text string) (node, error) {
	r := &reader{text: text, line: 1}
	n, err := r.next(0)
	if err != nil {
		return node{}, err
	}
	if !n.isList() {
		return node{}, fmt.Errorf("line %d: want (define ...), got %q", n.line, n.atom)
	}
	return n, r.end()
}

// end is an error where more text follows.
func (r *reader) end() error {
	if r.skip(); r.pos < len(r.text) {
		return fmt.Errorf("line %d: text after the closing parenthesis: %.20q", r.line, r.text[r.pos:])
	}
	return nil
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
	if depth > maxDepth {
		return node{}, fmt.Errorf("line %d: parentheses nest deeper than %d", r.line, maxDepth)
	}
	opens, err := r.token()
	if err != nil {
		return node{}, err
	}
	if !opens {
		return node{atom: string(r.name), line: r.line}, nil
	}
	return r.rest(node{line: r.line}, depth)
}

// rest reads what is left of a list up to its closing parenthesis.
func (r *reader) rest(n node, depth int) (node, error) {
	first := len(r.open)
	r.open = append(r.open, n.list...)
	for !r.closes() {
		kid, err := r.next(depth + 1)
		if err != nil {
			return node{}, err
		}
		r.open = append(r.open, kid)
	}
	return node{line: n.line, list: r.close(first)}, nil
}

// closes passes a closing parenthesis.
func (r *reader) closes() bool {
	if r.skip(); r.pos < len(r.text) && r.text[r.pos] == ')' {
		r.pos++
		return true
	}
	return false
}

// token passes an opening parenthesis, or a name, which it leaves in r.name in
// lower case.
func (r *reader) token() (opens bool, err error) {
	r.skip()
	if r.pos == len(r.text) {
		return false, fmt.Errorf("line %d: the text ends inside a list: a ) is missing", r.line)
	}
	if r.nodes++; r.nodes > maxNodes {
		return false, fmt.Errorf("line %d: more than %d symbols", r.line, maxNodes)
	}
	switch r.text[r.pos] {
	case ')':
		return false, fmt.Errorf("line %d: a ) without its (", r.line)
	case '(':
		r.pos++
		return true, nil
	}
	from := r.pos
	name := r.name[:0]
	ascii := byte(0)
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		l := lower[c]
		if l == 0 {
			break
		}
		ascii |= c
		name = append(name, l)
		r.pos++
	}
	if ascii >= 0x80 {
		name = append(name[:0], strings.ToLower(r.text[from:r.pos])...)
	}
	if r.name = name; len(name) == 0 {
		return false, fmt.Errorf("line %d: a NUL byte", r.line)
	}
	return false, nil
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

// lower maps the bytes of names to lower case; 0 marks those that end a name.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	for _, c := range []byte("\x00() \t\r\n\f\v;") {
		t[c] = 0
	}
	return t
}()
