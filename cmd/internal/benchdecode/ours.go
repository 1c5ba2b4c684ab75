package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/ort"
	"github.com/oreo-go/oreo/runtime/sample"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// ours is this project's runtime on an artifact of its exporter.
type ours struct {
	tok     *tokenizer.Tokenizer
	session *ort.Session
	engine  *engine.Engine
	vocab   int
	size    int64 // bytes of the weights
}

// exportOurs writes the artifact and returns its folder.
func exportOurs(ctx context.Context, model, work string, dtype graph.Precision) (string, error) {
	dir := filepath.Join(work, "ours-"+string(dtype))
	err := export.Run(ctx, export.Config{Kind: manifest.Policy, Model: model, Out: dir, Precision: dtype})
	debug.FreeOSMemory()
	return dir, err
}

// openOurs opens an artifact; profile is where its session writes a trace, if
// anywhere.
func openOurs(dir string, threads int, profile string) (*ours, error) {
	runtime.GOMAXPROCS(threads)
	m, err := manifest.Load(dir)
	if err != nil {
		return nil, err
	}
	o := &ours{vocab: m.Dims.Vocab}
	if o.tok, err = tokenizer.Load(dir); err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Join(dir, manifest.DataFile))
	if err != nil {
		return nil, err
	}
	o.size = info.Size()
	spec := engine.Spec{Width: o.vocab, Vocab: o.vocab, MaxPositions: m.Dims.MaxPositions}
	if o.session, err = ort.Open(filepath.Join(dir, manifest.GraphFile), spec, ort.Options{Threads: threads, Profile: profile}); err != nil {
		return nil, err
	}
	if o.engine, err = engine.New(o.session, engine.Options{}); err != nil {
		return nil, errors.Join(err, o.session.Close())
	}
	return o, nil
}

func (o *ours) close() { _ = errors.Join(o.engine.Close(), o.session.Close()) }

func (o *ours) name() string { return "oreo" }

func (o *ours) bytes() int64 { return o.size }

// text is what the prompt is cut from.
const text = `Mia reads 15 pages on each of 4 days and 22 pages on the fifth day. Her book has 120 pages. How many pages are left?
In the first 4 days she reads 15 * 4 = 60 pages. With the fifth day that makes 60 + 22 = 82 pages. So 120 - 82 = 38 pages are left.
A baker sells 12 loaves in the morning and twice as many in the afternoon. Each loaf costs 3 coins. How many coins does he earn?
In the afternoon he sells 2 * 12 = 24 loaves, so on that day 12 + 24 = 36 loaves. They bring 36 * 3 = 108 coins.
`

// task is a prompt of p tokens, of which the last differs from row to row.
func (o *ours) task(p, rows, steps int) task {
	ids := o.tok.Encode(text)
	t := task{Steps: steps}
	for len(t.Prompt) < p-1 {
		t.Prompt = append(t.Prompt, ids...)
	}
	t.Prompt = t.Prompt[:p-1]
	seen := map[int]bool{}
	for i := 0; len(t.First) < rows; i++ {
		id := i
		if i < len(ids) {
			id = ids[i]
		}
		if !seen[id] {
			t.First = append(t.First, id)
			seen[id] = true
		}
	}
	return t
}

func (o *ours) run(t task) (answer, error) {
	ctx := context.Background()
	a := answer{Tokens: make([][]int, len(t.First))}
	start := cpuTime()
	root := o.engine.NewSeq()
	root.Append(t.Prompt...)
	root.Append(t.First[0])
	if err := o.engine.Run(ctx, engine.Job{Seq: root}); err != nil {
		return a, err
	}
	forks, err := o.engine.Fork(len(t.First)-1, root)
	if err != nil {
		return a, err
	}
	seqs := append([]*engine.Seq{root}, forks[0]...)
	defer o.engine.Free(seqs...)
	for i, s := range seqs[1:] {
		if err := s.Rewind(len(t.Prompt)); err != nil {
			return a, err
		}
		s.Append(t.First[i+1])
	}
	if err := o.greedy(ctx, seqs, 1, a.Tokens); err != nil {
		return a, err
	}
	a.Prefill = cpuTime() - start
	for i, s := range seqs {
		s.Append(a.Tokens[i][0])
	}
	start = cpuTime()
	err = o.greedy(ctx, seqs, t.Steps, a.Tokens)
	a.Decode = cpuTime() - start
	return a, err
}

// greedy adds n tokens to each row.
func (o *ours) greedy(ctx context.Context, seqs []*engine.Seq, n int, tokens [][]int) error {
	jobs := make([]engine.Job, len(seqs))
	failed := make([]error, len(seqs))
	for i, s := range seqs {
		sampler := sample.New(sample.Config{}, nil)
		left := n
		jobs[i] = engine.Job{Seq: s, Step: func(_ int, logits []float32) (int, bool) {
			id, _, err := sampler.Pick(logits)
			failed[i] = err
			tokens[i] = append(tokens[i], id)
			left--
			return id, left > 0 && err == nil
		}}
	}
	return errors.Join(o.engine.Run(ctx, jobs...), errors.Join(failed...))
}

// cpuTime is what this process has used on all its threads, in seconds.
func cpuTime() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for a wrong pointer alone
	return float64(u.Utime.Nano()+u.Stime.Nano()) / float64(time.Second)
}
