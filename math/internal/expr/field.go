package expr

import (
	"errors"
	"math/bits"
)

// prime is the size of the field of exact values: a prime below 2^62 with no
// special form, so that no literal is zero in it by design.
const prime = 3947821360925143199

var (
	// errIrrational: the expression is not made of field operations.
	errIrrational = errors.New("not a rational function")
	// errUndefined: a division by zero, or a value with no meaning.
	errUndefined = errors.New("undefined")
)

func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	_, rem := bits.Div64(hi, lo, prime)
	return rem
}

func addMod(a, b uint64) uint64 {
	if a += b; a >= prime {
		a -= prime
	}
	return a
}

func powMod(a, n uint64) uint64 {
	result := uint64(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = mulMod(result, a)
		}
		a = mulMod(a, a)
	}
	return result
}

func invMod(a uint64) (uint64, error) {
	if a == 0 {
		return 0, errUndefined
	}
	return powMod(a, prime-2), nil
}

// literalMod is the value of a decimal literal with an optional minus sign.
func literalMod(s string) (uint64, error) {
	negative := s != "" && s[0] == '-'
	if negative {
		s = s[1:]
	}
	value, places, seen := uint64(0), uint64(0), false
	for _, c := range []byte(s) {
		if c == '.' {
			seen = true
			continue
		}
		value = addMod(mulMod(value, 10), uint64(c-'0'))
		if seen {
			places++
		}
	}
	if negative {
		value = (prime - value) % prime
	}
	if places == 0 {
		return value, nil
	}
	scale, err := invMod(powMod(10, places))
	return mulMod(value, scale), err
}

// point is one assignment of values to symbols and unknown functions.
type point uint64

// hash mixes a name into the point (FNV-1a, then a finaliser of SplitMix64).
func (p point) hash(name string, salt uint64) uint64 {
	h := uint64(14695981039346656037) ^ uint64(p)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h += (salt + 1) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// exact is the value of n in the field.
func (p point) exact(n *Node) (uint64, error) {
	switch n.Kind {
	case Number:
		return literalMod(n.Name)
	case Symbol:
		return p.hash(n.Name, 0) % prime, nil
	case Add:
		return p.exactFold(n.Args, 0, addMod)
	case Mul:
		return p.exactFold(n.Args, 1, mulMod)
	case Pow:
		return p.exactPow(n.Args[0], n.Args[1])
	case Apply:
		return p.exactApply(n)
	}
	return 0, errIrrational
}

func (p point) exactFold(args []*Node, acc uint64, op func(a, b uint64) uint64) (uint64, error) {
	for _, a := range args {
		v, err := p.exact(a)
		if err != nil {
			return 0, err
		}
		acc = op(acc, v)
	}
	return acc, nil
}

func (p point) exactPow(base, exponent *Node) (uint64, error) {
	num, den, ok := smallRational(exponent)
	if !ok || den != 1 {
		return 0, errIrrational
	}
	v, err := p.exact(base)
	if err != nil {
		return 0, err
	}
	if num < 0 {
		if v, err = invMod(v); err != nil {
			return 0, err
		}
		num = -num
	}
	return powMod(v, uint64(num)), nil
}

// exactApply gives an unknown function the value of a polynomial of degree 5
// whose coefficients depend on its name: equal arguments give equal values,
// and no short identity holds between the values at different arguments.
func (p point) exactApply(n *Node) (uint64, error) {
	value := p.hash(n.Name, uint64(len(n.Args))) % prime
	for i, a := range n.Args {
		v, err := p.exact(a)
		if err != nil {
			return 0, err
		}
		term := uint64(0)
		for degree := range uint64(5) {
			c := p.hash(n.Name, uint64(i+1)*8+degree) % prime
			term = mulMod(addMod(term, c), v)
		}
		value = addMod(value, term)
	}
	return value, nil
}

// smallRational is the exact value num/den of a constant made of small
// numbers, as exponents usually are. It gives up where 62 bits do not do.
func smallRational(n *Node) (num, den int64, ok bool) {
	switch n.Kind {
	case Number:
		return smallLiteral(n.Name)
	case Add, Mul:
		return smallFold(n)
	case Pow:
		bn, bd, ok1 := smallRational(n.Args[0])
		en, ed, ok2 := smallRational(n.Args[1])
		if !ok1 || !ok2 || ed != 1 || en > 64 || en < -64 || (bn == 0 && en < 0) {
			return 0, 0, false
		}
		if en < 0 {
			bn, bd, en = bd, bn, -en
		}
		num, den = 1, 1
		for ok = true; en > 0 && ok; en-- {
			num, den, ok = smallMul(num, den, bn, bd)
		}
		return num, den, ok
	}
	return 0, 0, false
}

func smallFold(n *Node) (num, den int64, ok bool) {
	num, den, ok = 0, 1, true
	if n.Kind == Mul {
		num = 1
	}
	for _, a := range n.Args {
		an, ad, aok := smallRational(a)
		if !aok || !ok {
			return 0, 0, false
		}
		if n.Kind == Mul {
			num, den, ok = smallMul(num, den, an, ad)
		} else {
			num, den, ok = smallAdd(num, den, an, ad)
		}
	}
	return num, den, ok
}

const smallLimit = 1 << 30

func smallReduce(num, den int64) (int64, int64, bool) {
	a, b := num, den
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 {
		return 0, 0, false
	}
	num, den = num/a, den/a
	if den < 0 {
		num, den = -num, -den
	}
	return num, den, num < smallLimit && -num < smallLimit && den < smallLimit
}

func smallMul(an, ad, bn, bd int64) (int64, int64, bool) { return smallReduce(an*bn, ad*bd) }

func smallAdd(an, ad, bn, bd int64) (int64, int64, bool) { return smallReduce(an*bd+bn*ad, ad*bd) }

func smallLiteral(s string) (num, den int64, ok bool) {
	negative := s != "" && s[0] == '-'
	if negative {
		s = s[1:]
	}
	if len(s) > 10 {
		return 0, 0, false
	}
	den = 1
	point := false
	for _, c := range []byte(s) {
		if c == '.' {
			point = true
			continue
		}
		num = num*10 + int64(c-'0')
		if point {
			den *= 10
		}
	}
	if negative {
		num = -num
	}
	return smallReduce(num, den)
}
