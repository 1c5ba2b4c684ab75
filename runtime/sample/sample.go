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

// Config says how tokens are drawn. The zero value is greedy. The fields apply in
// their order, each to what the one before left: transformers' order.
type Config struct {
	LogitBias         map[int]float64 // added to the logits of single tokens; -Inf forbids one
	RepetitionPenalty float64         // divides positive logits of tokens seen before and multiplies negative ones; 0 or 1 is off
	Temperature       float64         // divides the logits; 0 takes the likeliest token; the paper's search uses 1
	TopK              int             // keep the K likeliest; 0 keeps all
	TopP              float64         // keep the fewest likeliest whose probabilities reach P; 0 or 1 keeps all
	MinP              float64         // keep those with at least this share of the likeliest's probability; 0 keeps all
}

// Validate names the first field that is out of range.
func (c Config) Validate() error {
	for id, x := range c.LogitBias {
		if id < 0 || math.IsNaN(x) || math.IsInf(x, 1) {
			return fmt.Errorf("logit bias of token %d is %v, want a token's id and a number or -Inf", id, x)
		}
	}
	switch {
	case !(c.RepetitionPenalty >= 0) || math.IsInf(c.RepetitionPenalty, 0):
		return fmt.Errorf("repetition penalty is %v, want above 0; 0 and 1 are off", c.RepetitionPenalty)
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

// Constraint says which tokens may come next. It moves on as tokens are drawn.
type Constraint interface {
	// Allowed has bit id%64 of word id/64 set for every token that may come next;
	// tokens beyond its end may not. It is valid until Accept.
	Allowed() []uint64
	// Accept takes the token that was drawn.
	Accept(id int)
	// Complete tells whether the text is whole and nothing may be added but an end
	// token.
	Complete() bool
}

// ErrStuck is the answer to a constraint that no token of the vocabulary keeps.
var ErrStuck = errors.New("no token may come next: the constraint and the logit bias exclude all")

// Sampler draws tokens by one Config. It is not safe for concurrent use.
type Sampler struct {
	cfg        Config
	rng        *rand.Rand
	seen       map[int]bool // nil without a repetition penalty
	constraint Constraint
	shaped     []float32 // logits after bias, penalty and constraint
	sums       []float64 // of weights, by block
	kept       []candidate
}

type candidate struct {
	id int
	p  float64 // weight, not normalised
}

// New returns a sampler; rng may be nil if cfg is greedy.
func New(cfg Config, rng *rand.Rand) *Sampler {
	s := &Sampler{cfg: cfg, rng: rng}
	if p := cfg.RepetitionPenalty; p != 0 && p != 1 {
		s.seen = map[int]bool{}
	}
	return s
}

// Constrain restricts what is drawn from now on; c is the sampler's own.
func (s *Sampler) Constrain(c Constraint) { s.constraint = c }

// Saw names tokens that stand before those to be drawn, the prompt's among them,
// for the repetition penalty. Tokens that Pick draws count by themselves.
func (s *Sampler) Saw(ids ...int) {
	if s.seen == nil {
		return
	}
	for _, id := range ids {
		s.seen[id] = true
	}
}

// Pick draws a token from logits [V], which it does not change. logProb is the
// token's natural log-probability under the model itself: temperature 1, nothing
// filtered. Of equal logits greedy choice takes the lowest id.
func (s *Sampler) Pick(logits []float32) (id int, logProb float64, err error) {
	best, top := argmax(logits)
	if math.IsNaN(top) || math.IsInf(top, 0) {
		return 0, 0, ErrNaN
	}
	var total float64
	s.sums, total = expSums(s.sums[:0], logits, float32(top))
	if math.IsNaN(total) {
		return 0, 0, ErrNaN
	}
	shaped, peak := logits, top
	if len(s.cfg.LogitBias) > 0 || len(s.seen) > 0 || s.constraint != nil {
		shaped = s.shape(logits)
		if best, peak = argmax(shaped); math.IsInf(peak, -1) {
			return 0, 0, ErrStuck
		}
	}
	switch c := s.cfg; {
	case c.Temperature == 0:
		id = best
	case c.Temperature == 1 && c.TopK == 0 && (c.TopP == 0 || c.TopP == 1) && c.MinP == 0:
		sum := total
		if &shaped[0] != &logits[0] {
			s.sums, sum = expSums(s.sums[:0], shaped, float32(peak))
		}
		id = s.drawAll(shaped, float32(peak), sum)
	default:
		id = s.drawKept(shaped, peak)
	}
	s.Saw(id)
	if s.constraint != nil {
		s.constraint.Accept(id)
	}
	return id, float64(logits[id]) - top - math.Log(total), nil
}

// shape applies bias, repetition penalty and constraint to a copy.
func (s *Sampler) shape(logits []float32) []float32 {
	s.shaped = append(s.shaped[:0], logits...)
	for id, x := range s.cfg.LogitBias {
		if id < len(s.shaped) {
			s.shaped[id] += float32(x)
		}
	}
	penalty := float32(s.cfg.RepetitionPenalty)
	for id := range s.seen {
		switch {
		case id >= len(s.shaped):
		case s.shaped[id] > 0:
			s.shaped[id] /= penalty
		default:
			s.shaped[id] *= penalty
		}
	}
	if s.constraint != nil {
		forbid(s.shaped, s.constraint.Allowed())
	}
	return s.shaped
}

// forbid takes every chance from tokens that are not in the set.
func forbid(logits []float32, allowed []uint64) {
	never := float32(math.Inf(-1))
	for i := range logits {
		if i/64 >= len(allowed) || allowed[i/64]>>(i%64)&1 == 0 {
			logits[i] = never
		}
	}
}

// drawAll draws from softmax(logits), of which s.sums are the blocks' weights and
// total all of it.
func (s *Sampler) drawAll(logits []float32, top float32, total float64) int {
	left := s.rng.Float64() * total
	for b, sum := range s.sums {
		if left >= sum {
			left -= sum
			continue
		}
		from := b * block
		for i, x := range logits[from:min(from+block, len(logits))] {
			if left -= float64(expOf(x - top)); left < 0 {
				return from + i
			}
		}
	}
	last := len(logits) - 1 // rounding left a crumb behind the last weight
	for expOf(logits[last]-top) == 0 {
		last--
	}
	return last
}

// drawKept applies the temperature and the filters, then draws.
func (s *Sampler) drawKept(logits []float32, top float64) int {
	total := s.filter(logits, top)
	left := s.rng.Float64() * total
	for _, c := range s.kept {
		if left -= c.p; left < 0 {
			return c.id
		}
	}
	return s.kept[len(s.kept)-1].id
}

// filter leaves in s.kept what temperature and filters leave, and returns the
// sum of the weights.
func (s *Sampler) filter(logits []float32, top float64) (total float64) {
	s.kept = s.kept[:0]
	for i, x := range logits {
		if w := math.Exp((float64(x) - top) / s.cfg.Temperature); w > 0 {
			s.kept = append(s.kept, candidate{i, w})
			total += w
		}
	}
	if k := s.cfg.TopK; k > 0 && k < len(s.kept) {
		s.kept = largest(s.kept, k)
		total = weight(s.kept)
	}
	if p := s.cfg.TopP; p > 0 && p < 1 {
		s.kept, total = nucleus(s.kept, p, total)
	}
	if s.cfg.MinP > 0 { // the likeliest weighs 1
		s.kept = slices.DeleteFunc(s.kept, func(c candidate) bool { return c.p < s.cfg.MinP })
		total = weight(s.kept)
	}
	return total
}

func weight(list []candidate) (total float64) {
	for _, c := range list {
		total += c.p
	}
	return total
}

// byWeight orders the likeliest first, of equals the lower id.
func byWeight(a, b candidate) int { return cmp.Or(cmp.Compare(b.p, a.p), cmp.Compare(a.id, b.id)) }

// largest moves the k first by byWeight to the front of all, sorted, and returns
// them. The front stays sorted while the rest passes by: few enter it.
func largest(all []candidate, k int) []candidate {
	if k > 256 { // entering a long front is dear
		slices.SortFunc(all, byWeight)
		return all[:k]
	}
	front := all[:k]
	slices.SortFunc(front, byWeight)
	for _, c := range all[k:] {
		if byWeight(c, front[k-1]) < 0 {
			at, _ := slices.BinarySearchFunc(front, c, byWeight)
			copy(front[at+1:], front[at:k-1])
			front[at] = c
		}
	}
	return front
}

// nucleus returns the fewest of the likeliest that reach share p of total, and
// their sum.
func nucleus(all []candidate, p, total float64) (kept []candidate, sum float64) {
	// All that weigh less than this weigh less than 1-p together: the rest holds
	// the nucleus, and is soon sorted.
	least := (1 - p) * total / float64(len(all))
	heavy := all[:0]
	for _, c := range all {
		if c.p >= least {
			heavy = append(heavy, c)
		}
	}
	slices.SortFunc(heavy, byWeight)
	for i, c := range heavy {
		if sum += c.p; sum >= p*total {
			return heavy[:i+1], sum
		}
	}
	return heavy, sum
}

// argmax returns the first of the largest logits; NaN if the first logit is.
func argmax(logits []float32) (best int, top float64) {
	largest := logits[0]
	for from := 0; from < len(logits); from += 8 {
		some := logits[from:min(from+8, len(logits))]
		if len(some) == 8 { // few of the eights hold a new largest
			x := (*[8]float32)(some)
			if !(x[0] > largest || x[1] > largest || x[2] > largest || x[3] > largest ||
				x[4] > largest || x[5] > largest || x[6] > largest || x[7] > largest) {
				continue
			}
		}
		for i, x := range some {
			if x > largest {
				best, largest = from+i, x
			}
		}
	}
	return best, float64(largest)
}
