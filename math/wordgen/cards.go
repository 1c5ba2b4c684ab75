package wordgen

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Rule says which of a card's two numbers counts.
type Rule int

// The two rules.
const (
	Left  Rule = iota // the left number
	Right             // the right one
)

// CardsConfig says which problems about cards are made: chains of steps in which
// each step has a decision of its own.
//
// A piece stands on one of ten fields, 0 to 9 in a ring. Every card has an animal
// and two numbers and moves the piece on by one of them, by the left or by the
// right one, which depends on the animal. Fields 0 and 5 are water, which the right
// way never touches. Neither is written anywhere. A solution has a line for each
// card, with < if the left number is to count, > if the right one is:
//
//	Cards: fox3:5 hen4:1. Where to from 2?
//
//	fox>5=7
//	hen<4=1
//	#### 1
//
// The name comes first, so that it is no part of the decision: another name cannot
// stand for another rule.
//
// Annotators know the rules of some animals better than those of others
// (Knowledge), so that not every annotated solution is right. Often both numbers are the
// same (Agree): a wrong rule may go unpunished for long, and a reward at the
// end says little about any one of the decisions on the way. Where they differ, the
// wrong one mostly leads into water (Water), as a mistake in a count of apples may
// leave less than none: that a step was wrong is then easily seen behind it, while
// to see it ahead takes the sum of two numbers that are not yet written. Hence
// a critic can know more of steps than a policy does, and search can gain.
type CardsConfig struct {
	Seed      uint64    // equal seeds give equal problems
	Length    int       // cards in a problem, 1 to Animals
	Animals   int       // kinds of cards, even, 2 to 60
	Agree     float64   // share of cards with two equal numbers, 0 to 1
	Water     float64   // share of the wrong numbers that lead into water, 0 to 1
	Knowledge []float64 // chance that annotators use an animal's own rule, from the first to the last pair of animals; those between are interpolated
}

// Validate names the first field that is out of range.
func (c CardsConfig) Validate() error {
	switch {
	case c.Animals < 2 || c.Animals > len(animals) || c.Animals%2 == 1:
		return fmt.Errorf("wordgen: Animals is %d, must be even, between 2 and %d", c.Animals, len(animals))
	case c.Length < 1 || c.Length > c.Animals:
		return fmt.Errorf("wordgen: Length is %d, must be between 1 and Animals (%d)", c.Length, c.Animals)
	case !(c.Agree >= 0 && c.Agree <= 1):
		return fmt.Errorf("wordgen: Agree is %v, must be between 0 and 1", c.Agree)
	case !(c.Water >= 0 && c.Water <= 1):
		return fmt.Errorf("wordgen: Water is %v, must be between 0 and 1", c.Water)
	case len(c.Knowledge) == 0:
		return fmt.Errorf("wordgen: Knowledge is empty, must have one entry at least")
	}
	for i, share := range c.Knowledge {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("wordgen: Knowledge[%d] is %v, must be between 0 and 1", i, share)
		}
	}
	return nil
}

// animals in the order of their knowledge, two of each: the first of a pair goes
// by the left number, the other by the right one.
var animals = strings.Fields("ant ape bat bear bee boar cat cod cow crab crow deer dog dove duck eel elk emu ewe finch " +
	"fish fly foal fox frog goat hare hawk hen jay kid lamb lark lion lynx mole moth mule newt owl " +
	"ox pig pony puma ram rat seal shark slug swan tick toad trout viper wasp wolf worm wren yak zebra")

// ruleOf tells which of an animal's numbers counts.
var ruleOf = func() map[string]Rule {
	m := map[string]Rule{}
	for i, animal := range animals {
		m[animal] = Rule(i % 2)
	}
	return m
}()

// Card is a card of a problem.
type Card struct {
	Animal string
	A, B   int // 1 to 6, in the order of the question
}

// Moves says how far a card moves the piece by a rule.
func (c Card) Moves(r Rule) int {
	if r == Right {
		return c.B
	}
	return c.A
}

// takenBy is the beginning of a line that goes by a rule.
func (c Card) takenBy(r Rule) string {
	if r == Right {
		return c.Animal + ">"
	}
	return c.Animal + "<"
}

const (
	fields = 10 // of the ring
	most   = 6  // largest number on a card
)

// CardsProblem is a problem about cards and one annotated solution.
type CardsProblem struct {
	ID       string
	Question string
	Solution string // what an annotator wrote, who may have been wrong
	Answer   string // the right one
	Start    int    // field
	Cards    []Card
}

// Solve writes a solution by a rule for each card. It panics unless there is one.
func (p CardsProblem) Solve(rules []Rule) string {
	if len(rules) != len(p.Cards) {
		panic(fmt.Sprintf("wordgen: %d rules for %d cards", len(rules), len(p.Cards)))
	}
	var b strings.Builder
	at := p.Start
	for i, card := range p.Cards {
		n := card.Moves(rules[i])
		at = (at + n) % fields
		fmt.Fprintf(&b, "%s%d=%d\n", card.takenBy(rules[i]), n, at)
	}
	fmt.Fprintf(&b, "%s%d", answerMark, at)
	return b.String()
}

// rules that are right.
func (p CardsProblem) rules() []Rule {
	rules := make([]Rule, len(p.Cards))
	for i, card := range p.Cards {
		rules[i] = ruleOf[card.Animal]
	}
	return rules
}

// Cards makes problems about cards one after the other, no question twice. It is
// not safe for concurrent use.
type Cards struct {
	cfg  CardsConfig
	rng  *rand.Rand
	seen map[string]bool
	next int
}

// NewCards returns a generator at the start of the seed's sequence.
func NewCards(cfg CardsConfig) (*Cards, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Cards{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), seen: map[string]bool{}}, nil
}

// Next returns the next n problems, so consecutive calls give disjoint splits.
// It fails only when the configuration has too few different problems.
func (g *Cards) Next(n int) ([]CardsProblem, error) {
	problems, err := fresh(n, g.seen, func() (CardsProblem, string) {
		p := g.draw()
		return p, p.Question
	})
	if err != nil {
		return nil, fmt.Errorf("wordgen: %w: widen Length or Animals", err)
	}
	for i := range problems {
		problems[i].ID = fmt.Sprintf("cards-%d-%d", g.cfg.Seed, g.next)
		g.next++
	}
	return problems, nil
}

func (g *Cards) draw() CardsProblem {
	p := CardsProblem{Start: g.move(0, 0, fields-1, false)}
	at := p.Start
	rules := make([]Rule, g.cfg.Length)
	var cards []string
	for i, k := range g.rng.Perm(g.cfg.Animals)[:g.cfg.Length] {
		card := g.drawCard(animals[k], at)
		at = (at + card.Moves(ruleOf[card.Animal])) % fields
		p.Cards = append(p.Cards, card)
		cards = append(cards, fmt.Sprintf("%s%d:%d", card.Animal, card.A, card.B))
		rules[i] = ruleOf[card.Animal]
		if g.rng.Float64() >= g.cfg.knowledge(k) {
			rules[i] = 1 - rules[i]
		}
	}
	p.Question = fmt.Sprintf("Cards: %s. Where to from %d?", strings.Join(cards, " "), p.Start)
	p.Solution = p.Solve(rules)
	_, answer, _ := strings.Cut(p.Solve(p.rules()), answerMark)
	p.Answer = answer
	return p
}

// drawCard draws a card for a piece on field at, which is on land.
func (g *Cards) drawCard(animal string, at int) Card {
	right := g.move(at, 1, most, false)
	wrong := right
	if g.rng.Float64() >= g.cfg.Agree {
		for water := g.rng.Float64() < g.cfg.Water; wrong == right; {
			wrong = g.move(at, 1, most, water)
		}
	}
	if ruleOf[animal] == Right {
		return Card{animal, wrong, right}
	}
	return Card{animal, right, wrong}
}

// move draws a number, lo to hi, by which a piece gets from a field into water or
// onto land; there must be one.
func (g *Cards) move(at, lo, hi int, water bool) int {
	for {
		n := lo + g.rng.IntN(hi-lo+1)
		if isWater((at+n)%fields) == water {
			return n
		}
	}
}

// isWater tells fields 0 and 5: one of the moves 1 to 6 leads there from any other.
func isWater(field int) bool { return field%5 == 0 }

// knowledge is the chance that annotators use the right rule for animal k.
func (c CardsConfig) knowledge(k int) float64 {
	last := len(c.Knowledge) - 1
	pairs := c.Animals / 2
	if last == 0 || pairs == 1 {
		return c.Knowledge[0]
	}
	x := float64(k/2*last) / float64(pairs-1)
	i := min(int(x), last-1)
	return c.Knowledge[i] + (x-float64(i))*(c.Knowledge[i+1]-c.Knowledge[i])
}

var (
	cardsQuestion = regexp.MustCompile(`^Cards: (\S.*)\. Where to from (\d)\?\s*$`)
	cardText      = regexp.MustCompile(`^([a-z]+)(\d):(\d)$`)
	cardLine      = regexp.MustCompile(`^([a-z]+[<>])(\d)=(\d)$`)
)

// ParseCards reads a question about cards back into start and cards. ok is false
// for any other text.
func ParseCards(question string) (p CardsProblem, ok bool) {
	m := cardsQuestion.FindStringSubmatch(question)
	if m == nil {
		return p, false
	}
	p.Start = digit(m[2])
	for _, text := range strings.Fields(m[1]) {
		m := cardText.FindStringSubmatch(text)
		if m == nil || !slices.Contains(animals, m[1]) {
			return CardsProblem{}, false
		}
		p.Cards = append(p.Cards, Card{m[1], digit(m[2]), digit(m[3])})
	}
	return p, true
}

func digit(s string) int { return int(s[0] - '0') }

// CheckSteps tells for each line of a solution whether the solution is right up to
// its end: it takes the next card, names a rule that gives the right number, which
// the wrong rule may, and moves by it; the answer line follows the last card and
// gives the last field. After the first wrong line all are wrong.
func (p CardsProblem) CheckSteps(solution string) []bool {
	lines := strings.Split(strings.TrimSuffix(solution, "\n"), "\n")
	right := make([]bool, len(lines))
	at := p.Start
	for i, line := range lines {
		switch m := cardLine.FindStringSubmatch(line); {
		case i == len(p.Cards):
			right[i] = line == answerMark+strconv.Itoa(at)
		case i < len(p.Cards) && m != nil:
			card := p.Cards[i]
			n := card.Moves(ruleOf[card.Animal])
			at = (at + n) % fields
			taken := m[1] == card.takenBy(Left) && card.Moves(Left) == n || m[1] == card.takenBy(Right) && card.Moves(Right) == n
			right[i] = taken && digit(m[2]) == n && digit(m[3]) == at
		}
		if !right[i] {
			break
		}
	}
	return right
}
