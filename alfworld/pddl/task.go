// Package pddl reads the part of the Planning Domain Definition Language that
// household games are written in and brings it to one normal form: actions
// whose preconditions are conjunctions, formulas over numbered variables,
// objects and predicates.
//
// Supported: types, constants, negation, and, or, imply, exists, forall, =,
// conditional and universal effects. Action costs are read and ignored. Other
// features are refused by name. The quirks of the reference planner that show
// in games are kept: names are lower-cased, a type nobody declared has no
// objects, `object` is the type of everything, argument types of predicates
// are not checked.
package pddl

// Task is one domain with one problem.
type Task struct {
	Types      []Type
	Objects    []Object
	Predicates []Predicate
	Init       []Atom // constants only
	Goal       Formula
	Actions    []Action
	Schemas    []Schema
}

// Type is a node of the type tree; Parent is -1 at the root, which is "object".
type Type struct {
	Name   string
	Parent int
}

// Object is a constant of the domain or an object of the problem. Type is -1
// for a name that formulas mention and nobody declares: no fact is about it.
type Object struct {
	Name string
	Type int
}

// Predicate has the arity of its first use.
type Predicate struct {
	Name  string
	Arity int
	// Fluent predicates occur in some effect; the others never change.
	Fluent bool
}

// Term is a variable slot when it is not negative, else the object ^term.
type Term int32

// Const is the term of an object.
func Const(object int) Term { return ^Term(object) }

// In gives the object that t stands for under a binding of slots to objects.
func (t Term) In(binding []int32) int32 {
	if t >= 0 {
		return binding[t]
	}
	return int32(^t)
}

// Atom is a predicate over terms.
type Atom struct {
	Pred int
	Args []Term
}

// Op is the head of a formula.
type Op uint8

// The connectives. And without kids is truth, Or without kids is falsehood.
const (
	Holds Op = iota // Atom
	Same            // Atom.Args[0] = Atom.Args[1]
	Not
	And
	Or
	Exists
	Forall
)

// Formula is a first-order formula; quantified variables have slots of their
// own in the frame of the action.
type Formula struct {
	Op   Op
	Atom Atom
	Kids []Formula
	Vars []Var
}

// Var is a typed variable slot. Type is -1 when nobody declared the type.
type Var struct {
	Name string
	Slot int
	Type int
}

// Action is an action as written.
type Action struct {
	Name   string
	Params []Var // slots 0, 1, ...
	Slots  int   // frame size: parameters, then quantified variables

	pre     Formula
	effects []Effect
}

// Schema is one disjunct of an action: the reference planner splits or and
// exists into operators of the same name.
type Schema struct {
	Action  int
	Vars    []Var // parameters, then variables that were existential
	Pos     []Atom
	Neg     []Atom
	Equal   [][2]Term
	Differ  [][2]Term
	Rest    []Formula // universal conditions
	Effects []Effect
}

// Effect makes Atom true (Add) or false where When holds, once for every
// binding of Vars.
type Effect struct {
	Vars []Var
	When Formula
	Atom Atom
	Add  bool
}

// Unconditional reports whether the effect always happens.
func (e Effect) Unconditional() bool {
	return e.When.Op == And && len(e.When.Kids) == 0
}

// IsA reports whether an object of type t can stand where want is asked.
func (t *Task) IsA(typ, want int) bool {
	if want < 0 || typ < 0 {
		return false
	}
	for ; typ >= 0; typ = t.Types[typ].Parent {
		if typ == want {
			return true
		}
	}
	return false
}

// TypeID finds a type by name, -1 when there is none.
func (t *Task) TypeID(name string) int {
	for i := range t.Types {
		if t.Types[i].Name == name {
			return i
		}
	}
	return -1
}

// OfType lists the objects that v ranges over.
func (t *Task) OfType(typ int) []int32 {
	var ids []int32
	for i := range t.Objects {
		if t.IsA(t.Objects[i].Type, typ) {
			ids = append(ids, int32(i))
		}
	}
	return ids
}

// FrameSize is the number of slots a binding of schema s needs.
func (t *Task) FrameSize(s *Schema) int { return t.Actions[s.Action].Slots }
