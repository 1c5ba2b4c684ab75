package expr

import (
	"math"
	"math/cmplx"
	"strconv"
	"strings"
)

// epsilon bounds the relative rounding error of one complex operation.
const epsilon = 4e-16

// approx is a complex value and a bound on its absolute error.
type approx struct {
	v   complex128
	err float64
}

func exactly(v complex128) approx { return approx{v, epsilon * cmplx.Abs(v)} }

func (a approx) finite() bool {
	return !cmplx.IsNaN(a.v) && !cmplx.IsInf(a.v) && !math.IsNaN(a.err) && !math.IsInf(a.err, 0)
}

func (a approx) add(b approx) approx {
	v := a.v + b.v
	return approx{v, a.err + b.err + epsilon*cmplx.Abs(v)}
}

func (a approx) mul(b approx) approx {
	v := a.v * b.v
	if imag(a.v) == 0 && imag(b.v) == 0 {
		v = complex(real(a.v)*real(b.v), 0) // keeps an infinity real
	}
	return approx{v, cmplx.Abs(a.v)*b.err + cmplx.Abs(b.v)*a.err + a.err*b.err + epsilon*cmplx.Abs(v)}
}

// through applies a function whose derivative at a is about slope in absolute
// value.
func (a approx) through(v complex128, slope float64) approx {
	return approx{v, slope*a.err + epsilon*(1+slope)*cmplx.Abs(v)}
}

// numeric is the complex value of n with principal branches.
func (p point) numeric(n *Node) (approx, error) {
	switch n.Kind {
	case Number:
		v, _ := strconv.ParseFloat(n.Name, 64)
		return exactly(complex(v, 0)), nil
	case Symbol:
		return exactly(p.symbolValue(n.Name)), nil
	case Infinity:
		return approx{v: complex(math.Inf(1), 0)}, nil
	case Pi:
		return exactly(math.Pi), nil
	case E:
		return exactly(math.E), nil
	case I:
		return approx{v: 1i}, nil
	case Add:
		return p.numericFold(n.Args, approx{}, approx.add)
	case Mul:
		return p.numericFold(n.Args, approx{v: 1}, approx.mul)
	case Pow:
		return p.numericPow(n.Args[0], n.Args[1])
	case Func:
		return p.numericFunc(n)
	case Apply:
		return p.numericApply(n)
	}
	return p.numericSeries(n)
}

// symbolValue is a complex number in general position. At most points it is of
// modulus 0.6 to 90, so that x+2 is not always in the right half plane; at some
// it is near 1, where towers of exponentials stay finite.
func (p point) symbolValue(name string) complex128 {
	u := unit(p.hash(name, 1))
	r := math.Exp(5*u - 0.5)
	if p%4 == 0 {
		r = 0.5 + 1.2*u
	}
	return cmplx.Rect(r, 2*math.Pi*unit(p.hash(name, 2)))
}

// unit maps a hash to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

func (p point) numericFold(args []*Node, acc approx, op func(a, b approx) approx) (approx, error) {
	for i, a := range args {
		v, err := p.numeric(a)
		if err != nil {
			return approx{}, err
		}
		if i == 0 {
			acc = v
		} else {
			acc = op(acc, v)
		}
	}
	return acc, nil
}

func (p point) numericPow(base, exponent *Node) (approx, error) {
	b, err := p.numeric(base)
	if err != nil {
		return approx{}, err
	}
	if num, den, ok := smallRational(exponent); ok {
		return rationalPow(b, num, den)
	}
	e, err := p.numeric(exponent)
	if err != nil {
		return approx{}, err
	}
	if b.v == 0 {
		if real(e.v) <= 0 {
			return approx{}, errUndefined
		}
		return approx{}, nil
	}
	v := complexPow(b.v, e.v)
	size := cmplx.Abs(v)
	relative := cmplx.Abs(e.v)*b.err/cmplx.Abs(b.v) + cmplx.Abs(cmplx.Log(b.v))*(e.err+epsilon)
	return approx{v, size * (relative + epsilon*(1+cmplx.Abs(e.v)))}, nil
}

func rationalPow(b approx, num, den int64) (approx, error) {
	if num == 0 {
		return approx{v: 1}, nil
	}
	if cmplx.Abs(b.v) <= b.err && (b.v == 0 || num < 0 || den != 1) {
		if num < 0 {
			return approx{}, errUndefined
		}
		b.v = 0
		return approx{0, math.Pow(b.err, float64(num)/float64(den))}, nil
	}
	e := float64(num) / float64(den)
	var v complex128
	switch {
	case num == -1 && den == 1:
		v = 1 / b.v
	case num == 1 && den == 2:
		v = cmplx.Sqrt(snapReal(b))
	default:
		v = complexPow(snapReal(b), complex(e, 0))
	}
	relative := math.Abs(e) * (b.err/cmplx.Abs(b.v) + epsilon)
	return approx{v, cmplx.Abs(v) * (relative + 4*epsilon)}, nil
}

// snapReal drops an imaginary part that is rounding noise, so that a value on
// the branch cut of a root is on its upper side.
func snapReal(a approx) complex128 {
	if math.Abs(imag(a.v)) <= a.err {
		return complex(real(a.v), 0)
	}
	return a.v
}

func complexPow(b, e complex128) complex128 {
	if imag(b) == 0 && imag(e) == 0 && (real(b) >= 0 || real(e) == math.Trunc(real(e))) {
		return complex(math.Pow(real(b), real(e)), 0)
	}
	return cmplx.Pow(b, e)
}

// functions are the known functions of one argument.
var functions = map[string]func(complex128) complex128{
	"exp": cmplx.Exp, "ln": cmplx.Log,
	"sin": cmplx.Sin, "cos": cmplx.Cos, "tan": cmplx.Tan,
	"csc":  func(z complex128) complex128 { return 1 / cmplx.Sin(z) },
	"sec":  func(z complex128) complex128 { return 1 / cmplx.Cos(z) },
	"cot":  func(z complex128) complex128 { return 1 / cmplx.Tan(z) },
	"asin": cmplx.Asin, "acos": cmplx.Acos, "atan": cmplx.Atan,
	"acsc": func(z complex128) complex128 { return cmplx.Asin(1 / z) },
	"asec": func(z complex128) complex128 { return cmplx.Acos(1 / z) },
	"acot": func(z complex128) complex128 { return cmplx.Atan(1 / z) },
	"sinh": cmplx.Sinh, "cosh": cmplx.Cosh, "tanh": cmplx.Tanh,
	"asinh": cmplx.Asinh, "acosh": cmplx.Acosh, "atanh": cmplx.Atanh,
	"factorial": func(z complex128) complex128 { return gamma(z + 1) },
}

func (p point) numericFunc(n *Node) (approx, error) {
	args := make([]approx, len(n.Args))
	for i, a := range n.Args {
		var err error
		if args[i], err = p.numeric(a); err != nil {
			return approx{}, err
		}
		if !args[i].finite() {
			return approx{}, errUndefined
		}
	}
	a := args[0]
	switch n.Name {
	case "abs":
		return a.through(complex(cmplx.Abs(a.v), 0), 1), nil
	case "conjugate":
		return approx{cmplx.Conj(a.v), a.err}, nil
	case "floor":
		return a.step(math.Floor), nil
	case "ceiling":
		return a.step(math.Ceil), nil
	case "log":
		return logarithm(a, args[1])
	case "binomial":
		return binomial(a, args[1])
	}
	f := functions[n.Name]
	if f == nil || (n.Name == "ln" && a.v == 0) {
		return approx{}, errUndefined
	}
	v := f(snapReal(a))
	// The slope from a difference quotient; its own error does not matter.
	const h = 1e-6
	slope := cmplx.Abs(f(a.v+h)-v) / h
	result := a.through(v, slope)
	if !result.finite() {
		return approx{}, errUndefined
	}
	return result, nil
}

// step applies floor or ceiling to both parts, taking a value within its error
// of an integer for that integer.
func (a approx) step(f func(float64) float64) approx {
	part := func(x float64) float64 {
		if r := math.Round(x); math.Abs(x-r) <= a.err {
			return r
		}
		return f(x)
	}
	return approx{v: complex(part(real(a.v)), part(imag(a.v)))}
}

func logarithm(a, base approx) (approx, error) {
	la, lb := cmplx.Log(snapReal(a)), cmplx.Log(snapReal(base))
	if a.v == 0 || base.v == 0 || cmplx.Abs(lb) < 1e-12 {
		return approx{}, errUndefined
	}
	num := approx{la, a.err/cmplx.Abs(a.v) + epsilon*cmplx.Abs(la)}
	den := approx{lb, base.err/cmplx.Abs(base.v) + epsilon*cmplx.Abs(lb)}
	inverse, err := rationalPow(den, -1, 1)
	return num.mul(inverse), err
}

// binomial multiplies out a whole lower index; others go through gamma.
func binomial(n, k approx) (approx, error) {
	if r := math.Round(real(k.v)); cmplx.Abs(k.v-complex(r, 0)) <= k.err+1e-12 && math.Abs(r) <= 1000 {
		if r < 0 {
			return approx{}, nil
		}
		result := approx{v: 1}
		for j := 1.0; j <= r; j++ {
			result = result.mul(n.add(approx{v: complex(1-j, 0)})).mul(exactly(complex(1/j, 0)))
		}
		return result, nil
	}
	v := gamma(n.v+1) / (gamma(k.v+1) * gamma(n.v-k.v+1))
	result := approx{v, 1e-12 * (1 + cmplx.Abs(v))}
	if !result.finite() {
		return approx{}, errUndefined
	}
	return result, nil
}

// numericApply is exactApply over the complex numbers.
func (p point) numericApply(n *Node) (approx, error) {
	value := exactly(p.symbolValue(n.Name))
	for i, a := range n.Args {
		v, err := p.numeric(a)
		if err != nil {
			return approx{}, err
		}
		var term approx
		for degree := range 5 {
			c := p.symbolValue(n.Name + strings.Repeat("'", degree+1) + strconv.Itoa(i))
			term = term.add(exactly(c)).mul(v)
		}
		value = value.add(term)
	}
	return value, nil
}

// maxSeries bounds the nodes evaluated in one sum or product, inner ones
// included.
const maxSeries = 4000

// cost is the number of nodes visited to evaluate n, up to a little over
// maxSeries.
func (n *Node) cost() int64 {
	total := int64(1)
	for _, a := range n.Args {
		total = min(total+a.cost(), maxSeries+1)
	}
	if n.Kind == Sum || n.Kind == Product {
		from, _, ok1 := smallRational(n.Args[2])
		to, _, ok2 := smallRational(n.Args[3])
		if ok1 && ok2 {
			total *= min(max(to-from+1, 1), maxSeries+1)
		}
	}
	return min(total, maxSeries+1)
}

// numericSeries adds or multiplies out a sum or product between whole bounds.
func (p point) numericSeries(n *Node) (approx, error) {
	body, variable := n.Args[0], n.Args[1]
	from, d1, ok1 := smallRational(n.Args[2])
	to, d2, ok2 := smallRational(n.Args[3])
	if !ok1 || !ok2 || d1 != 1 || d2 != 1 || variable.Kind != Symbol || n.cost() > maxSeries {
		return approx{}, errUndefined
	}
	acc, op := approx{}, approx.add
	if n.Kind == Product {
		acc, op = approx{v: 1}, approx.mul
	}
	for k := from; k <= to; k++ {
		v, err := p.numeric(body.Substitute(variable.Name, Num(strconv.FormatInt(k, 10))))
		if err != nil {
			return approx{}, err
		}
		acc = op(acc, v)
	}
	return acc, nil
}

// Substitute replaces a symbol.
func (n *Node) Substitute(name string, by *Node) *Node {
	if n.Kind == Symbol && n.Name == name {
		return by
	}
	if len(n.Args) == 0 {
		return n
	}
	args := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		args[i] = a.Substitute(name, by)
	}
	return &Node{Kind: n.Kind, Name: n.Name, Args: args}
}

// gamma is the gamma function by Lanczos' series with g = 7 and nine
// coefficients (C. Lanczos, SIAM J. Numer. Anal. B 1, 1964).
func gamma(z complex128) complex128 {
	if imag(z) == 0 {
		return complex(math.Gamma(real(z)), 0)
	}
	if real(z) < 0.5 {
		return math.Pi / (cmplx.Sin(math.Pi*z) * gamma(1-z))
	}
	coefficients := [...]float64{
		0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
		-176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
	}
	z--
	sum := complex(coefficients[0], 0)
	for i, c := range coefficients[1:] {
		sum += complex(c, 0) / (z + complex(float64(i+1), 0))
	}
	t := z + 7.5
	return complex(math.Sqrt(2*math.Pi), 0) * cmplx.Pow(t, z+0.5) * cmplx.Exp(-t) * sum
}
