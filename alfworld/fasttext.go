package alfworld

import (
	"github.com/oreo-go/oreo/alfworld/grammar"
)

func (r *runner) intro() (string, error) { return r.render(r.p.texts.intro, nil) }

func (r *runner) render(t []part, args []int32) (string, error) {
	err := r.expand(t, args)
	return string(r.out), err
}

// expand leaves the text in r.out.
func (r *runner) expand(t []part, args []int32) error {
	copy(r.env[:], args)
	r.out, r.work, r.err = r.out[:0], maxWork, nil
	r.write(t)
	return r.err
}

func (r *runner) write(parts []part) {
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case printLiteral:
			r.out = append(r.out, p.literal...)
		case printAttr:
			o := int32(r.p.object[r.env[p.slot]])
			if p.attr == grammar.Name {
				r.out = append(r.out, r.p.game.names[o]...)
			} else {
				r.out = append(r.out, r.p.game.attribute(o, p.attr)...)
			}
		case printTask:
			r.out = append(r.out, r.p.game.sentence...)
		case choose:
			r.choose(p)
		case forEach:
			r.match(p.each, 0, &visit{part: p})
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
		if c.when == nil || r.exists(c.when) {
			r.write(c.kids)
			return
		}
	}
	if r.err == nil {
		r.err = p.err
	}
}

func (r *runner) exists(q *query) bool {
	var v visit
	r.match(q, 0, &v)
	return v.found
}

// visit is what happens at each match of a query: nothing more than that one is
// found, or a part is written once more, perhaps as an item of a list.
type visit struct {
	part      *part
	found     bool
	list      bool
	n         int
	separator int // where the words before the latest item start
	latest    int // where the latest item starts
}

// matched reports whether to go on.
func (r *runner) matched(v *visit) bool {
	v.found = true
	if v.part == nil {
		return false
	}
	if v.list {
		v.separator = len(r.out)
		if v.n > 0 {
			r.write(v.part.between)
		}
		v.latest = len(r.out)
		v.n++
	}
	r.write(v.part.kids)
	return r.err == nil
}

// match visits the matches of a query from step i on; more is false once the
// visits are to end.
func (r *runner) match(q *query, i int, v *visit) (more bool) {
	if q.never || r.err != nil {
		return false
	}
	if i == len(q.steps) {
		return r.matched(v)
	}
	p := &q.steps[i]
	t := &r.p.tables[p.pred]
	set := r.p.static
	switch {
	case p.negative && !t.fluent:
		return true
	case p.negative:
		set = r.no
	case t.fluent:
		set = r.yes
	}
	uniform := true
	for a := range t.arity {
		uniform = uniform && t.args[a].kind >= 0
	}
	if !uniform {
		for s := range p.signatures {
			if !r.matchSignature(q, i, v, set, &p.signatures[s]) {
				return false
			}
		}
		return r.err == nil
	}
	kinds := [3]int32{}
	for a := range t.arity {
		if kinds[a] = int32(t.args[a].kind); !r.p.rules.isA(kinds[a], p.types[a]) {
			return true
		}
	}
	return r.matchSignature(q, i, v, set, &kinds)
}

// matchSignature visits the facts whose arguments have just the types given.
func (r *runner) matchSignature(q *query, i int, v *visit, set bitset, kinds *[3]int32) (more bool) {
	p := &q.steps[i]
	t := &r.p.tables[p.pred]
	var args [3]span
	at, bound := int32(0), true // the fact, where there is only one to look at
	for a := range t.arity {
		if args[a] = r.p.exact[kinds[a]]; p.slots[a] >= 0 {
			o := r.env[p.slots[a]]
			args[a] = span{max(o, args[a].from), min(o+1, args[a].to)}
			at = at*(t.args[a].to-t.args[a].from) + o - t.args[a].from
		} else {
			bound = false
		}
		if r.work--; max(args[a].from, t.args[a].from) >= min(args[a].to, t.args[a].to) {
			return r.goesOn()
		}
	}
	if bound {
		return !set.has(int(t.base+at)) || r.match(q, i+1, v)
	}
	for s := t.newScan(set, args); s.next(); {
		if r.work--; !r.goesOn() {
			return false
		}
		if r.bind(p, &s.objs) && !r.match(q, i+1, v) {
			return false
		}
	}
	return true
}

// goesOn reports whether there is work left to spend.
func (r *runner) goesOn() bool {
	if r.work < 0 && r.err == nil {
		r.err = errWork
	}
	return r.err == nil
}

// bind gives the fresh placeholders their objects, which must differ from
// everything bound.
func (r *runner) bind(p *pattern, objs *[3]int32) bool {
	n := p.bound
	for a := range p.arity {
		if p.slots[a] >= 0 {
			continue
		}
		o := objs[a]
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

func (r *runner) writeList(p *part) {
	if p.each == nil {
		r.write(p.kids)
		return
	}
	v := visit{part: p, list: true}
	r.match(p.each, 0, &v)
	switch {
	case r.err != nil:
	case v.n == 0:
		r.write(p.empty)
	case v.n > 1:
		// The words before the last item are known only now.
		var keep [64]byte
		item := append(keep[:0], r.out[v.latest:]...)
		r.out = r.out[:v.separator]
		r.write(p.last)
		r.out = append(r.out, item...)
	}
}
