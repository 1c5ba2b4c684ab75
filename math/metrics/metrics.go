// Package metrics summarises graded samples: accuracy, pass@k and the votes
// that pick one answer of k. Every figure is a mean over problems with its
// standard error; a problem counts once, however many samples it has.
package metrics

import (
	"math"
	"math/rand/v2"
)

// Sample is one graded answer.
type Sample struct {
	Answer  string  // in normal form; "" where none was found
	Correct bool    //
	Value   float64 // a critic's estimate, for the weighted vote
}

// Problem is the samples of one problem.
type Problem []Sample

// Estimate is a mean over problems and its standard error.
type Estimate struct {
	Mean   float64 `json:"mean"`
	StdErr float64 `json:"std_err"`
	N      int     `json:"problems"`
}

// over averages f over the problems it is defined for.
func over(problems []Problem, f func(i int, p Problem) (float64, bool)) Estimate {
	var e Estimate
	sum, squares := 0.0, 0.0
	for i, p := range problems {
		v, ok := f(i, p)
		if !ok {
			continue
		}
		e.N++
		sum += v
		squares += v * v
	}
	if e.N == 0 {
		return e
	}
	n := float64(e.N)
	e.Mean = sum / n
	if e.N > 1 {
		e.StdErr = math.Sqrt(max(0, squares/n-e.Mean*e.Mean) / (n - 1))
	}
	return e
}

// Accuracy is the share of correct samples, averaged over problems. Its
// standard error is that of the mean over problems, so that the samples of one
// problem are not taken for independent.
func Accuracy(problems []Problem) Estimate {
	return over(problems, func(_ int, p Problem) (float64, bool) {
		return float64(correct(p)) / float64(len(p)), len(p) > 0
	})
}

func correct(p Problem) int {
	n := 0
	for _, s := range p {
		if s.Correct {
			n++
		}
	}
	return n
}

// PassAtK is the chance that one of k samples is correct, by the unbiased
// estimate 1 - C(n-c, k)/C(n, k) for c correct of n samples (Chen et al., arXiv
// 2107.03374, equation 1). Problems with fewer than k samples are left out.
func PassAtK(problems []Problem, k int) Estimate {
	return over(problems, func(_ int, p Problem) (float64, bool) {
		n, c := len(p), correct(p)
		if n < k || k < 1 {
			return 0, false
		}
		miss := 1.0 // the product form of the quotient, which cannot overflow
		for i := range k {
			miss *= math.Max(0, float64(n-c-i)) / float64(n-i)
		}
		return 1 - miss, true
	})
}

// Choice picks one of k samples.
type Choice func(samples []Sample) Sample

// draws is how many subsets of k samples an estimate averages over.
const draws = 64

// AtK is the chance that the choice among k samples is correct, averaged over
// random subsets of each problem's samples. Problems with fewer than k samples
// are left out.
func AtK(problems []Problem, k int, choose Choice, seed uint64) Estimate {
	return over(problems, func(i int, p Problem) (float64, bool) {
		if len(p) < k || k < 1 {
			return 0, false
		}
		if len(p) == k {
			return share(choose(p)), true
		}
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		sum := 0.0
		subset := make([]Sample, k)
		for range draws {
			for j, from := range rng.Perm(len(p))[:k] {
				subset[j] = p[from]
			}
			sum += share(choose(subset))
		}
		return sum / draws, true
	})
}

func share(s Sample) float64 {
	if s.Correct {
		return 1
	}
	return 0
}

// Majority chooses the most frequent answer; of equally frequent ones the one
// seen first.
func Majority(samples []Sample) Sample {
	return vote(samples, func(Sample) float64 { return 1 })
}

// WeightedVote chooses the answer with the largest sum of values.
func WeightedVote(samples []Sample) Sample {
	return vote(samples, func(s Sample) float64 { return s.Value })
}

// Best chooses the sample with the largest value.
func Best(samples []Sample) Sample {
	best := samples[0]
	for _, s := range samples[1:] {
		if s.Value > best.Value {
			best = s
		}
	}
	return best
}

// vote adds up the weights of equal answers. Samples without an answer have no
// vote unless there are no others.
func vote(samples []Sample, weight func(Sample) float64) Sample {
	sums := map[string]float64{}
	for _, s := range samples {
		sums[s.Answer] += weight(s)
	}
	winner, found := samples[0], false
	for _, s := range samples {
		if s.Answer == "" {
			continue
		}
		if !found || sums[s.Answer] > sums[winner.Answer] {
			winner, found = s, true
		}
	}
	return winner
}
