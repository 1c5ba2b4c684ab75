package wordgen

import (
	"slices"
	"testing"
)

func monthly() Config {
	cfg := DefaultConfig()
	cfg.Monthly, cfg.MinDays, cfg.MaxDays = true, 1, 4
	return cfg
}

func TestParseReadsQuestionsBack(t *testing.T) {
	for _, cfg := range []Config{DefaultConfig(), monthly()} {
		for _, p := range generate(t, cfg, 1000) {
			got, ok := Parse(p.Question)
			if !ok || got.Start != p.Start || !slices.Equal(slices.Concat(got.Days...), slices.Concat(p.Days...)) {
				t.Fatalf("%s\nread as %d %v, %v; want %d %v", p.Question, got.Start, got.Days, ok, p.Start, p.Days)
			}
		}
	}
	for _, other := range []string{"", "What is 2+3?", "Ann has 3 apples. She eats 2. How many apples are left?", "Ann has 3 apples. How many apples are left?"} {
		if p, ok := Parse(other); ok {
			t.Errorf("%q is read as %d %v", other, p.Start, p.Days)
		}
	}
}

func TestAnnotatedSolutionsAreRight(t *testing.T) {
	for _, cfg := range []Config{DefaultConfig(), monthly()} {
		for _, p := range generate(t, cfg, 500) {
			if right := p.CheckSteps(p.Solution); slices.Contains(right, false) {
				t.Fatalf("%s\n%s\nchecked as %v", p.Question, p.Solution, right)
			}
		}
	}
}

func TestCheckSteps(t *testing.T) {
	p := Problem{Start: 7, Days: [][]int{{-5, 3, 4}, {-8, 4, -2}}}
	for solution, want := range map[string][]bool{
		"7-5=2, 2+3=5, 5+4=9\n9-8+4-2=3\n#### 3":                 {true, true, true},
		"7-5+3+4=9\n9-8=1, 1+4=5, 5-2=3\n#### 3":                 {true, true, true},
		"7-5+3+4=8\n8-8+4-2=2\n#### 2":                           {false, false, false}, // wrong from the first sum on
		"7-5=2, 2+3=6, 6+4=10\n9-8+4-2=3\n#### 3":                {false, false, false}, // a wrong part
		"7-5=2, 2+3=5, 5+4=9\n9-8+4=5\n#### 5":                   {true, true, false},   // a change is left
		"7-5=2, 2+3=5, 5+4=9\n9+8=17\n#### 17":                   {true, false, false},  // not what the question says
		"7-5=2, 2+3=5, 5+4=9\n2-8+4-2=3\n#### 3":                 {true, false, false},  // begins elsewhere
		"By parts: 7-5=2, 2+3=5, 5+4=9\nof 9\n":                  {true, false},
		"In the head: 7-5+3+4-8+4-2=3\n#### 4":                   {true, false},
		"In the head: 7-5+3+4-8+4-2=3\n#### 3\nyes":              {true, true, false},
		"January: 7-5=2, February: 2+3=5\nApril: 1\n#### 1":      {true, true, false}, // two months are left
		"February: 5\nApril: 1\nMay: 1+4=5, June: 5-2=3\n#### 3": {true, true, true, true},
		"February: 5\nApril: 2\nJune: 3\n#### 3":                 {true, false, false, false},
		"February: 5\nMarch: 5+4=9, May: 9-8=1\n#### 1":          {true, false, false},
		"February: 5\nJanuary: 2\n#### 3":                        {true, false, false},
		"June: 3\nJuly: 3\n#### 3":                               {true, false, false},
		"7-5=2\n9\n#### 9":                                       {true, false, false}, // a number of no month
		"":                                                       {false},
	} {
		if got := p.CheckSteps(solution); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", solution, got, want)
		}
	}
}

func TestStyleOfLine(t *testing.T) {
	for line, want := range map[string]Style{
		"7-5=2, 2+3=5": ByParts, "By parts: 7-5=2": ByParts, "7-5+3=5": InHead, "In the head: 7-5+3+4=9": InHead, "January: 9": InHead, "January: 9-3=6, February: 6+1=7": ByParts, "#### 3": Unknown, "": Unknown,
	} {
		if got := StyleOfLine(line); got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
	p := Problem{Start: 7, Days: [][]int{{-5, 3}, {4, -1}}}
	if got := p.SolveMonthly([]Style{InHead, ByParts}); got != "February: 5\nMarch: 5+4=9, April: 9-1=8\n#### 8" {
		t.Errorf("%q", got)
	}
}
