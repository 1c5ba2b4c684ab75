package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/math/grade"
)

// block is how many pairs one side grades before it is the other's turn, and
// passes how often ours grades each: one grading is near the clock's
// resolution.
const (
	block  = 200
	passes = 5
)

// times are the CPU seconds of single gradings.
type times []float64

// rate is gradings per CPU second.
func (t times) rate() float64 {
	sum := 0.0
	for _, s := range t {
		sum += s
	}
	return float64(len(t)) / sum
}

func (t times) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(t))
	return time.Duration(sorted[int(q*float64(len(sorted)-1))] * 1e9)
}

// result is what one file of pairs gave.
type result struct {
	name       string
	ours, peer times
	hung       int    // pairs the script did not finish
	same       int    // verdicts the same as the script's, of those it finished
	bytes      uint64 // allocated by ours in all gradings
	allocs     uint64
}

func measure(name string, pairs []pair, p *peer) (result, error) {
	r := result{name: name}
	for len(pairs) > 0 {
		n := min(block, len(pairs))
		replies, err := p.grade(pairs[:n])
		if err != nil {
			return r, err
		}
		verdicts := r.gradeOurs(pairs[:n])
		for i, reply := range replies {
			r.peer = append(r.peer, reply.CPU)
			switch {
			case reply.Hung:
				r.hung++
			case reply.Correct == verdicts[i]:
				r.same++
			default:
				fmt.Printf("verdicts differ: script %v, ours %v: %.60q with gold %.60q\n",
					reply.Correct, verdicts[i], pairs[i].Generation[max(0, len(pairs[i].Generation)-60):], pairs[i].Gold)
			}
		}
		pairs = pairs[n:]
	}
	return r, nil
}

func (r *result) gradeOurs(pairs []pair) []bool {
	verdicts := make([]bool, len(pairs))
	r.ours = slices.Grow(r.ours, passes*len(pairs))
	before := memory()
	for range passes {
		for i, p := range pairs {
			in := p.input()
			start := cpuTime()
			v := grade.Grade(grade.DeepSeekMath, in)
			r.ours = append(r.ours, cpuTime()-start)
			verdicts[i] = v.Correct
		}
	}
	after := memory()
	r.bytes += after.TotalAlloc - before.TotalAlloc
	r.allocs += after.Mallocs - before.Mallocs
	return verdicts
}

func memory() runtime.MemStats {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

// cpuTime is the CPU time of this process in seconds.
func cpuTime() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return float64(t.Sec) + float64(t.Nsec)*1e-9
}

func print(results []result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "pairs\tgrader\tgradings/CPU s\tp50\tp99\tmax\thung\tsame verdict\tB/grading\tallocs")
	for _, r := range results {
		fmt.Fprintf(w, "%s\tDeepSeekMath script\t%.0f\t%v\t%v\t%v\t%d\t\t\t\n", r.name, r.peer.rate(),
			r.peer.quantile(0.5), r.peer.quantile(0.99), r.peer.quantile(1), r.hung)
		n := float64(len(r.ours))
		fmt.Fprintf(w, "\tours\t%.0f\t%v\t%v\t%v\t0\t%d of %d\t%.0f\t%.1f\n", r.ours.rate(),
			r.ours.quantile(0.5), r.ours.quantile(0.99), r.ours.quantile(1), r.same, len(r.peer)-r.hung,
			float64(r.bytes)/n, float64(r.allocs)/n)
	}
	w.Flush()
}
