// Command bench measures package grade against DeepSeekMath's own evaluation
// script: the same pairs, in turns, in one run, each on one thread, in CPU
// seconds. It sets the script up in a Python virtual environment with the
// versions its authors pinned.
//
// Its last line is "ratio grade X": X gradings of ours per CPU second for each
// of the script's on the MATH pairs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-grade:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	deps := flag.String("deps", ".deps", "folder for the virtual environment and the script")
	source := flag.String("script", scriptSource(), "git repository or checkout of DeepSeek-Math")
	limit := flag.Int("n", 0, "use the first N pairs of each file only; 0: all")
	flag.Parse()
	files := flag.Args()
	if len(files) == 0 {
		files = defaultFiles()
	}
	peer, err := startPeer(ctx, *deps, *source)
	if err != nil {
		return err
	}
	defer peer.close()
	runtime.GOMAXPROCS(1)
	var results []result
	for _, file := range files {
		pairs, err := readPairs(file, *limit)
		if err != nil {
			return err
		}
		r, err := measure(filepath.Base(file), pairs, peer)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	slow, err := measure("made to hang it", hangingPairs(), peer)
	if err != nil {
		return err
	}
	print(append(results, slow))
	fmt.Printf("ratio grade %.1f\n", results[0].ours.rate()/results[0].peer.rate())
	return nil
}

// scriptSource is where the script comes from unless -script says otherwise:
// $OREO_DEEPSEEK_MATH, a path or an address, or the public repository.
func scriptSource() string {
	if path := os.Getenv("OREO_DEEPSEEK_MATH"); path != "" {
		return path
	}
	return "https://github.com/deepseek-ai/DeepSeek-Math"
}

// defaultFiles are the grader vectors under $OREO_SHARED.
func defaultFiles() []string {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	vectors := filepath.Join(root, "math-data", "grader-vectors")
	return []string{filepath.Join(vectors, "math-pairs.jsonl.gz"), filepath.Join(vectors, "gsm8k-pairs.jsonl.gz")}
}

// pair is a line of a file of pairs, and what the script is given as reference
// solution.
type pair struct {
	Generation string   `json:"generation"`
	Gold       string   `json:"gold"`
	Problem    string   `json:"problem"`
	Dataset    string   `json:"dataset"`
	GoldBoxed  []string `json:"gold_boxed"`
	Reference  string   `json:"reference"`
}

func (p pair) input() grade.Input {
	return grade.Input{Generation: p.Generation, Gold: p.Gold, Problem: p.Problem, Dataset: p.Dataset, GoldBoxed: p.GoldBoxed}
}

func readPairs(file string, limit int) ([]pair, error) {
	var pairs []pair
	for p, err := range jsonl.Read[pair](file) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: name files of {generation, gold, dataset} as arguments, or set OREO_SHARED", err)
		}
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p.withReference())
		if len(pairs) == limit {
			break
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%s: no pairs", file)
	}
	return pairs, nil
}

// withReference writes the reference solution as the data sets do: GSM8K's
// marker, or MATH's boxes.
func (p pair) withReference() pair {
	if p.Dataset == "gsm8k" {
		p.Reference = "#### " + p.Gold
		return p
	}
	boxes := p.GoldBoxed
	if len(boxes) == 0 {
		boxes = []string{p.Gold}
	}
	for _, b := range boxes {
		p.Reference += `\boxed{` + b + "} "
	}
	return p
}

// hangingPairs are answers that keep the script busy for seconds or for ever.
func hangingPairs() []pair {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = '3'
		}
		return string(b)
	}
	var pairs []pair
	for _, p := range [][2]string{
		{`[1,+\infty)`, `[2^{\frac{1}{2^{1000}}}, \infty)`},
		{"0." + digits(1000) + "x", `\frac{x}{3}`},
		{`\sqrt{2+\sqrt{3+\sqrt{5+\sqrt{7+\sqrt{11}}}}}+\sqrt[3]{x+\sqrt{y}}`, `\sqrt{2+\sqrt{3+\sqrt{5+\sqrt{7+\sqrt{11}}}}}-\sqrt[3]{x-\sqrt{y}}`},
		{digits(10000) + ".x", "1"},
		{`9^{9^{9}}`, `9^{9^{9}}+1`},
	} {
		pairs = append(pairs, pair{Generation: `\boxed{` + p[0] + "}", Gold: p[1], Dataset: "math"}.withReference())
	}
	return pairs
}
