package wordgen

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func cardsConfig() CardsConfig {
	return CardsConfig{Seed: 1, Length: 5, Animals: 20, Agree: 0.6, Water: 0.7, Knowledge: []float64{0.2, 0.9}}
}

func generateCards(t *testing.T, cfg CardsConfig, n int) []CardsProblem {
	t.Helper()
	g, err := NewCards(cfg)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := g.Next(n)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// The answer follows from the words of the question, every second animal of the
// alphabet going by the right number.
func TestCardsAnswersFollowFromTheWords(t *testing.T) {
	cards := regexp.MustCompile(`([a-z]+)(\d):(\d)`)
	if !slices.IsSorted(animals) || len(animals) != 60 {
		t.Errorf("%d animals, in the order of the alphabet: %v", len(animals), slices.IsSorted(animals))
	}
	for _, p := range generateCards(t, cardsConfig(), 1000) {
		at := int(p.Question[len(p.Question)-2] - '0')
		found := cards.FindAllStringSubmatch(p.Question, -1)
		for _, m := range found {
			if at%5 == 0 {
				t.Errorf("%s: %s\nthe right way leads through the water at %d", p.ID, p.Question, at%10)
			}
			at += atoi(t, m[2+slices.Index(animals, m[1])%2])
		}
		if at%5 == 0 {
			t.Errorf("%s: %s\nthe right way ends in the water at %d", p.ID, p.Question, at%10)
		}
		if len(found) != 5 || strconv.Itoa(at%10) != p.Answer {
			t.Fatalf("%s: %s\nread as %d cards that lead to %d; the answer is said to be %s", p.ID, p.Question, len(found), at%10, p.Answer)
		}
	}
}

func TestCardsSolve(t *testing.T) {
	p, ok := ParseCards("Cards: fox3:5 owl4:1 ant9:8. Where to from 2?\n")
	if !ok {
		t.Fatal("the question is not read")
	}
	if got, want := p.Solve([]Rule{Right, Left, Left}), "fox>5=7\nowl<4=1\nant<9=0\n#### 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseCards(t *testing.T) {
	for _, p := range generateCards(t, cardsConfig(), 500) {
		got, ok := ParseCards(p.Question)
		if !ok || got.Start != p.Start || !slices.Equal(got.Cards, p.Cards) {
			t.Fatalf("%s\nread as %+v, %v; want %+v", p.Question, got, ok, p)
		}
	}
	for _, other := range []string{"", "Cards: fox3:5. Where", "Cards: . Where to from 2?", "Cards: dragon3:5. Where to from 2?", "Cards: fox3:5. Where to from 12?", "Cards: fox3:15. Where to from 2?"} {
		if p, ok := ParseCards(other); ok {
			t.Errorf("%q is read as %+v", other, p)
		}
	}
}

func TestCheckStepsOfCards(t *testing.T) {
	// Ants go by the left number, apes and bears by the right one.
	check, ok := Checker("Cards: ape3:5 ant9:9 bear1:4. Where to from 2?")
	if !ok {
		t.Fatal("no checker")
	}
	for solution, want := range map[string][]bool{
		"ape>5=7\nant<9=6\nbear>4=0\n#### 0":          {true, true, true, true},
		"ape>5=7\nant>9=6\nbear>4=0\n#### 0\n":        {true, true, true, true}, // both rules agree
		"ape<3=5\nant<9=4\nbear>4=8\n#### 8":          {false, false, false, false},
		"ape>5=7\nant<9=5\nbear>4=9\n#### 9":          {true, false, false, false},  // moved wrongly
		"ape>5=7\nbear>4=1":                           {true, false},                // a card is left out
		"bear>5=7\nant<9=6\nbear>4=0\n#### 0":         {false, false, false, false}, // another animal's name
		"ape>5=7\n#### 7":                             {true, false},
		"ape>5=7\nant<9=6\nbear>4=0\n#### 1":          {true, true, true, false},
		"ape>5=7\nant<9=6\nbear>4=0\nowl>4=4\n#### 4": {true, true, true, false, false},
		"ape>5=7\nant<9=6\nbear>4=0\n#### 0\nyes":     {true, true, true, true, false},
		"": {false},
	} {
		if got := check(solution); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", solution, got, want)
		}
	}
	if _, ok := Checker("Mia has 7 apples. She sells 5, picks 3 and buys 4. How many apples are left?"); !ok {
		t.Error("no checker for the other kind of problems")
	}
	if _, ok := Checker("What is 2+3?"); ok {
		t.Error("a checker for a question of nobody's")
	}
}

// Rules agree, and annotators know them, as often as the configuration says.
func TestSharesOfCards(t *testing.T) {
	cfg := cardsConfig()
	type count struct{ n, known float64 }
	counts := map[string]count{}
	agree, n, right, wet := 0.0, 0.0, 0.0, 0.0
	problems := generateCards(t, cfg, 4000)
	for _, p := range problems {
		lines := strings.Split(p.Solution, "\n")
		at := p.Start
		for i, card := range p.Cards {
			rule := ruleOf[card.Animal]
			if other := (at + card.Moves(1-rule)) % 10; card.A != card.B && other%5 == 0 {
				wet++
			}
			at += card.Moves(rule)
			c := counts[card.Animal]
			c.n, n = c.n+1, n+1
			if strings.HasPrefix(lines[i], card.takenBy(ruleOf[card.Animal])) {
				c.known++
			}
			if counts[card.Animal] = c; card.Moves(Left) == card.Moves(Right) {
				agree++
			}
		}
		if !slices.Contains(p.CheckSteps(p.Solution), false) {
			right++
		}
	}
	near := func(what string, got, want, n float64) {
		if math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%s: %.3f of %.0f, want %.3f", what, got, n, want)
		}
	}
	near("rules that agree", agree/n, cfg.Agree, n)
	near("wrong numbers that lead into water", wet/(n-agree), cfg.Water, n-agree)
	for k, animal := range animals[:cfg.Animals] {
		near(animal, counts[animal].known/counts[animal].n, 0.2+0.7*float64(k/2)/9, counts[animal].n)
	}
	if share := right / float64(len(problems)); share < 0.2 || share > 0.5 { // 0.82^5 = 0.37
		t.Errorf("%.3f of the annotated solutions are right", share)
	}
}

func TestCardsSplitsAreDisjointAndRepeatable(t *testing.T) {
	problems := generateCards(t, cardsConfig(), 2000)
	g, err := NewCards(cardsConfig())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 4 {
		some, err := g.Next(500)
		if err != nil {
			t.Fatal(err)
		}
		for j, p := range some {
			if again := problems[500*i+j]; again.Question != p.Question || again.Solution != p.Solution || again.ID != p.ID {
				t.Fatalf("%s differs between two runs of one seed", p.ID)
			}
			if seen[p.Question] {
				t.Fatalf("%s comes twice", p.Question)
			}
			seen[p.Question] = true
		}
	}
	other := cardsConfig()
	other.Seed = 2
	if generateCards(t, other, 1)[0].Question == problems[0].Question {
		t.Error("seeds 1 and 2 begin with the same problem")
	}
	few := cardsConfig()
	few.Length, few.Animals = 1, 2
	if g, err = NewCards(few); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Next(10_000); err == nil || !strings.Contains(err.Error(), "new problems") {
		t.Errorf("error %v", err)
	}
}

func TestBadCardsConfigIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*CardsConfig){
		"Animals is 1,":       func(c *CardsConfig) { c.Animals = 1 },
		"Animals is 61":       func(c *CardsConfig) { c.Animals = 61 },
		"Length is 0":         func(c *CardsConfig) { c.Length = 0 },
		"Length is 21":        func(c *CardsConfig) { c.Length = 21 },
		"Agree is NaN":        func(c *CardsConfig) { c.Agree = math.NaN() },
		"Water is 2,":         func(c *CardsConfig) { c.Water = 2 },
		"Knowledge is empty":  func(c *CardsConfig) { c.Knowledge = nil },
		"Knowledge[1] is 1.5": func(c *CardsConfig) { c.Knowledge[1] = 1.5 },
	} {
		cfg := cardsConfig()
		spoil(&cfg)
		if _, err := NewCards(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to contain %q", err, want)
		}
	}
}
