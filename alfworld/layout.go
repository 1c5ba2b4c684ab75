package alfworld

import (
	"fmt"
	"math/bits"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// layout gives every fact that a game can ever be about a bit. Objects are
// numbered by type and, within a type, by identifier, those that no fact can be
// about last; so the objects that an argument of a predicate can have lie in a
// span, and the facts of a predicate form a table. Walking a table in order
// meets the facts in the order in which the reference finds them.
type layout struct {
	rules  *rules
	tables []table  // by predicate
	object []uint16 // by number: the object of the task
	number []uint16 // by object of the task
	kind   []int16  // by number: its type, -1 where nobody declared it
	exact  []span   // by type: objects of just that type that facts can be about
	others []span   // by place of a type: the other objects

	fluents, statics int // bits
	triggers         int // the first of the fluents
}

// span is a range of numbers.
type span struct{ from, to int32 }

// table holds the facts of a predicate, the last argument running fastest.
type table struct {
	base   int32 // of its bits among the fluents, or among the static facts
	size   int32
	arity  int32
	fluent bool
	args   [3]axis
}

// axis is an argument of a table.
type axis struct {
	span
	kind int16 // the type of all its objects, or -1
}

const (
	maxPacked = 1<<16 - 1
	maxBits   = 1 << 18   // of a game
	maxReach  = 4_000_000 // words visited to find out what facts can be about
)

func newLayout(g *Game) (*layout, error) {
	t := g.task
	if len(t.Objects) > maxPacked || len(t.Predicates) > maxPacked {
		return nil, tooBig("too many objects")
	}
	for _, p := range t.Predicates {
		if p.Arity > 3 {
			return nil, tooBig(fmt.Sprintf("predicate %q has more than three arguments", p.Name))
		}
	}
	r := &reach{task: t, rules: g.rules}
	if err := r.run(); err != nil {
		return nil, err
	}
	l := &layout{rules: g.rules, tables: make([]table, len(t.Predicates))}
	l.sortObjects(g, r.active())
	for p := range l.tables {
		l.tables[p].arity, l.tables[p].fluent = int32(t.Predicates[p].Arity), t.Predicates[p].Fluent
		l.measure(&l.tables[p], r.columns[3*p:])
	}
	return l, nil
}

// sortObjects numbers the objects.
func (l *layout) sortObjects(g *Game, active bitset) {
	types := len(l.rules.order)
	start := make([]int32, 2*types+2) // by group: active by place of type, others
	group := func(o int32) int {
		typ := g.task.Objects[o].Type
		switch {
		case typ < 0:
			return 2 * types
		case active.has(int(o)):
			return int(l.rules.at[typ])
		}
		return types + int(l.rules.at[typ])
	}
	for o := range g.task.Objects {
		start[group(int32(o))+1]++
	}
	for i := range 2*types + 1 {
		start[i+1] += start[i]
	}
	l.exact, l.others = make([]span, types), make([]span, types)
	for t := range types {
		at := l.rules.at[t]
		l.exact[t] = span{start[at], start[at+1]}
		l.others[t] = span{start[types+int(at)], start[types+int(l.rules.last[t])]}
	}
	n := len(g.task.Objects)
	l.object, l.number, l.kind = make([]uint16, n), make([]uint16, n), make([]int16, n)
	for _, o := range g.order {
		at := &start[group(int32(o))]
		l.object[*at], l.number[o], l.kind[*at] = o, uint16(*at), int16(g.task.Objects[o].Type)
		*at++
	}
}

// of is the span of the objects of a type and its subtypes that facts can be
// about.
func (l *layout) of(typ int) span {
	if typ < 0 {
		return span{}
	}
	last := l.rules.order[l.rules.last[typ]-1]
	return span{l.exact[typ].from, l.exact[last].to}
}

// measure finds the spans of a table.
func (l *layout) measure(t *table, columns []bitset) {
	for i := range t.arity {
		a := axis{span{maxPacked, 0}, -1}
		for w, word := range columns[i] {
			for ; word != 0; word &= word - 1 {
				o := int32(l.number[w<<6+bits.TrailingZeros64(word)])
				a.from, a.to = min(a.from, o), max(a.to, o+1)
			}
		}
		if a.to == 0 {
			a.from = 0
		} else if l.kind[a.from] == l.kind[a.to-1] {
			a.kind = l.kind[a.from]
		}
		t.args[i] = a
	}
}

// place gives the tables their bits, those of triggers first.
func (l *layout) place(trigger []bool) error {
	total := int64(0)
	for p := range l.tables {
		t := &l.tables[p]
		size := int64(1)
		for i := range t.arity {
			size *= int64(t.args[i].to - t.args[i].from)
		}
		if total += size; total > maxBits {
			return tooBig("too many facts")
		}
		t.size = int32(size)
	}
	add := func(t *table, n *int) {
		t.base = int32(*n)
		*n += int(t.size)
	}
	for p := range l.tables {
		if trigger[p] {
			add(&l.tables[p], &l.fluents)
		}
	}
	l.triggers = l.fluents
	for p := range l.tables {
		switch t := &l.tables[p]; {
		case !t.fluent:
			add(t, &l.statics)
		case !trigger[p]:
			add(t, &l.fluents)
		}
	}
	return nil
}

// in gives the object that a term stands for.
func (l *layout) in(t pddl.Term, b []int32) int32 {
	if t >= 0 {
		return b[t]
	}
	return int32(l.number[^t])
}

// index is the bit of an atom, -1 for one that cannot be true.
func (l *layout) index(a *pddl.Atom, b []int32) int32 {
	t := &l.tables[a.Pred]
	at := int32(0)
	for i, arg := range a.Args {
		x := &t.args[i]
		o := l.in(arg, b)
		if o < x.from || o >= x.to {
			return -1
		}
		at = at*(x.to-x.from) + o - x.from
	}
	return t.base + at
}

// fact is the inverse of index.
func (t *table) fact(at int32) (objs [3]int32) {
	at -= t.base
	for i := t.arity - 1; i >= 0; i-- {
		x := &t.args[i]
		n := x.to - x.from
		objs[i] = x.from + at%n
		at /= n
	}
	return objs
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (s bitset) has(i int) bool { return s[i>>6]>>(uint(i)&63)&1 != 0 }
func (s bitset) add(i int)      { s[i>>6] |= 1 << (uint(i) & 63) }

// scan walks the facts of a table that are in a set, within given spans.
type scan struct {
	t        *table
	set      bitset
	args     [3]span
	objs     [3]int32 // the fact found
	pos, end int32    // bits of the present row that are left
	started  bool
}

// newScan starts a walk; nothing is found where a span leaves the table.
func (t *table) newScan(set bitset, args [3]span) scan {
	s := scan{t: t, set: set, args: args}
	for i := range t.arity {
		s.args[i].from, s.args[i].to = max(args[i].from, t.args[i].from), min(args[i].to, t.args[i].to)
		if s.args[i].from >= s.args[i].to {
			s.started, s.t = true, &noTable
			return s
		}
		s.objs[i] = s.args[i].from
	}
	return s
}

var noTable table

func (s *scan) next() bool {
	for {
		for s.pos < s.end {
			word := s.set[s.pos>>6] >> (uint(s.pos) & 63)
			if word == 0 {
				s.pos = (s.pos | 63) + 1
				continue
			}
			at := s.pos + int32(bits.TrailingZeros64(word))
			if at >= s.end {
				break
			}
			if n := s.t.arity; n > 0 {
				s.objs[n-1] = s.args[n-1].to - (s.end - at)
			}
			s.pos = at + 1
			return true
		}
		if !s.row() {
			return false
		}
	}
}

// row goes to the next row: all arguments but the last one fixed.
func (s *scan) row() bool {
	t := s.t
	if s.started && t.arity == 2 {
		if s.objs[0]++; s.objs[0] >= s.args[0].to {
			return false
		}
		width := t.args[1].to - t.args[1].from
		s.pos, s.end = s.end+width-(s.args[1].to-s.args[1].from), s.end+width
		return true
	}
	if s.started {
		i := t.arity - 2
		for ; i >= 0; i-- {
			if s.objs[i]++; s.objs[i] < s.args[i].to {
				break
			}
			s.objs[i] = s.args[i].from
		}
		if i < 0 {
			return false
		}
	}
	s.started = true
	at := int32(0)
	for i := range max(0, t.arity-1) {
		at = at*(t.args[i].to-t.args[i].from) + s.objs[i] - t.args[i].from
	}
	if t.arity == 0 {
		s.pos, s.end = t.base, t.base+1
		return true
	}
	x, last := &t.args[t.arity-1], &s.args[t.arity-1]
	at = t.base + at*(x.to-x.from)
	s.pos, s.end = at+last.from-x.from, at+last.to-x.from
	return true
}
