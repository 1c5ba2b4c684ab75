// Command benchdecode measures greedy decoding against llama.cpp and
// onnxruntime-genai: the same model, prompt and rows, weights of the same
// precision, the same number of threads, in turns, in CPU seconds. It sets the
// two up in a Python virtual environment, where llama.cpp is compiled for the
// machine's processor.
//
// One prompt of P tokens is continued in B rows that differ in the token after
// it, which is what a search asks for. In float32 all three must write the same
// tokens; quantised weights differ in rounding, so there the share of equal
// tokens is shown.
//
// Its last line is "ratio bench-decode X": the geometric mean over all cells of
// our tokens per CPU second for each of the faster peer's.
//
// # Where the time goes
//
// With -profile it shows instead which operators a step's time goes to, how near
// each kind of product with weights is to what one thread of the machine reads and
// multiplies, measured in the same run, and how many times a peer's step is the
// products alone: what there is to gain on it around them.
//
// Products and attention are package kernel's where the processor has AVX-512 (with
// VNNI, for codes), else onnxruntime's, as genai's are. One run with SmolLM2-135M on an
// Intel Xeon (Ice Lake), another program beside it: a step's time, the products' share
// of it, and how much of theirs the machine needs at the least, to read the weights or
// to multiply, whichever is more (it read 16.4 GB/s, multiplied and added 291 Gop/s of
// floats and 707 of bytes):
//
//	weights  P    B = 1              B = 8              B = 25
//	fp32     64   40 ms, 95 %, 86 %  41 ms, 87 %, 92 %  67 ms, 82 %, 59 %
//	fp32     512  43 ms, 90 %, 84 %  44 ms, 75 %, 99 %  82 ms, 64 %, 63 %
//	int8     64   13 ms, 87 %, 78 %  15 ms, 73 %, 79 %  32 ms, 65 %, 46 %
//	int8     512  16 ms, 74 %, 74 %  22 ms, 49 %, 81 %  51 ms, 40 %, 47 %
//	int4     64   10 ms, 82 %, 76 %  14 ms, 69 %, 60 %  35 ms, 67 %, 40 %
//	int4     512  13 ms, 67 %, 72 %  21 ms, 47 %, 61 %  53 ms, 44 %, 40 %
//
// Most of the rest is attention: 11 % of a step of 25 rows in float32 with P = 64, 20 to 26 %
// of one row with P = 512 in codes. Fetching the values while the keys are read did not
// help it.
//
// What made the difference to onnxruntime's products, each on its own (SmolLM2-135M's
// matrices, one thread of an Intel Xeon, other programs beside it):
//
//   - Weights lie in the order in which they are read, and are fetched ahead of it: one
//     row in float32 12 to 13 GB/s, all that one stream gives.
//   - They lie in several streams that are read side by side: 14.5 to 16 GB/s. A processor
//     fetches ahead of each stream by itself.
//   - With more rows than one tile holds, the next panel of weights is fetched while tiles
//     of this one are computed, and each tile fetches its part: 25 rows in float32 56 ms in
//     place of 75.
//   - Tiles of 9 rows by 3 vectors and not 14 by 2: a twentieth to a tenth faster from 60
//     rows on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/peer"
	"github.com/oreo-go/oreo/export/graph"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := parse()
	if err == nil {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-decode:", err)
		os.Exit(1)
	}
}

type config struct {
	deps, model, python string
	dtypes, peers       []string
	lengths, rows       []int
	steps, repeats      int
	threads             int
	profiles            bool
}

func parse() (config, error) {
	var c config
	var dtypes, peers, lengths, rows string
	flag.StringVar(&c.deps, "deps", ".deps", "`folder` for the virtual environment and converted weights")
	flag.StringVar(&c.model, "model", os.Getenv("OREO_BENCH_MODEL"), "`folder` of a Llama-shaped model in Hugging Face form; empty: $OREO_BENCH_MODEL, then SmolLM2-135M-Instruct from a Python package")
	flag.StringVar(&c.python, "python", os.Getenv("OREO_BENCH_PYTHON"), "`interpreter` that has the peers' packages, instead of setting them up")
	flag.StringVar(&dtypes, "dtype", "fp32,int8,int4", "precisions of the weights")
	flag.StringVar(&peers, "peer", "llama,genai", "peers; empty: ours alone")
	flag.StringVar(&lengths, "p", "64,512", "tokens of the prompt")
	flag.StringVar(&rows, "b", "1,8,25", "rows")
	flag.IntVar(&c.steps, "n", 24, "tokens per row that are timed")
	flag.IntVar(&c.repeats, "repeat", 4, "turns of each; the fastest counts")
	flag.IntVar(&c.threads, "threads", 1, "threads of each")
	flag.BoolVar(&c.profiles, "profile", false, "show which operators our time goes to, and how near products are to the machine's limits, instead of comparing")
	flag.Parse()
	c.dtypes = strings.Split(dtypes, ",")
	c.peers = strings.FieldsFunc(peers, func(r rune) bool { return r == ',' })
	var err error
	if c.lengths, err = ints(lengths, 2); err != nil {
		return c, fmt.Errorf("-p: %w", err)
	}
	if c.rows, err = ints(rows, 1); err != nil {
		return c, fmt.Errorf("-b: %w", err)
	}
	if c.steps < 1 || c.repeats < 1 || c.threads < 1 {
		return c, fmt.Errorf("-n %d -repeat %d -threads %d: want 1 or more of each", c.steps, c.repeats, c.threads)
	}
	return c, nil
}

func ints(list string, least int) ([]int, error) {
	var out []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < least {
			return nil, fmt.Errorf("%q, want whole numbers from %d on", s, least)
		}
		out = append(out, n)
	}
	return out, nil
}

func run(ctx context.Context, c config) error {
	work := filepath.Join(c.deps, "bench-decode")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	env := peer.In(c.deps, c.python)
	var err error
	if c.model == "" {
		if c.model, err = env.SmolLM(ctx); err != nil {
			return err
		}
	}
	limit, err := bandwidth()
	if err != nil {
		return err
	}
	m := machine{memory: limit}
	m.floats, m.bytes = peaks()
	fmt.Printf("%s, %d of the machine's threads; one reads %.1f GB/s of memory, multiplies and adds %.0f Gop/s of floats, %.0f of bytes\n",
		filepath.Base(c.model), c.threads, m.memory/1e9, m.floats/1e9, m.bytes/1e9)
	var all []cell
	for _, dtype := range c.dtypes {
		cells, err := c.measure(ctx, env, work, graph.Precision(dtype), m)
		if err != nil {
			return err
		}
		all = append(all, cells...)
	}
	if !c.profiles {
		report(all, limit)
	}
	return nil
}

// measure runs all cells of one precision. Processes live as long as it does, so
// that weights are read once.
func (c config) measure(ctx context.Context, env peer.Environment, work string, dtype graph.Precision, m machine) ([]cell, error) {
	dir, err := exportOurs(ctx, c.model, work, dtype)
	if err != nil {
		return nil, err
	}
	if c.profiles {
		return nil, c.profile(ctx, env, work, dir, dtype, m)
	}
	mine, err := openOurs(dir, c.threads, "")
	if err != nil {
		return nil, err
	}
	defer mine.close()
	players := []player{mine}
	for _, name := range c.peers {
		p, err := start(ctx, env, name, c.model, work, dtype, c.threads)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		players = append(players, p)
	}
	var cells []cell
	for _, p := range c.lengths {
		for _, b := range c.rows {
			one, err := play(players, mine.task(p, b, c.steps), c.repeats)
			if err != nil {
				return nil, fmt.Errorf("%s, P = %d, B = %d: %w", dtype, p, b, err)
			}
			one.dtype = dtype
			one.print()
			cells = append(cells, one)
		}
	}
	return cells, nil
}
