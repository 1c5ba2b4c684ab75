package export

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/export/reference"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// locate finds the first hidden state that is out of tolerance and says where it
// is. A copy of the graph that answers with its hidden states is run, the way that
// failed, beside the original: its weights are the same file.
func locate(dir string, m *manifest.Manifest, checks []Check, open Open) (where string, err error) {
	at := slices.IndexFunc(checks, func(c Check) bool { return len(c.Failed) > 0 && c.Mode != raggedMode })
	if at < 0 {
		return "rows one by one are right, so no layer is at fault but the batch", nil
	}
	failed := checks[at]
	head := model.LMHead
	if failed.Kind == manifest.Critic {
		head = model.ValueHead
	}
	ref, err := reference.Load(filepath.Join(dir, manifest.ReferenceFile), head, m.Dims.Vocab)
	if err != nil {
		return "", err
	}
	if ref.Hidden == nil {
		return "", fmt.Errorf("%s has no hidden states: export again", manifest.ReferenceFile)
	}
	path, width, err := writeProbe(dir, failed.Kind)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	if width != ref.Hidden.Width {
		return "", fmt.Errorf("%s has %d numbers for a token, the graph %d hidden ones", manifest.ReferenceFile, ref.Hidden.Width, width)
	}
	runner, err := open(path, m, width)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	mode := modes[slices.IndexFunc(modes, func(m mode) bool { return m.name == failed.Mode })]
	states := newStates(width/m.Dims.Hidden, m.Dims.Hidden)
	if err := run(runner, ref.Hidden, mode, mode.batches(ref.Hidden)[0], m.Dims.MaxPositions, states.compare); err != nil {
		return "", err
	}
	return states.first(m), nil
}

// writeProbe writes the probing copy of the graph into the artifact's folder for
// a while.
func writeProbe(dir string, kind manifest.Kind) (path string, width int, err error) {
	cfg, err := model.LoadConfig(dir)
	if err != nil {
		return "", 0, err
	}
	g, err := onnx.Load(filepath.Join(dir, manifest.GraphFile))
	if err != nil {
		return "", 0, err
	}
	probe, width, err := graph.Probe(g, cfg, kind == manifest.Critic)
	if err != nil {
		return "", 0, err
	}
	f, err := os.CreateTemp(dir, ".probe-*.onnx")
	if err != nil {
		return "", 0, err
	}
	if err := errors.Join(f.Close(), onnx.Save(f.Name(), probe)); err != nil {
		return "", 0, errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), width, nil
}

// states compares hidden states, point by point of the way through the model.
type states struct {
	width  int
	points []state
	token  int // the next one
}

// state is the token at which a point lies farthest from the reference, as a
// share of its largest element: those of the first token are often a thousand
// times those of the others.
type state struct {
	token             int
	share, worst, top float64 // worst / top, largest |difference|, largest |reference|
}

func newStates(points, width int) *states {
	return &states{width: width, points: make([]state, points)}
}

func (s *states) compare(want, got []float32) {
	for p := range s.points {
		now := state{token: s.token}
		for i := p * s.width; i < (p+1)*s.width; i++ {
			now.worst = worse(now.worst, math.Abs(float64(want[i])-float64(got[i])))
			now.top = max(now.top, math.Abs(float64(want[i])))
		}
		if now.share = now.worst / now.top; !(now.share <= s.points[p].share) { // NaN is farthest
			s.points[p] = now
		}
	}
	s.token++
}

// first describes the first point out of tolerance.
func (s *states) first(m *manifest.Manifest) string {
	bound := hiddenTolerance(graph.Precision(m.DType))
	for i, p := range s.points {
		if !(p.share <= bound) {
			return fmt.Sprintf("%s goes astray at %s: max |difference| %.3g at token %d, bound %.3g",
				manifest.GraphFile, reference.PointName(i, m.Dims.Layers), p.worst, p.token, bound*p.top)
		}
	}
	return fmt.Sprintf("%s: every layer is within its bound, so the head is at fault, or rounding adds up", manifest.GraphFile)
}
