package wordgen

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func ringConfig() RingConfig {
	return RingConfig{Seed: 1, Length: 5, Equal: 0.4, Avoided: []float64{0.05, 0.2, 0.4, 0.65, 0.9}}
}

func generateRing(t *testing.T, cfg RingConfig, n int) []RingProblem {
	t.Helper()
	g, err := NewRing(cfg)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := g.Next(n)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

// The answer follows from the question and the map of the swamps, in which every
// card leaves one choice.
func TestRingAnswersFollowFromTheMap(t *testing.T) {
	const dry = "#.#..#.##." // a dot is a swamp
	cards := regexp.MustCompile(`[a-e](\d):(\d)`)
	for _, p := range generateRing(t, ringConfig(), 1000) {
		at := int(p.Question[len(p.Question)-1] - '0')
		found := cards.FindAllStringSubmatch(p.Question, -1)
		for _, m := range found {
			var ends []int
			for _, n := range slices.Compact(m[1:]) {
				if end := (at + atoi(t, n)) % 10; dry[end] == '#' {
					ends = append(ends, end)
				}
			}
			if len(ends) != 1 {
				t.Fatalf("%s: %s\ncard %s on field %d leads to the dry fields %v", p.ID, p.Question, m[0], at, ends)
			}
			at = ends[0]
		}
		if len(found) != 5 || strconv.Itoa(at) != p.Answer {
			t.Fatalf("%s: %s\nread as %d cards that lead to %d; the answer is said to be %s", p.ID, p.Question, len(found), at, p.Answer)
		}
	}
}

func TestParseRing(t *testing.T) {
	for _, p := range generateRing(t, ringConfig(), 500) {
		got, ok := ParseRing(p.Question + "\n")
		if !ok || got.Start != p.Start || !slices.Equal(got.Cards, p.Cards) {
			t.Fatalf("%s\nread as %+v, %v; want %+v", p.Question, got, ok, p)
		}
	}
	for _, other := range []string{"", "Cards: a3:5. Start", "Cards: . Start: 2", "Cards: b3:5. Start: 2", "Cards: a3:5. Start: 12", "Cards: a3:15. Start: 2", "Cards: a7:5. Start: 2"} {
		if p, ok := ParseRing(other); ok {
			t.Errorf("%q is read as %+v", other, p)
		}
	}
}

func TestCheckStepsOfRing(t *testing.T) {
	check, ok := Checker("Cards: a4:3 b5:5 c6:1. Start: 9") // from 9: 3 is a swamp, 2 is dry; then 7; 3 is a swamp, 8 is dry
	if !ok {
		t.Fatal("no checker")
	}
	for solution, want := range map[string][]bool{
		"a3=2\nb5=7\nc1=8\n#### 8":       {true, true, true, true},
		"a3=2\nb5=7\nc1=8\n#### 8\n":     {true, true, true, true},
		"a4=3\nb5=8\nc6=4\n#### 4":       {false, false, false, false}, // into a swamp
		"a3=2\nb5=7\nc6=3\n#### 3":       {true, true, false, false},
		"a3=2\nb5=8\nc1=9\n#### 9":       {true, false, false, false}, // moved wrongly
		"a3=2\nb6=8\nc1=9\n#### 9":       {true, false, false, false}, // by no number of the card
		"a3=2\nc1=3":                     {true, false},               // a card is left out
		"a3=2\n#### 2":                   {true, false},
		"a3=2\nb5=7\nc1=8\n#### 7":       {true, true, true, false},
		"a3=2\nb5=7\nc1=8\nd1=9\n#### 9": {true, true, true, false, false},
		"a3=2\nb5=7\nc1=8\n#### 8\nyes":  {true, true, true, true, false},
		"":                               {false},
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

// Numbers are equal, and annotators avoid each swamp, as often as the configuration
// says; their sums are right, and so is an answer whose every line is.
func TestSharesOfRing(t *testing.T) {
	cfg := ringConfig()
	type count struct{ n, avoided float64 }
	counts := map[int]*count{}
	for _, s := range swamps {
		counts[s] = &count{}
	}
	equal, n := 0.0, 0.0
	for _, p := range generateRing(t, cfg, 4000) {
		verdicts, at := p.CheckSteps(p.Solution), p.Start
		for i, line := range strings.Split(p.Solution, "\n")[:cfg.Length] {
			m := ringLine.FindStringSubmatch(line)
			if m == nil || (at+digit(m[2]))%fields != digit(m[3]) || !slices.Contains(p.Cards[i][:], digit(m[2])) {
				t.Fatalf("%s: %s\n%s", p.ID, p.Question, p.Solution)
			}
			if n++; p.Cards[i][0] == p.Cards[i][1] {
				equal++
			} else if i == 0 || verdicts[i-1] {
				other := p.Cards[i][0] + p.Cards[i][1] - right(at, p.Cards[i])
				c := counts[(at+other)%fields]
				if c.n++; verdicts[i] {
					c.avoided++
				}
			}
			at = digit(m[3])
		}
		if last := verdicts[len(verdicts)-1]; last && !strings.HasSuffix(p.Solution, "#### "+p.Answer) {
			t.Fatalf("%s: every line of\n%s\nis right; the answer is said to be %s", p.ID, p.Solution, p.Answer)
		}
	}
	near := func(what string, got, want, n float64) {
		if math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%s: %.3f of %.0f, want %.3f", what, got, n, want)
		}
	}
	near("equal numbers", equal/n, cfg.Equal, n)
	for i, s := range swamps {
		near("swamp "+strconv.Itoa(s), counts[s].avoided/counts[s].n, cfg.Avoided[i], counts[s].n)
	}
}

func TestRingSplitsAreDisjointAndRepeatable(t *testing.T) {
	problems := generateRing(t, ringConfig(), 2000)
	g, err := NewRing(ringConfig())
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
	other := ringConfig()
	other.Seed = 2
	if generateRing(t, other, 1)[0].Question == problems[0].Question {
		t.Error("seeds 1 and 2 begin with the same problem")
	}
	few := ringConfig()
	few.Length = 1
	if g, err = NewRing(few); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Next(10_000); err == nil || !strings.Contains(err.Error(), "new problems") {
		t.Errorf("error %v", err)
	}
}

func TestBadRingConfigIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*RingConfig){
		"Length is 0":           func(c *RingConfig) { c.Length = 0 },
		"Length is 10":          func(c *RingConfig) { c.Length = 10 },
		"Equal is NaN":          func(c *RingConfig) { c.Equal = math.NaN() },
		"Avoided has 1 entries": func(c *RingConfig) { c.Avoided = c.Avoided[:1] },
		"Avoided[1] is 1.5":     func(c *RingConfig) { c.Avoided[1] = 1.5 },
	} {
		cfg := ringConfig()
		spoil(&cfg)
		if _, err := NewRing(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to contain %q", err, want)
		}
	}
}
