package expr

import (
	"errors"
	"math"
	"math/cmplx"
)

// Points is how many assignments two expressions with symbols are compared at,
// and agreements at how many of them they must be known to agree: a value may
// overflow, or be too inexact to tell.
const (
	Points     = 16
	agreements = 4
)

// Closeness is when two real constants count as the same: within Absolute, or
// within Relative of the larger.
type Closeness struct{ Absolute, Relative float64 }

// Same reports whether a and b are equal for all values of their symbols. It
// errs on the side of false: an expression that has no value at the points
// (1/0, a sum without whole bounds) equals nothing.
func Same(a, b *Node) bool {
	constant := a.Constant() && b.Constant()
	agreed := 0
	for k := range point(Points) {
		switch k.compare(a, b) {
		case different:
			return false
		case equal:
			agreed++
		}
		if constant {
			return agreed == 1
		}
	}
	return agreed >= agreements
}

// outcome is what one point says.
type outcome uint8

const (
	unknown outcome = iota
	equal
	different
)

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

// compare compares at one point. Values in the field decide when both have one;
// a constant must then also have the same magnitude, so that a number is never
// taken for another that differs by a multiple of the prime.
func (p point) compare(a, b *Node) outcome {
	x, err1 := p.exact(a)
	y, err2 := p.exact(b)
	if errors.Is(err1, errUndefined) || errors.Is(err2, errUndefined) {
		return different
	}
	exact := err1 == nil && err2 == nil
	switch {
	case exact && x != y:
		return different
	case exact && !(a.Constant() && b.Constant()):
		return equal
	}
	return p.compareNumeric(a, b, exact)
}

// loose is the largest error bound, relative to the value, at which two values
// can still be called equal.
const loose = 1e-7

func (p point) compareNumeric(a, b *Node, exact bool) outcome {
	x, err1 := p.numeric(a)
	y, err2 := p.numeric(b)
	if err1 != nil || err2 != nil {
		return unknown
	}
	if cmplx.IsInf(x.v) && cmplx.IsInf(y.v) && (exact || x.v == y.v) {
		return equal
	}
	if !x.finite() || !y.finite() {
		return unknown
	}
	size := math.Max(cmplx.Abs(x.v), cmplx.Abs(y.v))
	bound, apart := 8*(x.err+y.err), cmplx.Abs(x.v-y.v)
	switch {
	case apart > bound && (!exact || apart > bound+1e-9*size):
		return different
	case exact || bound <= loose*size || bound <= 1e-9:
		return equal
	}
	return unknown
}

// Proportional reports whether a is a constant real multiple of b, not zero,
// and the multiple.
func Proportional(a, b *Node) (factor float64, ok bool) {
	agreed, firstError := 0, 0.0
	for k := range point(Points) {
		x, err1 := k.numeric(a)
		y, err2 := k.numeric(b)
		if err1 != nil || err2 != nil || !x.finite() || !y.finite() {
			continue
		}
		relative := 8 * (x.err/cmplx.Abs(x.v) + y.err/cmplx.Abs(y.v))
		if !(relative <= loose) { // also where a value is zero
			continue
		}
		ratio := x.v / y.v
		if agreed == 0 {
			factor, firstError = real(ratio), relative
		}
		if cmplx.Abs(ratio-complex(factor, 0)) > (1e-9+relative+firstError)*math.Abs(factor) {
			return 0, false
		}
		agreed++
	}
	return factor, agreed >= agreements
}
