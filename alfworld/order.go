package alfworld

import "github.com/oreo-go/oreo/alfworld/pddl"

// order lists the actions so that, as far as possible, one comes after those
// that make its preconditions true: then only what can come about is joined.
// Where that goes in circles, the action with fewest combinations comes first.
func (c *grounder) order() []int {
	actions := len(c.task.Actions)
	adds := make([][]bool, actions)  // by predicate: the action makes it true
	needs := make([][]bool, actions) // or needs it, a fluent
	size := make([]float64, actions)
	for i := range actions {
		adds[i], needs[i] = make([]bool, len(c.task.Predicates)), make([]bool, len(c.task.Predicates))
	}
	for i := range c.task.Schemas {
		s := &c.task.Schemas[i]
		for _, e := range s.Effects {
			if e.Add {
				adds[s.Action][e.Atom.Pred] = true
			}
		}
		for _, a := range s.Pos {
			if c.task.Predicates[a.Pred].Fluent {
				needs[s.Action][a.Pred] = true
			}
		}
		size[s.Action] += c.combinations(s)
	}
	done := make([]bool, actions)
	var order []int
	for range actions {
		best, bestOpen, bestFeeds := -1, 0, false
		for i := range actions {
			if done[i] {
				continue
			}
			open, feeds := 0, false
			for j := range actions {
				if done[j] || j == i {
					continue
				}
				if meet(needs[i], adds[j]) {
					open = 1
				}
				feeds = feeds || meet(adds[i], needs[j])
			}
			if best < 0 || open < bestOpen || open == bestOpen && (feeds && !bestFeeds ||
				feeds == bestFeeds && size[i] < size[best]) {
				best, bestOpen, bestFeeds = i, open, feeds
			}
		}
		done[best] = true
		order = append(order, best)
	}
	return order
}

func meet(a, b []bool) bool {
	for p := range a {
		if a[p] && b[p] {
			return true
		}
	}
	return false
}

// combinations estimates how many bindings a schema has by its static
// preconditions: the facts of those that bind new variables only, times the
// objects of variables that none mentions.
func (c *grounder) combinations(s *pddl.Schema) float64 {
	bound := make([]bool, c.task.FrameSize(s))
	n := 1.0
	for {
		best, connected := -1, false
		for i, a := range s.Pos {
			if c.task.Predicates[a.Pred].Fluent {
				continue
			}
			fresh, joined := false, false
			for _, arg := range a.Args {
				fresh = fresh || arg >= 0 && !bound[arg]
				joined = joined || arg < 0 || bound[arg]
			}
			if fresh && (best < 0 || joined && !connected ||
				joined == connected && len(c.facts[a.Pred]) < len(c.facts[s.Pos[best].Pred])) {
				best, connected = i, joined
			}
		}
		if best < 0 {
			break
		}
		size := float64(len(c.facts[s.Pos[best].Pred]))
		if connected {
			size = max(1, size/20) // a fan-out, not a product
		}
		n *= size
		for _, arg := range s.Pos[best].Args {
			if arg >= 0 {
				bound[arg] = true
			}
		}
	}
	for _, v := range s.Vars {
		if !bound[v.Slot] {
			n *= float64(len(c.game.ofType(v.Type)))
		}
	}
	return n
}

// settle marks the predicates that action i was the last to make true.
func (c *grounder) settle(i int) {
	c.grounded[i] = true
	for p := range c.task.Predicates {
		whole := true
		for j := range c.task.Schemas {
			s := &c.task.Schemas[j]
			if c.grounded[s.Action] {
				continue
			}
			for _, e := range s.Effects {
				whole = whole && !(e.Add && e.Atom.Pred == p)
			}
		}
		c.whole[p] = whole
	}
}
