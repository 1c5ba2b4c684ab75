package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var findingLine = regexp.MustCompile(`^finding [a-z0-9_]+ (holds|fails) effect=-?\d+\.\d+ ci=\[-?\d+\.\d+,-?\d+\.\d+\] seeds=\d+$`)

// TestEveryStage builds the commands, runs both parts in small with two seeds at
// once, and reports.
func TestEveryStage(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-o", bin+"/", "../oreo-train", "../oreo-export", "../oreo-run")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p := &paper{recipe: tiny(), out: t.TempDir(), bin: bin, parts: []string{mathPart, alfworldPart}, seeds: 1, jobs: 2}
	p.threads = 1
	var err error
	if p.tuned, err = readTuning(""); err != nil {
		t.Fatal(err)
	}
	all := p.experiments(1, p.seeds)
	if err := p.run(context.Background(), all); err != nil {
		for _, e := range all {
			log, _ := os.ReadFile(e.Path("log"))
			t.Logf("%s", log[max(0, len(log)-2000):])
		}
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.report(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	found := 0
	for _, line := range lines[1:] {
		if !findingLine.MatchString(line) {
			t.Errorf("%q is no finding", line)
		}
		found++
	}
	var s summary
	text, err := os.ReadFile(filepath.Join(p.out, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || found != len(s.Findings) || found < 15 {
		t.Errorf("%d findings printed, %d in report.json, %v", found, len(s.Findings), err)
	}
	page, err := os.ReadFile(filepath.Join(p.out, "report.html"))
	if err != nil || bytes.Count(page, []byte("<svg")) != 3 {
		t.Errorf("report.html has %d plots, want 3: %v", bytes.Count(page, []byte("<svg")), err)
	}
}

func TestAcross(t *testing.T) {
	// Three seeds with means 1, 2, 3 and hardly any spread over problems: Student
	// with two degrees of freedom, 4.303 * 1 / sqrt(3).
	e := across([]float64{1, 2, 3}, []float64{0.01, 0.01, 0.01})
	if want := 4.303 / math.Sqrt(3); e.Mean != 2 || math.Abs(e.Hi-2-want) > 1e-12 || e.Seeds != 3 {
		t.Errorf("%+v, want 2 ± %v", e, want)
	}
	// Equal means: the spread over problems decides.
	e = across([]float64{2, 2}, []float64{0.3, 0.4})
	if want := 1.96 * 0.25; math.Abs(e.Hi-2-want) > 1e-12 {
		t.Errorf("%+v, want 2 ± %v", e, want)
	}
	if e = across([]float64{2}, []float64{0.5}); math.Abs(e.Lo-(2-0.98)) > 1e-12 {
		t.Errorf("one seed: %+v", e)
	}
}

func TestPaired(t *testing.T) {
	a, b := []float64{1, 1, 1, 0}, []float64{1, 0, 0, 0}
	if x := paired(a, b, false); mean(x) != 0.5 || x[0] != 0 || x[1] != 1 {
		t.Errorf("differences %v", x)
	}
	x := paired(a, b, true)
	if math.Abs(mean(x)-2) > 1e-12 { // 3/4 against 1/4
		t.Errorf("relative gain %v of %v, want 2", mean(x), x)
	}
	// The standard error of the ratio by the delta method: var(a - 3b) / n / mean(b)^2.
	y := []float64{-2, 1, 1, 0}
	if want := standardError(y) / 0.25; math.Abs(standardError(x)-want) > 1e-12 {
		t.Errorf("standard error %v, want %v", standardError(x), want)
	}
}

func TestFindingLine(t *testing.T) {
	f := finding{Name: "a_above_b", Holds: true, estimate: estimate{0.123456, -0.01, 0.25, 3}}
	if got, want := f.String(), "finding a_above_b holds effect=0.1235 ci=[-0.0100,0.2500] seeds=3"; got != want || !findingLine.MatchString(got) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTuningIsFair(t *testing.T) {
	tuned, err := readTuning("")
	if err != nil {
		t.Fatal(err)
	}
	for part, methods := range map[string][]string{mathPart: mathMethods, alfworldPart: alfworldMethods} {
		for _, method := range methods {
			if n, want := len(tuned[part][method]), len(tuned[part]["oreo"]); n != want {
				t.Errorf("%s, %s: %d settings, OREO has %d", part, method, n, want)
			}
		}
	}
	points := []trial{
		{settings{"lr": "1"}, []float64{0.2}},
		{settings{"lr": "8e-1"}, []float64{0.4, 0.1, 0.2}},
		{settings{"lr": "3"}, []float64{0.3, 0.33, 0.36}},
		{settings{"lr": "4"}, []float64{0.1}},
	}
	if best := (tuning{"p": {"m": points}}).best("p", "m"); best["lr"] != "3" { // 0.33, a standard error of 0.014
		t.Errorf("best %v", best)
	}
	gentle := append(points, trial{settings{"lr": "2", "n": "a"}, []float64{0.3, 0.3, 0.32}}, trial{settings{"lr": "2", "n": "b"}, []float64{0.3, 0.3, 0.33}})
	if best := (tuning{"p": {"m": gentle}}).best("p", "m"); best["n"] != "b" { // 0.31 will do, at a lower rate
		t.Errorf("the gentlest of the best %v", best)
	}
	if k := worthTrying(points, 0); !slices.Equal(k, []int{0, 1, 2, 3}) {
		t.Errorf("on the first seed %v", k)
	}
	if k := worthTrying(points, 1); !slices.Equal(k, []int{1, 2}) {
		t.Errorf("on the second seed %v", k)
	}
	path := filepath.Join(t.TempDir(), "t.json")
	if err := os.WriteFile(path, []byte(`{"math":{}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readTuning(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	for _, rate := range []string{"", "0", "-1", "NaN", "fast"} {
		if err := os.WriteFile(path, bytes.Replace(standardTuning, []byte(`"lr": "1e-3"`), []byte(`"lr": "`+rate+`"`), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readTuning(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "lr is") {
			t.Errorf("lr %q: error %v", rate, err)
		}
	}
}
