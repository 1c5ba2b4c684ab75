package wordgen

import (
	"slices"
	"testing"
)

func TestParseReadsQuestionsBack(t *testing.T) {
	for _, p := range generate(t, DefaultConfig(), 1000) {
		got, ok := Parse(p.Question)
		if !ok || got.Start != p.Start || !slices.Equal(slices.Concat(got.Days...), slices.Concat(p.Days...)) {
			t.Fatalf("%s\nread as %d %v, %v; want %d %v", p.Question, got.Start, got.Days, ok, p.Start, p.Days)
		}
	}
	for _, other := range []string{"", "What is 2+3?", "Ann has 3 apples. She eats 2. How many apples are left?", "Ann has 3 apples. How many apples are left?"} {
		if p, ok := Parse(other); ok {
			t.Errorf("%q is read as %d %v", other, p.Start, p.Days)
		}
	}
}

func TestAnnotatedSolutionsAreRight(t *testing.T) {
	for _, p := range generate(t, DefaultConfig(), 500) {
		if right := p.CheckSteps(p.Solution); slices.Contains(right, false) {
			t.Fatalf("%s\n%s\nchecked as %v", p.Question, p.Solution, right)
		}
	}
}

func TestCheckSteps(t *testing.T) {
	p := Problem{Start: 7, Days: [][]int{{-5, 3, 4}, {-8, 4, -2}}}
	for solution, want := range map[string][]bool{
		"7-5=2, 2+3=5, 5+4=9\n9-8+4-2=3\n#### 3":    {true, true, true},
		"7-5+3+4=9\n9-8=1, 1+4=5, 5-2=3\n#### 3":    {true, true, true},
		"7-5+3+4=8\n8-8+4-2=2\n#### 2":              {false, false, false}, // wrong from the first sum on
		"7-5=2, 2+3=6, 6+4=10\n9-8+4-2=3\n#### 3":   {false, false, false}, // a wrong part
		"7-5=2, 2+3=5, 5+4=9\n9-8+4=5\n#### 5":      {true, true, false},   // a change is left
		"7-5=2, 2+3=5, 5+4=9\n9+8=17\n#### 17":      {true, false, false},  // not what the question says
		"7-5=2, 2+3=5, 5+4=9\n2-8+4-2=3\n#### 3":    {true, false, false},  // begins elsewhere
		"By parts: 7-5=2, 2+3=5, 5+4=9\nof 9\n":     {true, false},
		"In the head: 7-5+3+4-8+4-2=3\n#### 4":      {true, false},
		"In the head: 7-5+3+4-8+4-2=3\n#### 3\nyes": {true, true, false},
		"7-5=2\n9\n#### 9":                          {true, false, false}, // no equation
		"":                                          {false},
	} {
		if got := p.CheckSteps(solution); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", solution, got, want)
		}
	}
}
