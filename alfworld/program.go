package alfworld

import (
	"errors"
	"fmt"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// program is a compiled game: every fact that can change is a bit, every
// action with its arguments an operator on bits, every text a tree whose
// queries walk precomputed lists. It never changes.
type program struct {
	game  *Game
	words int // of a bit set over the atoms

	start []uint64 // atoms true at the start
	goal  formula
	intro *text

	// Operators are sorted by command, then by action and arguments: the order
	// of the admissible commands, and of precedence among equal ones.
	ops      []operator
	commands []string  // ascending
	literals []literal // pool of the operators
	args     []int32   // pool of the operators
	extras   []extra

	// A true atom triggers the operators that list[from[atom]:from[atom+1]]
	// names; those without a positive precondition are always tried.
	from     []int32
	list     []int32
	triggers []uint64 // atoms with a list
	always   []int32

	feedback []*text // by action
	atoms    []atomKey
}

// operator is a ground schema. Its literals are, in this order: preconditions,
// atoms made true, atoms made false.
type operator struct {
	command        int32
	action         int32
	args           int32 // of the parameters, in program.args
	literals       int32 // in program.literals
	need, add, del uint16
	goal           bool  // some effect is about an atom of the goal
	extra          int32 // in program.extras, or -1
}

// extra is what few operators have.
type extra struct {
	rest formula       // universal conditions
	when []conditional // instead of add and del, if any is conditional
}

// conditional is an effect of an operator that has conditional ones.
type conditional struct {
	lit  literal
	when *formula // nil: always
}

// literal is an atom, or its negation where the lowest bit is set.
type literal int32

func (l literal) in(bits []uint64) bool {
	return bits[l>>7]>>(uint(l>>1)&63)&1 != uint64(l&1)
}

// atomKey packs a predicate and up to three objects.
type atomKey uint64

const (
	maxPacked  = 1<<16 - 1
	maxOps     = 100_000
	maxGround  = 3_000_000 // facts visited while grounding
	maxFormula = 200_000   // nodes of all ground formulas
)

// errTooBig is why a game stays with the interpreter.
var errTooBig = errors.New("not compiled")

func tooBig(what string) error { return fmt.Errorf("%w: %s", errTooBig, what) }

func packAtom(pred int, args []pddl.Term, b []int32) atomKey {
	key := uint64(pred)
	for i := range 3 {
		key <<= 16
		if i < len(args) {
			key |= uint64(args[i].In(b))
		}
	}
	return atomKey(key)
}

func (k atomKey) pred() int       { return int(k >> 48) }
func (k atomKey) arg(i int) int32 { return int32(k>>(32-16*i)) & maxPacked }

// formula is a ground formula: a literal, or a conjunction or disjunction.
type formula struct {
	op   pddl.Op // Holds, And, Or
	lit  literal
	kids []formula
}

var (
	always = formula{op: pddl.And}
	never  = formula{op: pddl.Or}
)

func (f *formula) isTrue() bool  { return f.op == pddl.And && len(f.kids) == 0 }
func (f *formula) isFalse() bool { return f.op == pddl.Or && len(f.kids) == 0 }

func (f *formula) holds(bits []uint64) bool {
	switch f.op {
	case pddl.Holds:
		return f.lit.in(bits)
	case pddl.And:
		for i := range f.kids {
			if !f.kids[i].holds(bits) {
				return false
			}
		}
		return true
	}
	for i := range f.kids {
		if f.kids[i].holds(bits) {
			return true
		}
	}
	return false
}

// mark collects the atoms of f.
func (f *formula) mark(atoms map[int32]bool) {
	if f.op == pddl.Holds {
		atoms[int32(f.lit>>1)] = true
	}
	for i := range f.kids {
		f.kids[i].mark(atoms)
	}
}
