package wordgen

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func generate(t *testing.T, cfg Config, n int) []Problem {
	t.Helper()
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := g.Next(n)
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

var words = regexp.MustCompile(`(\w+) (\d+)`)

// solve answers a question from its words alone.
func solve(question string) (int, error) {
	stock := 0
	for _, m := range words.FindAllStringSubmatch(question, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return 0, err
		}
		switch {
		case m[1] == "has":
			stock = n
		case isGain(m[1]):
			stock += n
		case isLoss(m[1]):
			stock -= n
		default:
			return 0, fmt.Errorf("cannot read %q", m[0])
		}
	}
	return stock, nil
}

func isGain(verb string) bool {
	return slices.ContainsFunc(scenes, func(s scene) bool { return slices.Contains(s.gains, verb) })
}

func isLoss(verb string) bool {
	return slices.ContainsFunc(scenes, func(s scene) bool { return slices.Contains(s.losses, verb) })
}

func TestAnswersFollowFromTheWords(t *testing.T) {
	cfg := DefaultConfig()
	for _, p := range generate(t, cfg, 3000) {
		got, err := solve(p.Question)
		if err != nil || strconv.Itoa(got) != p.Answer {
			t.Fatalf("%s: %s\nread back as %d, %v; the answer is said to be %s", p.ID, p.Question, got, err, p.Answer)
		}
		if !strings.HasSuffix(p.Solution, "\n#### "+p.Answer) {
			t.Fatalf("%s: the solution ends otherwise: %s", p.ID, p.Solution)
		}
		for i, stock := range p.Stocks() {
			if stock < 0 || stock > cfg.MaxStock || len(p.Days[i]) != cfg.Changes {
				t.Fatalf("%s: day %d has changes %v and leaves %d", p.ID, i, p.Days[i], stock)
			}
		}
	}
}

// Each equation in a solution is true by plain evaluation.
func TestEveryEquationHolds(t *testing.T) {
	equation := regexp.MustCompile(`([-+\d]+)=(\d+)`)
	term := regexp.MustCompile(`[-+]?\d+`)
	for _, p := range generate(t, DefaultConfig(), 1000) {
		want := map[Style]int{InHead: 1, ByParts: len(p.Days) * len(p.Days[0])}[StyleOf(p.Solution)]
		found := equation.FindAllStringSubmatch(p.Solution, -1)
		if len(found) != want {
			t.Fatalf("%s: %d equations, want %d:\n%s", p.ID, len(found), want, p.Solution)
		}
		for _, m := range found {
			total := 0
			for _, number := range term.FindAllString(m[1], -1) {
				total += atoi(t, number)
			}
			if total != atoi(t, m[2]) {
				t.Fatalf("%s: %s, should be %d", p.ID, m[0], total)
			}
		}
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSeedDecidesEverything(t *testing.T) {
	a, b := generate(t, DefaultConfig(), 50), generate(t, DefaultConfig(), 50)
	for i := range a {
		if a[i].Question != b[i].Question || a[i].Solution != b[i].Solution {
			t.Fatalf("problem %d differs between two runs of one seed", i)
		}
	}
	other := DefaultConfig()
	other.Seed = 2
	if generate(t, other, 1)[0].Question == a[0].Question {
		t.Error("seeds 1 and 2 begin with the same problem")
	}
}

func TestSplitsAreDisjoint(t *testing.T) {
	g, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	questions, ids := map[string]bool{}, map[string]bool{}
	for range 4 {
		problems, err := g.Next(2000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if questions[p.Question] || ids[p.ID] {
				t.Fatalf("%s comes twice: %s", p.ID, p.Question)
			}
			questions[p.Question], ids[p.ID] = true, true
		}
	}
}

func TestHeadShareOfEachScene(t *testing.T) {
	cfg := DefaultConfig()
	all, head := map[string]float64{}, map[string]float64{}
	for _, p := range generate(t, cfg, 6000) {
		style := StyleOf(p.Solution)
		if style == Unknown || p.Solution != p.Solve(style) {
			t.Fatalf("%s: annotated as %s: %s", p.ID, style, p.Solution)
		}
		all[p.Scene]++
		if style == InHead {
			head[p.Scene]++
		}
	}
	for i, s := range scenes {
		want := cfg.HeadShare[i]
		if got := head[s.name] / all[s.name]; math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/all[s.name]) {
			t.Errorf("%s: %.3f of %.0f solutions in the head, want %.2f", s.name, got, all[s.name], want)
		}
	}
}

func TestSolve(t *testing.T) {
	p := Problem{Start: 7, Days: [][]int{{5, -3, 6}, {-8, 4, -2}}}
	for style, want := range map[Style]string{
		ByParts: "By parts: 7+5=12, 12-3=9, 9+6=15\nBy parts: 15-8=7, 7+4=11, 11-2=9\n#### 9",
		InHead:  "In the head: 7+5-3+6-8+4-2=9\n#### 9",
	} {
		if got := p.Solve(style); got != want || StyleOf(got) != style {
			t.Errorf("%s: %q, read back as %s; want %q", style, got, StyleOf(got), want)
		}
	}
	if StyleOf("nonsense") != Unknown || StyleOf("") != Unknown {
		t.Error("other text has a style")
	}
}

func TestBadConfigIsNamed(t *testing.T) {
	tests := map[string]func(*Config){
		"MinDays is 0":         func(c *Config) { c.MinDays = 0 },
		"MaxDays is 1":         func(c *Config) { c.MaxDays = 1 },
		"MaxDays is 10":        func(c *Config) { c.MaxDays = 10 },
		"Changes is 1,":        func(c *Config) { c.Changes = 1 },
		"MaxStock is 8,":       func(c *Config) { c.MaxStock = 8 },
		"MaxChange is 0":       func(c *Config) { c.MaxChange = 0 },
		"MaxChange is 10":      func(c *Config) { c.MaxChange = 10 },
		"HeadShare has 0":      func(c *Config) { c.HeadShare = nil },
		"HeadShare[0] is NaN":  func(c *Config) { c.HeadShare[0] = math.NaN() },
		"HeadShare[5] is 1.01": func(c *Config) { c.HeadShare[5] = 1.01 },
	}
	for want, spoil := range tests {
		cfg := DefaultConfig()
		spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to contain %q", err, want)
		}
	}
}

func TestTooFewProblems(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MinDays, cfg.MaxDays, cfg.Changes, cfg.MaxStock, cfg.MaxChange = 1, 1, 2, 9, 1
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Next(20_000); err == nil || !strings.Contains(err.Error(), "new problems") {
		t.Errorf("error %v", err)
	}
}
