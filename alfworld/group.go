package alfworld

import (
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// maker makes a group: it binds the variables of schemas by joining the facts
// that never change, and keeps what could be done in some state.
type maker struct {
	*program
	group *group
	s     *schema
	index int // of s among the schemas
	skip  int // the precondition of s that is the trigger, or -1
	b     []int32
	work  int
	find  bool // only whether there is a binding; found says
	found bool

	adds, dels []int32 // of the operator at hand
	effect     []conditional
	kept       []conditional
	literals   []literal
	formulas   formulas
	names      *namer
}

// makeGroup makes the group of a trigger, or of none where objs is nil. Either
// the game is being compiled, or p.making is held.
func (p *program) makeGroup(triggers []trigger, objs *[3]int32) (*group, error) {
	m := &maker{program: p, group: &group{}, b: make([]int32, maxSlots), names: newNamer(p)}
	m.formulas.p = p
	for _, t := range triggers {
		m.use(t.schema, t.atom)
		if objs != nil && !m.unify(&m.s.pos[t.atom], *objs) {
			continue
		}
		if err := m.join(m.s.known); err != nil {
			m.names.publish()
			return nil, err
		}
	}
	m.finish()
	return m.group, nil
}

// use starts with a schema.
func (m *maker) use(schema, skip int) {
	m.s, m.index, m.skip = &m.rules.schemas[schema], schema, skip
	for i := range m.b {
		m.b[i] = -1
	}
}

// unify binds the free arguments of an atom to objects.
func (m *maker) unify(a *pddl.Atom, objs [3]int32) bool {
	for i, arg := range a.Args {
		switch {
		case arg < 0 || m.b[arg] >= 0:
			if m.in(arg, m.b) != objs[i] {
				return false
			}
		case !m.fits(objs[i], arg):
			return false
		default:
			m.b[arg] = objs[i]
		}
	}
	return true
}

// fits reports whether an object has the type of a variable.
func (m *maker) fits(o int32, slot pddl.Term) bool {
	for i := range m.s.Vars {
		if v := &m.s.Vars[i]; v.Slot == int(slot) {
			return v.Type >= 0 && m.kind[o] >= 0 && m.rules.isA(int32(m.kind[o]), int32(v.Type))
		}
	}
	return false
}

// join goes on with the atom that has fewest free arguments, of the smallest
// table.
func (m *maker) join(known []pddl.Atom) error {
	if len(known) == 0 {
		return m.bindRest(0)
	}
	best, bestFree := 0, 99
	for i := range known {
		free := 0
		for _, arg := range known[i].Args {
			if arg >= 0 && m.b[arg] < 0 {
				free++
			}
		}
		if free < bestFree || free == bestFree && m.tables[known[i].Pred].size < m.tables[known[best].Pred].size {
			best, bestFree = i, free
		}
	}
	a := &known[best]
	rest := known[1:]
	if best > 0 {
		rest = append(append(make([]pddl.Atom, 0, len(known)-1), known[:best]...), known[best+1:]...)
	}
	if bestFree == 0 {
		if at := m.layout.index(a, m.b); at < 0 || !m.static.has(int(at)) {
			return nil
		}
		return m.join(rest)
	}
	return m.joinFacts(a, rest)
}

func (m *maker) joinFacts(a *pddl.Atom, rest []pddl.Atom) error {
	var args [3]span
	var before [3]int32
	for i, arg := range a.Args {
		if o := m.in(arg, m.b); o >= 0 {
			args[i] = span{o, o + 1}
		} else {
			args[i] = span{0, maxPacked}
		}
		if arg >= 0 {
			before[i] = m.b[arg]
		}
	}
	for s := m.tables[a.Pred].newScan(m.static, args); s.next() && !m.found; {
		if m.work++; m.work > maxGround {
			return tooBig("too many combinations of objects")
		}
		if m.unify(a, s.objs) {
			if err := m.join(rest); err != nil {
				return err
			}
		}
		for i, arg := range a.Args {
			if arg >= 0 {
				m.b[arg] = before[i]
			}
		}
	}
	return nil
}

func (m *maker) bindRest(next int) error {
	if m.find {
		m.found = true
		return nil
	}
	for ; next < len(m.s.Vars); next++ {
		v := &m.s.Vars[next]
		if m.b[v.Slot] >= 0 {
			continue
		}
		all := m.of(v.Type)
		for o := all.from; o < all.to; o++ {
			if m.work++; m.work > maxGround {
				return tooBig("too many combinations of objects")
			}
			m.b[v.Slot] = o
			if err := m.bindRest(next + 1); err != nil {
				return err
			}
		}
		m.b[v.Slot] = -1
		return nil
	}
	return m.emit()
}

// emit adds the operator of a full binding, unless it can never be used.
func (m *maker) emit() error {
	if !m.conceivable() {
		return nil
	}
	op := operator{schema: int16(m.index), needs: m.needs(), frame: int32(len(m.group.frames)), extra: -1}
	var x extra
	f := &m.formulas
	if len(m.s.Rest) > 0 {
		var err error
		if x.rest, err = f.ground(pddl.Formula{Op: pddl.And, Kids: m.s.Rest}, m.b); err != nil {
			return err
		}
	}
	ok, err := m.effects(f)
	if err != nil || !ok || len(m.adds)+len(m.dels)+len(m.effect) == 0 {
		return err
	}
	if x.own = !m.s.simple || len(m.adds)+len(m.dels) < len(m.s.Effects); x.own {
		x.adds, x.dels, x.when = slices.Clone(m.adds), slices.Clone(m.dels), slices.Clone(m.effect)
	}
	if x.own || x.rest != nil {
		if op.extra = int16(len(m.group.extras)); len(m.group.extras) > 1<<14 {
			return tooBig("too many actions with conditions")
		}
		m.group.extras = append(m.group.extras, x)
	}
	for _, o := range m.b[:m.s.slots] {
		m.group.frames = append(m.group.frames, uint16(max(o, 0)))
	}
	if op.command, err = m.names.name(m.s.Action, m.b); err != nil {
		return err
	}
	if m.group.ops = append(m.group.ops, op); len(m.group.ops) > maxOps {
		return tooBig("too many actions")
	}
	return nil
}

// conceivable reports whether no precondition is known to fail.
func (m *maker) conceivable() bool {
	for _, e := range m.s.Equal {
		if m.in(e[0], m.b) != m.in(e[1], m.b) {
			return false
		}
	}
	for _, d := range m.s.Differ {
		if m.in(d[0], m.b) == m.in(d[1], m.b) {
			return false
		}
	}
	for i := range m.s.barred {
		if at := m.layout.index(&m.s.barred[i], m.b); at >= 0 && m.static.has(int(at)) {
			return false
		}
	}
	for i := range m.s.pos {
		if at := m.layout.index(&m.s.pos[i], m.b); at < 0 || i != m.skip && !m.possible(m.s.pos[i].Pred, at) {
			return false
		}
	}
	return true
}

// possible reports whether a fluent may come true: it holds at the start, or
// some action makes it true whose preconditions that never change can be met.
func (m *maker) possible(pred int, at int32) bool {
	if m.judged.has(int(at)) {
		return m.reached.has(int(at))
	}
	m.judged.add(int(at))
	if m.start.has(int(at)) || m.canBeMade(pred, m.tables[pred].fact(at)) {
		m.reached.add(int(at))
		return true
	}
	return false
}

func (m *maker) canBeMade(pred int, objs [3]int32) bool {
	probe := &maker{program: m.program, b: make([]int32, maxSlots), find: true}
	for i := range m.rules.schemas {
		for j := range m.rules.schemas[i].Effects {
			e := &m.rules.schemas[i].Effects[j]
			if !e.Add || e.Atom.Pred != pred {
				continue
			}
			if len(e.Vars) > 0 {
				return true
			}
			if probe.use(i, -1); !probe.unify(&e.Atom, objs) {
				continue
			}
			if err := probe.join(probe.s.known); err != nil || probe.found {
				return true
			}
		}
	}
	return false
}

// needs lists the preconditions besides the trigger, those that are least often
// met first.
func (m *maker) needs() [3]literal {
	m.literals = m.literals[:0]
	for i := range m.s.pos {
		if i != m.skip {
			m.literals = append(m.literals, literal(m.layout.index(&m.s.pos[i], m.b)<<1))
		}
	}
	slices.SortStableFunc(m.literals, func(a, b literal) int { return int(m.tableSize(b)) - int(m.tableSize(a)) })
	for i := range m.s.neg {
		if at := m.layout.index(&m.s.neg[i], m.b); at >= 0 {
			m.literals = append(m.literals, literal(at<<1|1))
		}
	}
	needs := [3]literal{noLiteral, noLiteral, noLiteral}
	if n := copy(needs[:], m.literals); n < len(m.literals) {
		needs[2] = manyLiterals
	}
	return needs
}

// tableSize is the size of the table of a literal: of a large one, few facts
// hold.
func (m *maker) tableSize(l literal) int32 {
	for i := range m.s.pos {
		if t := &m.tables[m.s.pos[i].Pred]; int32(l>>1) >= t.base && int32(l>>1) < t.base+t.size {
			return t.size
		}
	}
	return 0
}

// effects fills adds and dels, or effect where some effect is conditional. It
// follows interpreter.effects: making true wins over making false, and what the
// precondition demands already is no effect. It is not ok where an effect is
// about a fact that cannot be: then the action is never possible.
func (m *maker) effects(f *formulas) (ok bool, err error) {
	m.effect, m.adds, m.dels = m.effect[:0], m.adds[:0], m.dels[:0]
	for i := range m.s.Effects {
		e := &m.s.Effects[i]
		if ok, err := m.eachEffect(f, e, e.Vars); !ok || err != nil {
			return ok, err
		}
	}
	conditionals := false
	m.kept = m.kept[:0]
	for _, e := range m.effect {
		if m.overruled(e.lit) || m.demanded(e.lit) {
			continue
		}
		m.kept = append(m.kept, e)
		conditionals = conditionals || e.when != nil
	}
	m.effect = m.effect[:0]
	if conditionals {
		m.effect = append(m.effect, m.kept...)
		slices.SortStableFunc(m.effect, func(a, b conditional) int { return int(a.lit&1) - int(b.lit&1) }) // making true comes first
		return true, nil
	}
	for _, e := range m.kept {
		if e.lit&1 == 0 {
			m.adds = append(m.adds, int32(e.lit>>1))
		} else {
			m.dels = append(m.dels, int32(e.lit>>1))
		}
	}
	return true, nil
}

// overruled reports whether an effect that makes something false meets one that
// always makes it true.
func (m *maker) overruled(l literal) bool {
	if l&1 == 0 {
		return false
	}
	for _, e := range m.effect {
		if e.lit == l^1 && e.when == nil {
			return true
		}
	}
	return false
}

// demanded reports whether the precondition contains a literal.
func (m *maker) demanded(l literal) bool {
	list := m.s.pos
	if l&1 == 1 {
		list = m.s.neg
	}
	for i := range list {
		if m.layout.index(&list[i], m.b) == int32(l>>1) {
			return true
		}
	}
	return false
}

func (m *maker) eachEffect(f *formulas, e *pddl.Effect, vars []pddl.Var) (ok bool, err error) {
	if len(vars) > 0 {
		if vars[0].Type < 0 {
			return true, nil
		}
		for _, s := range []span{m.of(vars[0].Type), m.others[vars[0].Type]} {
			for o := s.from; o < s.to; o++ {
				if m.work++; m.work > maxGround {
					return false, tooBig("too many effects")
				}
				m.b[vars[0].Slot] = o
				if ok, err = m.eachEffect(f, e, vars[1:]); !ok || err != nil {
					return ok, err
				}
			}
		}
		return true, nil
	}
	out := conditional{}
	if !e.Unconditional() {
		if out.when, err = f.ground(e.When, m.b); err != nil {
			return false, err
		}
		switch {
		case len(out.when) == 2 && out.when[0] == anyOf: // never
			return true, nil
		case len(out.when) == 2 && out.when[0] == allOf:
			out.when = nil
		}
	}
	at := m.layout.index(&e.Atom, m.b)
	if at < 0 {
		return false, nil
	}
	if out.lit = literal(at << 1); !e.Add {
		out.lit |= 1
	}
	m.effect = append(m.effect, out)
	return true, nil
}

// finish sorts the operators and gives them their commands.
func (m *maker) finish() {
	m.names.publish()
	commands := *m.program.names.list.Load()
	slices.SortFunc(m.group.ops, func(a, b operator) int {
		if a.command != b.command {
			return strings.Compare(commands[a.command], commands[b.command])
		}
		return m.compare(m.group, &a, m.group, &b)
	})
	g := m.group
	g.ops, g.frames = slices.Clone(g.ops), slices.Clone(g.frames)
}

// compare orders operators of the same command: by action, then by the
// identifiers of the arguments.
func (p *program) compare(g *group, a *operator, h *group, b *operator) int {
	x, y := &p.rules.schemas[a.schema], &p.rules.schemas[b.schema]
	if x.Action != y.Action {
		return x.Action - y.Action
	}
	for i := range p.rules.domain.Actions[x.Action].Params {
		ra := p.game.rank[p.object[g.frames[int(a.frame)+i]]]
		rb := p.game.rank[p.object[h.frames[int(b.frame)+i]]]
		if ra != rb {
			return int(ra) - int(rb)
		}
	}
	return 0
}

func (p *program) precedes(a, b candidate) bool {
	return p.compare(a.group, &a.group.ops[a.op], b.group, &b.group.ops[b.op]) < 0
}
