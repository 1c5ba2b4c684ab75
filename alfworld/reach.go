package alfworld

import (
	"github.com/oreo-go/oreo/alfworld/pddl"
)

// reach finds out which objects the arguments of every predicate can have: those
// of the first facts, and those that actions can bring in. An action's variable
// stands for objects of its type that occur, as the positive preconditions ask,
// in facts.
type reach struct {
	task    *pddl.Task
	rules   *rules
	columns []bitset // by predicate and argument
	types   []bitset // by type
	bound   []bitset // objects that some variable or argument can stand for
	sets    []bitset // by slot, of the schema at hand
	words   int
	work    int
}

func (r *reach) run() error {
	objects, preds, types := len(r.task.Objects), len(r.task.Predicates), len(r.rules.domain.Types)
	r.words = (objects + 63) / 64
	rows := 3*preds + types + 1 + maxSlots
	if rows*r.words > maxReach/8 {
		return tooBig("too many objects and predicates")
	}
	block := make([]uint64, rows*r.words)
	take := func(n int) []bitset {
		list := make([]bitset, n)
		for i := range list {
			list[i] = block[:r.words:r.words]
			block = block[r.words:]
		}
		return list
	}
	r.columns, r.types, r.bound, r.sets = take(3*preds), take(types), take(1), take(maxSlots)
	for o := range r.task.Objects {
		for t := r.task.Objects[o].Type; t >= 0; t = r.rules.domain.Types[t].Parent {
			r.types[t].add(o)
		}
	}
	for pred, args := range r.task.Init() {
		for i, o := range args {
			r.columns[3*pred+i].add(int(o))
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range r.rules.schemas {
			if r.work += (len(r.rules.schemas[i].Vars) + len(r.rules.schemas[i].Pos) + len(r.rules.schemas[i].Effects)) * r.words; r.work > maxReach {
				return tooBig("too much to find out what facts can be about")
			}
			changed = r.apply(&r.rules.schemas[i]) || changed
		}
	}
	return nil
}

// apply adds what a schema can make facts about.
func (r *reach) apply(s *schema) (changed bool) {
	for _, v := range s.Vars {
		if v.Type < 0 {
			return false
		}
		copy(r.sets[v.Slot], r.types[v.Type])
	}
	for _, a := range s.Pos {
		for i, arg := range a.Args {
			column := r.columns[3*a.Pred+i]
			if arg < 0 {
				if !column.has(int(^arg)) {
					return false
				}
				continue
			}
			for w := range column {
				r.sets[arg][w] &= column[w]
			}
		}
	}
	for _, v := range s.Vars {
		if r.sets[v.Slot].empty() {
			return false
		}
		r.sets[v.Slot].addTo(r.bound[0])
	}
	for i := range s.Effects {
		e := &s.Effects[i]
		for _, v := range e.Vars {
			clear(r.sets[v.Slot])
			if v.Type >= 0 {
				copy(r.sets[v.Slot], r.types[v.Type])
			}
		}
		for j, arg := range e.Atom.Args {
			column := r.columns[3*e.Atom.Pred+j]
			if arg >= 0 {
				changed = r.sets[arg].addTo(column) || changed
			} else if !column.has(int(^arg)) {
				column.add(int(^arg))
				changed = true
			}
		}
	}
	return changed
}

// active are the objects that facts can be about, or actions.
func (r *reach) active() bitset {
	all := r.bound[0]
	for _, c := range r.columns {
		c.addTo(all)
	}
	return all
}

func (s bitset) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// addTo adds s to a larger set and reports whether that grew.
func (s bitset) addTo(to bitset) (grew bool) {
	for w := range s {
		grew = grew || s[w]&^to[w] != 0
		to[w] |= s[w]
	}
	return grew
}
