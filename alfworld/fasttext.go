package alfworld

import (
	"fmt"

	"github.com/oreo-go/oreo/alfworld/grammar"
)

// maxEnv is how many placeholders may be bound at once; maxTextNodes how big
// the compiled texts of a game may be.
const (
	maxEnv       = 48
	maxTextNodes = 20_000
)

// text is a compiled text with the number of placeholders bound around it.
type text struct {
	parts   []part
	dynamic bool  // some query is about facts that change
	uses    []int // parameters the text depends on; nil for all
}

// part is one piece of a compiled text.
type part struct {
	kind    partKind
	literal string
	slot    int // printName
	attr    grammar.Attr
	choices []choice // choose
	each    *query   // forEach, list
	kids    []part   // forEach, list
	empty   []part   // list: the words for no items, between items, before the last
	between []part
	last    []part
	err     error // fail
}

type partKind uint8

const (
	printLiteral partKind = iota
	printAttr
	choose
	forEach
	list
	fail
)

// choice is a rule: the first whose query has a match is taken.
type choice struct {
	when *query
	kids []part
}

// query is a compiled conjunction of patterns.
type query struct {
	steps []lookup
	never bool // some predicate has no facts at all
}

// lookup enumerates the facts of one pattern. With nothing or one placeholder
// bound the candidates are listed; with all bound the fact is looked up.
type lookup struct {
	negative bool
	bound    int // how many slots are bound before this lookup
	key      int // slot of the one bound placeholder, or -1
	all      []candidate
	by       [][]candidate // by object, for key >= 0

	// where more than one placeholder is bound
	slots  []int
	test   map[atomKey]int32 // atom, or -1 where it always holds
	pred   int
	fixed  bool
	more   map[atomKey][]candidate
	masked bool
}

// candidate is a fact that may match, with the objects of the new placeholders.
type candidate struct {
	atom int32 // -1: always true
	n    int32
	objs [3]int32
}

// compileTexts compiles the first observation and the feedback of each action.
func (c *grounder) compileTexts() error {
	intro, err := c.texts.compileSymbol("intro")
	if err != nil {
		return err
	}
	c.intro = intro
	for i, v := range c.game.verbs {
		t, err := c.texts.compile(c.task.Actions[i].Params, v.Feedback)
		if err != nil {
			return err
		}
		c.feedback = append(c.feedback, t)
	}
	return nil
}

func (r *runner) intro() (string, error) { return r.render(r.p.intro, nil) }

func (r *runner) render(t *text, args []int32) (string, error) {
	copy(r.env[:], args)
	r.out, r.work, r.err = r.out[:0], maxWork, nil
	r.write(t.parts)
	return string(r.out), r.err
}

func (r *runner) write(parts []part) {
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case printLiteral:
			r.out = append(r.out, p.literal...)
		case printAttr:
			if p.attr == grammar.Name {
				r.out = append(r.out, r.p.game.names[r.env[p.slot]]...)
			} else {
				r.out = append(r.out, r.p.game.attribute(r.env[p.slot], p.attr)...)
			}
		case choose:
			r.choose(p)
		case forEach:
			r.each(p, 0)
		case list:
			r.writeList(p)
		case fail:
			r.err = p.err
		}
		if r.work--; r.work < 0 && r.err == nil {
			r.err = errWork
		}
		if len(r.out) > maxText {
			r.err = errLong
		}
		if r.err != nil {
			return
		}
	}
}

func (r *runner) choose(p *part) {
	for i := range p.choices {
		c := &p.choices[i]
		if c.when == nil || r.exists(c.when, 0) {
			r.write(c.kids)
			return
		}
	}
	if r.err == nil {
		r.err = p.err
	}
}

// candidates of step i of q under the present binding.
func (r *runner) candidates(l *lookup) []candidate {
	switch {
	case l.masked:
		return l.more[l.boundKey(&r.env)]
	case l.key >= 0:
		return l.by[r.env[l.key]]
	}
	return l.all
}

func (l *lookup) boundKey(env *[maxEnv]int32) atomKey {
	key := uint64(l.pred)
	for i := range 3 {
		key <<= 16
		if i < len(l.slots) {
			key |= uint64(env[l.slots[i]])
		}
	}
	return atomKey(key)
}

// exists reports whether the query has a match from step i on.
func (r *runner) exists(q *query, i int) bool {
	if q.never {
		return false
	}
	if i == len(q.steps) {
		return true
	}
	l := &q.steps[i]
	if l.fixed {
		return r.known(l) && r.exists(q, i+1)
	}
	cands := r.candidates(l)
	for c := range cands {
		if r.bind(l, &cands[c]) && r.exists(q, i+1) {
			return true
		}
	}
	return false
}

// known looks a fact up whose arguments are all bound.
func (r *runner) known(l *lookup) bool {
	r.work--
	atom, listed := l.test[l.boundKey(&r.env)]
	return listed && r.true(l, atom)
}

func (r *runner) true(l *lookup, atom int32) bool {
	if atom < 0 {
		return true
	}
	bits := r.yes
	if l.negative {
		bits = r.no
	}
	return bits[atom>>6]>>(uint(atom)&63)&1 == 1
}

// bind tests a candidate and binds the new placeholders to its objects, which
// must differ from everything bound.
func (r *runner) bind(l *lookup, c *candidate) bool {
	if r.work--; r.work < 0 || !r.true(l, c.atom) {
		return false
	}
	n := l.bound
	for i := int32(0); i < c.n; i++ {
		o := c.objs[i]
		for _, have := range r.env[:n] {
			if have == o {
				return false
			}
		}
		r.env[n] = o
		n++
	}
	return true
}

// each writes the part once per match.
func (r *runner) each(p *part, i int) {
	if p.each.never || r.err != nil {
		return
	}
	if i == len(p.each.steps) {
		r.write(p.kids)
		return
	}
	l := &p.each.steps[i]
	if l.fixed {
		if r.known(l) {
			r.each(p, i+1)
		}
		return
	}
	cands := r.candidates(l)
	for c := range cands {
		if r.bind(l, &cands[c]) {
			r.each(p, i+1)
		}
	}
	if r.work < 0 && r.err == nil {
		r.err = errWork
	}
}

// items remembers where the items of a list are while it is written.
type items struct {
	n         int
	separator int // where the words before the latest item start
	latest    int // where the latest item starts
}

func (r *runner) writeList(p *part) {
	var it items
	if p.each == nil {
		r.write(p.kids)
		return
	}
	r.eachItem(p, 0, &it)
	switch {
	case r.err != nil:
	case it.n == 0:
		r.write(p.empty)
	case it.n > 1:
		// The words before the last item are known only now.
		var keep [64]byte
		item := append(keep[:0], r.out[it.latest:]...)
		r.out = r.out[:it.separator]
		r.write(p.last)
		r.out = append(r.out, item...)
	}
}

func (r *runner) eachItem(p *part, i int, it *items) {
	if p.each.never || r.err != nil {
		return
	}
	if i == len(p.each.steps) {
		it.separator = len(r.out)
		if it.n > 0 {
			r.write(p.between)
		}
		it.latest = len(r.out)
		it.n++
		r.write(p.kids)
		return
	}
	l := &p.each.steps[i]
	if l.fixed {
		if r.known(l) {
			r.eachItem(p, i+1, it)
		}
		return
	}
	cands := r.candidates(l)
	for c := range cands {
		if r.bind(l, &cands[c]) {
			r.eachItem(p, i+1, it)
		}
	}
	if r.work < 0 && r.err == nil {
		r.err = errWork
	}
}

// key packs what a static text depends on, for naming operators.
func (t *text) key(dst []byte, action int32, args []int32) []byte {
	dst = append(dst, byte(action), byte(action>>8))
	if t.uses == nil {
		for _, o := range args {
			dst = append(dst, byte(o), byte(o>>8))
		}
		return dst
	}
	for _, i := range t.uses {
		dst = append(dst, byte(args[i]), byte(args[i]>>8))
	}
	return dst
}

// placeholder errors are found when the text is compiled but count only if
// the text is reached.
func unbound(name string) error {
	return fmt.Errorf("grammar: placeholder %q is not bound", name)
}
