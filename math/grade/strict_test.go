package grade

import "testing"

// TestDifferences proves each row of the table in the package comment.
func TestDifferences(t *testing.T) {
	tests := []struct {
		class, answer, gold string
		deepseek, strict    bool
	}{
		{"factor of 100", "50", "0.5", true, false},
		{"percent sign", `50\%`, "0.5", true, true},
		{"tolerance", "0.0005", "0.001", true, false},
		{"rounded decimal", "1.4142", `\sqrt{2}`, true, true},
		{"rounded to 2 places", "1.41", `\sqrt{2}`, false, false},
		{"interval brackets", "[1,2]", "(1,2)", true, false},
		{"sets", `\{1,2\}`, `\{2,1\}`, false, true},
		{"lists", "1,2", "2,1", false, true},
		{"repeated boxes", `1} and \boxed{2`, "1,2", false, true},
		{"union of intervals", `[1,2]\cup[3,4]`, `(1,2)\cup(3,4)`, true, false},
		{"multiple of equation", "2x+2y=6", "x+y=3", false, true},
		{"named function", "f(x)=2x", "2x", false, true},
		{"inequality", "x>3", "3<x", false, true},
		{"inequality, interval", `x\ge3`, `[3,\infty)`, false, true},
		{"mixed number", `2\frac12`, `\frac52`, false, true},
		{"product sign", `2\cdot3`, "6", false, true},
		{"product sign", `2\cdot3`, "23", true, false},
		{"value of pi", `\pi`, "3.14159", false, true},
		{"imaginary unit", "i^2", "-1", false, true},
		{"base subscript", "10_2", "2", false, true},
		{"base subscript", "4210_{7}", "4210_8", true, false},
		{"units that differ", `5\text{ cm}`, `5\text{ m}`, true, false},
		{"trailing t", "3t", "3", true, false},
		{"what follows", "x^2+", "x^2", true, false},
		{"what follows", "x,y", "x", true, false},
		{"letters as functions", "x(x+1)", "x^2+x", false, true},
		{"negative exponent", "x^-1", `\frac1x`, false, true},
		{"doubled backslashes", `\\frac12`, `\frac12`, false, true},
		{"plus or minus", `\pm2`, "-2,2", false, true},
		{"matrix brackets", `\begin{pmatrix}1\\2\end{pmatrix}`, `\begin{bmatrix}1\\2\end{bmatrix}`, true, true},
	}
	for _, tt := range tests {
		in := Input{Generation: `\boxed{` + tt.answer + "}", Gold: tt.gold, Dataset: "math"}
		if v := Grade(DeepSeekMath, in); v.Correct != tt.deepseek {
			t.Errorf("%s: deepseekmath takes %q for %q: %v by %s, want %v", tt.class, tt.answer, tt.gold, v.Correct, v.Rule, tt.deepseek)
		}
		if v := Grade(Strict, in); v.Correct != tt.strict {
			t.Errorf("%s: strict takes %q for %q: %v by %s, want %v", tt.class, tt.answer, tt.gold, v.Correct, v.Rule, tt.strict)
		}
	}
}

func TestStrict(t *testing.T) {
	tests := []struct {
		answer, gold string
		want         bool
	}{
		{"1,000", "1000", true},
		{"1 000", "1000", true},
		{"2.5e-3", "0.0025", true},
		{"1e3", "1000", true},
		{`10\,000`, "10000", true},
		{`x\in\{1,2\}`, `\{2,1\}`, true},
		{`14{,}916`, "14916", true},
		{`11,\! 111`, "11111", true},
		{"2,74", "2.74", true},
		{"2,74", "2.75", false},
		{`\$12.50`, "12.5", true},
		{`90^\circ`, "90", true},
		{`\sin(90^\circ - x)`, `\cos x`, true},
		{`15\mbox{ cm}^2`, "15", true},
		{`15\text{ cm}^2`, `15\text{ cm}^3`, false},
		{"12 gallons", "12", true},
		{`\text{Evelyn}`, "Evelyn", true},
		{`\text{Evelyn}`, "Evan", false},
		{`\text{(B)}`, "B", true},
		{"(x+1)^2", "x^2+2x+1", true},
		{"(x+1)^2", "x^2+1", false},
		{`\frac{1}{\sqrt2}`, `\frac{\sqrt2}{2}`, true},
		{`\sqrt{x^2}`, "x", false},
		{"(1,2)", "(2,1)", false},
		{"(1,2),(3,4)", "(3,4),(1,2)", true},
		{`(0.5,\frac13]`, `(\frac12,\frac{1}{3}]`, true},
		{`(-\infty,3)`, "x<3", true},
		{`(-\infty,3]`, "x<3", false},
		{`-1 < x \le 2`, "(-1,2]", true},
		{"2 > x > 1", "1 < x < 2", true},
		{"x > 1", "x < 1", false},
		{"-x >= -1", "x <= 1", true},
		{"x=1, y=2", "y=2, x=1", true},
		{"x=1, y=2", "x=2, y=1", false},
		{"x = 1 or x = 2", `\{1,2\}`, true},
		{"1 and 2", "1, 2", true},
		{"19, 46, and 82", `19, 46, \text{ and } 82`, true},
		{"7 = 11a + c", "11a+c = 7", true},
		{"11a+c", "7=11a+c", false},
		{"0", "a+3z=0", false},
		{`\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}`, `\begin{pmatrix}1&2\\3&4\\\end{pmatrix}`, true},
		{`\begin{pmatrix} 1 & 2 \end{pmatrix}`, `\begin{pmatrix}1\\2\end{pmatrix}`, false},
		{`\begin{pmatrix}1&0\\0&1\end{pmatrix}\begin{pmatrix}5\\6\end{pmatrix}`, `\begin{pmatrix}5\\6\end{pmatrix}`, true},
		{`2\begin{pmatrix}1\\2\end{pmatrix}`, `\begin{pmatrix}2\\4\end{pmatrix}`, true},
		{`\begin{cases} x=1 \\ y=2 \end{cases}`, "x=1,y=2", true},
		{`3 \pm 2\sqrt2`, `3+2\sqrt2, 3-2\sqrt2`, true},
		{"3:2", `\frac32`, true},
		{"1:00", "12:00", false},
		{`\log_2 8`, "3", true},
		{`\binom{5}{2}`, "10", true},
		{"5!", "120", true},
		{`\lfloor 2.7 \rfloor`, "2", true},
		{`1 - \frac{1}{\mathrm{e}}`, `1 - e^{-1}`, true},
		{"2516_8", "2516", false},
		{`\{1\}\cup\{2\}`, `\{2,1\}`, true},
		{`\emptyset`, `\{\}`, true},
		{`x\in\mathbb{R}`, `(-\infty,\infty)`, true},
		{`-\infty < x < 3`, `(-\infty,3)`, true},
		{"½", "0.5", true},
		{"2 1/2", "2.5", true},
		{"0.333", `\frac13`, true},
		{"0.334", `\frac13`, false},
		{"", "5", false},
	}
	for _, tt := range tests {
		forth := Grade(Strict, Input{Generation: `\boxed{` + tt.answer + "}", Gold: tt.gold})
		if forth.Correct != tt.want {
			t.Errorf("%q for %q: %v by %s, want %v", tt.answer, tt.gold, forth.Correct, forth.Rule, tt.want)
		}
		if back := Grade(Strict, Input{Generation: `\boxed{` + tt.gold + "}", Gold: tt.answer}); back.Correct != tt.want {
			t.Errorf("%q for %q: %v by %s, want %v", tt.gold, tt.answer, back.Correct, back.Rule, tt.want)
		}
	}
}

func TestStrictExtraction(t *testing.T) {
	tests := []struct{ text, gold string }{
		{`Thus \boxed{7}.`, "7"},
		{`First \boxed{3}. Long after that, and for other reasons, we find \boxed{7}.`, "7"},
		{`So \boxed{1}, \boxed{2} and \boxed{3}.`, "1,2,3"},
		{`\boxed{5} is wrong. Final Answer: The final answer is $7$. I hope it is correct.`, "7"},
		{"The answer is $7$.", "7"},
		{"#### 1,234", "1234"},
		{"It is 3 at first. Then 7.", "7"},
		{"The solution is $x = 7$.", "7"},
		{"The largest $n$ is 34.", "34"},
		{`Answer \( 9 \)`, "9"},
		{"It rises by 100%.", `100\%`},
		{"```output\n7\n```", "7"},
		{`\boxed{7`, "7"},
		{"7", "7"},
	}
	for _, tt := range tests {
		if v := Grade(Strict, Input{Generation: tt.text, Gold: tt.gold}); !v.Correct {
			t.Errorf("%q: found %q, want %q", tt.text, v.Extracted, tt.gold)
		}
	}
}

func TestQwen(t *testing.T) {
	tests := []struct {
		answer, gold string
		want         bool
	}{
		{"1/2", `\frac12`, true},
		{"12 apples", "12", true},
		{"three", "3", true},
		{"two hundred", "200", true},
		{`\{2,1\}`, `\{1,2\}`, true},
		{"x<5", "x>5", true}, // the harness compares |left - right|
		{"(1,2)", "[1,2]", true},
		{"1.00005", "1", true},
		{"1.001", "1", false},
		{"50", "0.5", true},
		{"B", `\text{(B)}`, true},
		{"(B)", "B", true},
		{`\begin{array}{c}1\\2\end{array}`, `\begin{pmatrix}1\\2\end{pmatrix}`, true},
		{"2x=4", "x=2", false},
		{"5", "6", false},
	}
	for _, tt := range tests {
		v := Grade(Qwen, Input{Generation: `\boxed{` + tt.answer + "}", Gold: tt.gold, Dataset: "math"})
		if v.Correct != tt.want {
			t.Errorf("%q for %q: %v by %s (%q, %q), want %v", tt.answer, tt.gold, v.Correct, v.Rule, v.Extracted, v.Gold, tt.want)
		}
	}
}

func TestParseStyle(t *testing.T) {
	for _, s := range []Style{DeepSeekMath, Qwen, Strict} {
		if got, err := ParseStyle(s.String()); err != nil || got != s {
			t.Errorf("ParseStyle(%q) = %v, %v", s.String(), got, err)
		}
	}
	if _, err := ParseStyle("lenient"); err == nil {
		t.Error("unknown style: want an error")
	}
}
