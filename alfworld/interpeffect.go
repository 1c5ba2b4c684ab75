package alfworld

import (
	"slices"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// change is one ground literal that an action may set.
type change struct {
	pred int
	key  string
	add  bool
}

// effects lists the changes of a ground action in the order the reference
// applies them to the text's facts: what becomes true, then what becomes
// false. fired holds those whose condition is met now; possible all whose
// condition could be met in some state. A change that the precondition already
// demands is no change, and making true wins over making false.
func (in *interpreter) effects(s *pddl.Schema, b []int32) (fired, possible []change) {
	var sure []change // unconditional
	collect := func(e *pddl.Effect, b []int32) {
		c := change{e.Atom.Pred, factKey(in.game.rank, e.Atom.Args, b), e.Add}
		if !in.possible(e.When, b, true) {
			return
		}
		possible = append(possible, c)
		if in.possible(e.When, b, false) { // in every state
			sure = append(sure, c)
		}
		if in.holds(e.When, b) {
			fired = append(fired, c)
		}
	}
	for i := range s.Effects {
		in.eachEffect(&s.Effects[i], s.Effects[i].Vars, b, collect)
	}
	real := func(list []change) []change {
		return slices.DeleteFunc(list, func(c change) bool {
			return !c.add && slices.Contains(sure, change{c.pred, c.key, true}) || in.demanded(s, b, c)
		})
	}
	fired, possible = real(fired), real(possible)
	addsFirst := func(a, b change) int {
		switch {
		case a.add == b.add:
			return 0
		case a.add:
			return -1
		}
		return 1
	}
	slices.SortStableFunc(possible, addsFirst)
	slices.SortStableFunc(fired, func(a, b change) int { return -addsFirst(a, b) })
	return fired, possible
}

func (in *interpreter) eachEffect(e *pddl.Effect, vars []pddl.Var, b []int32, yield func(*pddl.Effect, []int32)) {
	if len(vars) == 0 {
		yield(e, b)
		return
	}
	for _, o := range in.ofType(vars[0].Type) {
		if in.work--; in.work < 0 {
			return
		}
		b[vars[0].Slot] = o
		in.eachEffect(e, vars[1:], b, yield)
	}
}

// effective reports whether the action changes anything at all; the planner
// drops operators that cannot, such as going to where one is.
func (in *interpreter) effective(s *pddl.Schema, b []int32) bool {
	_, possible := in.effects(s, b)
	return len(possible) > 0
}

// demanded reports whether the precondition contains the literal c.
func (in *interpreter) demanded(s *pddl.Schema, b []int32, c change) bool {
	list := s.Neg
	if c.add {
		list = s.Pos
	}
	for _, a := range list {
		if a.Pred == c.pred && factKey(in.game.rank, a.Args, b) == c.key {
			return true
		}
	}
	return false
}

// possible evaluates a condition with want as the truth of every fluent: it is
// false when no state could make the condition true.
func (in *interpreter) possible(f pddl.Formula, b []int32, want bool) bool {
	if in.work--; in.work < 0 {
		return false
	}
	switch f.Op {
	case pddl.Holds:
		if in.game.task.Predicates[f.Atom.Pred].Fluent {
			return want
		}
		return in.holds(f, b)
	case pddl.Same:
		return in.holds(f, b)
	case pddl.Not:
		return !in.possible(f.Kids[0], b, !want)
	case pddl.And, pddl.Or:
		for _, k := range f.Kids {
			if in.possible(k, b, want) == (f.Op == pddl.Or) {
				return f.Op == pddl.Or
			}
		}
		return f.Op == pddl.And
	}
	return in.possibleQuantified(f, f.Vars, b, want)
}

func (in *interpreter) possibleQuantified(f pddl.Formula, vars []pddl.Var, b []int32, want bool) bool {
	if len(vars) == 0 {
		return in.possible(f.Kids[0], b, want)
	}
	exists := f.Op == pddl.Exists
	defer func() { b[vars[0].Slot] = -1 }()
	for _, o := range in.ofType(vars[0].Type) {
		b[vars[0].Slot] = o
		if in.possibleQuantified(f, vars[1:], b, want) == exists {
			return exists
		}
		if in.work < 0 {
			return false
		}
	}
	return !exists
}

func (in *interpreter) apply(v groundAction) {
	in.work = maxWork
	fired, possible := in.effects(v.schema, v.binding)
	for _, c := range fired {
		in.state.set(c.pred, c.key, c.add)
	}
	n := len(in.state)
	for _, c := range possible {
		in.text.set(c.pred, c.key, c.add)
		in.text.set(c.pred+n, c.key, !c.add)
	}
}
