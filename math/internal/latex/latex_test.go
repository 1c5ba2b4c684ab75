package latex

import (
	"strings"
	"testing"
)

// TestParse shows the grammar's surprises; that they are sympy's is proven by
// the golden cases of package grade.
func TestParse(t *testing.T) {
	tests := []struct{ in, want string }{
		{"x^2+1", "((x^2) + 1)"},
		{"2^3^2", "((2^3)^2)"},
		{"x^23", "(x^23)"},
		{"-x^2", "(-1*(x^2))"},
		{"1,234.5", "1234.5"},
		{"1,23", "1"},
		{"a,b", "a"},
		{"x^2+", "(x^2)"},
		{"x^", "x"},
		{"2x_", "2"},
		{"x_", ""},
		{"5.", ""},
		{"a=", ""},
		{"x#", ""},
		{"x,#", "x"},
		{"(1,2)", ""},
		{"02", ""},
		{`\frac12`, "(1*(2^-1))"},
		{`\sqrt[3]{x}`, "(x^(3^-1))"},
		{`2x3`, "(2*3)"},
		{"x(y)", "x(y)"},
		{"f(x", "f"},
		{"a(x,0]", ""},
		{`\log_28`, "log(8, 2)"},
		{`\sin^{-1}x`, "asin(x)"},
		{`\sin x/2`, "sin((x*(2^-1)))"},
		{`|x||y|`, "(abs(x)*abs(y))"},
		{`x_{12}`, "x_{12}"},
		{`\text{dx}`, "(text*dx)"},
		{`\left(x\right)`, "x"},
		{`x\,y\quad z`, "(x*y*z)"},
		{`5!`, "factorial(5)"},
		{`\lfloor x \rfloor`, "floor(x)"},
		{`\infty`, "oo"},
		{"3:2", "(3*(2^-1))"},
		{"", ""},
	}
	for _, tt := range tests {
		r, err := Parse(tt.in)
		got := ""
		if err == nil && r.Expr != nil {
			got = r.Expr.String()
		}
		if got != tt.want {
			t.Errorf("Parse(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestRelation(t *testing.T) {
	r, err := Parse(`x+1 \le y`)
	if err != nil || !r.Relation || r.Expr != nil || r.Difference.String() != "((x + 1) + (-1*y))" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := Parse("a=b=c"); err != nil || !r.Relation || r.Difference != nil {
		t.Errorf("a chain: got %+v, %v", r, err)
	}
}

// TestBounds has inputs that grow without end in a naive parser.
func TestBounds(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("(", 2000), strings.Repeat("f(", 1000), strings.Repeat("|", 2000), strings.Repeat("{", 40) + "x" + strings.Repeat("}", 40),
		strings.Repeat("x_{", 600), strings.Repeat("-", 2000), strings.Repeat("x^", 1000), strings.Repeat(`\frac{`, 300), strings.Repeat("9", 5000),
	} {
		if r, err := Parse(s); err == nil && r.Expr != nil {
			_ = r.Expr.Constant()
		}
	}
}
