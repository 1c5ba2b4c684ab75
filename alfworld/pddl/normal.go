package pddl

import "fmt"

// maxDisjuncts bounds the split of one action.
const maxDisjuncts = 64

// normalise splits the precondition of every action into disjuncts.
func (d *Domain) normalise() error {
	for i := range d.Actions {
		a := &d.Actions[i]
		parts, err := disjuncts(negationNormal(a.pre, false))
		if err != nil {
			return fmt.Errorf("action %s: precondition: %w", a.Name, err)
		}
		for _, p := range parts {
			p.Action = i
			p.Vars = append(append([]Var(nil), a.Params...), p.Vars...)
			p.Effects = a.effects
			d.Schemas = append(d.Schemas, p)
		}
		for _, e := range a.effects {
			d.Predicates[e.Atom.Pred].Fluent = true
		}
	}
	return nil
}

// negationNormal pushes negation down to atoms.
func negationNormal(f Formula, negate bool) Formula {
	switch f.Op {
	case Not:
		return negationNormal(f.Kids[0], !negate)
	case Holds, Same:
		if negate {
			return Formula{Op: Not, Kids: []Formula{f}}
		}
		return f
	}
	out := Formula{Op: f.Op, Vars: f.Vars, Kids: make([]Formula, len(f.Kids))}
	if negate {
		out.Op = map[Op]Op{And: Or, Or: And, Exists: Forall, Forall: Exists}[f.Op]
	}
	for i, k := range f.Kids {
		out.Kids[i] = negationNormal(k, negate)
	}
	return out
}

// disjuncts brings a formula in negation normal form to a list of schemas
// whose union it is. Every quantified variable has a slot of its own, so
// existential ones simply join the variables of the disjunct.
func disjuncts(f Formula) ([]Schema, error) {
	switch f.Op {
	case Holds:
		return []Schema{{Pos: []Atom{f.Atom}}}, nil
	case Same:
		return []Schema{{Equal: [][2]Term{{f.Atom.Args[0], f.Atom.Args[1]}}}}, nil
	case Not:
		k := f.Kids[0]
		if k.Op == Same {
			return []Schema{{Differ: [][2]Term{{k.Atom.Args[0], k.Atom.Args[1]}}}}, nil
		}
		return []Schema{{Neg: []Atom{k.Atom}}}, nil
	case Forall:
		return []Schema{{Rest: []Formula{f}}}, nil
	case Exists:
		parts, err := disjuncts(f.Kids[0])
		for i := range parts {
			parts[i].Vars = append(append([]Var(nil), f.Vars...), parts[i].Vars...)
		}
		return parts, err
	case Or:
		var all []Schema
		for _, k := range f.Kids {
			parts, err := disjuncts(k)
			if err != nil {
				return nil, err
			}
			if all = append(all, parts...); len(all) > maxDisjuncts {
				return nil, fmt.Errorf("not supported: more than %d alternatives", maxDisjuncts)
			}
		}
		return all, nil
	}
	all := []Schema{{}}
	for _, k := range f.Kids {
		parts, err := disjuncts(k)
		if err != nil {
			return nil, err
		}
		if len(all)*len(parts) > maxDisjuncts {
			return nil, fmt.Errorf("not supported: more than %d alternatives", maxDisjuncts)
		}
		var next []Schema
		for _, a := range all {
			for _, b := range parts {
				next = append(next, conjoin(a, b))
			}
		}
		all = next
	}
	return all, nil
}

func conjoin(a, b Schema) Schema {
	return Schema{
		Vars:   concat(a.Vars, b.Vars),
		Pos:    concat(a.Pos, b.Pos),
		Neg:    concat(a.Neg, b.Neg),
		Equal:  concat(a.Equal, b.Equal),
		Differ: concat(a.Differ, b.Differ),
		Rest:   concat(a.Rest, b.Rest),
	}
}

func concat[T any](a, b []T) []T { return append(append([]T(nil), a...), b...) }
