package sample

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

var inf = float32(math.Inf(1))

func TestGreedy(t *testing.T) {
	s := New(Config{}, nil)
	for _, c := range []struct {
		logits []float32
		want   int
		logp   float64
	}{
		{[]float32{0, 3, 3, 1}, 1, 3 - math.Log(1+2*math.Exp(3)+math.E)},
		{[]float32{-inf, -2, -inf}, 1, 0},
		{[]float32{1e30, -1e30}, 0, 0},
	} {
		id, logp, err := s.Pick(c.logits)
		if err != nil || id != c.want || math.Abs(logp-c.logp) > 1e-6 {
			t.Errorf("%v: %d %v %v", c.logits, id, logp, err)
		}
	}
	nan := float32(math.NaN())
	for _, bad := range [][]float32{{nan, 1}, {1, nan, 0}, {-inf, -inf}, {inf, 0}} {
		if _, _, err := s.Pick(bad); !errors.Is(err, ErrNaN) {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

// Frequencies of 200,000 draws against the distribution each filter leaves.
func TestFilters(t *testing.T) {
	p := []float64{.1, .4, .3, .15, .05}
	logits := make([]float32, len(p))
	for i, x := range p {
		logits[i] = float32(math.Log(x)) + 7
	}
	squared := []float64{.01, .16, .09, .0225, .0025} // temperature 1/2
	for name, c := range map[string]struct {
		cfg  Config
		want []float64
	}{
		"plain":        {Config{Temperature: 1}, p},
		"temperature":  {Config{Temperature: .5}, squared},
		"top-k":        {Config{Temperature: 1, TopK: 2}, []float64{0, .4, .3, 0, 0}},
		"top-k of all": {Config{Temperature: 1, TopK: 9}, p},
		"top-p":        {Config{Temperature: 1, TopP: .75}, []float64{0, .4, .3, .15, 0}},
		"min-p":        {Config{Temperature: 1, MinP: .3}, []float64{0, .4, .3, .15, 0}},
		"top-k, p":     {Config{Temperature: 1, TopK: 4, TopP: .5}, []float64{0, .4, .3, 0, 0}},
	} {
		const n = 200_000
		s := New(c.cfg, Rand(1, 2, 3, 4))
		count := make([]float64, len(p))
		for range n {
			id, logp, err := s.Pick(logits)
			if err != nil || math.Abs(logp-math.Log(p[id])) > 1e-5 {
				t.Fatalf("%s: token %d, log-probability %v, %v", name, id, logp, err)
			}
			count[id]++
		}
		sum := 0.0
		for _, w := range c.want {
			sum += w
		}
		for i, w := range c.want {
			w /= sum
			if dev := math.Abs(count[i]/n - w); dev > 5*math.Sqrt(w*(1-w)/n) {
				t.Errorf("%s: token %d drawn %.4f of the time, want %.4f", name, i, count[i]/n, w)
			}
		}
	}
}

func TestStreamsAreTheirOwn(t *testing.T) {
	seen := map[uint64][4]uint64{}
	for i := range uint64(81) {
		key := [4]uint64{i % 3, i / 3 % 3, i / 9 % 3, i / 27}
		first := Rand(key[0], key[1], key[2], key[3]).Uint64()
		if other, dup := seen[first]; dup {
			t.Errorf("%v and %v share a stream", key, other)
		}
		seen[first] = key
		if first != Rand(key[0], key[1], key[2], key[3]).Uint64() {
			t.Errorf("%v is not reproducible", key)
		}
	}
}

func TestValidate(t *testing.T) {
	nan := math.NaN()
	for _, bad := range []Config{{Temperature: -1}, {Temperature: nan}, {TopK: -1}, {TopP: 1.1}, {TopP: nan}, {MinP: -.1}, {RepetitionPenalty: -1}, {RepetitionPenalty: nan},
		{LogitBias: map[int]float64{-1: 1}}, {LogitBias: map[int]float64{1: nan}}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
	if err := (Config{Temperature: 1, TopK: 50, TopP: .9, MinP: .05, RepetitionPenalty: 1.1, LogitBias: map[int]float64{3: math.Inf(-1)}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestStopStringsCrossBorders(t *testing.T) {
	for _, c := range []struct {
		stops, pieces []string
		want          string
		stopped       bool
	}{
		{[]string{"\n\n"}, []string{"a\n", "\nb"}, "a", true},
		{[]string{"\n\n"}, []string{"a\n", "b\n"}, "a\nb\n", false},
		{[]string{"aab"}, []string{"a", "a", "a", "b", "c"}, "a", true},
		{[]string{"User:", "END"}, []string{"x Us", "er", " EN", "D"}, "x User ", true},
		{[]string{"bc", "abcd"}, []string{"ab", "cd"}, "", true},
		{[]string{"é"}, []string{"caf\xc3", "\xa9!"}, "caf", true},
		{nil, []string{"a", "b"}, "ab", false},
		{[]string{""}, []string{"a"}, "a", false},
	} {
		s := NewStopper(c.stops)
		var got strings.Builder
		stopped := false
		for _, p := range c.pieces {
			var text string
			text, stopped = s.Push(p)
			got.WriteString(text)
			if stopped {
				break
			}
		}
		if !stopped {
			got.WriteString(s.Flush())
		}
		if got.String() != c.want || stopped != c.stopped {
			t.Errorf("%q in %q: %q %v", c.stops, c.pieces, got.String(), stopped)
		}
	}
}

// However a text is cut into pieces, what is shown is the text up to the stop.
func FuzzStopper(f *testing.F) {
	f.Add("one two three", "two", "th", uint64(3))
	f.Fuzz(func(t *testing.T, text, stop1, stop2 string, seed uint64) {
		stops := []string{stop1, stop2}
		want := text
		end := len(text)
		for _, stop := range stops {
			// The stop that is complete first wins; within a piece the one that
			// begins first. Cutting into single bytes makes both the same.
			if i := strings.Index(text, stop); stop != "" && i >= 0 && i+len(stop) <= end {
				if i+len(stop) < end || i < len(want) {
					want = text[:i]
				}
				end = i + len(stop)
			}
		}
		s := NewStopper(stops)
		var got []byte
		stopped := false
		for i := 0; i < len(text) && !stopped; i++ {
			var piece string
			piece, stopped = s.Push(text[i : i+1])
			got = append(got, piece...)
		}
		if !stopped {
			got = append(got, s.Flush()...)
		}
		if !slices.Equal(got, []byte(want)) {
			t.Errorf("%q with %q: %q, want %q", text, stops, got, want)
		}
	})
}

func BenchmarkPick(b *testing.B) {
	logits := make([]float32, 49152)
	rng := Rand(0, 0, 0, 0)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64() * 3)
	}
	for name, cfg := range map[string]Config{"greedy": {}, "plain": {Temperature: 1}, "filtered": {Temperature: 1, TopK: 50, TopP: .9}} {
		b.Run(name, func(b *testing.B) {
			s := New(cfg, rng)
			for b.Loop() {
				if _, _, err := s.Pick(logits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
