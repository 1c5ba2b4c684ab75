package expr

// Diff is the derivative of n by the symbol x. ok is false for a function
// whose derivative is not known.
func Diff(n *Node, x string) (d *Node, ok bool) {
	switch n.Kind {
	case Symbol:
		if n.Name == x {
			return One, true
		}
		return Num("0"), true
	case Number, Infinity, Pi, E, I:
		return Num("0"), true
	case Add:
		terms := make([]*Node, len(n.Args))
		for i, a := range n.Args {
			if terms[i], ok = Diff(a, x); !ok {
				return nil, false
			}
		}
		return New(Add, terms...), true
	case Mul:
		return diffProduct(n.Args, x)
	case Pow:
		return diffPower(n.Args[0], n.Args[1], x)
	case Func:
		return diffFunc(n, x)
	}
	return nil, false
}

func diffProduct(factors []*Node, x string) (*Node, bool) {
	terms := make([]*Node, len(factors))
	for i, f := range factors {
		d, ok := Diff(f, x)
		if !ok {
			return nil, false
		}
		term := append([]*Node{d}, factors[:i]...)
		terms[i] = New(Mul, append(term, factors[i+1:]...)...)
	}
	return New(Add, terms...), true
}

// diffPower: (f^g)' = g f^(g-1) f' + f^g ln(f) g', the last for a variable
// exponent only.
func diffPower(f, g *Node, x string) (*Node, bool) {
	df, ok := Diff(f, x)
	if !ok {
		return nil, false
	}
	first := New(Mul, g, New(Pow, f, New(Add, g, MinusOne)), df)
	if !g.HasSymbol() {
		return first, true
	}
	dg, ok := Diff(g, x)
	if !ok {
		return nil, false
	}
	return New(Add, first, New(Mul, New(Pow, f, g), Call("ln", f), dg)), true
}

func diffFunc(n *Node, x string) (*Node, bool) {
	f := n.Args[0]
	var outer *Node
	switch n.Name {
	case "exp":
		outer = n
	case "ln":
		outer = Inverse(f)
	case "sin":
		outer = Call("cos", f)
	case "cos":
		outer = Neg(Call("sin", f))
	case "tan":
		outer = New(Pow, Call("sec", f), Two)
	default:
		return nil, false
	}
	df, ok := Diff(f, x)
	if !ok {
		return nil, false
	}
	return New(Mul, outer, df), true
}
