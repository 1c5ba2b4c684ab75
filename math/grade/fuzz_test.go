package grade

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/math/internal/latex"
	"github.com/oreo-go/oreo/math/internal/pyexpr"
)

// slowest is the longest any input may take, in CPU time.
const slowest = 20 * time.Millisecond

// threadTime is the CPU time of the current thread.
func threadTime(t *testing.T) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}

// inTime fails the test if f takes longer than slowest; a first slow run may
// be the collector's fault, so the fastest of five counts.
func inTime(t *testing.T, input string, f func()) {
	t.Helper()
	hang := time.AfterFunc(30*time.Second, func() { panic("hang on " + strconv.Quote(input)) })
	defer hang.Stop()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(1<<63 - 1)
	for range 5 {
		start := threadTime(t)
		f()
		if best = min(best, threadTime(t)-start); best <= slowest {
			return
		}
	}
	t.Errorf("%d bytes took %v: %.200q", len(input), best, input)
}

var fuzzSeeds = []string{
	"", `\boxed{\frac{1}{2}}`, `The answer is $x=3$.`, "#### 1,234", "```output\n5\n```", `(-\infty, 3] \cup [5, \infty)`,
	`\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}`, `x^2+2x+1`, `\sqrt[3]{8}`, `1\frac12`, `50\%`, `2516_8`, `\{1,2\}`,
	`x \ge 3`, `\sin^2 x + \cos^2 x`, `f(x)=2x+3`, `3 \pm 2\sqrt{2}`, `\text{Evelyn}`, `12 \text{ cm}^2`, `90^\circ`,
	`\sum_{k=1}^{n} k`, `\lfloor 2.5 \rfloor`, `|x|`, `\binom{5}{2}`, "4.####4", `((((((`, `x_{x_{x_{`, `2^{2^{2^{9}}}`,
	`a,b;c,d`, `1 and 2 or 3`, `\log_28`, `5!`, `x<y<z`, "½²°", `\overline{AB}`, `A:B=1`, `1e5`, `\\frac12`, `{1,2}`, `0.33333`,
	`final answer is $7$. I hope it is correct`, `答案是3`, `two hundred`, `\begin{cases} x=1 \\ y=2 \end{cases}`, `x\in[1,2]`,
}

func FuzzExtract(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s, "Find x, separated by commas.")
	}
	f.Fuzz(func(t *testing.T, text, problem string) {
		inTime(t, text, func() {
			extractMath(problem, text)
			extractSingle(text)
			qwenExtract(text)
			strictAnswers(text)
		})
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inTime(t, text, func() {
			if r, err := latex.Parse(text); err == nil && r.Expr != nil {
				_ = r.Expr.String()
			}
			if n, err := pyexpr.Parse(text); err == nil {
				_ = n.String()
			}
			parseValue(text)
		})
	})
}

func FuzzCompare(f *testing.F) {
	for i, s := range fuzzSeeds {
		f.Add(s, fuzzSeeds[(i*7+3)%len(fuzzSeeds)])
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, style := range []Style{DeepSeekMath, Qwen, Strict} {
			inTime(t, a+"\n"+b, func() {
				Grade(style, Input{Generation: `\boxed{` + a + "}", Gold: b})
			})
		}
		x, y := parseValue(a), parseValue(b)
		forth := (&strictComparer{work: maxStrictWork}).equal(x, y)
		back := (&strictComparer{work: maxStrictWork}).equal(y, x)
		if (forth == "") != (back == "") {
			t.Errorf("strict is not symmetric: %q with %q gives %q, the reverse %q", a, b, forth, back)
		}
		if self := (&strictComparer{work: maxStrictWork}).equal(x, parseValue(a)); self == "" && x.raw != "" {
			t.Errorf("strict: %q does not equal itself", a)
		}
	})
}
