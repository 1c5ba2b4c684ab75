package sample

import "math"

// The polynomial of expOf and the constants of its range reduction.
const (
	log2e  = 1.44269504088896341
	ln2Hi  = 0.693359375 // few bits, so that n*ln2Hi is exact
	ln2Lo  = -2.12194440e-4
	magic  = 3 << 22 // adding it rounds to the nearest whole number
	lowest = -87     // below, e^x is denormal

	exp2, exp3, exp4, exp5 = 0.49999231, 0.16667115, 0.04189016, 0.00831252
)

// expOf is e^x for x <= 0 with a relative error below 3e-7, several times as fast
// as math.Exp: every token drawn asks for one per word of the vocabulary.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by the polynomial 1 + r + r^2 q(r)
// whose largest relative error there is least, 1.0e-7, among those of degree 5.
func expOf(x float32) float32 {
	if x < lowest {
		return 0
	}
	n := x*log2e + magic
	bits := math.Float32bits(n)
	n -= magic
	r := x - n*ln2Hi - n*ln2Lo
	p := 1 + r + r*r*(exp2+r*(exp3+r*(exp4+r*exp5)))
	return p * math.Float32frombits((bits+127)<<23)
}

// block is how many weights are summed up together: a draw finds its block by the
// sums, and then the token.
const block = 256

// expSums returns the sums of e^(x-top) over blocks of logits, of which none is
// above top, appended to sums, and their total; NaN if a logit is.
func expSums(sums []float64, logits []float32, top float32) ([]float64, float64) {
	total := 0.0
	for i := 0; i < len(logits); i += block {
		sum := expSum(logits[i:min(i+block, len(logits))], top)
		sums = append(sums, sum)
		total += sum
	}
	return sums, total
}

// plainExpSum is the sum of e^(x-top) over logits.
func plainExpSum(logits []float32, top float32) (sum float64) {
	for _, x := range logits {
		sum += float64(expOf(x - top))
	}
	return sum
}
