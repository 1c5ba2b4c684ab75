package report

import "math"

// Wilson returns the 95 % confidence interval of a rate of which k successes in
// n trials were seen, by E. B. Wilson's score method (JASA 22, 1927). It stays
// within [0, 1] and is useful for small n, k = 0 and k = n. With n = 0 nothing is
// known: 0, 1. It panics unless 0 <= k <= n.
func Wilson(k, n int) (lo, hi float64) {
	if k < 0 || n < k {
		panic("report: Wilson needs 0 <= k <= n")
	}
	if n == 0 {
		return 0, 1
	}
	const z = 1.959963984540054 // 97.5 % quantile of the normal distribution
	N, p := float64(n), float64(k)/float64(n)
	scale := 1 / (1 + z*z/N)
	centre := scale * (p + z*z/(2*N))
	half := scale * z * math.Sqrt(p*(1-p)/N+z*z/(4*N*N))
	return max(0, centre-half), min(1, centre+half)
}
