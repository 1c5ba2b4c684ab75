package expr

import (
	"errors"
	"math"
	"math/cmplx"
)

// Points is how many assignments two expressions with symbols must agree at.
const Points = 12

// Closeness is when two real constants count as the same: within Absolute, or
// within Relative of the larger.
type Closeness struct{ Absolute, Relative float64 }

// Same reports whether a and b are equal for all values of their symbols. It
// errs on the side of false: an expression that has no value at the points
// (1/0, a sum without whole bounds) equals nothing.
func Same(a, b *Node) bool {
	for k := range point(Points) {
		if !k.same(a, b) {
			return false
		}
		if k == 0 && a.Constant() && b.Constant() {
			break
		}
	}
	return true
}

// Close is Same, or for real constants equality within the given closeness.
func Close(a, b *Node, c Closeness) bool {
	if Same(a, b) {
		return true
	}
	x, ok1 := a.Real()
	y, ok2 := b.Real()
	return ok1 && ok2 && c.Equal(x, y)
}

// Equal compares two numbers as Python's math.isclose does.
func (c Closeness) Equal(x, y float64) bool {
	if x == y {
		return true
	}
	if math.IsInf(x, 0) || math.IsInf(y, 0) {
		return false
	}
	return math.Abs(x-y) <= math.Max(c.Absolute, c.Relative*math.Max(math.Abs(x), math.Abs(y)))
}

// Real is the value of a real constant.
func (n *Node) Real() (float64, bool) {
	if !n.Constant() {
		return 0, false
	}
	v, err := point(0).numeric(n)
	if err != nil || cmplx.IsNaN(v.v) || math.Abs(imag(v.v)) > v.err+1e-300 {
		return 0, false
	}
	return real(v.v), true
}

// same compares at one point. Values in the field decide when both have one;
// a constant must then also have the same magnitude, so that a number is never
// taken for another that differs by a multiple of the prime.
func (p point) same(a, b *Node) bool {
	x, err1 := p.exact(a)
	y, err2 := p.exact(b)
	if errors.Is(err1, errUndefined) || errors.Is(err2, errUndefined) {
		return false
	}
	exact := err1 == nil && err2 == nil
	if exact && x != y {
		return false
	}
	if exact && !a.Constant() {
		return true
	}
	return p.sameNumeric(a, b, exact)
}

// loose is the largest error bound, relative to the value, at which two values
// are still called equal.
const loose = 1e-7

func (p point) sameNumeric(a, b *Node, exact bool) bool {
	x, err1 := p.numeric(a)
	y, err2 := p.numeric(b)
	if err1 != nil || err2 != nil {
		return false
	}
	if cmplx.IsInf(x.v) && cmplx.IsInf(y.v) {
		return exact || x.v == y.v
	}
	if !x.finite() || !y.finite() {
		return false
	}
	size := math.Max(cmplx.Abs(x.v), cmplx.Abs(y.v))
	bound := 8 * (x.err + y.err)
	if exact {
		return cmplx.Abs(x.v-y.v) <= bound+1e-9*size
	}
	return cmplx.Abs(x.v-y.v) <= bound && (bound <= loose*size || bound <= 1e-9)
}

// Proportional reports whether a is a constant real multiple of b, not zero,
// and the multiple.
func Proportional(a, b *Node) (factor float64, ok bool) {
	for k := range point(Points) {
		x, err1 := k.numeric(a)
		y, err2 := k.numeric(b)
		if err1 != nil || err2 != nil || !x.finite() || !y.finite() ||
			cmplx.Abs(x.v) <= 8*x.err || cmplx.Abs(y.v) <= 8*y.err {
			return 0, false
		}
		ratio := x.v / y.v
		if math.Abs(imag(ratio)) > 1e-9*cmplx.Abs(ratio) {
			return 0, false
		}
		if k == 0 {
			factor = real(ratio)
		}
		if math.Abs(real(ratio)-factor) > 1e-9*math.Abs(factor) {
			return 0, false
		}
	}
	return factor, true
}
