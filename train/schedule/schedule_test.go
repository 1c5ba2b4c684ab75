package schedule

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// The reference values come from transformers: testdata/gen/cosine.py.
func TestEqualsTransformers(t *testing.T) {
	text, err := os.ReadFile("testdata/cosine.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Total, Warmup int
		Ratio         float64
		Factors       []float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		if got := Warmup(c.Total, c.Ratio); got != c.Warmup {
			t.Errorf("Warmup(%d, %v) = %d, want %d", c.Total, c.Ratio, got, c.Warmup)
		}
		if len(c.Factors) != c.Total {
			t.Fatalf("%d factors of %d steps", len(c.Factors), c.Total)
		}
		for step, want := range c.Factors {
			if got := Cosine(step, c.Total, c.Warmup); math.Abs(got-want) > 1e-15 {
				t.Errorf("Cosine(%d, %d, %d) = %v, want %v", step, c.Total, c.Warmup, got, want)
			}
		}
	}
}

func TestStaysAtZeroBehindTheEnd(t *testing.T) {
	for _, step := range []int{100, 101, 150, 1000} {
		if got := Cosine(step, 100, 3); got != 0 {
			t.Errorf("Cosine(%d, 100, 3) = %v", step, got)
		}
	}
	if got := Cosine(0, 0, 0); got != 0 {
		t.Errorf("a run without steps: %v", got)
	}
}
