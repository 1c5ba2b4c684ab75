package chat

import (
	"fmt"
	"strings"
)

type stmt interface{ exec(s *scope) control }

// control says how a statement ends.
type control int

const (
	goOn control = iota
	nextRound
	breakLoop
)

func run(body []stmt, s *scope) control {
	for _, st := range body {
		if c := st.exec(s); c != goOn {
			return c
		}
	}
	return goOn
}

// at is the place of a statement or expression in the source, noted when it runs for the error message.
type at struct{ line int }

func (a at) here(s *scope) { s.m.line = a.line }

type textStmt struct{ text string }

func (t *textStmt) exec(s *scope) control {
	s.m.write(t.text)
	return goOn
}

type printStmt struct {
	at
	e expr
}

func (p *printStmt) exec(s *scope) control {
	p.here(s)
	v := p.e.eval(s)
	s.m.spend(stepCost * cost(v))
	s.m.write(text(v))
	return goOn
}

type scopeStmt struct{ body []stmt }

func (b *scopeStmt) exec(s *scope) control { return run(b.body, s.child()) }

type jumpStmt struct{ to control }

func (j *jumpStmt) exec(*scope) control { return j.to }

type ifStmt struct {
	at
	cond            expr
	then, otherwise []stmt
}

func (i *ifStmt) exec(s *scope) control {
	i.here(s)
	s.m.spend(0)
	if truth(i.cond.eval(s)) {
		return run(i.then, s)
	}
	return run(i.otherwise, s)
}

type setStmt struct {
	at
	targets []string
	attr    string // of a namespace
	value   expr
}

func (t *setStmt) exec(s *scope) control {
	t.here(s)
	v := t.value.eval(s)
	if t.attr == "" {
		assign(s, t.targets, v)
		return goOn
	}
	ns, ok := s.get(t.targets[0]).(*namespace)
	if !ok {
		fail("cannot assign attribute on non-namespace object %q", t.targets[0])
	}
	ns.attrs[t.attr] = v
	return goOn
}

func assign(s *scope, targets []string, v any) {
	s.m.spend(0)
	if len(targets) == 1 {
		s.vars[targets[0]] = v
		return
	}
	items := iterate(defined(v))
	if len(items) != len(targets) {
		fail("%d values for %d names", len(items), len(targets))
	}
	for i, name := range targets {
		s.vars[name] = items[i]
	}
}

type parameter struct {
	name   string
	preset expr
}

type macroStmt struct {
	at
	name   string
	params []parameter
	body   []stmt
}

func (d *macroStmt) exec(s *scope) control {
	s.vars[d.name] = function(func(m *machine, a arguments) any {
		if m.depth++; m.depth > maxDepth {
			fail("macro %s calls itself more than %d deep", d.name, maxDepth)
		}
		defer func() { m.depth-- }()
		if len(a.list) > len(d.params) {
			fail("macro %s takes %d arguments, not %d", d.name, len(d.params), len(a.list))
		}
		inner := s.child()
		for i, p := range d.params {
			switch v, named := a.named[p.name]; {
			case i < len(a.list):
				inner.vars[p.name] = a.list[i]
			case named:
				inner.vars[p.name] = v
			case p.preset != nil:
				inner.vars[p.name] = p.preset.eval(inner)
			default:
				inner.vars[p.name] = &undefined{fmt.Sprintf("parameter '%s' was not provided", p.name)}
			}
		}
		return s.capture(d.body, inner)
	})
	return goOn
}

type forStmt struct {
	at
	targets         []string
	over, filter    expr
	recursive       bool
	body, otherwise []stmt
}

// loop is the variable of that name in a for.
type loop struct {
	items []any
	i     int
	depth int
	again function
	last  any // what changed() saw
}

func (f *forStmt) exec(s *scope) control {
	f.here(s)
	f.each(s, f.over.eval(s), 0)
	return goOn
}

func (f *forStmt) each(s *scope, over any, depth int) {
	if depth > maxDepth {
		fail("loop recurses more than %d deep", maxDepth)
	}
	items := iterate(over)
	s.m.spend(stepCost * len(items))
	if f.filter != nil {
		var kept []any
		for _, x := range items {
			inner := s.child()
			assign(inner, f.targets, x)
			if truth(f.filter.eval(inner)) {
				kept = append(kept, x)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		run(f.otherwise, s.child())
		return
	}
	l := &loop{items: items, depth: depth}
	if f.recursive {
		l.again = func(m *machine, a arguments) any {
			out := m.out
			m.out = &strings.Builder{}
			defer func() { m.out = out }()
			f.each(s, a.at(0, "iterable", nil), depth+1)
			return m.out.String()
		}
	}
	for i, x := range items {
		l.i = i
		inner := s.child()
		assign(inner, f.targets, x)
		inner.vars["loop"] = l
		if run(f.body, inner) == breakLoop {
			break
		}
	}
}

func (l *loop) attr(name string) (any, bool) {
	n := len(l.items)
	neighbour := func(i int) any {
		if i < 0 || i >= n {
			return &undefined{"there is no neighbouring item"}
		}
		return l.items[i]
	}
	switch name {
	case "index":
		return l.i + 1, true
	case "index0":
		return l.i, true
	case "revindex":
		return n - l.i, true
	case "revindex0":
		return n - l.i - 1, true
	case "first":
		return l.i == 0, true
	case "last":
		return l.i == n-1, true
	case "length":
		return n, true
	case "depth":
		return l.depth + 1, true
	case "depth0":
		return l.depth, true
	case "previtem":
		return neighbour(l.i - 1), true
	case "nextitem":
		return neighbour(l.i + 1), true
	case "cycle":
		return function(func(_ *machine, a arguments) any {
			if len(a.list) == 0 {
				fail("no items for cycling given")
			}
			return a.list[l.i%len(a.list)]
		}), true
	case "changed":
		return function(func(_ *machine, a arguments) any {
			now := newTuple(a.list...)
			same := l.last != nil && equal(l.last, now)
			l.last = now
			return !same
		}), true
	}
	return nil, false
}
