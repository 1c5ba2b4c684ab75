package grammar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// nfa is Thompson's automaton over bytes. State 0 is the start.
type nfa struct {
	states []nfaState
	start  int
}

// nfaState reads a byte in [lo, hi] and goes to out; or, if it is a fork, goes to
// out and to alt without reading; or accepts.
type nfaState struct {
	kind     kind
	lo, hi   byte
	out, alt int
}

type kind uint8

const (
	reads kind = iota
	forks
	accepts
)

// maxStates bounds an automaton: about what a list of 10,000 texts needs.
const maxStates = 1 << 19

// maxWalked bounds its deterministic states, of about 1 KiB each.
const maxWalked = 1 << 16

var errTooLarge = errors.New("the language needs too large an automaton")

func quote(text string) string { return regexp.QuoteMeta(text) }

// compile builds the automaton of an expression, from its end to its start.
func compile(expr string) (*nfa, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	n := &nfa{states: []nfaState{{kind: accepts}}}
	n.start, err = n.build(re.Simplify(), 0)
	if err == nil && len(n.states) > maxStates {
		err = errTooLarge
	}
	return n, err
}

func (n *nfa) add(s nfaState) int {
	n.states = append(n.states, s)
	return len(n.states) - 1
}

// build returns the start of re in front of state next.
func (n *nfa) build(re *syntax.Regexp, next int) (start int, err error) {
	if len(n.states) > maxStates {
		return 0, errTooLarge
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next, nil
	case syntax.OpLiteral:
		for i := len(re.Rune) - 1; i >= 0; i-- {
			next = n.char(folded(re.Rune[i], re.Flags), next)
		}
		return next, nil
	case syntax.OpCharClass:
		return n.char(re.Rune, next), nil
	case syntax.OpAnyChar:
		return n.char([]rune{0, utf8.MaxRune}, next), nil
	case syntax.OpAnyCharNotNL:
		return n.char([]rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}, next), nil
	case syntax.OpCapture:
		return n.build(re.Sub[0], next)
	case syntax.OpConcat:
		for _, sub := range slices.Backward(re.Sub) {
			if next, err = n.build(sub, next); err != nil {
				return 0, err
			}
		}
		return next, nil
	case syntax.OpAlternate:
		start, err = n.build(re.Sub[0], next)
		for _, sub := range re.Sub[1:] {
			other, err := n.build(sub, next)
			if err != nil {
				return 0, err
			}
			start = n.add(nfaState{kind: forks, out: start, alt: other})
		}
		return start, err
	case syntax.OpQuest:
		start, err = n.build(re.Sub[0], next)
		return n.add(nfaState{kind: forks, out: start, alt: next}), err
	case syntax.OpStar, syntax.OpPlus:
		loop := n.add(nfaState{kind: forks, alt: next})
		start, err = n.build(re.Sub[0], loop)
		n.states[loop].out = start
		if re.Op == syntax.OpStar {
			start = loop
		}
		return start, err
	}
	return 0, fmt.Errorf("%q: anchors, word borders and look-around are not supported: a text is matched as a whole anyway", re)
}

// folded is a literal's rune as ranges, in all its cases where the expression asks.
func folded(r rune, flags syntax.Flags) []rune {
	out := []rune{r, r}
	if flags&syntax.FoldCase != 0 {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			out = append(out, f, f)
		}
	}
	return out
}

// char returns the start of one character out of ranges, in UTF-8, in front of next.
func (n *nfa) char(ranges []rune, next int) int {
	start := -1
	for i := 0; i+1 < len(ranges); i += 2 {
		for _, seq := range utf8Ranges(ranges[i], ranges[i+1]) {
			at := next
			for k := len(seq) - 1; k >= 0; k-- {
				at = n.add(nfaState{kind: reads, lo: seq[k][0], hi: seq[k][1], out: at})
			}
			if start < 0 {
				start = at
			} else {
				start = n.add(nfaState{kind: forks, out: start, alt: at})
			}
		}
	}
	if start < 0 { // an empty class: nothing matches
		start = n.add(nfaState{kind: reads, lo: 1, hi: 0, out: next})
	}
	return start
}

// utf8Ranges splits a range of characters into sequences of byte ranges: each
// holds the characters whose UTF-8 bytes lie in its ranges, byte by byte.
func utf8Ranges(lo, hi rune) (out [][][2]byte) {
	const surrogateMin, surrogateMax = 0xD800, 0xDFFF
	if lo < surrogateMin && hi > surrogateMax {
		return append(utf8Ranges(lo, surrogateMin-1), utf8Ranges(surrogateMax+1, hi)...)
	}
	if lo >= surrogateMin && lo <= surrogateMax {
		lo = surrogateMax + 1
	}
	if hi >= surrogateMin && hi <= surrogateMax {
		hi = surrogateMin - 1
	}
	if lo > hi {
		return nil
	}
	for _, longest := range []rune{0x7F, 0x7FF, 0xFFFF} { // of one, two, three bytes
		if lo <= longest && hi > longest {
			return append(utf8Ranges(lo, longest), utf8Ranges(longest+1, hi)...)
		}
	}
	// Both ends have the same length: split until all but one byte are fixed or free.
	for shift := 6; shift <= 18; shift += 6 {
		rest := rune(1)<<shift - 1
		if lo&^rest == hi&^rest {
			break
		}
		if lo&rest != 0 {
			return append(utf8Ranges(lo, lo|rest), utf8Ranges((lo|rest)+1, hi)...)
		}
		if hi&rest != rest {
			return append(utf8Ranges(lo, hi&^rest-1), utf8Ranges(hi&^rest, hi)...)
		}
	}
	a, b := []byte(string(lo)), []byte(string(hi))
	seq := make([][2]byte, len(a))
	for i := range a {
		seq[i] = [2]byte{a[i], b[i]}
	}
	return [][][2]byte{seq}
}

// dfa is an nfa made deterministic where it was walked. State 0 is the start.
type dfa struct {
	n      *nfa
	states []dfaState
	byKey  map[string]int
	marked []int // by nfa state: the closure that reached it last
	round  int
}

type dfaState struct {
	members []int32 // reading states of the nfa, sorted
	accepts bool
	next    *[256]int32 // unknown, nowhere, or a state
}

const (
	unknown = -2
	nowhere = -1
)

func newDFA(n *nfa) *dfa {
	d := &dfa{n: n, byKey: map[string]int{}, marked: make([]int, len(n.states))}
	d.state([]int{n.start})
	return d
}

// state returns the deterministic state of what can be reached from the seeds
// without reading.
func (d *dfa) state(seeds []int) int {
	d.round++
	var members []int32
	ends := false
	stack := slices.Clone(seeds)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if d.marked[at] == d.round {
			continue
		}
		d.marked[at] = d.round
		switch s := d.n.states[at]; s.kind {
		case accepts:
			ends = true
		case forks:
			stack = append(stack, s.alt, s.out)
		case reads:
			members = append(members, int32(at))
		}
	}
	slices.Sort(members)
	key := make([]byte, 0, 4*len(members)+1)
	for _, m := range members {
		key = binary.LittleEndian.AppendUint32(key, uint32(m))
	}
	if ends {
		key = append(key, 1)
	}
	if at, ok := d.byKey[string(key)]; ok {
		return at
	}
	d.states = append(d.states, dfaState{members: members, accepts: ends})
	d.byKey[string(key)] = len(d.states) - 1
	return len(d.states) - 1
}

// next is the state behind a byte, -1 if there is none.
func (d *dfa) next(at int, b byte) int {
	s := &d.states[at]
	if s.next == nil {
		s.next = new([256]int32)
		for i := range s.next {
			s.next[i] = unknown
		}
	}
	if to := s.next[b]; to != unknown {
		return int(to)
	}
	var seeds []int
	for _, m := range s.members {
		if r := d.n.states[m]; r.lo <= b && b <= r.hi {
			seeds = append(seeds, r.out)
		}
	}
	to := nowhere
	// At the bound no new way is taken: the language shrinks, memory does not grow.
	if len(seeds) > 0 && len(d.states) < maxWalked {
		to = d.state(seeds) // may move d.states
	}
	d.states[at].next[b] = int32(to)
	return to
}

func (d *dfa) run(at int, text string) int {
	for i := 0; i < len(text) && at >= 0; i++ {
		at = d.next(at, text[i])
	}
	return at
}

// goesOn tells whether any byte may follow.
func (d *dfa) goesOn(at int) bool {
	return slices.ContainsFunc(d.states[at].members, func(m int32) bool { return d.n.states[m].lo <= d.n.states[m].hi })
}
