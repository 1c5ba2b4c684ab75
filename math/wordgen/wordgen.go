// Package wordgen makes multi-step arithmetic word problems with worked
// solutions, without end and from a seed.
//
// A problem tells how a stock of things changes, a few changes a day:
//
//	Mia has 7 apples. She sells 5, picks 3 and buys 4. She drops 8, buys 4 and sells 2. How many apples are left?
//
// There are two honest ways to write the solution. By parts, each day is a line
// with every stock in between; in the head, one line has all changes and only
// the last stock:
//
//	By parts: 7-5=2, 2+3=5, 5+4=9
//	By parts: 9-8=1, 1+4=5, 5-2=3
//	#### 3
//
//	In the head: 7-5+3+4-8+4-2=3
//	#### 3
//
// All annotated solutions are right. How often an annotator works in the head
// depends on the scene (Config.HeadShare). A small model that imitates them
// learns both habits, but it can only do one of them reliably; which one is for
// the reward to find out.
//
// Cards makes another kind of problems, in which a solution is a chain of many
// decisions (cards.go).
package wordgen

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Config says which problems are made. All fields count; start from DefaultConfig.
type Config struct {
	Seed      uint64    // equal seeds give equal problems
	MinDays   int       // fewest days of a problem, at least 1
	MaxDays   int       // most days of a problem, at most 9
	Changes   int       // changes per day, 2 to 9
	MaxStock  int       // largest stock that occurs, 9 to 999
	MaxChange int       // largest change, 1 to MaxStock
	HeadShare []float64 // per scene: share of annotated solutions done in the head, 0 to 1
}

// DefaultConfig returns the problems of the demo: one-digit numbers, and six
// scenes from mostly careful to mostly hasty annotators.
func DefaultConfig() Config {
	return Config{
		Seed:      1,
		MinDays:   2,
		MaxDays:   2,
		Changes:   3,
		MaxStock:  9,
		MaxChange: 9,
		HeadShare: []float64{0.30, 0.45, 0.60, 0.70, 0.93, 0.95},
	}
}

// Validate names the first field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.MinDays < 1:
		return fmt.Errorf("wordgen: MinDays is %d, must be at least 1", c.MinDays)
	case c.MaxDays < c.MinDays || c.MaxDays > 9:
		return fmt.Errorf("wordgen: MaxDays is %d, must be between MinDays (%d) and 9", c.MaxDays, c.MinDays)
	case c.Changes < 2 || c.Changes > 9:
		return fmt.Errorf("wordgen: Changes is %d, must be between 2 and 9", c.Changes)
	case c.MaxStock < 9 || c.MaxStock > 999:
		return fmt.Errorf("wordgen: MaxStock is %d, must be between 9 and 999", c.MaxStock)
	case c.MaxChange < 1 || c.MaxChange > c.MaxStock:
		return fmt.Errorf("wordgen: MaxChange is %d, must be between 1 and MaxStock (%d)", c.MaxChange, c.MaxStock)
	case len(c.HeadShare) != len(scenes):
		return fmt.Errorf("wordgen: HeadShare has %d entries, must have one per scene (%d)", len(c.HeadShare), len(scenes))
	}
	for i, share := range c.HeadShare {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("wordgen: HeadShare[%d] is %v, must be between 0 and 1", i, share)
		}
	}
	return nil
}

// Problem is a word problem, one annotated solution and the numbers behind both.
type Problem struct {
	ID       string  `json:"id"`
	Question string  `json:"question"`
	Solution string  `json:"solution"` // in one of the two styles, then "#### answer"
	Answer   string  `json:"answer"`
	Scene    string  `json:"scene"`
	Start    int     `json:"start"` // stock before the first day
	Days     [][]int `json:"days"`  // the changes of each day, gains positive
}

// Stocks returns the stock after each day: the last is the answer.
func (p Problem) Stocks() []int {
	stocks := make([]int, len(p.Days))
	stock := p.Start
	for i, changes := range p.Days {
		stock += sum(changes)
		stocks[i] = stock
	}
	return stocks
}

// Generator makes problems one after the other, no question twice. It is not
// safe for concurrent use.
type Generator struct {
	cfg  Config
	rng  *rand.Rand
	seen map[string]bool
	next int
}

// New returns a generator at the start of the seed's sequence.
func New(cfg Config) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Generator{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0)), seen: map[string]bool{}}, nil
}

// Next returns the next n problems, so consecutive calls give disjoint splits.
// It fails only when the configuration has too few different problems.
func (g *Generator) Next(n int) ([]Problem, error) {
	problems, err := fresh(n, g.seen, func() (Problem, string) {
		p := g.draw()
		return p, p.Question
	})
	if err != nil {
		return nil, fmt.Errorf("wordgen: %w: widen MaxStock, MaxChange or MaxDays", err)
	}
	for i := range problems {
		problems[i].ID = fmt.Sprintf("wordgen-%d-%d", g.cfg.Seed, g.next)
		g.next++
	}
	return problems, nil
}

// fresh draws n problems whose questions are not yet among those seen.
func fresh[P any](n int, seen map[string]bool, draw func() (p P, question string)) ([]P, error) {
	problems := make([]P, 0, n)
	for tries := 0; len(problems) < n; tries++ {
		if tries > 1000+20*len(problems) {
			return nil, fmt.Errorf("only %d new problems in %d tries", len(problems), tries)
		}
		p, question := draw()
		if !seen[question] {
			seen[question] = true
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// draw makes one problem: the scene, the numbers, then both texts.
func (g *Generator) draw() Problem {
	i := g.rng.IntN(len(scenes))
	who := people[g.rng.IntN(len(people))]
	p := Problem{Scene: scenes[i].name, Start: 2 + g.rng.IntN(g.cfg.MaxStock-1)}
	stock := p.Start
	for range g.cfg.MinDays + g.rng.IntN(g.cfg.MaxDays-g.cfg.MinDays+1) {
		changes := g.drawChanges(stock)
		p.Days = append(p.Days, changes)
		stock += sum(changes)
	}
	p.Question = scenes[i].question(who, p, g.rng)
	p.Solution = p.Solve(g.drawStyle(i))
	p.Answer = strconv.Itoa(stock)
	return p
}

func (g *Generator) drawStyle(scene int) Style {
	if g.rng.Float64() < g.cfg.HeadShare[scene] {
		return InHead
	}
	return ByParts
}

// drawChanges returns a day's changes; no stock falls below 0 or exceeds MaxStock.
func (g *Generator) drawChanges(stock int) []int {
	changes := make([]int, 0, g.cfg.Changes)
	for len(changes) < g.cfg.Changes {
		change := 1 + g.rng.IntN(g.cfg.MaxChange)
		if g.rng.IntN(2) == 0 {
			change = -change
		}
		if next := stock + change; next >= 0 && next <= g.cfg.MaxStock {
			changes = append(changes, change)
			stock = next
		}
	}
	return changes
}

func sum(changes []int) int {
	total := 0
	for _, change := range changes {
		total += change
	}
	return total
}
