package alfworld

import "github.com/oreo-go/oreo/alfworld/pddl"

// A ground formula over fluents is packed into numbers: a literal as it is, a
// conjunction or disjunction as its kind, the length of what follows and its
// operands.
const (
	allOf int32 = -1
	anyOf int32 = -2
)

// holds evaluates a packed formula; an empty one is true.
func holds(f []int32, set bitset) bool {
	if len(f) == 0 {
		return true
	}
	if f[0] >= 0 {
		return literal(f[0]).in(set)
	}
	any := f[0] == anyOf
	for f = f[2:]; len(f) > 0; {
		n := 1
		if f[0] < 0 {
			n = 2 + int(f[1])
		}
		if holds(f[:n], set) == any {
			return any
		}
		f = f[n:]
	}
	return !any
}

// formulas grounds formulas: it decides everything that never changes.
type formulas struct {
	p     *program
	out   []int32
	b     []int32
	nodes int
}

// truth of what is left of a formula.
type truth uint8

const (
	open truth = iota // it depends on the state
	isTrue
	isFalse
)

func truthOf(v bool) truth {
	if v {
		return isTrue
	}
	return isFalse
}

// ground packs a formula under a binding, nil for none.
func (f *formulas) ground(src pddl.Formula, b []int32) ([]int32, error) {
	f.out, f.b = nil, make([]int32, maxSlots)
	for i := range f.b {
		f.b[i] = -1
	}
	copy(f.b, b)
	t, err := f.add(&src, false)
	switch {
	case err != nil:
		return nil, err
	case t == isTrue:
		return []int32{allOf, 0}, nil
	case t == isFalse:
		return []int32{anyOf, 0}, nil
	}
	return append([]int32(nil), f.out...), nil
}

// add appends a formula, or nothing where it is decided.
func (f *formulas) add(src *pddl.Formula, negate bool) (truth, error) {
	if f.nodes++; f.nodes > maxFormula {
		return open, tooBig("conditions are too long")
	}
	switch src.Op {
	case pddl.Not:
		return f.add(&src.Kids[0], !negate)
	case pddl.Same:
		return truthOf((f.p.in(src.Atom.Args[0], f.b) == f.p.in(src.Atom.Args[1], f.b)) != negate), nil
	case pddl.Holds:
		at := f.p.index(&src.Atom, f.b)
		switch {
		case at < 0:
			return truthOf(negate), nil
		case !f.p.tables[src.Atom.Pred].fluent:
			return truthOf(f.p.static.has(int(at)) != negate), nil
		case negate:
			f.out = append(f.out, at<<1|1)
		default:
			f.out = append(f.out, at<<1)
		}
		return open, nil
	}
	kind := allOf
	if (src.Op == pddl.Or || src.Op == pddl.Exists) != negate {
		kind = anyOf
	}
	start := len(f.out)
	f.out = append(f.out, kind, 0)
	decided, err := f.operands(src, kind, negate)
	switch {
	case err != nil:
		return open, err
	case decided:
		f.out = f.out[:start]
		return truthOf(kind == anyOf), nil
	case len(f.out) == start+2:
		f.out = f.out[:start]
		return truthOf(kind == allOf), nil
	}
	f.out[start+1] = int32(len(f.out) - start - 2)
	return open, nil
}

// operands adds what a formula is made of; decided means that one of them
// decides it.
func (f *formulas) operands(src *pddl.Formula, kind int32, negate bool) (decided bool, err error) {
	if src.Op == pddl.Exists || src.Op == pddl.Forall {
		return f.instances(&src.Kids[0], src.Vars, kind, negate)
	}
	for i := range src.Kids {
		if decided, err = f.operand(&src.Kids[i], kind, negate); decided || err != nil {
			return decided, err
		}
	}
	return false, nil
}

func (f *formulas) operand(src *pddl.Formula, kind int32, negate bool) (decided bool, err error) {
	t, err := f.add(src, negate)
	return t == truthOf(kind == anyOf), err
}

// instances adds a formula for all that its variables range over. Those that a
// conjunct which never changes rules out are passed over as soon as its
// variables are bound.
func (f *formulas) instances(src *pddl.Formula, vars []pddl.Var, kind int32, negate bool) (decided bool, err error) {
	if len(vars) == 0 {
		return f.operand(src, kind, negate)
	}
	if vars[0].Type < 0 {
		return false, nil
	}
	slot := vars[0].Slot
	defer func() { f.b[slot] = -1 }()
	for _, s := range []span{f.p.of(vars[0].Type), f.p.others[vars[0].Type]} {
		for o := s.from; o < s.to; o++ {
			f.b[slot] = o
			if f.nodes++; f.nodes > maxFormula {
				return false, tooBig("conditions are too long")
			}
			if kind == anyOf && !negate && f.ruledOut(src) {
				continue
			}
			if decided, err = f.instances(src, vars[1:], kind, negate); decided || err != nil {
				return decided, err
			}
		}
	}
	return false, nil
}

// ruledOut reports whether some conjunct of a formula never changes, is bound
// and false.
func (f *formulas) ruledOut(src *pddl.Formula) bool {
	switch src.Op {
	case pddl.And:
		for i := range src.Kids {
			if f.ruledOut(&src.Kids[i]) {
				return true
			}
		}
	case pddl.Exists:
		return f.ruledOut(&src.Kids[0])
	case pddl.Holds:
		for _, arg := range src.Atom.Args {
			if arg >= 0 && f.b[arg] < 0 {
				return false
			}
		}
		at := f.p.index(&src.Atom, f.b)
		return at < 0 || !f.p.tables[src.Atom.Pred].fluent && !f.p.static.has(int(at))
	}
	return false
}

// mention marks the predicates that a formula is about.
func mention(f *pddl.Formula, about []bool) {
	if f.Op == pddl.Holds {
		about[f.Atom.Pred] = true
	}
	for i := range f.Kids {
		mention(&f.Kids[i], about)
	}
}
