package alfworld

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// interpreter plays a game straight from the parsed texts: sets of facts,
// nested loops, no preparation. It defines what the compiled path must do.
type interpreter struct {
	game  *Game
	typed [][]int32 // objects by type
	state factSet   // what the planner sees: decides commands and the goal
	text  factSet   // what the grammar sees, negative facts included

	ready bool
	err   error
	valid []groundAction // by command
	work  int
	goal  *bool // whether the goal holds, once asked
}

// maxWork bounds the bindings tried for one observation or one list of
// commands, so that a hostile game costs an error and not the machine.
const maxWork = 300_000

var errWork = errors.New("not supported: the game needs too many bindings for one step")

// groundAction is a schema with all its variables bound.
type groundAction struct {
	cmd     string
	schema  *pddl.Schema
	binding []int32
}

// factSet holds the facts of each predicate as sorted keys. A key is the ranks
// of the arguments, four bytes each, so that facts are in the order of their
// identifiers. The inner slices are shared between forks and replaced, never
// changed.
type factSet [][]string

func factKey(rank []uint16, args []pddl.Term, binding []int32) string {
	key := make([]byte, 0, 4*len(args))
	for _, a := range args {
		key = binary.BigEndian.AppendUint32(key, uint32(rank[a.In(binding)]))
	}
	return string(key)
}

func (s factSet) has(pred int, key string) bool {
	_, found := slices.BinarySearch(s[pred], key)
	return found
}

func (s factSet) set(pred int, key string, on bool) {
	at, found := slices.BinarySearch(s[pred], key)
	if found == on {
		return
	}
	next := append([]string(nil), s[pred][:at]...)
	if on {
		next = append(append(next, key), s[pred][at:]...)
	} else {
		next = append(next, s[pred][at+1:]...)
	}
	s[pred] = next
}

func newInterpreter(g *Game) *interpreter {
	n := len(g.task.Predicates)
	in := &interpreter{game: g, typed: make([][]int32, len(g.rules.domain.Types)), state: make(factSet, n), text: make(factSet, 2*n)}
	for o := range g.task.Objects {
		for t := g.task.Objects[o].Type; t >= 0; t = g.rules.domain.Types[t].Parent {
			in.typed[t] = append(in.typed[t], int32(o))
		}
	}
	var key []byte
	for pred, args := range g.task.Init() {
		key = key[:0]
		for _, o := range args {
			key = binary.BigEndian.AppendUint32(key, uint32(g.rank[o]))
		}
		in.state[pred] = append(in.state[pred], string(key))
	}
	for p := range in.state {
		slices.Sort(in.state[p])
		in.state[p] = slices.Compact(in.state[p])
		in.text[p] = in.state[p]
	}
	return in
}

// ofType lists the objects of a type; an undeclared one has none.
func (in *interpreter) ofType(typ int) []int32 {
	if typ < 0 {
		return nil
	}
	return in.typed[typ]
}

func (in *interpreter) fork() engine {
	c := *in
	c.state, c.text = slices.Clone(in.state), slices.Clone(in.text)
	return &c
}

func (in *interpreter) won() bool {
	if in.goal == nil {
		in.work = maxWork
		holds := in.holds(in.game.task.Goal, unboundSlots(maxSlots))
		in.goal = &holds
	}
	return *in.goal
}

func (in *interpreter) admissible(dst []string) []string {
	for _, v := range in.valid {
		dst = append(dst, v.cmd)
	}
	return dst
}

func (in *interpreter) intro() (string, error) {
	return in.render(nil, "intro")
}

func (in *interpreter) step(cmd string) (string, bool, error) {
	at, found := sort.Find(len(in.valid), func(i int) int { return strings.Compare(cmd, in.valid[i].cmd) })
	if !found {
		return "", false, nil
	}
	v := in.valid[at]
	in.apply(v)
	in.ready, in.goal = false, nil
	obs, err := in.feedback(v)
	return obs, true, err
}

// prepare finds every applicable action. Of several with the same command the
// first stays: by action, then by arguments.
func (in *interpreter) prepare() error {
	if in.ready {
		return in.err
	}
	in.ready, in.err, in.valid, in.work = true, nil, nil, maxWork
	d := in.game.task.Domain
	for i := range d.Schemas {
		s := &d.Schemas[i]
		in.join(s, make([]bool, len(s.Pos)), in.unbound(s), func(b []int32) {
			if in.err != nil || !in.effective(s, b) {
				return
			}
			cmd, err := in.command(s, b)
			if err != nil && in.err == nil {
				in.err = err
			}
			in.valid = append(in.valid, groundAction{cmd, s, slices.Clone(b)})
		})
	}
	if in.work < 0 && in.err == nil {
		in.err = errWork
	}
	slices.SortStableFunc(in.valid, func(a, b groundAction) int {
		if c := strings.Compare(a.cmd, b.cmd); c != 0 {
			return c
		}
		return in.compareGround(a, b)
	})
	in.valid = slices.CompactFunc(in.valid, func(a, b groundAction) bool { return a.cmd == b.cmd })
	return in.err
}

// compareGround orders actions of the same command: by action, then by the
// identifiers of the arguments.
func (in *interpreter) compareGround(a, b groundAction) int {
	if a.schema.Action != b.schema.Action {
		return a.schema.Action - b.schema.Action
	}
	n := len(in.game.task.Domain.Actions[a.schema.Action].Params)
	return slices.CompareFunc(a.binding[:n], b.binding[:n], func(x, y int32) int {
		return int(in.game.rank[x]) - int(in.game.rank[y])
	})
}

func (in *interpreter) unbound(s *pddl.Schema) []int32 {
	return unboundSlots(in.game.task.Domain.FrameSize(s))
}

// join extends the binding over the positive preconditions, always going on
// with the one that has most arguments bound, then over the variables that
// none of them mentions.
func (in *interpreter) join(s *pddl.Schema, done []bool, b []int32, yield func([]int32)) {
	if in.work < 0 {
		return
	}
	best, bestFree := -1, 0
	for i, a := range s.Pos {
		free := 0
		for _, arg := range a.Args {
			if arg >= 0 && b[arg] < 0 {
				free++
			}
		}
		if !done[i] && (best < 0 || free < bestFree ||
			free == bestFree && len(in.state[a.Pred]) < len(in.state[s.Pos[best].Pred])) {
			best, bestFree = i, free
		}
	}
	if best < 0 {
		in.bindRest(s, 0, b, yield)
		return
	}
	done[best] = true
	in.match(s.Pos[best], s.Vars, b, func() { in.join(s, done, b, yield) })
	done[best] = false
}

// match binds the free variables of a to every fact that fits.
func (in *interpreter) match(a pddl.Atom, vars []pddl.Var, b []int32, yield func()) {
	for _, key := range in.state[a.Pred] {
		if in.work--; in.work < 0 {
			return
		}
		var newly [16]pddl.Term
		n, fits := 0, true
		for i, arg := range a.Args {
			o := int32(in.game.order[binary.BigEndian.Uint32([]byte(key[4*i:]))])
			if arg >= 0 && b[arg] < 0 {
				if !in.game.task.Domain.IsA(in.game.task.Objects[o].Type, typeOf(vars, arg)) {
					fits = false
					break
				}
				b[arg] = o
				newly[n] = arg
				n++
			} else if arg.In(b) != o {
				fits = false
				break
			}
		}
		if fits {
			yield()
		}
		for _, v := range newly[:n] {
			b[v] = -1
		}
	}
}

func typeOf(vars []pddl.Var, slot pddl.Term) int {
	for _, v := range vars {
		if v.Slot == int(slot) {
			return v.Type
		}
	}
	return -1
}

func (in *interpreter) bindRest(s *pddl.Schema, next int, b []int32, yield func([]int32)) {
	for ; next < len(s.Vars); next++ {
		v := s.Vars[next]
		if b[v.Slot] >= 0 {
			continue
		}
		for _, o := range in.ofType(v.Type) {
			if in.work--; in.work < 0 {
				break
			}
			b[v.Slot] = o
			in.bindRest(s, next+1, b, yield)
		}
		b[v.Slot] = -1
		return
	}
	for _, n := range s.Neg {
		if in.state.has(n.Pred, factKey(in.game.rank, n.Args, b)) {
			return
		}
	}
	for _, e := range s.Equal {
		if e[0].In(b) != e[1].In(b) {
			return
		}
	}
	for _, d := range s.Differ {
		if d[0].In(b) == d[1].In(b) {
			return
		}
	}
	for _, f := range s.Rest {
		if !in.holds(f, b) {
			return
		}
	}
	yield(b)
}

// holds evaluates a formula in the planner's state.
func (in *interpreter) holds(f pddl.Formula, b []int32) bool {
	if in.work--; in.work < 0 {
		return false
	}
	switch f.Op {
	case pddl.Holds:
		return in.state.has(f.Atom.Pred, factKey(in.game.rank, f.Atom.Args, b))
	case pddl.Same:
		return f.Atom.Args[0].In(b) == f.Atom.Args[1].In(b)
	case pddl.Not:
		return !in.holds(f.Kids[0], b)
	case pddl.And:
		for _, k := range f.Kids {
			if !in.holds(k, b) {
				return false
			}
		}
		return true
	case pddl.Or:
		for _, k := range f.Kids {
			if in.holds(k, b) {
				return true
			}
		}
		return false
	}
	return in.quantified(f, f.Vars, b)
}

func (in *interpreter) quantified(f pddl.Formula, vars []pddl.Var, b []int32) bool {
	if len(vars) == 0 {
		return in.holds(f.Kids[0], b)
	}
	exists := f.Op == pddl.Exists
	defer func() { b[vars[0].Slot] = -1 }()
	for _, o := range in.ofType(vars[0].Type) {
		b[vars[0].Slot] = o
		if exists && in.refuted(&f.Kids[0], b) {
			continue
		}
		if in.quantified(f, vars[1:], b) == exists {
			return exists
		}
		if in.work < 0 {
			return false
		}
	}
	return !exists
}

// refuted reports whether a conjunct of f that is bound already is false, which
// saves binding the rest.
func (in *interpreter) refuted(f *pddl.Formula, b []int32) bool {
	switch f.Op {
	case pddl.And:
		for i := range f.Kids {
			if in.refuted(&f.Kids[i], b) {
				return true
			}
		}
	case pddl.Exists:
		return in.refuted(&f.Kids[0], b)
	case pddl.Holds:
		for _, arg := range f.Atom.Args {
			if arg >= 0 && b[arg] < 0 {
				return false
			}
		}
		in.work--
		return !in.state.has(f.Atom.Pred, factKey(in.game.rank, f.Atom.Args, b))
	}
	return false
}

func (in *interpreter) facts() []Fact {
	var all []Fact
	for p, keys := range in.text {
		for _, key := range keys {
			args := make([]int32, len(key)/4)
			for i := range args {
				args[i] = int32(in.game.order[binary.BigEndian.Uint32([]byte(key[4*i:]))])
			}
			all = append(all, in.game.fact(p, args))
		}
	}
	return all
}
