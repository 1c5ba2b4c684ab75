// Package sample chooses tokens from logits and watches for stop strings. It is
// pure Go and knows nothing of models.
package sample

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Config says how tokens are drawn. The zero value is greedy.
type Config struct {
	Temperature float64 // divides the logits; 0 takes the likeliest token; the paper's search uses 1
	TopK        int     // keep the K likeliest; 0 keeps all
	TopP        float64 // keep the fewest likeliest whose probabilities reach P; 0 or 1 keeps all
	MinP        float64 // keep those with at least this share of the likeliest's probability; 0 keeps all
}

// Validate names the first field that is out of range.
func (c Config) Validate() error {
	switch {
	case !(c.Temperature >= 0) || math.IsInf(c.Temperature, 0):
		return fmt.Errorf("temperature is %v, want 0 (greedy) or more", c.Temperature)
	case c.TopK < 0:
		return fmt.Errorf("top-k is %d, want 0 (all) or more", c.TopK)
	case !(c.TopP >= 0 && c.TopP <= 1):
		return fmt.Errorf("top-p is %v, want 0 (all) to 1", c.TopP)
	case !(c.MinP >= 0 && c.MinP <= 1):
		return fmt.Errorf("min-p is %v, want 0 (all) to 1", c.MinP)
	}
	return nil
}

// ErrNaN is the answer to logits that hold no number to choose by.
var ErrNaN = errors.New("logits hold NaN or no finite value: the model's weights are damaged or overflow in this precision")

// Rand returns the stream of random numbers of one draw. It depends on the four
// numbers alone, so results do not change with what else is in the batch.
// question, sample and step are the caller's indices; step counts the parts of
// an answer that are drawn separately.
func Rand(seed, question, sample, step uint64) *rand.Rand {
	var key [32]byte
	for i, n := range []uint64{seed, question, sample, step} {
		binary.LittleEndian.PutUint64(key[8*i:], n)
	}
	return rand.New(rand.NewChaCha8(key))
}

// Sampler draws tokens by one Config. It is not safe for concurrent use.
type Sampler struct {
	cfg  Config
	rng  *rand.Rand
	kept []candidate
}

type candidate struct {
	id int
	p  float64 // weight, not normalised
}

// New returns a sampler; rng may be nil if cfg is greedy.
func New(cfg Config, rng *rand.Rand) *Sampler { return &Sampler{cfg: cfg, rng: rng} }

// Pick draws a token from logits [V], which it does not change. logProb is the
// token's natural log-probability under the model itself: temperature 1, nothing
// filtered. Of equal logits greedy choice takes the lowest id.
func (s *Sampler) Pick(logits []float32) (id int, logProb float64, err error) {
	best, top := argmax(logits)
	if math.IsNaN(top) || math.IsInf(top, 0) {
		return 0, 0, ErrNaN
	}
	total := 0.0
	for _, x := range logits {
		total += math.Exp(float64(x) - top)
	}
	if math.IsNaN(total) {
		return 0, 0, ErrNaN
	}
	switch c := s.cfg; {
	case c.Temperature == 0:
		id = best
	case c.Temperature == 1 && c.TopK == 0 && (c.TopP == 0 || c.TopP == 1) && c.MinP == 0:
		id = s.drawAll(logits, top, total)
	default:
		id = s.drawKept(logits, top)
	}
	return id, float64(logits[id]) - top - math.Log(total), nil
}

// drawAll draws from softmax(logits), whose normaliser is total.
func (s *Sampler) drawAll(logits []float32, top, total float64) int {
	left := s.rng.Float64() * total
	last := 0
	for i, x := range logits {
		w := math.Exp(float64(x) - top)
		if w == 0 {
			continue
		}
		if left -= w; left < 0 {
			return i
		}
		last = i
	}
	return last // rounding left a crumb behind the last weight
}

// drawKept applies the temperature and the filters, then draws.
func (s *Sampler) drawKept(logits []float32, top float64) int {
	s.kept = s.kept[:0]
	for i, x := range logits {
		if w := math.Exp((float64(x) - top) / s.cfg.Temperature); w > 0 && w >= s.cfg.MinP {
			s.kept = append(s.kept, candidate{i, w})
		}
	}
	if s.cfg.TopK > 0 && s.cfg.TopK < len(s.kept) || s.cfg.TopP > 0 && s.cfg.TopP < 1 {
		slices.SortFunc(s.kept, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id))
		})
	}
	if s.cfg.TopK > 0 && s.cfg.TopK < len(s.kept) {
		s.kept = s.kept[:s.cfg.TopK]
	}
	total := 0.0
	for _, c := range s.kept {
		total += c.p
	}
	if s.cfg.TopP > 0 && s.cfg.TopP < 1 {
		s.kept, total = nucleus(s.kept, s.cfg.TopP*total)
	}
	left := s.rng.Float64() * total
	for _, c := range s.kept {
		if left -= c.p; left < 0 {
			return c.id
		}
	}
	return s.kept[len(s.kept)-1].id
}

// nucleus cuts sorted candidates behind the one that reaches mass.
func nucleus(sorted []candidate, mass float64) (kept []candidate, total float64) {
	for i, c := range sorted {
		if total += c.p; total >= mass {
			return sorted[:i+1], total
		}
	}
	return sorted, total
}

// LogProb is the natural log-probability of id under softmax(logits).
func LogProb(logits []float32, id int) float64 {
	_, top := argmax(logits)
	total := 0.0
	for _, x := range logits {
		total += math.Exp(float64(x) - top)
	}
	return float64(logits[id]) - top - math.Log(total)
}

// argmax returns the largest logit; NaN if the first is.
func argmax(logits []float32) (best int, top float64) {
	for i, x := range logits {
		if x > logits[best] {
			best = i
		}
	}
	return best, float64(logits[best])
}
