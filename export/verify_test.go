package export

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/reference"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// fake is a Runner that keeps tokens where a graph keeps keys and values, and
// answers by a plain forward pass over them. harm may change a pass or an answer.
type fake struct {
	ctx     context.Context
	model   reference.Model
	cache   [][]int64
	harmIn  func(p *Pass, cache [][]int64)
	harmOut func(answer []float32)
	closed  bool
}

func (f *fake) Reset(rows, slots int) error {
	f.cache = make([][]int64, rows)
	for i := range f.cache {
		f.cache[i] = make([]int64, slots)
	}
	return nil
}

func (f *fake) Forward(p Pass) ([]float32, error) {
	if f.harmIn != nil {
		f.harmIn(&p, f.cache)
	}
	for b := range p.B {
		if p.NonpadKV[b] != p.Write[b]+int64(p.S) {
			return nil, errors.New("nonpad_kv_seqlen is not write_indices + S")
		}
		copy(f.cache[b][p.Write[b]:p.NonpadKV[b]], p.IDs[b*p.S:])
	}
	var out []float32
	for _, row := range p.OutRows {
		b, i := int(row)/p.S, int(row)%p.S
		at := p.Write[b] + int64(i)
		if p.Positions[row] != at {
			return nil, errors.New("position of a token is not its slot")
		}
		answers, err := reference.Forward(f.ctx, f.model, f.cache[b][:at+1])
		if err != nil {
			return nil, err
		}
		out = append(out, answers[at]...)
	}
	if f.harmOut != nil {
		f.harmOut(out)
	}
	return out, nil
}

func (f *fake) Close() error {
	f.closed = true
	return nil
}

func verify(t *testing.T, kind manifest.Kind, harm func(*fake)) ([]Check, error) {
	t.Helper()
	c := config(t, "qwen2", kind, graph.FP32)
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	src, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	f := &fake{ctx: t.Context(), model: src.models()[0]}
	harm(f)
	checks, err := Verify(t.Context(), c.Out, func(string, *manifest.Manifest, int) (Runner, error) { return f, nil })
	if !f.closed {
		t.Error("the graph was not closed")
	}
	return checks, err
}

func TestVerify(t *testing.T) {
	for _, kind := range []manifest.Kind{manifest.Policy, manifest.Critic} {
		checks, err := verify(t, kind, func(*fake) {})
		if err != nil {
			t.Error(err)
		}
		if len(checks) != 8 { // four modes, and the references of exporter and trainer
			t.Errorf("%d checks", len(checks))
		}
		for _, c := range checks {
			if c.MaxAbs > 1e-5 || c.Limit < 1e-4 || c.Top1 != 1 || c.Positions < 20 {
				t.Errorf("%s %+v", kind, c)
			}
		}
	}
}

// TestVerifyFindsFaults: the faults that graphs and runtimes have in practice.
func TestVerifyFindsFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*fake)
		want string
	}{
		{"rows of the cache mixed up", func(f *fake) {
			f.harmIn = func(p *Pass, cache [][]int64) {
				if p.B > 1 && p.Write[0] > 0 {
					cache[0], cache[1] = cache[1], cache[0]
				}
			}
		}, "ragged: max |difference|"},
		{"cache lost", func(f *fake) {
			f.harmIn = func(p *Pass, cache [][]int64) {
				if p.S == 1 && p.B == 1 {
					cache[0][0]++
				}
			}
		}, "cached: max |difference|"},
		{"answers of the next row", func(f *fake) {
			f.harmIn = func(p *Pass, _ [][]int64) {
				for i := range p.OutRows[1:] {
					p.OutRows[i] = p.OutRows[i+1]
				}
			}
		}, "whole: max |difference|"},
		{"NaN", func(f *fake) { f.harmOut = func(x []float32) { x[len(x)/2] = float32(math.NaN()) } }, "max |difference| NaN"},
		{"slightly off", func(f *fake) { f.harmOut = func(x []float32) { x[0] += 2e-3 } }, "bound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify(t, manifest.Policy, c.harm)
			if !errors.Is(err, ErrTolerance) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	bounds := manifest.Tolerance{MaxAbs: 0.1, MaxRel: 0.01, MeanKL: 0.1, MaxKL: 1, MinTop1: 0.9}
	for _, c := range []struct {
		check Check
		top   float64
		want  int // faults
	}{
		{Check{MaxAbs: 0.1, MeanKL: 0.1, MaxKL: 1, Top1: 0.9}, 1, 0},
		{Check{MaxAbs: 0.2, Top1: 1}, 1, 1},
		{Check{MaxAbs: 0.2, Top1: 1}, 20, 0}, // a hundredth of 20
		{Check{MeanKL: 0.2, MaxKL: 2, Top1: 0.8}, 1, 3},
		{Check{MaxAbs: math.NaN(), MeanKL: math.NaN(), MaxKL: math.NaN(), Top1: 1}, 1, 3},
	} {
		c.check.judge(bounds, c.top)
		if len(c.check.Failed) != c.want {
			t.Errorf("%+v: want %d faults", c.check, c.want)
		}
	}
}
