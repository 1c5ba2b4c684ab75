package alfworld

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// pack names, sorts and indexes the operators.
func (c *grounder) pack() error {
	c.words = (len(c.atoms) + 63) / 64
	c.start = make([]uint64, c.words)
	for _, a := range c.task.Init {
		if id := c.atomOf.get(packAtom(a.Pred, a.Args, nil)); id >= 0 {
			c.start[id/64] |= 1 << (id % 64)
		}
	}
	c.prune()
	if err := c.name(); err != nil {
		return err
	}
	c.sort()
	inGoal := map[int32]bool{}
	c.goal.mark(inGoal)
	for i := range c.ops {
		op := &c.ops[i]
		for _, l := range c.literals[op.literals+int32(op.need):][:op.add+op.del] {
			op.goal = op.goal || inGoal[int32(l>>1)]
		}
		if op.extra >= 0 {
			for _, e := range c.extras[op.extra].when {
				op.goal = op.goal || inGoal[int32(e.lit>>1)]
			}
		}
	}
	c.trigger()
	c.literals, c.args, c.atoms = slices.Clone(c.literals), slices.Clone(c.args), slices.Clone(c.atoms)
	return nil
}

// sort orders the operators by command, then by action and arguments.
func (c *grounder) sort() {
	from := make([]int32, len(c.commands)+1)
	for i := range c.ops {
		from[c.ops[i].command+1]++
	}
	for i := range c.commands {
		from[i+1] += from[i]
	}
	sorted := make([]operator, len(c.ops))
	fill := slices.Clone(from)
	for _, op := range c.ops {
		sorted[fill[op.command]] = op
		fill[op.command]++
	}
	for i := range c.commands {
		slices.SortFunc(sorted[from[i]:from[i+1]], func(a, b operator) int {
			if d := a.action - b.action; d != 0 {
				return int(d)
			}
			n := int32(len(c.task.Actions[a.action].Params))
			return slices.Compare(c.args[a.args:a.args+n], c.args[b.args:b.args+n])
		})
	}
	c.ops = sorted
}

// prune drops the operators that cannot become applicable even if nothing were
// ever made false: their positive preconditions are out of reach.
func (c *grounder) prune() {
	missing := make([]int32, len(c.ops)) // preconditions not reached yet
	waiting := make([][]int32, len(c.atoms))
	var queue []int32
	reached := slices.Clone(c.start)
	reach := func(atom int32) {
		if w, bit := atom>>6, uint64(1)<<(atom&63); reached[w]&bit == 0 {
			reached[w] |= bit
			queue = append(queue, atom)
		}
	}
	fire := func(i int32) {
		op := &c.ops[i]
		for _, l := range c.literals[op.literals+int32(op.need):][:op.add] {
			reach(int32(l >> 1))
		}
		if op.extra >= 0 {
			for _, e := range c.extras[op.extra].when {
				if e.lit&1 == 0 {
					reach(int32(e.lit >> 1))
				}
			}
		}
	}
	share := make([]int32, len(c.atoms)+1)
	each := func(visit func(op int32, atom int32)) {
		for i := range c.ops {
			for _, l := range c.needs(&c.ops[i]) {
				if l&1 == 0 && !l.in(c.start) {
					visit(int32(i), int32(l>>1))
				}
			}
		}
	}
	each(func(_, atom int32) { share[atom]++ })
	pool := make([]int32, 0, sum(share))
	for atom := range waiting {
		n := len(pool)
		waiting[atom] = pool[n : n : n+int(share[atom])]
		pool = pool[:n+int(share[atom])]
	}
	each(func(op, atom int32) { waiting[atom] = append(waiting[atom], op); missing[op]++ })
	for i := range c.ops {
		if missing[i] == 0 {
			fire(int32(i))
		}
	}
	for len(queue) > 0 {
		atom := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, op := range waiting[atom] {
			if missing[op]--; missing[op] == 0 {
				fire(op)
			}
		}
	}
	kept := c.ops[:0]
	for i, op := range c.ops {
		if missing[i] == 0 {
			kept = append(kept, op)
		}
	}
	c.ops = kept
}

func sum(counts []int32) int {
	n := 0
	for _, c := range counts {
		n += int(c)
	}
	return n
}

// name writes the command of every operator. Templates read what never
// changes; one that reads more is left to the interpreter.
func (c *grounder) name() error {
	templates := make([]*text, len(c.game.verbs))
	for i, v := range c.game.verbs {
		tmpl, err := c.texts.compile(c.task.Actions[i].Params, v.Template)
		if err != nil {
			return err
		}
		if tmpl.dynamic {
			return tooBig(fmt.Sprintf("the template of action %q depends on the state", v.Name))
		}
		templates[i] = tmpl
	}
	r := &runner{p: c.program}
	byKey := make(map[uint64]int32, len(c.ops))
	var all strings.Builder // of which the commands are parts
	var ends []int
	for i := range c.ops {
		op := &c.ops[i]
		params := c.args[op.args:][:len(c.task.Actions[op.action].Params)]
		key, packed := templates[op.action].key(op.action, params)
		id, known := byKey[key]
		if !known || !packed {
			if err := r.expand(templates[op.action], params); err != nil {
				return err
			}
			all.Write(r.out)
			id = int32(len(ends))
			ends = append(ends, all.Len())
			if packed {
				byKey[key] = id
			}
		}
		op.command = id
	}
	commands, from := make([]string, len(ends)), 0
	for i, end := range ends {
		commands[i] = all.String()[from:end]
		from = end
	}
	c.rank(commands)
	return nil
}

// rank sorts the commands, drops duplicates and renumbers the operators.
func (c *grounder) rank(commands []string) {
	type entry struct {
		first, second uint64 // the first 16 bytes, which decide most comparisons
		id            int32
	}
	order := make([]entry, len(commands))
	for i, s := range commands {
		var head [16]byte
		copy(head[:], s)
		order[i] = entry{binary.BigEndian.Uint64(head[:8]), binary.BigEndian.Uint64(head[8:]), int32(i)}
	}
	slices.SortFunc(order, func(a, b entry) int {
		if d := cmp.Compare(a.first, b.first); d != 0 {
			return d
		}
		if d := cmp.Compare(a.second, b.second); d != 0 {
			return d
		}
		return strings.Compare(commands[a.id], commands[b.id])
	})
	rank := make([]int32, len(order))
	c.commands = make([]string, 0, len(order))
	for _, e := range order {
		if n := len(c.commands); n == 0 || c.commands[n-1] != commands[e.id] {
			c.commands = append(c.commands, commands[e.id])
		}
		rank[e.id] = int32(len(c.commands) - 1)
	}
	for i := range c.ops {
		c.ops[i].command = rank[c.ops[i].command]
	}
}

// trigger lists each operator under the positive precondition that fewest
// operators share.
func (c *grounder) trigger() {
	share := make([]int32, len(c.atoms)+1)
	for i := range c.ops {
		for _, l := range c.needs(&c.ops[i]) {
			if l&1 == 0 {
				share[l>>1]++
			}
		}
	}
	trigger := make([]int32, len(c.ops))
	c.from = make([]int32, len(c.atoms)+1)
	for i := range c.ops {
		best := int32(-1)
		for _, l := range c.needs(&c.ops[i]) {
			if l&1 == 0 && (best < 0 || share[l>>1] < share[best]) {
				best = int32(l >> 1)
			}
		}
		if trigger[i] = best; best >= 0 {
			c.from[best+1]++
		} else {
			c.always = append(c.always, int32(i))
		}
	}
	for i := range c.atoms {
		c.from[i+1] += c.from[i]
	}
	c.list = make([]int32, c.from[len(c.atoms)])
	c.triggers = make([]uint64, c.words)
	fill := slices.Clone(c.from)
	for i, atom := range trigger {
		if atom >= 0 {
			c.list[fill[atom]] = int32(i)
			fill[atom]++
			c.triggers[atom/64] |= 1 << (atom % 64)
		}
	}
}

func (p *program) needs(op *operator) []literal {
	return p.literals[op.literals : op.literals+int32(op.need)]
}
