package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/stage"
)

// TestTheWholeRoad builds the commands and runs every stage in small: it fails
// where a stage does, and `oreo-export verify`, which is among them, compares
// the exported graphs with libtorch.
func TestTheWholeRoad(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-o", bin+"/", "../oreo-train", "../oreo-export", "../oreo-run")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r := tiny()
	r.seed, r.threads = 1, 1
	d := &demo{recipe: r, Runner: stage.Runner{Dir: filepath.Join(t.TempDir(), "demo"), Bin: bin}}
	if err := d.Run(context.Background(), d.stages()); err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := d.report(&table); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(table.String(), "\n"); got < 3+len(d.beams)+2 {
		t.Errorf("a table of %d lines:\n%s", got, &table)
	}
	page, err := os.ReadFile(d.Path("report.html"))
	if err != nil || bytes.Count(page, []byte("<svg")) < 4 {
		t.Errorf("report: %d plots, %v", bytes.Count(page, []byte("<svg")), err)
	}
	values, err := d.score("Zoe has 6 nails. How many nails are left?\n", "By parts: 6\n#### 6")
	if err != nil || len(values) < 5 {
		t.Errorf("values %v, %v", values, err)
	}
	before, err := os.Stat(d.Path(samplesFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(context.Background(), d.stages()); err != nil { // does nothing
		t.Fatalf("second run: %v", err)
	}
	if after, err := os.Stat(d.Path(samplesFile)); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the second run collected again: %v", err)
	}
}

func TestPairedGain(t *testing.T) {
	answers := func(s string) (all []answer) {
		for _, c := range s {
			all = append(all, answer{Correct: c == '1'})
		}
		return all
	}
	// Six problems gained, two lost, of sixteen: mean 1/4, mean square 1/2.
	gain, half := pairedGain(answers("0000001111000011"), answers("1111110011000011"))
	if gain != 0.25 || math.Abs(half-1.96*math.Sqrt((0.5-0.0625)/16)) > 1e-12 {
		t.Errorf("gain %v ± %v", gain, half)
	}
}
