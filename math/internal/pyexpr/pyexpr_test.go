package pyexpr

import "testing"

func TestParse(t *testing.T) {
	tests := []struct{ in, want string }{
		{"(.5)", ".5"},
		{"4.####4", "4."},
		{"-2**2", "(-1*(2^2))"},
		{"1e-3", "(1*(10^-3))"},
		{"x_+1/y", "(x_ + (1*(y^-1)))"},
		{"sqrt(2)*pi", "((2^(2^-1))*pi)"},
		{"f(x)", "f(x)"},
		{"02", ""}, {"2x", ""}, {"(1,2)", ""}, {"", ""}, {"2+", ""}, {"'a'", ""}, {"'5'", "5"}, {"5%", ""}, {"7//2", "floor((7*(2^-1)))"}, {"N", ""}, {"..", ""},
	}
	for _, tt := range tests {
		n, err := Parse(tt.in)
		got := ""
		if err == nil {
			got = n.String()
		}
		if got != tt.want {
			t.Errorf("Parse(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
