package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/math/step"
)

func linesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGradeFile(t *testing.T) {
	in := linesFile(t, `{"id":"a","generation":"\\boxed{\\frac12}","gold":"0.5","dataset":"math"}
{"id":7,"generation":"it is 12","gold":"13","dataset":"gsm8k"}
{"generation":"","gold":"1"}
`)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	var explain bytes.Buffer
	if err := gradeFile(grade.DeepSeekMath, in, out, &explain); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"a","extracted":["\\frac{1}{2}"],"correct":true,"rule":"symbolic"}
{"id":7,"extracted":["12"],"correct":false,"rule":"different"}
{"id":"","extracted":[],"correct":false,"rule":"no-answer"}
`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	for _, part := range []string{`record 1 "a": correct by rule symbolic`, `answer  "\\frac{1}{2}"  read as`, `gold    "13"`} {
		if !strings.Contains(explain.String(), part) {
			t.Errorf("the explanation lacks %q:\n%s", part, &explain)
		}
	}
}

func TestGradeFileErrors(t *testing.T) {
	good := `{"generation":"a","gold":"b"}` + "\n"
	tests := []struct{ name, in, want string }{
		{"malformed", good + "{oops\n", ":2:"},
		{"no generation", good + `{"gold":"b"}`, `record 2: field "generation"`},
		{"no gold", `{"generation":"a"}`, `record 1: field "gold"`},
		{"wrong type", `{"generation":5,"gold":"b"}`, "generation"},
		{"empty", "", "no records"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.jsonl")
			err := gradeFile(grade.Strict, linesFile(t, tt.in), out, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "in.jsonl") {
				t.Errorf("error %v, want one with %q and the file", err, tt.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("an output file was left behind")
			}
		})
	}
	if err := gradeFile(grade.Strict, "missing.jsonl", filepath.Join(t.TempDir(), "out"), nil); err == nil {
		t.Error("a missing file: want an error")
	}
}

// TestGradeFileOddText has a line of a megabyte and bytes that are no UTF-8.
func TestGradeFileOddText(t *testing.T) {
	long := strings.Repeat("9", 1<<20)
	in := linesFile(t, `{"generation":"`+long+`","gold":"1"}`+"\n"+`{"generation":"`+"\xff\\\\boxed{\xfe}"+`","gold":"1"}`+"\n")
	for _, style := range []grade.Style{grade.DeepSeekMath, grade.Qwen, grade.Strict} {
		out := filepath.Join(t.TempDir(), "out.jsonl")
		if err := gradeFile(style, in, out, nil); err != nil {
			t.Errorf("%v: %v", style, err)
			continue
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n != 2 {
			t.Errorf("%v: %d verdicts for 2 records", style, n)
		}
	}
}

func TestSplitFile(t *testing.T) {
	in := linesFile(t, `{"response":"So. Then\nEnd"}`+"\n")
	for mode, want := range map[step.Mode]string{
		step.Newline: `{"steps":["So. Then","End"]}` + "\n",
		step.Period:  `{"steps":["So. ","Then\n","End"]}` + "\n",
	} {
		out := filepath.Join(t.TempDir(), "out.jsonl")
		if err := splitFile(mode, in, out); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(out); err != nil || string(text) != want {
			t.Errorf("%v: got %s, %v, want %s", mode, text, err, want)
		}
	}
	if err := splitFile(step.Newline, linesFile(t, `{"text":"a"}`), filepath.Join(t.TempDir(), "out")); err == nil {
		t.Error(`no field "response": want an error`)
	}
}

func TestReport(t *testing.T) {
	in := linesFile(t, `{"problem":"p","generation":"\\boxed{1}","gold":"1","level":2,"subject":"Algebra","value":0.9}
{"problem":"p","generation":"\\boxed{2}","gold":"1","value":0.1}
{"question":"q","response":"\\boxed{3}","answer":"4","level":"Level 5","subject":"Geometry","value":0.5}
{"question":"q","response":"\\boxed{4}","answer":"4","value":0.7}
`)
	problems, err := readSolutions(in, "")
	if err != nil {
		t.Fatal(err)
	}
	s := summarise(problems, grade.DeepSeekMath, 1)
	if s.Problems != 2 || s.Samples != 4 || s.Accuracy["strict"].Mean != 0.5 || s.Level["5"]["qwen"].Mean != 0.5 {
		t.Errorf("got %+v", s)
	}
	curves := map[string]float64{}
	for _, c := range s.Curves {
		curves[c.Name] = c.Points[len(c.Points)-1].Mean
	}
	want := map[string]float64{"pass@k": 1, "maj@k": 0.5, "value-weighted vote": 1, "best value": 1}
	for name, v := range want {
		if curves[name] != v {
			t.Errorf("%s at 2 = %v, want %v", name, curves[name], v)
		}
	}
	var console bytes.Buffer
	dir := t.TempDir()
	html, figures := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json")
	if err := s.write(&console, html, figures); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(html)
	if err != nil || !bytes.Contains(page, []byte("<svg")) || !bytes.Contains(page, []byte("Geometry")) {
		t.Errorf("the page has no plot or table: %v", err)
	}
	text, err := os.ReadFile(figures)
	if err != nil || !json.Valid(text) {
		t.Errorf("the figures are no JSON: %v", err)
	}
	if _, err := readSolutions(linesFile(t, `{"generation":"a","gold":"b"}`), ""); err == nil {
		t.Error("samples that cannot be told apart by problem: want an error")
	}
}
