package main

import (
	"fmt"
	"math"
	"os"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/export/graph"
)

// task and answer are what peer.py reads and writes.
type task struct {
	Prompt []int `json:"prompt"`
	First  []int `json:"first"`
	Steps  int   `json:"steps"`
}

type answer struct {
	Tokens  [][]int `json:"tokens"`  // 1 + Steps per row
	Prefill float64 `json:"prefill"` // CPU seconds up to the first token of every row
	Decode  float64 `json:"decode"`  // of the Steps after it
}

// player is one of those compared.
type player interface {
	name() string
	bytes() int64 // weights that one step reads
	run(task) (answer, error)
}

// score is what one player reached in its fastest turn.
type score struct {
	name            string
	bytes           int64
	prefill, decode float64 // tokens per CPU second
	slowest         float64 // decode in the slowest turn
	same            float64 // share of tokens that are ours
}

// cell is one length of prompt and number of rows.
type cell struct {
	dtype  graph.Precision
	p, b   int
	scores []score // ours first
}

// play lets each player do t in turns.
func play(players []player, t task, repeats int) (cell, error) {
	c := cell{p: len(t.Prompt) + 1, b: len(t.First)}
	best := make([]answer, len(players))
	slowest := make([]float64, len(players))
	for turn := range repeats {
		for i, p := range players {
			a, err := p.run(t)
			if err != nil {
				return c, fmt.Errorf("%s: %w", p.name(), err)
			}
			if turn == 0 {
				best[i] = a
			}
			slowest[i] = max(slowest[i], a.Decode)
			best[i].Prefill, best[i].Decode = min(best[i].Prefill, a.Prefill), min(best[i].Decode, a.Decode)
		}
	}
	for i, p := range players {
		c.scores = append(c.scores, score{
			name: p.name(), bytes: p.bytes(), same: agreement(best[0].Tokens, best[i].Tokens),
			prefill: float64(c.p) / best[i].Prefill, decode: float64(c.b*t.Steps) / best[i].Decode, slowest: float64(c.b*t.Steps) / slowest[i],
		})
	}
	return c, nil
}

// agreement is the share of tokens of b that are those of a, each row up to the
// first that differs.
func agreement(a, b [][]int) float64 {
	same, all := 0, 0
	for row := range a {
		all += len(a[row])
		for i := 0; i < len(a[row]) && i < len(b[row]) && a[row][i] == b[row][i]; i++ {
			same++
		}
	}
	return float64(same) / float64(all)
}

func (c cell) print() {
	for _, s := range c.scores {
		fmt.Fprintf(os.Stderr, "%s P %d B %d %s: decode %.1f to %.1f, prefill %.0f tokens per CPU second, %.0f %% of tokens as ours\n", c.dtype, c.p, c.b, s.name, s.slowest, s.decode, s.prefill, 100*s.same)
	}
}

// report prints the table, what it does not show, and the ratio.
func report(cells []cell, limit float64) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "weights\tP\tB\tours\tslowest\tof limit\tpeer\t \tslowest\tratio\tsame tokens\t")
	logs, n := 0.0, 0
	for _, c := range cells {
		ours, best := c.scores[0], 0.0
		for _, peer := range c.scores[1:] {
			fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%.1f\t%.0f %%\t%s\t%.1f\t%.1f\t%.2f\t%.0f %%\t\n", c.dtype, c.p, c.b, ours.decode, ours.slowest,
				100*ours.decode/float64(c.b)*float64(ours.bytes)/limit, peer.name, peer.decode, peer.slowest, ours.decode/peer.decode, 100*peer.same)
			best = max(best, peer.decode)
		}
		if best > 0 {
			logs, n = logs+math.Log(ours.decode/best), n+1
		}
	}
	_ = t.Flush()
	fmt.Println("tokens per CPU second while decoding, in the fastest turn and the slowest, the ratio being of the fastest; the limit is the time to read all weights once per step")
	for _, c := range cells {
		for _, peer := range c.scores[1:] {
			if c.dtype == graph.FP32 && peer.same < 1 {
				fmt.Printf("DIFFERENT TOKENS: P = %d, B = %d, %s: %.1f %% are ours\n", c.p, c.b, peer.name, 100*peer.same)
			}
		}
	}
	if n > 0 {
		fmt.Printf("ratio bench-decode %.2f\n", math.Exp(logs/float64(n)))
	}
}

// bandwidth is how fast one thread reads memory, in bytes per CPU second, on the
// widest vectors and over huge pages.
func bandwidth() (float64, error) {
	const size = 512 << 20
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, fmt.Errorf("%d bytes to read: %w", size, err)
	}
	_ = unix.Madvise(data, unix.MADV_HUGEPAGE) // refused, pages are small
	for i := 0; i < size; i += 4096 {
		data[i] = 1 // a page of its own
	}
	best := math.Inf(1)
	for range 5 {
		start := cpuTime()
		read(data)
		best = min(best, cpuTime()-start)
	}
	return size / best, unix.Munmap(data)
}
