package alfworld

import (
	"math/bits"
	"slices"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// runner plays a program.
type runner struct {
	p *program

	state bitset // what the planner sees
	yes   bitset // what the grammar sees as true
	no    bitset // and as made false

	ready bool
	goal  bool
	valid []candidate // what can be done, one for each command, by command
	spare []candidate

	// text generation
	out  []byte
	env  [maxEnv]int32
	work int
	err  error
}

// candidate is an operator of a group.
type candidate struct {
	group   *group
	op      int32
	command int32
}

func newRunner(p *program) *runner {
	r := &runner{p: p}
	r.allocate()
	copy(r.state, p.start)
	copy(r.yes, p.start)
	r.goal = holds(p.goal, r.state)
	return r
}

// allocate lays the three sets out in one block.
func (r *runner) allocate() {
	n := len(r.p.start)
	block := make(bitset, 3*n)
	r.state, r.yes, r.no = block[:n:n], block[n:2*n:2*n], block[2*n:]
}

func (r *runner) fork() engine {
	c := &runner{p: r.p, ready: r.ready, goal: r.goal}
	c.allocate()
	copy(c.state, r.state)
	copy(c.yes, r.yes)
	copy(c.no, r.no)
	c.valid = slices.Clone(r.valid)
	return c
}

func (r *runner) won() bool { return r.goal }

func (r *runner) prepare() error {
	if r.ready {
		return nil
	}
	r.valid = r.valid[:0]
	r.collect(r.p.always)
	for w := 0; w<<6 < r.p.triggers; w++ {
		for word := r.state[w]; word != 0; word &= word - 1 {
			atom := w<<6 + bits.TrailingZeros64(word)
			if atom >= r.p.triggers {
				break
			}
			g, err := r.p.groupOf(int32(atom))
			if err != nil {
				return err
			}
			r.collect(g)
		}
	}
	r.ready = true
	return nil
}

// collect merges the operators of a group that are applicable into the
// candidates. Both are sorted; of each command the first stays.
func (r *runner) collect(g *group) {
	old := len(r.valid)
	last := int32(-1)
	for i := range g.ops {
		op := &g.ops[i]
		if op.command != last && r.applicable(g, op) {
			r.valid = append(r.valid, candidate{g, int32(i), op.command})
			last = op.command
		}
	}
	fresh := len(r.valid) - old
	if old == 0 || fresh == 0 {
		return
	}
	// The shorter run goes into the longer one.
	if r.spare = r.spare[:0]; fresh <= old {
		r.spare = append(r.spare, r.valid[old:]...)
		r.valid = r.valid[:old]
	} else {
		r.spare = append(r.spare, r.valid[:old]...)
		r.valid = r.valid[:copy(r.valid, r.valid[old:])]
	}
	for _, c := range r.spare {
		r.insert(c)
	}
}

// insert puts a candidate where it belongs.
func (r *runner) insert(c candidate) {
	commands := *r.p.names.list.Load()
	at, found := r.find(commands[c.command])
	switch {
	case !found:
		r.valid = slices.Insert(r.valid, at, c)
	case r.p.precedes(c, r.valid[at]):
		r.valid[at] = c
	}
}

// find tells where a command is among the candidates, or belongs.
func (r *runner) find(cmd string) (at int, found bool) {
	commands := *r.p.names.list.Load()
	lo, hi := 0, len(r.valid)
	for lo < hi {
		if mid := (lo + hi) / 2; commands[r.valid[mid].command] < cmd {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(r.valid) && commands[r.valid[lo].command] == cmd
}

// applicable reports whether the preconditions of an operator hold, but for its
// trigger, which does.
func (r *runner) applicable(g *group, op *operator) bool {
	for _, l := range op.needs {
		if l < 0 {
			break
		}
		if !l.in(r.state) {
			return false
		}
	}
	return (op.needs[2] != manyLiterals || r.meetsAll(g, op)) &&
		(op.extra < 0 || holds(g.extras[op.extra].rest, r.state))
}

// meetsAll is for operators with many preconditions.
func (r *runner) meetsAll(g *group, op *operator) bool {
	s := &r.p.rules.schemas[op.schema]
	frame := g.frames[op.frame:]
	for i := range s.pos {
		if at := r.p.bit(&s.pos[i], frame); at < 0 || !r.state.has(int(at)) {
			return false
		}
	}
	for i := range s.neg {
		if at := r.p.bit(&s.neg[i], frame); at >= 0 && r.state.has(int(at)) {
			return false
		}
	}
	return true
}

// bit is index for the frame of an operator.
func (l *layout) bit(a *pddl.Atom, frame []uint16) int32 {
	t := &l.tables[a.Pred]
	at := int32(0)
	for i, arg := range a.Args {
		x := &t.args[i]
		var o int32
		if arg >= 0 {
			o = int32(frame[arg])
		} else {
			o = int32(l.number[^arg])
		}
		if o < x.from || o >= x.to {
			return -1
		}
		at = at*(x.to-x.from) + o - x.from
	}
	return t.base + at
}

func (r *runner) admissible(dst []string) []string {
	dst = slices.Grow(dst, len(r.valid))
	commands := *r.p.names.list.Load()
	for i := range r.valid {
		dst = append(dst, commands[r.valid[i].command])
	}
	return dst
}

func (r *runner) step(cmd string) (string, bool, error) {
	at, found := r.find(cmd)
	if !found {
		return "", false, nil
	}
	g := r.valid[at].group
	op := &g.ops[r.valid[at].op]
	r.apply(g, op)
	r.ready = false
	if r.p.touches[op.schema] {
		r.goal = holds(r.p.goal, r.state)
	}
	action := r.p.rules.schemas[op.schema].Action
	frame := g.frames[op.frame:]
	for i := range r.p.rules.domain.Actions[action].Params {
		r.env[i] = int32(frame[i])
	}
	obs, err := r.render(r.p.texts.feedback[action], nil)
	return obs, true, err
}

func (r *runner) apply(g *group, op *operator) {
	if op.extra >= 0 && g.extras[op.extra].own {
		r.applyOwn(&g.extras[op.extra])
		return
	}
	s := &r.p.rules.schemas[op.schema]
	frame := g.frames[op.frame:]
	for _, add := range [2]bool{false, true} {
		for i := range s.Effects {
			if e := &s.Effects[i]; e.Add == add {
				r.set(r.p.bit(&e.Atom, frame), add)
			}
		}
	}
}

func (r *runner) set(at int32, on bool) {
	w, bit := at>>6, uint64(1)<<(uint(at)&63)
	if on {
		r.state[w] |= bit
		r.yes[w] |= bit
		r.no[w] &^= bit
	} else {
		r.state[w] &^= bit
		r.yes[w] &^= bit
		r.no[w] |= bit
	}
}

// applyOwn sets the effects of an operator that has its own. Conditional ones
// are set in the text's facts whether their condition is met or not, as the
// reference does, and those whose condition is met in the state, making false
// before making true.
func (r *runner) applyOwn(x *extra) {
	for _, at := range x.dels {
		r.set(at, false)
	}
	for _, at := range x.adds {
		r.set(at, true)
	}
	var fired []literal
	for _, e := range x.when {
		if holds(e.when, r.state) {
			fired = append(fired, e.lit)
		}
	}
	slices.SortStableFunc(fired, func(a, b literal) int { return int(b&1) - int(a&1) })
	for _, l := range fired {
		w, bit := l>>7, uint64(1)<<(uint(l>>1)&63)
		if r.state[w] |= bit; l&1 == 1 {
			r.state[w] &^= bit
		}
	}
	for _, e := range x.when {
		w, bit := e.lit>>7, uint64(1)<<(uint(e.lit>>1)&63)
		if e.lit&1 == 0 {
			r.yes[w] |= bit
			r.no[w] &^= bit
		} else {
			r.yes[w] &^= bit
			r.no[w] |= bit
		}
	}
}

func (r *runner) facts() []Fact {
	var all []Fact
	preds := r.p.game.task.Predicates
	each := func(pred int, set bitset, as int) {
		t := &r.p.tables[pred]
		for at := t.base; at < t.base+t.size; at++ {
			if !set.has(int(at)) {
				continue
			}
			objs := t.fact(at)
			args := make([]int32, t.arity)
			for i := range args {
				args[i] = int32(r.p.object[objs[i]])
			}
			all = append(all, r.p.game.fact(as, args))
		}
	}
	for pred := range preds {
		if !preds[pred].Fluent {
			each(pred, r.p.static, pred)
			continue
		}
		each(pred, r.yes, pred)
		each(pred, r.no, pred+len(preds))
	}
	return all
}
