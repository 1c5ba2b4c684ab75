package grade

import "testing"

func TestDeepSeekBasics(t *testing.T) {
	tests := []struct {
		name, generation, gold, dataset string
		want                            bool
	}{
		{"box", `So \boxed{\frac12}`, `\frac{1}{2}`, "math", true},
		{"last box of two", `\boxed{3} then \boxed{4}`, "4", "math", true},
		{"no box falls back to the last number", "it is 1,234 apples", "1234", "gsm8k", true},
		{"answer is", "The answer is 7.", "7", "gsm8k", true},
		{"marker", "x\n#### 12", "12", "gsm8k", true},
		{"wrong", `\boxed{5}`, "6", "math", false},
		{"empty", "", "6", "math", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := Grade(DeepSeekMath, Input{Generation: tt.generation, Gold: tt.gold, Dataset: tt.dataset})
			if v.Correct != tt.want {
				t.Errorf("correct = %v, want %v (%+v)", v.Correct, tt.want, v)
			}
		})
	}
}
