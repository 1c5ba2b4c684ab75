package alfworld

import (
	"fmt"
	"slices"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// grounder builds a program: it binds the variables of every schema by joining
// the facts that never change, and turns what is left into literals.
type grounder struct {
	*program
	task     *pddl.Task
	atomOf   atomTable
	static   atomTable   // the facts that never change
	facts    [][]atomKey // by predicate: what can ever be true, as far as known
	whole    []bool      // by predicate: facts has all of it
	listed   []bool      // by atom: it is in facts
	grounded []bool      // by action
	work     int
	nodes    int
	index    []argIndex // by predicate and argument
	texts    *textCompiler

	need, adds, dels []literal // of the operator being emitted
	effect           []conditional
}

// compile returns errTooBig, wrapped with the reason, for games whose size or
// features only the interpreter takes, and other errors for broken ones.
func compile(g *Game) (*program, error) {
	t := g.task
	if len(t.Objects) > maxPacked || 2*len(t.Predicates) > maxPacked {
		return nil, tooBig("too many objects")
	}
	for _, p := range t.Predicates {
		if p.Arity > 3 {
			return nil, tooBig(fmt.Sprintf("predicate %q has more than three arguments", p.Name))
		}
	}
	c := &grounder{
		program:  &program{game: g},
		task:     t,
		atomOf:   newAtomTable(4096),
		static:   newAtomTable(1024),
		facts:    make([][]atomKey, len(t.Predicates)),
		index:    make([]argIndex, 3*len(t.Predicates)),
		whole:    make([]bool, len(t.Predicates)),
		grounded: make([]bool, len(t.Actions)),
	}
	c.init()
	for _, i := range c.order() {
		for j := range t.Schemas {
			if t.Schemas[j].Action != i {
				continue
			}
			if err := c.ground(&t.Schemas[j]); err != nil {
				return nil, err
			}
		}
		c.settle(i)
	}
	var err error
	if c.goal, err = c.simplify(t.Goal, unboundSlots(maxSlots), false); err != nil {
		return nil, err
	}
	c.texts = newTextCompiler(c)
	if err := c.pack(); err != nil {
		return nil, err
	}
	if err := c.compileTexts(); err != nil {
		return nil, err
	}
	return c.program, nil
}

func (c *grounder) init() {
	c.atoms = make([]atomKey, 0, 2048)
	c.listed = make([]bool, 0, 2048)
	c.ops = make([]operator, 0, 2048)
	c.literals = make([]literal, 0, 8192)
	c.args = make([]int32, 0, 8192)
	for _, a := range c.task.Init {
		key := packAtom(a.Pred, a.Args, nil)
		if c.task.Predicates[a.Pred].Fluent {
			c.mayHold(c.atom(key))
			continue
		}
		if !c.static.has(key) {
			c.static.put(key, 0)
			c.facts[a.Pred] = append(c.facts[a.Pred], key)
		}
	}
	for p := range c.whole {
		c.whole[p] = !c.task.Predicates[p].Fluent
	}
}

// atom numbers an atom; the initial ones come first.
func (c *grounder) atom(key atomKey) int32 {
	id := c.atomOf.get(key)
	if id < 0 {
		id = int32(len(c.atoms))
		c.atomOf.put(key, id)
		c.atoms = append(c.atoms, key)
		c.listed = append(c.listed, false)
	}
	return id
}

// mayHold records that an atom can be true.
func (c *grounder) mayHold(id int32) {
	if !c.listed[id] {
		c.listed[id] = true
		key := c.atoms[id]
		c.facts[key.pred()] = append(c.facts[key.pred()], key)
	}
}

// ground joins the preconditions of s whose facts are known, static or not,
// then enumerates what is free.
func (c *grounder) ground(s *pddl.Schema) error {
	b := unboundSlots(c.task.FrameSize(s))
	types := make([]int, len(b))
	for _, v := range s.Vars {
		types[v.Slot] = v.Type
	}
	var known []pddl.Atom
	for _, a := range s.Pos {
		if c.whole[a.Pred] {
			known = append(known, a)
		}
	}
	return c.join(s, known, types, b)
}

func (c *grounder) join(s *pddl.Schema, known []pddl.Atom, types []int, b []int32) error {
	if len(known) == 0 {
		return c.bindRest(s, 0, b)
	}
	best, bestFree := 0, 99
	for i, a := range known {
		free := 0
		for _, arg := range a.Args {
			if arg >= 0 && b[arg] < 0 {
				free++
			}
		}
		if free < bestFree || free == bestFree && len(c.facts[a.Pred]) < len(c.facts[known[best].Pred]) {
			best, bestFree = i, free
		}
	}
	a := known[best]
	rest := make([]pddl.Atom, 0, len(known)-1)
	rest = append(append(rest, known[:best]...), known[best+1:]...)
	if bestFree == 0 {
		key := packAtom(a.Pred, a.Args, b)
		if id := c.atomOf.get(key); c.static.has(key) || id >= 0 && c.listed[id] {
			return c.join(s, rest, types, b)
		}
		return nil
	}
	for _, fact := range c.candidates(a, b) {
		if c.work++; c.work > maxGround {
			return tooBig("too many combinations of objects")
		}
		newly, fits := c.unify(a, fact, types, b)
		if fits {
			if err := c.join(s, rest, types, b); err != nil {
				return err
			}
		}
		for _, v := range newly {
			if v >= 0 {
				b[v] = -1
			}
		}
	}
	return nil
}

// candidates are the facts that may fit a: all of the predicate, or those with
// the object of a bound argument.
func (c *grounder) candidates(a pddl.Atom, b []int32) []atomKey {
	facts := c.facts[a.Pred]
	if len(facts) < 8 {
		return facts
	}
	for i, arg := range a.Args {
		if o := arg.In(b); arg < 0 || o >= 0 {
			x := &c.index[3*a.Pred+i]
			if x.from == nil {
				x.build(facts, i, len(c.task.Objects))
			}
			return x.facts[x.from[o]:x.from[o+1]]
		}
	}
	return facts
}

// argIndex groups the facts of a predicate by one argument.
type argIndex struct {
	from  []int32 // by object
	facts []atomKey
}

func (x *argIndex) build(facts []atomKey, position, objects int) {
	x.from = make([]int32, objects+1)
	x.facts = make([]atomKey, len(facts))
	for _, f := range facts {
		x.from[f.arg(position)+1]++
	}
	for o := range objects {
		x.from[o+1] += x.from[o]
	}
	fill := slices.Clone(x.from)
	for _, f := range facts {
		o := f.arg(position)
		x.facts[fill[o]] = f
		fill[o]++
	}
}

// unify binds the free arguments of a to those of a fact; newly names the
// slots it bound, -1 for none.
func (c *grounder) unify(a pddl.Atom, fact atomKey, types []int, b []int32) (newly [3]pddl.Term, fits bool) {
	newly = [3]pddl.Term{-1, -1, -1}
	for i, arg := range a.Args {
		o := fact.arg(i)
		if arg >= 0 && b[arg] < 0 {
			if !c.task.IsA(c.task.Objects[o].Type, types[arg]) {
				return newly, false
			}
			b[arg] = o
			newly[i] = arg
		} else if arg.In(b) != o {
			return newly, false
		}
	}
	return newly, true
}

func (c *grounder) bindRest(s *pddl.Schema, next int, b []int32) error {
	for ; next < len(s.Vars); next++ {
		v := s.Vars[next]
		if b[v.Slot] >= 0 {
			continue
		}
		for _, o := range c.game.ofType(v.Type) {
			if c.work++; c.work > maxGround {
				return tooBig("too many combinations of objects")
			}
			b[v.Slot] = o
			if err := c.bindRest(s, next+1, b); err != nil {
				return err
			}
		}
		b[v.Slot] = -1
		return nil
	}
	return c.emit(s, b)
}

// emit adds the operator of a full binding, unless it can never be used.
func (c *grounder) emit(s *pddl.Schema, b []int32) error {
	for _, e := range s.Equal {
		if e[0].In(b) != e[1].In(b) {
			return nil
		}
	}
	for _, d := range s.Differ {
		if d[0].In(b) == d[1].In(b) {
			return nil
		}
	}
	c.need = c.need[:0]
	for _, a := range s.Neg {
		key := packAtom(a.Pred, a.Args, b)
		if c.task.Predicates[a.Pred].Fluent {
			c.need = append(c.need, literal(c.atom(key)<<1|1))
		} else if c.static.has(key) {
			return nil
		}
	}
	for _, a := range s.Pos {
		if c.task.Predicates[a.Pred].Fluent {
			c.need = append(c.need, literal(c.atom(packAtom(a.Pred, a.Args, b))<<1))
		}
	}
	op := operator{action: int32(s.Action), args: int32(len(c.args)), literals: int32(len(c.literals)), extra: -1}
	rest := formula{op: pddl.And}
	for _, f := range s.Rest {
		if done, err := c.addKid(&rest, f, b, false); err != nil || done {
			return err
		}
	}
	if err := c.effects(s, b); err != nil || len(c.adds)+len(c.dels)+len(c.effect) == 0 {
		return err
	}
	if !rest.isTrue() || len(c.effect) > 0 {
		op.extra = int32(len(c.extras))
		c.extras = append(c.extras, extra{rest, slices.Clone(c.effect)})
	}
	if len(c.need) > maxPacked || len(c.adds) > maxPacked || len(c.dels) > maxPacked {
		return tooBig("an action has too many effects")
	}
	op.need, op.add, op.del = uint16(len(c.need)), uint16(len(c.adds)), uint16(len(c.dels))
	for _, l := range c.adds {
		c.mayHold(int32(l >> 1))
	}
	for _, e := range c.effect {
		if e.lit&1 == 0 {
			c.mayHold(int32(e.lit >> 1))
		}
	}
	c.literals = append(append(append(c.literals, c.need...), c.adds...), c.dels...)
	c.args = append(c.args, b[:len(c.task.Actions[s.Action].Params)]...)
	if c.ops = append(c.ops, op); len(c.ops) > maxOps {
		return tooBig("too many actions")
	}
	return nil
}

// effects fills adds and dels, or effect where some effect is conditional. It
// follows interpreter.effects: making true wins over making false, and what the
// precondition demands already is no effect.
func (c *grounder) effects(s *pddl.Schema, b []int32) error {
	c.effect, c.adds, c.dels = c.effect[:0], c.adds[:0], c.dels[:0]
	for i := range s.Effects {
		e := &s.Effects[i]
		if err := c.eachEffect(e, e.Vars, b); err != nil {
			return err
		}
	}
	conditionals := false
	var keep []conditional
	for _, e := range c.effect {
		overruled := e.lit&1 == 1 && slices.ContainsFunc(c.effect, func(o conditional) bool { return o.lit == e.lit^1 && o.when == nil })
		if overruled || slices.Contains(c.need, e.lit) {
			continue
		}
		conditionals = conditionals || e.when != nil
		if e.lit&1 == 0 {
			c.adds = append(c.adds, e.lit)
		} else {
			c.dels = append(c.dels, e.lit^1)
		}
	}
	if conditionals {
		for sign := range literal(2) { // making true comes first
			for _, e := range c.effect {
				if e.lit&1 == sign && (slices.Contains(c.adds, e.lit) || slices.Contains(c.dels, e.lit^1)) {
					keep = append(keep, e)
				}
			}
		}
		c.adds, c.dels = c.adds[:0], c.dels[:0]
	}
	c.effect = append(c.effect[:0], keep...)
	return nil
}

func (c *grounder) eachEffect(e *pddl.Effect, vars []pddl.Var, b []int32) error {
	if len(vars) > 0 {
		for _, o := range c.game.ofType(vars[0].Type) {
			if c.work++; c.work > maxGround {
				return tooBig("too many effects")
			}
			b[vars[0].Slot] = o
			if err := c.eachEffect(e, vars[1:], b); err != nil {
				return err
			}
		}
		return nil
	}
	out := conditional{}
	if !e.Unconditional() {
		when, err := c.simplify(e.When, b, false)
		if err != nil || when.isFalse() {
			return err
		}
		if !when.isTrue() {
			out.when = &when
		}
	}
	if out.lit = literal(c.atom(packAtom(e.Atom.Pred, e.Atom.Args, b)) << 1); !e.Add {
		out.lit |= 1
	}
	c.effect = append(c.effect, out)
	return nil
}

// simplify grounds a formula, deciding everything static.
func (c *grounder) simplify(f pddl.Formula, b []int32, negate bool) (formula, error) {
	if c.nodes++; c.nodes > maxFormula {
		return never, tooBig("conditions are too long")
	}
	truth := func(v bool) (formula, error) {
		if v != negate {
			return always, nil
		}
		return never, nil
	}
	switch f.Op {
	case pddl.Not:
		return c.simplify(f.Kids[0], b, !negate)
	case pddl.Same:
		return truth(f.Atom.Args[0].In(b) == f.Atom.Args[1].In(b))
	case pddl.Holds:
		key := packAtom(f.Atom.Pred, f.Atom.Args, b)
		if !c.task.Predicates[f.Atom.Pred].Fluent {
			return truth(c.static.has(key))
		}
		lit := literal(c.atom(key) << 1)
		if negate {
			lit |= 1
		}
		return formula{op: pddl.Holds, lit: lit}, nil
	}
	out := formula{op: pddl.And}
	if (f.Op == pddl.Or || f.Op == pddl.Exists) != negate {
		out.op = pddl.Or
	}
	if f.Op == pddl.And || f.Op == pddl.Or {
		for _, k := range f.Kids {
			if done, err := c.addKid(&out, k, b, negate); done || err != nil {
				return out, err
			}
		}
		return flat(out), nil
	}
	_, err := c.addQuantified(&out, f.Kids[0], f.Vars, b, negate)
	return flat(out), err
}

func flat(f formula) formula {
	if len(f.kids) == 1 {
		return f.kids[0]
	}
	return f
}

// addKid adds one operand; done means that it decides the whole formula.
func (c *grounder) addKid(out *formula, f pddl.Formula, b []int32, negate bool) (done bool, err error) {
	k, err := c.simplify(f, b, negate)
	if err != nil {
		return true, err
	}
	if k.op != pddl.Holds && len(k.kids) == 0 {
		if k.op == out.op { // neutral
			return false, nil
		}
		*out = k
		return true, nil
	}
	out.kids = append(out.kids, k)
	return false, nil
}

// addQuantified adds the instances of f over vars. Instances that a static
// conjunct of an existential formula rules out are passed over as soon as the
// variables of that conjunct are bound.
func (c *grounder) addQuantified(out *formula, f pddl.Formula, vars []pddl.Var, b []int32, negate bool) (done bool, err error) {
	if len(vars) == 0 {
		return c.addKid(out, f, b, negate)
	}
	defer func() { b[vars[0].Slot] = -1 }()
	for _, o := range c.game.ofType(vars[0].Type) {
		b[vars[0].Slot] = o
		if out.op == pddl.Or && !negate && c.ruledOut(&f, b) {
			continue
		}
		if done, err = c.addQuantified(out, f, vars[1:], b, negate); done || err != nil {
			return true, err
		}
	}
	return false, nil
}

// ruledOut reports whether some conjunct of f is static, bound and false.
func (c *grounder) ruledOut(f *pddl.Formula, b []int32) bool {
	switch f.Op {
	case pddl.And:
		for i := range f.Kids {
			if c.ruledOut(&f.Kids[i], b) {
				return true
			}
		}
	case pddl.Holds:
		if c.task.Predicates[f.Atom.Pred].Fluent {
			return false
		}
		for _, arg := range f.Atom.Args {
			if arg >= 0 && b[arg] < 0 {
				return false
			}
		}
		c.nodes++
		return !c.static.has(packAtom(f.Atom.Pred, f.Atom.Args, b))
	case pddl.Exists:
		return c.ruledOut(&f.Kids[0], b)
	}
	return false
}
