package wordgen

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// RingConfig says which problems about a ring are made: chains of steps in which
// each step has a decision of its own, whose outcome is easier to see than to
// foresee.
//
// A piece stands on one of ten fields, 0 to 9 in a ring. Every card moves it on by
// one of two numbers. Some fields are swamps: a piece must not land there. Which
// they are is nowhere written. A solution has a line for each card, with the number
// chosen and the field reached:
//
//	Cards: a2:6 b4:2. Start: 9
//
//	a6=5
//	b2=7
//	#### 7
//
// Here a2 and b4 lead to the swamps 1 and 9. Who chooses has to add both numbers in
// the head; who reads the line sees where it led. The answer is the last field,
// which a wrong way may reach, too: a reward may be undeserved.
//
// Annotators avoid some of the swamps more often than others (Avoided), so that not
// every annotated solution is right. Some cards have two equal numbers (Equal).
type RingConfig struct {
	Seed    uint64    // equal seeds give equal problems
	Length  int       // cards in a problem, 1 to 9
	Equal   float64   // share of cards with two equal numbers, 0 to 1
	Avoided []float64 // for each swamp: chance that annotators go round it when they can, 0 to 1
}

// swamps among the fields 0 to 9: from every field there are swamps and dry fields
// within reach.
var swamps = []int{1, 3, 4, 6, 9}

const (
	fields = 10 // of the ring
	most   = 6  // largest number on a card
)

// Validate names the first field that is out of range.
func (c RingConfig) Validate() error {
	switch {
	case c.Length < 1 || c.Length > 9:
		return fmt.Errorf("wordgen: Length is %d, must be between 1 and 9", c.Length)
	case !(c.Equal >= 0 && c.Equal <= 1):
		return fmt.Errorf("wordgen: Equal is %v, must be between 0 and 1", c.Equal)
	case len(c.Avoided) != len(swamps):
		return fmt.Errorf("wordgen: Avoided has %d entries, must have one per swamp (%d)", len(c.Avoided), len(swamps))
	}
	for i, share := range c.Avoided {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("wordgen: Avoided[%d] is %v, must be between 0 and 1", i, share)
		}
	}
	return nil
}

// Card has two numbers, 1 to 6, in the order of the question.
type Card [2]int

// RingProblem is a problem about a ring and one annotated solution.
type RingProblem struct {
	ID       string
	Question string
	Solution string // what an annotator wrote, who may have been wrong
	Answer   string // the right one
	Start    int    // field
	Cards    []Card // behind the right numbers of those before, one number of each leads to a swamp, or none of two equal ones
}

// Solve writes the solution of somebody who chooses between the numbers of a card,
// knowing where the piece stands.
func (p RingProblem) Solve(choose func(at int, card Card) int) string {
	var b strings.Builder
	at := p.Start
	for i, card := range p.Cards {
		n := choose(at, card)
		at = (at + n) % fields
		fmt.Fprintf(&b, "%c%d=%d\n", label(i), n, at)
	}
	fmt.Fprintf(&b, "%s%d", answerMark, at)
	return b.String()
}

func label(card int) byte { return byte('a' + card) }

// right is the number of a card that does not lead to a swamp.
func right(at int, card Card) int {
	if slices.Contains(swamps, (at+card[0])%fields) {
		return card[1]
	}
	return card[0]
}

// Ring makes problems one after the other, no question twice. It is not safe for
// concurrent use.
type Ring struct {
	cfg  RingConfig
	rng  *rand.Rand
	seen map[string]bool
	next int
}

// NewRing returns a generator at the start of the seed's sequence.
func NewRing(cfg RingConfig) (*Ring, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Ring{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), seen: map[string]bool{}}, nil
}

// Next returns the next n problems, so consecutive calls give disjoint splits.
// It fails only when the configuration has too few different problems.
func (g *Ring) Next(n int) ([]RingProblem, error) {
	problems, err := fresh(n, g.seen, func() (RingProblem, string) {
		p := g.draw()
		return p, p.Question
	})
	if err != nil {
		return nil, fmt.Errorf("wordgen: %w: widen Length", err)
	}
	for i := range problems {
		problems[i].ID = fmt.Sprintf("ring-%d-%d", g.cfg.Seed, g.next)
		g.next++
	}
	return problems, nil
}

func (g *Ring) draw() RingProblem {
	p := RingProblem{Start: g.rng.IntN(fields)}
	var cards []string
	at := p.Start
	for i := range g.cfg.Length {
		dry := g.number(at, false)
		card := Card{dry, dry}
		if g.rng.Float64() >= g.cfg.Equal {
			card[g.rng.IntN(2)] = g.number(at, true)
		}
		at = (at + dry) % fields
		p.Cards = append(p.Cards, card)
		cards = append(cards, fmt.Sprintf("%c%d:%d", label(i), card[0], card[1]))
	}
	p.Answer = strconv.Itoa(at)
	p.Question = fmt.Sprintf("Cards: %s. Start: %d", strings.Join(cards, " "), p.Start)
	p.Solution = p.Solve(g.annotator)
	return p
}

// number leads from a field to a swamp, or to a dry field.
func (g *Ring) number(at int, swamp bool) int {
	for {
		if n := 1 + g.rng.IntN(most); slices.Contains(swamps, (at+n)%fields) == swamp {
			return n
		}
	}
}

// annotator goes round some swamps more often than others and, behind a wrong
// step, takes any number where that is no choice.
func (g *Ring) annotator(at int, card Card) int {
	first, second := slices.Index(swamps, (at+card[0])%fields), slices.Index(swamps, (at+card[1])%fields)
	share := 0.5 // chance of the first number
	switch {
	case first >= 0 && second < 0:
		share = 1 - g.cfg.Avoided[first]
	case first < 0 && second >= 0:
		share = g.cfg.Avoided[second]
	}
	if g.rng.Float64() < share {
		return card[0]
	}
	return card[1]
}

var (
	ringQuestion = regexp.MustCompile(`^Cards: (\S.*)\. Start: (\d)\s*$`)
	ringCard     = regexp.MustCompile(`^([a-i])([1-6]):([1-6])$`)
	ringLine     = regexp.MustCompile(`^([a-i])(\d)=(\d)$`)
)

// ParseRing reads a question about a ring back into start and cards. ok is false
// for any other text.
func ParseRing(question string) (p RingProblem, ok bool) {
	m := ringQuestion.FindStringSubmatch(question)
	if m == nil {
		return p, false
	}
	p.Start = digit(m[2])
	for i, text := range strings.Fields(m[1]) {
		m := ringCard.FindStringSubmatch(text)
		if m == nil || m[1][0] != label(i) {
			return RingProblem{}, false
		}
		p.Cards = append(p.Cards, Card{digit(m[2]), digit(m[3])})
	}
	return p, true
}

func digit(s string) int { return int(s[0] - '0') }

// CheckSteps tells for each line of a solution whether the solution is right up to
// its end: it takes the right number of the next card and moves by it; the answer
// line follows the last card and gives the last field. After the first wrong line
// all are wrong.
func (p RingProblem) CheckSteps(solution string) []bool {
	lines := strings.Split(strings.TrimSuffix(solution, "\n"), "\n")
	verdicts := make([]bool, len(lines))
	at := p.Start
	for i, line := range lines {
		switch m := ringLine.FindStringSubmatch(line); {
		case i == len(p.Cards):
			verdicts[i] = line == answerMark+strconv.Itoa(at)
		case i < len(p.Cards) && m != nil:
			n := right(at, p.Cards[i])
			at = (at + n) % fields
			verdicts[i] = m[1][0] == label(i) && digit(m[2]) == n && digit(m[3]) == at
		}
		if !verdicts[i] {
			break
		}
	}
	return verdicts
}
