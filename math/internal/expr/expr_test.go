package expr

import "testing"

func TestSame(t *testing.T) {
	x, y := Sym("x"), Sym("y")
	add := func(a ...*Node) *Node { return New(Add, a...) }
	mul := func(a ...*Node) *Node { return New(Mul, a...) }
	pow := func(a, b *Node) *Node { return New(Pow, a, b) }
	f := func(a *Node) *Node { return &Node{Kind: Apply, Name: "f", Args: []*Node{a}} }
	tests := []struct {
		name string
		a, b *Node
		want bool
	}{
		{"reordered sum", add(Num("3"), mul(Num("-13"), x)), add(mul(Num("-13"), x), Num("3")), true},
		{"binomial square", pow(add(x, y), Two), add(pow(x, Two), mul(Two, x, y), pow(y, Two)), true},
		{"wrong square", pow(add(x, y), Two), add(pow(x, Two), pow(y, Two)), false},
		{"decimal and fraction", Num("0.125"), Inverse(Num("8")), true},
		{"rationalised root", Inverse(Sqrt(Two)), mul(Sqrt(Two), Half), true},
		{"root of a square", Sqrt(pow(x, Two)), x, false},
		{"root of a shifted square", Sqrt(pow(add(x, Two), Two)), add(x, Two), false},
		{"root of a product", Sqrt(mul(x, y)), mul(Sqrt(x), Sqrt(y)), false},
		{"pythagoras", add(pow(Call("sin", x), Two), pow(Call("cos", x), Two)), One, true},
		{"secant", pow(Call("sec", x), Two), add(pow(Call("tan", x), Two), One), true},
		{"symbolic exponents", mul(pow(Two, x), Two), pow(Two, add(x, One)), true},
		{"unknown function", f(mul(Two, x)), f(add(x, x)), true},
		{"unknown function elsewhere", f(x), f(y), false},
		{"unknown function is not linear", f(mul(Two, x)), mul(Two, f(x)), false},
		{"factorial", Call("factorial", add(x, One)), mul(add(x, One), Call("factorial", x)), true},
		{"division by zero", Inverse(Num("0")), Inverse(Num("0")), false},
		{"multiple of the prime", Num("3947821360925143199"), Num("0"), false},
		{"zero to a power", pow(Num("0"), Two), mul(Num("0"), x), true},
		{"huge powers", pow(Two, Num("4000")), mul(Two, pow(Two, Num("3999"))), true},
		{"different huge powers", pow(Two, Num("4000")), pow(Two, Num("3999")), false},
		{"sum", &Node{Kind: Sum, Args: []*Node{x, x, One, Ten}}, Num("55"), true},
		{"nested radical", Sqrt(add(Num("3"), mul(Two, Sqrt(Two)))), add(One, Sqrt(Two)), true},
		{"logarithm", Call("log", Num("8"), Two), Num("3"), true},
		{"binomial", Call("binomial", Num("10"), Num("3")), Num("120"), true},
		{"conjugate", Call("conjugate", x), x, false},
		{"imaginary unit", pow(New(I), Two), MinusOne, true},
		{"euler", pow(New(E), mul(New(I), New(Pi))), MinusOne, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Same(tt.a, tt.b); got != tt.want {
				t.Errorf("Same(%v, %v) = %v", tt.a, tt.b, got)
			}
			if got := Same(tt.b, tt.a); got != tt.want {
				t.Errorf("not symmetric: Same(%v, %v) = %v", tt.b, tt.a, got)
			}
		})
	}
}

func TestClose(t *testing.T) {
	script := Closeness{Absolute: 1e-3, Relative: 1e-9}
	if !Close(Num("0.3333"), Inverse(Num("3")), script) {
		t.Error("0.3333 and 1/3 are within 1e-3")
	}
	if Close(Num("0.33"), Inverse(Num("3")), script) {
		t.Error("0.33 and 1/3 are not within 1e-3")
	}
	if Close(New(Mul, Num("0.3333"), Sym("x")), New(Mul, Inverse(Num("3")), Sym("x")), script) {
		t.Error("closeness is for constants only")
	}
}

func TestDiff(t *testing.T) {
	x := Sym("x")
	tests := []struct{ f, want *Node }{
		{New(Pow, x, Num("3")), New(Mul, Num("3"), New(Pow, x, Two))},
		{New(Mul, x, Call("sin", x)), New(Add, Call("sin", x), New(Mul, x, Call("cos", x)))},
		{New(Pow, Two, x), New(Mul, New(Pow, Two, x), Call("ln", Two))},
		{Call("ln", New(Mul, Two, x)), Inverse(x)},
		{Sym("y"), Num("0")},
	}
	for _, tt := range tests {
		if d, ok := Diff(tt.f, "x"); !ok || !Same(d, tt.want) {
			t.Errorf("derivative of %v: got %v, want %v", tt.f, d, tt.want)
		}
	}
	if _, ok := Diff(Call("floor", x), "x"); ok {
		t.Error("floor has no derivative")
	}
}
