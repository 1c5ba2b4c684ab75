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

import "iter"

// Domain is what all games of a kind share. It does not change once it is read.
type Domain struct {
	Types      []Type
	Constants  []Object // declared, or mentioned by actions
	Predicates []Predicate
	Actions    []Action
	Schemas    []Schema

	typeID, objectID, predID map[string]int
}

// Task is one domain with one problem.
type Task struct {
	Domain     *Domain
	Objects    []Object    // the domain's constants, then those of the problem
	Predicates []Predicate // the domain's, then those of the problem
	Goal       Formula

	// The facts of :init: their predicates, and the arguments of one after the
	// other.
	init []uint16
	args []uint16
}

// Init yields the facts that hold at the start: a predicate and objects. The
// slice is only to be read.
func (t *Task) Init() iter.Seq2[int, []uint16] {
	return func(yield func(int, []uint16) bool) {
		args := t.args
		for _, pred := range t.init {
			n := t.Predicates[pred].Arity
			if !yield(int(pred), args[:n:n]) {
				return
			}
			args = args[n:]
		}
	}
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
func (d *Domain) IsA(typ, want int) bool {
	if want < 0 || typ < 0 {
		return false
	}
	for ; typ >= 0; typ = d.Types[typ].Parent {
		if typ == want {
			return true
		}
	}
	return false
}

// TypeID finds a type by name, -1 when there is none.
func (d *Domain) TypeID(name string) int {
	if id, known := d.typeID[name]; known {
		return id
	}
	return -1
}

// FrameSize is the number of slots a binding of schema s needs.
func (d *Domain) FrameSize(s *Schema) int { return d.Actions[s.Action].Slots }
