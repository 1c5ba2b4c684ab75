package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWilson(t *testing.T) {
	tests := []struct {
		k, n   int
		lo, hi float64
	}{ // worked out from the score equation (p-x)^2 = z^2 x(1-x)/n, and the limits
		{0, 0, 0, 1},
		{0, 10, 0, 0.277533},
		{10, 10, 0.722467, 1},
		{5, 10, 0.236593, 0.763407},
		{650, 1000, 0.619915, 0.678937},
	}
	for _, tt := range tests {
		lo, hi := Wilson(tt.k, tt.n)
		if math.Abs(lo-tt.lo) > 1e-6 || math.Abs(hi-tt.hi) > 1e-6 {
			t.Errorf("Wilson(%d, %d) = %.6f, %.6f, want %.6f, %.6f", tt.k, tt.n, lo, hi, tt.lo, tt.hi)
		}
	}
}

// The interval's ends are the rates x that solve (p-x)^2 = z^2 x(1-x)/n.
func TestWilsonSolvesScoreEquation(t *testing.T) {
	const z = 1.959963984540054
	for _, n := range []int{1, 7, 100, 5000} {
		for k := 0; k <= n; k += max(1, n/7) {
			lo, hi := Wilson(k, n)
			p := float64(k) / float64(n)
			for _, x := range []float64{lo, hi} {
				if gap := (p-x)*(p-x) - z*z*x*(1-x)/float64(n); math.Abs(gap) > 1e-12 {
					t.Errorf("k=%d n=%d: %v misses the score equation by %v", k, n, x, gap)
				}
			}
		}
	}
}

func TestWriteTable(t *testing.T) {
	var out bytes.Buffer
	err := WriteTable(&out, []string{"method", "accuracy"}, [][]string{{"SFT", "41.2 %"}, {"größer", "7 %"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "method  accuracy\n------  --------\nSFT       41.2 %\ngrößer       7 %\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if err := WriteTable(&out, []string{"a"}, [][]string{{"1", "2"}}); err == nil {
		t.Error("a row longer than the header is not refused")
	}
}

func TestIsNumber(t *testing.T) {
	for _, s := range []string{"3", "-3.5", "41.2 %", "12 s", "41.2 ± 1.1", "0.65 [0.62, 0.68]", "41.2 % (39–43 %)"} {
		if !isNumber(s) {
			t.Errorf("%q is not taken for a number", s)
		}
	}
	for _, s := range []string{"", "SFT", "-", "B = 3", "3 apples and pears"} {
		if isNumber(s) {
			t.Errorf("%q is taken for a number", s)
		}
	}
}

func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	few := Series{Name: "few", X: []float64{1, 3, 5}, Y: []float64{.4, .5, .6}, Lo: []float64{.3, .4, .5}, Hi: []float64{.5, .6, .7}}
	many := Series{Name: "many"}
	for i := range 100 {
		x := float64(i)
		many.X, many.Y = append(many.X, x), append(many.Y, math.Sin(x))
		many.Lo, many.Hi = append(many.Lo, math.Sin(x)-1), append(many.Hi, math.Sin(x)+1)
	}
	err := New("Fish & <chips>").Heading("A < B").Text("x & y").
		Table([]string{"a<b", "n"}, [][]string{{"<script>", "3 %"}}).
		Plot(Plot{Title: "curve & <b>", XLabel: "step", YLabel: "loss", Series: []Series{few, many}}).
		HTML("<p>raw</p>").WriteFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, want := range []string{"<title>Fish &amp; &lt;chips&gt;</title>", "<h2>A &lt; B</h2>", "<p>x &amp; y</p>",
		"<th>a&lt;b</th>", "<td>&lt;script&gt;</td>", `<td class="number">3 %</td>`, "<p>raw</p>", "<svg", "currentColor", "prefers-color-scheme"} {
		if !strings.Contains(page, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	for _, unwanted := range []string{"<script", inkHex, "<?xml", "src=", "@import"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("page contains %q", unwanted)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	svg, err := Plot{Title: "a < b & c", Series: []Series{{Name: "x > y", X: []float64{1}, Y: []float64{2}}}}.svg()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrorsNameTheCulprit(t *testing.T) {
	one := []float64{1}
	tests := map[string]struct {
		page *Page
		want string
	}{
		"empty":  {New("t").Plot(Plot{Title: "loss", Series: []Series{{Name: "sft"}}}), `plot "loss": series "sft": no points`},
		"ragged": {New("t").Plot(Plot{Series: []Series{{Name: "a", X: one}}}), "1 x values, 0 y values"},
		"bounds": {New("t").Plot(Plot{Series: []Series{{Name: "a", X: one, Y: one, Lo: one}}}), "1 lower and 0 upper"},
		"nan":    {New("t").Plot(Plot{Series: []Series{{Name: "a", X: one, Y: []float64{math.NaN()}}}}), "y 0 is NaN"},
		"first":  {New("t").Table([]string{"a"}, [][]string{{}}).Plot(Plot{Series: []Series{{}}}), "row 0 has 0 cells"},
	}
	for name, tt := range tests {
		path := filepath.Join(t.TempDir(), "r.html")
		if err := tt.page.WriteFile(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want it to contain %q and the path", name, err, tt.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written in spite of the error", name)
		}
	}
	if err := New("t").WriteFile(filepath.Join(t.TempDir(), "no", "such", "r.html")); err == nil {
		t.Error("a missing folder is not reported")
	}
}
