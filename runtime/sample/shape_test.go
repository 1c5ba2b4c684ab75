package sample

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"
)

// What temperature, filters, bias and penalty leave of a distribution, against
// transformers' own processors: see testdata/gen/warpers.py.
func TestDistributionsAgainstTransformers(t *testing.T) {
	text, err := os.ReadFile("testdata/warpers.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Bias                 map[int]float64
		Penalty, Temperature float64
		TopK                 int     `json:"top_k"`
		TopP                 float64 `json:"top_p"`
		MinP                 float64 `json:"min_p"`
		Seen                 []int
		Logits               []float32
		Probabilities        []float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for i, c := range cases {
		s := New(Config{LogitBias: c.Bias, RepetitionPenalty: c.Penalty, Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP}, nil)
		s.Saw(c.Seen...)
		shaped := s.shape(c.Logits)
		_, top := argmax(shaped)
		total := s.filter(shaped, top)
		got := make([]float64, len(c.Logits))
		for _, k := range s.kept {
			got[k.id] = k.p / total
		}
		for id, want := range c.Probabilities {
			d := math.Abs(got[id] - want)
			if largest = max(largest, d); d > 1e-5 {
				t.Errorf("case %d: token %d has probability %.7f, want %.7f", i, id, got[id], want)
			}
		}
	}
	t.Logf("%d distributions, largest difference %.1e", len(cases), largest)
}

// only allows the tokens of a set, and notes what was accepted.
type only struct {
	set  []uint64
	took []int
}

func (o *only) Allowed() []uint64 { return o.set }
func (o *only) Accept(id int)     { o.took = append(o.took, id) }
func (o *only) Complete() bool    { return false }

// Frequencies of draws with bias, penalty and constraint on top of each other,
// against the distribution written out by hand; log-probabilities stay the model's.
func TestShapedDraws(t *testing.T) {
	p := []float64{.1, .4, .3, .15, .05}
	logits := make([]float32, len(p))
	for i, x := range p {
		logits[i] = float32(math.Log(x))
	}
	constraint := &only{set: []uint64{1<<0 | 1<<1 | 1<<4 | 1<<9}}
	want := make([]float64, len(p))
	sum := 0.0
	for _, i := range []int{0, 1, 4} {
		x := math.Log(p[i])
		if i == 0 {
			x += 2 // bias
		}
		if i == 4 { // seen before; negative logits are multiplied
			x *= 1.5
		}
		want[i] = math.Exp(x / .8)
		sum += want[i]
	}
	const n = 200_000
	count := make([]float64, len(p))
	cfg := Config{Temperature: .8, LogitBias: map[int]float64{0: 2, 77: 1}, RepetitionPenalty: 1.5}
	rng := Rand(9, 9, 9, 9)
	for range n {
		s := New(cfg, rng)
		s.Saw(4, 99)
		s.Constrain(constraint)
		id, logp, err := s.Pick(logits)
		if err != nil || math.Abs(logp-math.Log(p[id])) > 1e-5 {
			t.Fatalf("token %d, log-probability %v, %v", id, logp, err)
		}
		count[id]++
	}
	for i := range p {
		w := want[i] / sum
		if dev := math.Abs(count[i]/n - w); dev > 5*math.Sqrt(w*(1-w)/n) {
			t.Errorf("token %d drawn %.4f of the time, want %.4f", i, count[i]/n, w)
		}
	}
	if len(constraint.took) != n {
		t.Errorf("the constraint saw %d of %d tokens", len(constraint.took), n)
	}
	// Drawn tokens count as seen.
	s := New(Config{RepetitionPenalty: 1000}, nil)
	first, _, _ := s.Pick([]float32{1, 2, 1.5})
	second, _, _ := s.Pick([]float32{1, 2, 1.5})
	if first != 1 || second != 2 {
		t.Errorf("%d then %d, want 1 then 2", first, second)
	}
	none := New(Config{Temperature: 1}, rng)
	none.Constrain(&only{set: []uint64{1 << 9}})
	if _, _, err := none.Pick(logits); !errors.Is(err, ErrStuck) {
		t.Errorf("a constraint that nothing keeps: %v", err)
	}
	forbidden := New(Config{LogitBias: map[int]float64{1: math.Inf(-1)}}, nil)
	if id, _, _ := forbidden.Pick(logits); id != 2 {
		t.Errorf("token %d, though the likeliest is forbidden: want 2", id)
	}
}
