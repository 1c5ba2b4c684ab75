package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/oreo-go/oreo/export/reference"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// Runner computes forward passes of one graph, with the cache tensors in its
// keeping. Calls do not overlap.
type Runner interface {
	// Reset makes the cache rows by slots large; what it holds does not matter.
	Reset(rows, slots int) error
	// Forward runs the graph once and returns the answers for p.OutRows, V or 1
	// numbers each, valid until the next call.
	Forward(p Pass) ([]float32, error)
	Close() error
}

// Pass holds the integer inputs of the graph, as package manifest describes them.
type Pass struct {
	B, S            int
	IDs, Positions  []int64 // [B, S]
	Write, NonpadKV []int64 // [B]
	OutRows         []int64
}

// Check is the comparison of one way to run the graph with one reference.
type Check struct {
	Reference string        // file
	Kind      manifest.Kind // policy or critic; KL and Top1 are meant for the former
	Mode      string        // whole, chunks, cached, ragged
	Positions int
	MaxAbs    float64 // largest |difference|
	Limit     float64 // for MaxAbs; 0 is none
	MeanKL    float64 // nats, KL(reference || graph); policies only
	MaxKL     float64
	Top1      float64 // share of positions whose likeliest token agrees
	Failed    []string
}

// ErrTolerance says that a graph ran but answers too far from a reference.
var ErrTolerance = errors.New("out of tolerance")

// Open loads the graph at path, which answers width numbers for a position: V for
// a policy, 1 for a critic.
type Open func(path string, m *manifest.Manifest, width int) (Runner, error)

// Verify runs the graph in dir in every way the runtime does, a pair as policy
// and as critic, and compares with the reference values recorded at export, and
// with those of the trainer where the model came with any. It reports all checks,
// and an error wrapping ErrTolerance that names those that failed, and the first
// layer from which the graph goes astray.
func Verify(ctx context.Context, dir string, open Open) ([]Check, error) {
	m, err := manifest.Load(dir)
	if err != nil {
		return nil, err
	}
	if err := m.CheckHashes(ctx, dir); err != nil {
		return nil, err
	}
	var checks []Check
	for _, kind := range m.Kinds() {
		some, err := compareAll(ctx, dir, m, kind, open)
		checks = append(checks, some...)
		if err != nil {
			return checks, fmt.Errorf("verify %s: %w", dir, err)
		}
	}
	var failed []string
	for _, c := range checks {
		for _, f := range c.Failed {
			failed = append(failed, fmt.Sprintf("%s, %s, %s: %s", c.Reference, c.Kind, c.Mode, f))
		}
	}
	if len(failed) == 0 {
		return checks, nil
	}
	where, err := locate(dir, m, checks, open)
	if err != nil {
		where = fmt.Sprintf("the layer could not be found: %v", err)
	}
	return checks, fmt.Errorf("verify %s: %w: %s; %s", dir, ErrTolerance, where, strings.Join(failed, "; "))
}

// compareAll runs the graph as one kind in every mode, for each reference file.
func compareAll(ctx context.Context, dir string, m *manifest.Manifest, kind manifest.Kind, open Open) (checks []Check, err error) {
	head, trainer := model.LMHead, manifest.TrainerFile
	if kind == manifest.Critic {
		head = model.ValueHead
	}
	if m.Kind == manifest.Pair && kind == manifest.Critic {
		trainer = manifest.TrainerCriticFile
	}
	width := 1
	if kind == manifest.Policy {
		width = m.Dims.Vocab
	}
	runner, err := open(filepath.Join(dir, manifest.GraphFile), m, width)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	for _, file := range m.Files {
		if file.Name != manifest.ReferenceFile && file.Name != trainer {
			continue
		}
		ref, err := reference.Load(filepath.Join(dir, file.Name), head, m.Dims.Vocab)
		if err != nil {
			return checks, err
		}
		for _, mode := range modes {
			if err := ctx.Err(); err != nil {
				return checks, err
			}
			c, err := compare(runner, ref, mode, m, kind)
			if err != nil {
				return checks, fmt.Errorf("%s, %s: %w", file.Name, mode.name, err)
			}
			c.Reference = file.Name
			checks = append(checks, c)
		}
	}
	if len(checks) == 0 {
		return nil, fmt.Errorf("no %s in it: export again", manifest.ReferenceFile)
	}
	return checks, nil
}

// mode is a way to run sequences: which of them together, and how many tokens of
// each row a pass takes.
type mode struct {
	name    string
	batched bool
	take    func(pass, left int) int // tokens of a row with left to go, at most
}

const raggedMode = "ragged"

var modes = []mode{
	{"whole", false, func(_, left int) int { return left }},
	{"chunks", false, func(_, _ int) int { return 5 }},
	{"cached", false, func(pass, left int) int { // a prompt, then one token at a time
		if pass == 0 {
			return (left + 1) / 2
		}
		return 1
	}},
	{raggedMode, true, func(pass, _ int) int { return []int{7, 1, 3}[pass%3] }},
}

// line is a row of the batch: the first n tokens of a sequence of the reference.
type line struct{ sequence, n int }

// batches groups the sequences of r. A batch has a row besides that is the
// beginning of the first sequence, so that lengths always differ.
func (m mode) batches(r *reference.Reference) [][]line {
	var all []line
	for i, ids := range r.IDs {
		all = append(all, line{i, len(ids)})
	}
	if m.batched {
		return [][]line{append(all, line{0, (len(r.IDs[0]) + 1) / 2})}
	}
	var single [][]line
	for _, l := range all {
		single = append(single, []line{l})
	}
	return single
}

func compare(runner Runner, ref *reference.Reference, mode mode, m *manifest.Manifest, kind manifest.Kind) (Check, error) {
	c := Check{Mode: mode.name, Kind: kind}
	top, agree := 0.0, 0
	for _, lines := range mode.batches(ref) {
		err := run(runner, ref, mode, lines, m.Dims.MaxPositions, func(want, got []float32) {
			d := difference(want, got)
			c.MaxAbs = worse(c.MaxAbs, d.abs)
			c.MaxKL = worse(c.MaxKL, d.kl)
			c.MeanKL += d.kl
			top = max(top, d.top)
			c.Positions++
			if d.agree {
				agree++
			}
		})
		if err != nil {
			return c, err
		}
	}
	c.MeanKL /= float64(c.Positions)
	c.Top1 = float64(agree) / float64(c.Positions)
	c.judge(m.Bounds(kind), top)
	return c, nil
}

// judge lists what lies outside the bounds; top is the largest |reference|. The
// comparisons are written so that NaN fails.
func (c *Check) judge(t manifest.Tolerance, top float64) {
	fail := func(format string, args ...any) { c.Failed = append(c.Failed, fmt.Sprintf(format, args...)) }
	c.Limit = max(t.MaxAbs, t.MaxRel*top)
	if c.Limit > 0 && !(c.MaxAbs <= c.Limit) {
		fail("max |difference| %.3g, bound %.3g", c.MaxAbs, c.Limit)
	}
	if t.MeanKL > 0 && !(c.MeanKL <= t.MeanKL) {
		fail("mean KL %.3g nats, bound %g", c.MeanKL, t.MeanKL)
	}
	if t.MaxKL > 0 && !(c.MaxKL <= t.MaxKL) {
		fail("max KL %.3g nats, bound %g", c.MaxKL, t.MaxKL)
	}
	if c.Top1 < t.MinTop1 {
		fail("top-1 agreement %.3g, bound %g", c.Top1, t.MinTop1)
	}
}

// run feeds lines to the graph as one batch, pass by pass, and shows every
// answer beside what the reference has for that position.
func run(runner Runner, ref *reference.Reference, mode mode, lines []line, positions int, show func(want, got []float32)) error {
	done := make([]int, len(lines)) // tokens in the cache
	slots := 0
	for _, l := range lines {
		slots = max(slots, l.n)
	}
	if slots > positions {
		return fmt.Errorf("sequence of %d tokens, the graph has %d positions", slots, positions)
	}
	slots += slots // rows are padded to the longest chunk of a pass, behind their own tokens
	if err := runner.Reset(len(lines), slots); err != nil {
		return err
	}
	for n := 0; ; n++ {
		p, answers := plan(ref, mode, lines, done, n, positions)
		if p.S == 0 {
			return nil
		}
		got, err := runner.Forward(p)
		if err != nil {
			return err
		}
		if len(got) != len(answers)*ref.Width {
			return fmt.Errorf("the graph gave %d numbers for %d positions", len(got), len(answers))
		}
		for i, want := range answers {
			show(want, got[i*ref.Width:(i+1)*ref.Width])
		}
	}
}

// plan makes pass n and advances done; answers are the reference's for OutRows.
func plan(ref *reference.Reference, mode mode, lines []line, done []int, n, positions int) (p Pass, answers [][]float32) {
	take := make([]int, len(lines))
	for b, l := range lines {
		left := l.n - done[b]
		take[b] = min(mode.take(n, left), left)
		p.S = max(p.S, take[b])
	}
	p.B = len(lines)
	for b, l := range lines {
		ids := ref.IDs[l.sequence]
		for i := range p.S {
			id, at := int64(0), done[b]+i
			if i < take[b] {
				id = ids[at]
				p.OutRows = append(p.OutRows, int64(b*p.S+i))
				answers = append(answers, ref.Want[l.sequence][at])
			}
			p.IDs = append(p.IDs, id)
			p.Positions = append(p.Positions, int64(min(at, positions-1))) // padding may run past the table
		}
		p.Write = append(p.Write, int64(done[b]))
		p.NonpadKV = append(p.NonpadKV, int64(done[b]+p.S))
		done[b] += take[b]
	}
	return p, answers
}

type delta struct {
	abs, kl, top float64
	agree        bool
}

// difference compares the answers for one position.
func difference(want, got []float32) delta {
	d := delta{agree: argmax(want) == argmax(got)}
	for i, w := range want {
		d.abs = worse(d.abs, math.Abs(float64(w)-float64(got[i])))
		d.top = max(d.top, math.Abs(float64(w)))
	}
	if len(want) > 1 {
		a, b := logNormaliser(want), logNormaliser(got)
		for i, w := range want {
			logp, logq := float64(w)-a, float64(got[i])-b
			d.kl += math.Exp(logp) * (logp - logq)
		}
	}
	return d
}

// worse is the larger of two, and NaN once there was one.
func worse(a, b float64) float64 { return math.Max(a, b) }

func argmax(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// logNormaliser is log(sum(exp(x))).
func logNormaliser(x []float32) float64 {
	top := float64(x[argmax(x)])
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}
