package alfworld

import (
	"math/bits"
	"slices"
	"strings"
)

// runner plays a program.
type runner struct {
	p *program

	state []uint64 // what the planner sees
	yes   []uint64 // what the grammar sees as true
	no    []uint64 // and as made false

	ready bool
	goal  bool
	valid []int32 // applicable operators, one a command
	mark  []uint64

	// text generation
	out  []byte
	env  [maxEnv]int32
	work int
	err  error
}

func newRunner(p *program) *runner {
	r := &runner{p: p}
	r.allocate()
	copy(r.state, p.start)
	copy(r.yes, p.start)
	r.goal = p.goal.holds(r.state)
	return r
}

// allocate lays the three sets out in one block.
func (r *runner) allocate() {
	n := r.p.words
	block := make([]uint64, 3*n)
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
	p := r.p
	if r.mark == nil {
		r.mark = make([]uint64, (len(p.ops)+63)/64)
	}
	for _, op := range p.always {
		r.try(op)
	}
	for w, word := range r.state {
		for word &= p.triggers[w]; word != 0; word &= word - 1 {
			atom := w<<6 + bits.TrailingZeros64(word)
			for _, op := range p.list[p.from[atom]:p.from[atom+1]] {
				r.try(op)
			}
		}
	}
	r.valid = r.valid[:0]
	last := int32(-1)
	for w, word := range r.mark {
		for ; word != 0; word &= word - 1 {
			op := int32(w<<6 + bits.TrailingZeros64(word))
			if cmd := p.ops[op].command; cmd != last {
				r.valid = append(r.valid, op)
				last = cmd
			}
		}
		r.mark[w] = 0
	}
	r.ready = true
	return nil
}

// try marks an operator that is applicable.
func (r *runner) try(i int32) {
	op := &r.p.ops[i]
	for _, l := range r.p.needs(op) {
		if !l.in(r.state) {
			return
		}
	}
	if op.extra < 0 || r.p.extras[op.extra].rest.holds(r.state) {
		r.mark[i>>6] |= 1 << (i & 63)
	}
}

func (r *runner) admissible(dst []string) []string {
	dst = slices.Grow(dst, len(r.valid))
	for _, op := range r.valid {
		dst = append(dst, r.p.commands[r.p.ops[op].command])
	}
	return dst
}

func (r *runner) step(cmd string) (string, bool, error) {
	at, found := slices.BinarySearchFunc(r.valid, cmd, func(op int32, cmd string) int {
		return strings.Compare(r.p.commands[r.p.ops[op].command], cmd)
	})
	if !found {
		return "", false, nil
	}
	op := &r.p.ops[r.valid[at]]
	r.apply(op)
	r.ready = false
	if op.goal {
		r.goal = r.p.goal.holds(r.state)
	}
	obs, err := r.render(r.p.feedback[op.action], r.p.args[op.args:])
	return obs, true, err
}

func (r *runner) apply(op *operator) {
	if op.extra >= 0 && len(r.p.extras[op.extra].when) > 0 {
		r.applyConditional(r.p.extras[op.extra].when)
		return
	}
	add := r.p.literals[op.literals+int32(op.need):][:op.add+op.del]
	for _, l := range add[op.add:] {
		w, bit := l>>7, uint64(1)<<(uint(l>>1)&63)
		r.state[w] &^= bit
		r.yes[w] &^= bit
		r.no[w] |= bit
	}
	for _, l := range add[:op.add] {
		w, bit := l>>7, uint64(1)<<(uint(l>>1)&63)
		r.state[w] |= bit
		r.yes[w] |= bit
		r.no[w] &^= bit
	}
}

// applyConditional sets every effect in the text's facts, whether its
// condition is met or not, as the reference does, and those whose condition is
// met in the state, making false before making true.
func (r *runner) applyConditional(effects []conditional) {
	var fired []literal
	for _, e := range effects {
		if e.when == nil || e.when.holds(r.state) {
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
	for _, e := range effects {
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
	g := r.p.game
	var all []Fact
	seen := map[atomKey]bool{}
	for _, a := range g.task.Init {
		key := packAtom(a.Pred, a.Args, nil)
		if !g.task.Predicates[a.Pred].Fluent && !seen[key] {
			seen[key] = true
			args := make([]int32, len(a.Args))
			for i := range args {
				args[i] = a.Args[i].In(nil)
			}
			all = append(all, g.fact(a.Pred, args))
		}
	}
	for i, key := range r.p.atoms {
		args := make([]int32, g.task.Predicates[key.pred()].Arity)
		for j := range args {
			args[j] = key.arg(j)
		}
		if literal(i << 1).in(r.yes) {
			all = append(all, g.fact(key.pred(), args))
		}
		if literal(i << 1).in(r.no) {
			all = append(all, g.fact(key.pred()+len(g.task.Predicates), args))
		}
	}
	return all
}
