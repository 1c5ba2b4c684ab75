package metrics

import (
	"math"
	"testing"
)

func samples(answers string, gold byte) Problem {
	var p Problem
	for i := range len(answers) {
		answer := string(answers[i])
		if answer == "-" {
			answer = ""
		}
		p = append(p, Sample{Answer: answer, Correct: answers[i] == gold, Value: float64(i)})
	}
	return p
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestAccuracy(t *testing.T) {
	e := Accuracy([]Problem{samples("aabb", 'a'), samples("a", 'a'), nil})
	// Means 0.5 and 1: mean 0.75, standard error sqrt(0.125)/sqrt(2).
	if !near(e.Mean, 0.75) || !near(e.StdErr, 0.25) || e.N != 2 {
		t.Errorf("got %+v", e)
	}
}

func TestPassAtK(t *testing.T) {
	p := []Problem{samples("abbb", 'a')}
	for k, want := range map[int]float64{1: 0.25, 2: 0.5, 3: 0.75, 4: 1} {
		if e := PassAtK(p, k); !near(e.Mean, want) {
			t.Errorf("pass@%d = %v, want %v", k, e.Mean, want)
		}
	}
	if e := PassAtK(p, 5); e.N != 0 {
		t.Errorf("pass@5 of 4 samples: %+v", e)
	}
}

func TestChoices(t *testing.T) {
	tests := []struct {
		name, answers string
		choose        Choice
		want          string
	}{
		{"majority", "abbc", Majority, "b"},
		{"first of a tie", "abab", Majority, "a"},
		{"no answer has no vote", "---a", Majority, "a"},
		{"nobody has an answer", "--", Majority, ""},
		{"weights 0+1+2 and 3", "aaab", WeightedVote, "a"},
		{"weights 0+1 and 2", "aab", WeightedVote, "b"},
		{"best", "abc", Best, "c"},
	}
	for _, tt := range tests {
		if got := tt.choose(samples(tt.answers, 'a')); got.Answer != tt.want {
			t.Errorf("%s: chose %q, want %q", tt.name, got.Answer, tt.want)
		}
	}
}

// TestAtKIsUnbiased compares AtK at k = 1, where every choice is a random
// sample, with the accuracy.
func TestAtKIsUnbiased(t *testing.T) {
	var problems []Problem
	for range 400 {
		problems = append(problems, samples("aabbbbbbbb", 'a'))
	}
	if e := AtK(problems, 1, Majority, 1); math.Abs(e.Mean-0.2) > 0.01 {
		t.Errorf("majority of one: %v, want about 0.2", e.Mean)
	}
	if AtK(problems, 3, Majority, 1) != AtK(problems, 3, Majority, 1) {
		t.Error("the same seed gives different estimates")
	}
	if e := AtK(problems, 10, Majority, 1); e.Mean != 0 {
		t.Errorf("majority of all: %v, want 0", e.Mean)
	}
}
