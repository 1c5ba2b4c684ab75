package alfworld

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// program is a game made ready for play. Facts are bits (see layout). What can
// be done is found group by group: a group holds the operators, actions with
// all their arguments, that one fact which changes, its trigger, makes
// conceivable, such as where the agent is. Groups are made when their trigger
// is first true in some play of the game; nothing else ever changes.
type program struct {
	*layout
	game    *Game
	texts   *texts
	start   bitset // fluents
	static  bitset
	goal    []int32
	touches []bool // by schema: some effect is about a predicate of the goal

	triggered [][]trigger // by predicate
	always    *group      // operators without a trigger
	groups    []atomic.Pointer[group]
	making    sync.Mutex // of groups
	names     commandTable
	reached   bitset // fluents that are known to be possible
	judged    bitset // fluents that reached says something about
}

// trigger is a schema with the positive precondition that triggers it.
type trigger struct {
	schema int
	atom   int // in schema.pos
}

// group holds operators by command, then by action and arguments.
type group struct {
	ops    []operator
	frames []uint16 // what the variables of the operators stand for
	extras []extra
}

// operator is a schema with all its variables bound.
type operator struct {
	command int32
	needs   [3]literal // preconditions besides the trigger, or noLiteral; the last may be manyLiterals
	frame   int32      // in group.frames
	schema  int16
	extra   int16 // in group.extras, or -1
}

// extra is what few operators have: universal preconditions, and effects that
// differ from those of the schema.
type extra struct {
	rest []int32
	own  bool
	adds []int32 // fluents
	dels []int32
	when []conditional // instead of adds and dels, if any is conditional
}

// conditional is an effect of an operator that has conditional ones.
type conditional struct {
	lit  literal
	when []int32 // nil: always
}

// literal is a fluent, or its negation where the lowest bit is set.
type literal int32

const (
	noLiteral    literal = -1
	manyLiterals literal = -2
)

func (l literal) in(set bitset) bool {
	return set[l>>7]>>(uint(l>>1)&63)&1 != uint64(l&1)
}

const (
	maxOps     = 60_000  // of a group
	maxGround  = 500_000 // facts visited to make a group
	maxFormula = 200_000 // nodes of a ground formula
)

// errTooBig is why a game stays with the interpreter.
var errTooBig = errors.New("not compiled")

func tooBig(what string) error { return fmt.Errorf("%w: %s", errTooBig, what) }

// compile returns errTooBig, wrapped with the reason, for games whose size or
// features only the interpreter takes, and other errors for broken ones.
func compile(g *Game) (*program, error) {
	p := &program{game: g, texts: g.rules.texts}
	if g.rules.declined != nil {
		return nil, g.rules.declined
	}
	var err error
	if len(g.task.Predicates) > len(g.rules.domain.Predicates) {
		if p.texts, err = compileTexts(g.rules, g.task.Predicates); err != nil {
			return nil, err
		}
	}
	if p.layout, err = newLayout(g); err != nil {
		return nil, err
	}
	alone, err := p.chooseTriggers()
	if err != nil {
		return nil, err
	}
	p.init()
	f := &formulas{p: p}
	if p.goal, err = f.ground(g.task.Goal, nil); err != nil {
		return nil, err
	}
	about := make([]bool, len(g.task.Predicates))
	mention(&g.task.Goal, about)
	p.touches = make([]bool, len(g.rules.schemas))
	for i, s := range g.rules.schemas {
		for _, e := range s.Effects {
			p.touches[i] = p.touches[i] || about[e.Atom.Pred]
		}
	}
	p.always, err = p.makeGroup(alone, nil)
	return p, err
}

// init sets the bits of the first facts.
func (p *program) init() {
	p.start, p.static = newBitset(p.fluents), newBitset(p.statics)
	p.reached, p.judged = newBitset(p.fluents), newBitset(p.fluents)
	p.groups = make([]atomic.Pointer[group], p.triggers)
	for pred, args := range p.game.task.Init() {
		t := &p.tables[pred]
		at := int32(0)
		for i, o := range args {
			x := &t.args[i]
			at = at*(x.to-x.from) + int32(p.number[o]) - x.from
		}
		if at += t.base; t.fluent {
			p.start.add(int(at))
		} else {
			p.static.add(int(at))
		}
	}
}

// chooseTriggers picks for each schema the positive precondition that fewest
// facts meet at a time: one whose predicate no action makes true more often
// than it makes it false has never more facts than at the start. It returns the
// schemas without one.
func (p *program) chooseTriggers() (alone []trigger, err error) {
	first := make([]int, len(p.tables))
	for pred := range p.game.task.Init() {
		first[pred]++
	}
	for pred := range p.tables {
		if !p.rules.kept(pred) {
			first[pred] = 1
			for _, x := range p.tables[pred].args[:p.tables[pred].arity] {
				first[pred] *= int(x.to - x.from)
				first[pred] = min(first[pred], maxBits)
			}
		}
	}
	p.triggered = make([][]trigger, len(p.tables))
	isTrigger := make([]bool, len(p.tables))
	for i := range p.rules.schemas {
		s := &p.rules.schemas[i]
		best := -1
		for j, a := range s.pos {
			if best < 0 || first[a.Pred] < first[s.pos[best].Pred] {
				best = j
			}
		}
		if best < 0 {
			alone = append(alone, trigger{i, -1})
			continue
		}
		pred := s.pos[best].Pred
		p.triggered[pred] = append(p.triggered[pred], trigger{i, best})
		isTrigger[pred] = true
	}
	return alone, p.place(isTrigger)
}

// kept reports whether no schema adds to the number of facts of a predicate: it
// makes at most one true, and then one false that its precondition asks for.
func (r *rules) kept(pred int) bool {
	for i := range r.schemas {
		s := &r.schemas[i]
		adds, dels := 0, 0
		for _, e := range s.Effects {
			switch {
			case e.Atom.Pred != pred:
			case e.Add && len(e.Vars) > 0:
				adds += 2
			case e.Add:
				adds++
			case len(e.Vars) == 0 && e.Unconditional() && asks(s.pos, e.Atom):
				dels = 1
			}
		}
		if adds > dels {
			return false
		}
	}
	return true
}

func asks(atoms []pddl.Atom, a pddl.Atom) bool {
	for _, b := range atoms {
		if sameAtom(a, b) {
			return true
		}
	}
	return false
}

func sameAtom(a, b pddl.Atom) bool {
	if a.Pred != b.Pred {
		return false
	}
	for i := range a.Args {
		if a.Args[i] != b.Args[i] {
			return false
		}
	}
	return true
}

// groupOf returns the operators that a fluent triggers.
func (p *program) groupOf(atom int32) (*group, error) {
	if g := p.groups[atom].Load(); g != nil {
		return g, nil
	}
	pred := 0
	for i := range p.tables {
		if t := &p.tables[i]; t.fluent && atom >= t.base && atom < t.base+t.size {
			pred = i
		}
	}
	objs := p.tables[pred].fact(atom)
	p.making.Lock()
	defer p.making.Unlock()
	if g := p.groups[atom].Load(); g != nil {
		return g, nil
	}
	g, err := p.makeGroup(p.triggered[pred], &objs)
	if err == nil {
		p.groups[atom].Store(g)
	}
	return g, err
}
