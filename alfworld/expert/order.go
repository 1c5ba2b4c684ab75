package expert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// surfaces and the like come before what has to be opened, and what holds many
// things before what holds few.
var rank = func() map[string]int {
	m := map[string]int{}
	for i, kind := range strings.Fields(`countertop diningtable desk sidetable coffeetable dresser
		shelf bed sofa armchair tvstand ottoman stoveburner sinkbasin sink fridge microwave cabinet
		drawer safe toilet bathtubbasin handtowelholder towelholder toiletpaperhanger cart
		coffeemachine toaster garbagecan laundryhamper`) {
		m[kind] = i + 1
	}
	return m
}()

func (p *planner) byName() []*receptacle {
	order := slices.Clone(p.receptacles)
	slices.SortFunc(order, func(a, b *receptacle) int {
		if c := strings.Compare(a.kind, b.kind); c != 0 {
			return c
		}
		return cmp.Compare(number(a.name), number(b.name))
	})
	return order
}

func number(name string) int {
	_, digits, _ := strings.Cut(name, " ")
	n, _ := strconv.Atoi(digits)
	return n
}

// listed is the order in which a room's description names receptacles: kinds by
// the alphabet, the highest number first.
func (p *planner) listed() []*receptacle {
	order := slices.Clone(p.receptacles)
	slices.SortFunc(order, func(a, b *receptacle) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), cmp.Compare(number(b.name), number(a.name)))
	})
	return order
}

// likely lists the receptacles in the order in which an object of a kind is
// looked for: where such things go before where they do not, kind by kind, each
// kind by number. The seed swaps neighbouring kinds now and then.
func (p *planner) likely(kind string) []*receptacle {
	jitter := map[string]float64{}
	order := p.byName()
	for _, r := range order {
		if _, known := jitter[r.kind]; !known {
			jitter[r.kind] = 3 * p.rng.Float64()
		}
	}
	score := func(r *receptacle) float64 {
		n, known := rank[r.kind]
		if !known {
			n = 40
		}
		if !p.fits[[2]string{r.kind, kind}] {
			n += 100
		}
		return float64(n) + jitter[r.kind]
	}
	slices.SortStableFunc(order, func(a, b *receptacle) int { return cmp.Compare(score(a), score(b)) })
	return order
}

func (w *world) clone() *world {
	c := &world{at: w.at, fits: w.fits}
	recs := map[*receptacle]*receptacle{}
	for _, r := range w.receptacles {
		n := *r
		n.holds = nil
		recs[r] = &n
		c.receptacles = append(c.receptacles, &n)
	}
	for _, o := range w.objects {
		n := *o
		n.traits = map[string]bool{}
		for k, v := range o.traits {
			n.traits[k] = v
		}
		if n.in != nil {
			if n.in = recs[o.in]; n.in != nil {
				n.in.holds = append(n.in.holds, &n)
			}
		}
		if w.held == o {
			c.held = &n
		}
		c.objects = append(c.objects, &n)
	}
	return c
}
