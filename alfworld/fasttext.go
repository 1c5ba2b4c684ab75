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

// lookup enumerates the facts of one pattern: all of them, or those with the
// object that a bound placeholder stands for.
type lookup struct {
	*factIndex
	negative bool
	key      int // slot of that placeholder, or -1
	bound    int // how many slots are bound before this lookup
	args     []argument
}

// argument is an argument that the index does not take care of: it is compared
// with a bound slot, or bound to a fresh one.
type argument struct {
	position int
	slot     int // -1: fresh
}

// factIndex holds the facts of a predicate, in the order in which the reference
// finds them, grouped by one argument unless from is nil.
type factIndex struct {
	from []int32 // by object: where its facts start
	list []candidate
}

// candidate is a fact that may match.
type candidate struct {
	atom int32 // -1: always true
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
	err := r.expand(t, args)
	return string(r.out), err
}

// expand leaves the text in r.out.
func (r *runner) expand(t *text, args []int32) error {
	copy(r.env[:], args)
	r.out, r.work, r.err = r.out[:0], maxWork, nil
	r.write(t.parts)
	return r.err
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

// candidates of a lookup under the present binding.
func (r *runner) candidates(l *lookup) []candidate {
	if l.key < 0 {
		return l.list
	}
	o := r.env[l.key]
	return l.list[l.from[o]:l.from[o+1]]
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
	cands := r.candidates(l)
	for c := range cands {
		if r.bind(l, &cands[c]) && r.exists(q, i+1) {
			return true
		}
	}
	return false
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

// bind tests a candidate and binds the fresh placeholders to its objects, which
// must differ from everything bound.
func (r *runner) bind(l *lookup, c *candidate) bool {
	if r.work--; r.work < 0 || !r.true(l, c.atom) {
		return false
	}
	n := l.bound
	for _, a := range l.args {
		o := c.objs[a.position]
		if a.slot >= 0 {
			if r.env[a.slot] != o {
				return false
			}
			continue
		}
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

// key packs what a static text depends on, for naming operators; ok is false
// where that does not fit.
func (t *text) key(action int32, args []int32) (key uint64, ok bool) {
	key = uint64(action)
	if t.uses == nil || len(t.uses) > 3 || action > maxPacked {
		return 0, false
	}
	for _, i := range t.uses {
		key = key<<16 | uint64(args[i])
	}
	return key, true
}

// placeholder errors are found when the text is compiled but count only if
// the text is reached.
func unbound(name string) error {
	return fmt.Errorf("grammar: placeholder %q is not bound", name)
}
