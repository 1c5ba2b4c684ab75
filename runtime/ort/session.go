//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// Session is a loaded graph with its cache. It implements engine.Model.
//
// On CUDA the cache lies in host memory all the same, and onnxruntime copies it
// to the device and back in every pass: right, but slow. A kv.Store over device
// buffers is the place to change that.
type Session struct {
	spec   engine.Spec
	layout *layout
	device device
	run    *onnx.DynamicAdvancedSession
	cache  *kv.Host

	plan    []buffer // in layout's order
	answer  buffer
	kv      []view // tensors of the cache
	lens    []int32
	none    []float32
	inputs  []onnx.Value // of the pass under way
	outputs []onnx.Value
}

// Open loads the graph at path, checks it against spec and runs a self-test.
// The caller ends with Close.
func Open(path string, spec engine.Spec, opt Options) (_ *Session, err error) {
	dev, err := parseDevice(opt.Device)
	if err != nil {
		return nil, err
	}
	g, err := readGraph(path)
	if err != nil {
		return nil, err
	}
	layout, err := layoutOf(g, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := acquire(opt.Library); err != nil {
		return nil, err
	}
	s := &Session{
		spec: spec, layout: layout, device: dev, cache: kv.NewHost(layout.kv, cMemory{}),
		plan: make([]buffer, len(layout.plan)), kv: make([]view, layout.kv.Tensors),
	}
	if layout.grouped() {
		s.spec.TreeSlots = spec.MaxPositions // the operator asks for angles up to the last slot
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.load(path, opt); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.selfTest(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Session) load(path string, opt Options) error {
	opts, err := onnx.NewSessionOptions()
	if err != nil {
		return err
	}
	defer opts.Destroy()
	threads := opt.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	err = errors.Join(
		opts.SetIntraOpNumThreads(threads),
		opts.SetInterOpNumThreads(1),
		// Waiting threads that spin starve whatever else runs on the machine.
		opts.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		// A plan per shape helps nothing when every pass has another shape, and grows.
		opts.SetMemPattern(false),
		opts.SetLogSeverityLevel(onnx.LoggingLevelFatal),
	)
	if err != nil {
		return err
	}
	if opt.Profile != "" {
		if err := opts.EnableProfiling(opt.Profile); err != nil {
			return err
		}
	}
	if s.device.cuda {
		if err := appendCUDA(opts, s.device.id); err != nil {
			if !s.device.auto {
				return err
			}
			s.device = device{}
		}
	}
	if environment.hugePages && !s.device.cuda {
		if err := opts.AddSessionConfigEntry("session.use_env_allocators", "1"); err != nil {
			return err
		}
	}
	defer openingSession()()
	s.run, err = onnx.NewDynamicAdvancedSession(path, s.layout.inputs, s.layout.outputs, opts)
	return err
}

// Spec implements engine.Model.
func (s *Session) Spec() engine.Spec { return s.spec }

// Store implements engine.Model.
func (s *Session) Store() kv.Store { return s.cache }

// Device is where the graph runs: cpu or cuda:N.
func (s *Session) Device() string { return s.device.String() }

// TokenBytes is the cache's memory per token.
func (s *Session) TokenBytes() int { return s.layout.kv.TokenBytes() }

// Close frees the session. It must not run beside Forward.
func (s *Session) Close() error {
	var err error
	if s.run != nil {
		err = s.run.Destroy()
		s.run = nil
	}
	for i := range s.plan {
		err = errors.Join(err, s.plan[i].free())
	}
	for i := range s.kv {
		err = errors.Join(err, s.kv[i].drop())
	}
	return errors.Join(err, s.answer.free(), s.cache.Resize(0, 0, nil), release())
}

// Forward implements engine.Model.
func (s *Session) Forward(b *engine.Batch) ([]float32, error) {
	if s.layout.grouped() && b.B > 1 && b.S > 1 && slices.Max(b.Write) > 0 {
		return s.rowByRow(b)
	}
	s.inputs, s.outputs = s.inputs[:0], s.outputs[:0]
	out := b.Out
	if len(out) == 0 {
		out = []int64{0} // the graph always answers something
	}
	if err := s.describe(b, out); err != nil {
		return nil, err
	}
	mem, err := s.answer.take(4 * len(out) * s.spec.Width)
	if err != nil {
		return nil, err
	}
	shape := [2]int64{int64(len(out)), int64(s.spec.Width)}
	v, err := s.answer.view.of(mem, elemFloat32, shape[:s.layout.answerDims]...)
	if err != nil {
		return nil, err
	}
	s.outputs = append(s.outputs, v)
	for t := range s.kv {
		// One value is past and present: the graph writes the new tokens in place.
		v, err := s.kv[t].of(s.cache.View(t, b.Lo, b.Lo+b.B), s.layout.kvElem,
			int64(b.B), int64(s.layout.kv.Heads), int64(s.cache.Tokens()), int64(s.layout.kv.Dim))
		if err != nil {
			return nil, err
		}
		s.inputs, s.outputs = append(s.inputs, v), append(s.outputs, v)
	}
	if err := s.run.Run(s.inputs, s.outputs); err != nil {
		return nil, err
	}
	return as[float32](mem)[:len(b.Out)*s.spec.Width], nil
}

// describe adds the inputs that say what pass b computes.
func (s *Session) describe(b *engine.Batch, out []int64) error {
	total := slices.Max(b.Used)
	rows, size := int64(b.B), int64(b.S)
	for i, p := range s.layout.plan {
		var err error
		switch p.name {
		case manifest.InputIDs:
			err = put(s, i, b.IDs, rows, size)
		case manifest.PositionIDs:
			err = put(s, i, b.Pos, rows, size)
		case manifest.OutRows:
			err = put(s, i, out, int64(len(out)))
		case manifest.WriteIndices:
			err = put(s, i, b.Write, rows)
		case manifest.NonpadKVLen:
			err = put(s, i, b.Used, rows)
		case manifest.SeqLensK:
			s.lens = s.lens[:0]
			for _, n := range b.Used {
				s.lens = append(s.lens, int32(n-1))
			}
			err = put(s, i, s.lens, rows)
		case manifest.TotalLen:
			err = put(s, i, []int32{int32(total)}, 1)
		case manifest.AttentionBias:
			if b.Bias != nil {
				err = put(s, i, b.Bias, 1, 1, size, total)
			} else {
				err = put(s, i, s.zeros(int(size*total)), 1, 1, size, total)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put copies data into the plan's buffer i and adds it to the inputs.
func put[T int32 | int64 | float32](s *Session, i int, data []T, shape ...int64) error {
	mem, err := s.plan[i].take(len(data) * int(unsafe.Sizeof(data[0])))
	if err != nil {
		return err
	}
	copy(as[T](mem), data)
	v, err := s.plan[i].view.of(mem, s.layout.plan[i].elem, shape...)
	s.inputs = append(s.inputs, v)
	return err
}

// zeros returns n zeros.
func (s *Session) zeros(n int) []float32 {
	if n > len(s.none) {
		s.none = make([]float32, n+n/2)
	}
	return s.none[:n]
}

// rowByRow runs a batch of chunks behind cached tokens, which the grouped form
// takes for one row at a time. Padding that would pass the last position is left
// out.
func (s *Session) rowByRow(b *engine.Batch) ([]float32, error) {
	var all []float32
	for row := range b.B {
		size := min(b.S, s.spec.MaxPositions-int(b.Write[row]))
		first := row * b.S
		one := &engine.Batch{
			Lo: b.Lo + row, B: 1, S: size, IDs: b.IDs[first : first+size], Pos: b.Pos[first : first+size],
			Write: b.Write[row : row+1], Used: []int64{b.Write[row] + int64(size)},
		}
		for _, o := range b.Out {
			if int(o)/b.S == row {
				one.Out = append(one.Out, o-int64(first))
			}
		}
		answers, err := s.Forward(one)
		if err != nil {
			return nil, err
		}
		all = append(all, answers...)
	}
	return all, nil
}
