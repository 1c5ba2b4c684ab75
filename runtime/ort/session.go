//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"runtime"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
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

	plan   [5]buffer // the integer inputs, in layout's order
	answer buffer
	values []onnx.Value // of the pass under way, to be destroyed
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
	s := &Session{spec: spec, layout: layout, device: dev, cache: kv.NewHost(layout.kv, cMemory{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.load(path, opt.Threads); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.selfTest(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (s *Session) load(path string, threads int) error {
	opts, err := onnx.NewSessionOptions()
	if err != nil {
		return err
	}
	defer opts.Destroy()
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
	if s.device.cuda {
		if err := appendCUDA(opts, s.device.id); err != nil {
			if !s.device.auto {
				return err
			}
			s.device = device{}
		}
	}
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
		s.plan[i].free()
	}
	s.answer.free()
	return errors.Join(err, s.cache.Resize(0, 0, nil), release())
}

// Forward implements engine.Model.
func (s *Session) Forward(b *engine.Batch) (out []float32, err error) {
	defer func() { err = errors.Join(err, s.destroyValues()) }()
	rows := b.Out
	if len(rows) == 0 {
		rows = []int64{0} // the graph always answers something
	}
	inputs := make([]onnx.Value, 0, len(s.layout.inputs))
	for i, p := range []struct {
		data  []int64
		shape []int64
	}{
		{b.IDs, []int64{int64(b.B), int64(b.S)}},
		{b.Pos, []int64{int64(b.B), int64(b.S)}},
		{b.Write, []int64{int64(b.B)}},
		{b.Used, []int64{int64(b.B)}},
		{rows, []int64{int64(len(rows))}},
	} {
		mem, err := s.plan[i].take(8 * len(p.data))
		if err != nil {
			return nil, err
		}
		copy(as[int64](mem), p.data)
		v, err := s.value(mem, onnx.TensorElementDataTypeInt64, p.shape...)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, v)
	}
	mem, err := s.answer.take(4 * len(rows) * s.spec.Width)
	if err != nil {
		return nil, err
	}
	shape := []int64{int64(len(rows)), int64(s.spec.Width)}
	v, err := s.value(mem, onnx.TensorElementDataTypeFloat, shape[:s.layout.answerDims]...)
	if err != nil {
		return nil, err
	}
	outputs := append(make([]onnx.Value, 0, len(s.layout.outputs)), v)
	for t := range s.layout.kv.Tensors {
		// One value is past and present: the graph writes the new tokens in place.
		v, err := s.value(s.cache.View(t, b.Lo, b.Lo+b.B), onnx.TensorElementDataType(s.layout.kvElem),
			int64(b.B), int64(s.layout.kv.Heads), int64(s.cache.Tokens()), int64(s.layout.kv.Dim))
		if err != nil {
			return nil, err
		}
		inputs, outputs = append(inputs, v), append(outputs, v)
	}
	if err := s.run.Run(inputs, outputs); err != nil {
		return nil, err
	}
	return as[float32](mem)[:len(b.Out)*s.spec.Width], nil
}

// value wraps C memory for one pass.
func (s *Session) value(mem []byte, elem onnx.TensorElementDataType, shape ...int64) (onnx.Value, error) {
	v, err := onnx.NewCustomDataTensor(shape, mem, elem)
	if err == nil {
		s.values = append(s.values, v)
	}
	return v, err
}

func (s *Session) destroyValues() error {
	var err error
	for _, v := range s.values {
		err = errors.Join(err, v.Destroy())
	}
	clear(s.values)
	s.values = s.values[:0]
	return err
}
