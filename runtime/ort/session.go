//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// Session is a loaded graph with its cache. It implements engine.Model.
type Session struct {
	spec     engine.Spec
	layout   *layout
	device   device
	fallback error // why auto did not take the GPU
	host     place
	graph    *onnx.DynamicAdvancedSession
	call     *call
	cache    cache

	plan    []buffer // in layout's order
	answer  buffer
	kv      []view // tensors of the cache
	lens    []int32
	none    []float32
	inputs  []value // of the pass under way
	outputs []value
}

// Open loads the graph at path, checks it against spec and runs a self-test.
// The caller ends with Close.
func Open(path string, spec engine.Spec, opt Options) (_ *Session, err error) {
	dev, err := parseDevice(opt.Device)
	if err != nil {
		return nil, err
	}
	if opt.GPU.MemoryLimit < 0 {
		return nil, fmt.Errorf("%w: memory limit of %d bytes, want 0 (none) or more", ErrDevice, opt.GPU.MemoryLimit)
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
		spec: spec, layout: layout, device: dev,
		plan: make([]buffer, len(layout.plan)), kv: make([]view, layout.kv.Tensors),
	}
	if layout.grouped() {
		s.spec.TreeSlots = spec.MaxPositions // the operator asks for angles up to the last slot
	}
	err = s.load(path, opt)
	if err != nil && dev.auto {
		s.fallback, s.device = errors.Join(err, s.unload()), device{}
		err = s.load(path, opt)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, s.Close()))
	}
	return s, nil
}

// load makes the graph ready on s.device.
func (s *Session) load(path string, opt Options) (err error) {
	opts, err := s.options(opt)
	if err != nil {
		return err
	}
	defer opts.Destroy()
	if s.graph, err = onnx.NewDynamicAdvancedSession(path, nil, nil, opts); err != nil {
		return s.explain(err)
	}
	if s.call, err = newCall(s.graph, s.layout.inputs, s.layout.outputs); err != nil {
		return err
	}
	if s.host, err = hostPlace(); err != nil {
		return err
	}
	if s.cache, err = s.newCache(opt); err != nil {
		return fmt.Errorf("cache on %s: %w", s.device, err)
	}
	return s.selfTest()
}

// explain says what to do about a graph that does not load.
func (s *Session) explain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "fallback to CPU EP") && s.layout.grouped():
		return fmt.Errorf("%w: %s: the graph's form is the CPU's: export it with --attention standard (%w)", ErrDevice, s.device, err)
	case strings.Contains(text, "fallback to CPU EP"):
		return fmt.Errorf("%w: %s: some nodes of the graph have no kernel there: allow them on the CPU (GPU.PartlyCPU, --gpu-partly) or export in another precision (%w)", ErrDevice, s.device, err)
	case strings.Contains(text, "CUDA"):
		return fmt.Errorf("%w: %s: %w", ErrDevice, s.device, err)
	}
	return err
}

func (s *Session) options(opt Options) (*onnx.SessionOptions, error) {
	opts, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, err
	}
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
	if err == nil && s.device.cuda {
		err = appendCUDA(opts, s.device.id, opt.GPU)
	}
	if err != nil {
		return nil, errors.Join(err, opts.Destroy())
	}
	return opts, nil
}

func (s *Session) newCache(opt Options) (cache, error) {
	name := hostDevice
	switch {
	case s.device.cuda:
		name = cudaDevice
	case !opt.DeviceCache:
		return hostCache{kv.NewHost(s.layout.kv, cMemory{}), s.host}, nil
	}
	mem, err := newArena(s.call, name, s.device.id)
	if err != nil {
		return nil, err
	}
	c, err := newDeviceCache(s.layout.kv, mem)
	if err != nil {
		mem.free()
		return nil, err
	}
	return c, nil
}

// Spec implements engine.Model.
func (s *Session) Spec() engine.Spec { return s.spec }

// Store implements engine.Model.
func (s *Session) Store() kv.Store { return s.cache }

// Device is where the graph runs: cpu or cuda:N.
func (s *Session) Device() string { return s.device.String() }

// Fallback says why device auto did not take the GPU; nil if it did or was not
// asked for.
func (s *Session) Fallback() error { return s.fallback }

// TokenBytes is the cache's memory per token.
func (s *Session) TokenBytes() int { return s.layout.kv.TokenBytes() }

// Close frees the session. It must not run beside Forward.
func (s *Session) Close() error { return errors.Join(s.unload(), release()) }

// unload undoes load, however far that came.
func (s *Session) unload() (err error) {
	for i := range s.plan {
		s.plan[i].free()
	}
	s.answer.free()
	for i := range s.kv {
		s.kv[i].drop()
	}
	if s.cache != nil {
		err = s.cache.free()
	}
	if s.call != nil {
		s.call.free()
	}
	if s.graph != nil {
		err = errors.Join(err, s.graph.Destroy())
	}
	s.host.free()
	s.cache, s.call, s.graph, s.host = nil, nil, nil, place{}
	return err
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
	v, err := s.answer.view.of(s.host, address(mem), len(mem), elemFloat32, shape[:s.layout.answerDims]...)
	if err != nil {
		return nil, err
	}
	s.outputs = append(s.outputs, v)
	for t := range s.kv {
		// One value is past and present: the graph writes the new tokens in place.
		at, bytes := s.cache.memory(t, b.Lo, b.Lo+b.B)
		v, err := s.kv[t].of(s.cache.place(), at, bytes, s.layout.kvElem,
			int64(b.B), int64(s.layout.kv.Heads), int64(s.cache.room()), int64(s.layout.kv.Dim))
		if err != nil {
			return nil, err
		}
		s.inputs, s.outputs = append(s.inputs, v), append(s.outputs, v)
	}
	if err := s.call.run(s.inputs, s.outputs); err != nil {
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
	v, err := s.plan[i].view.of(s.host, address(mem), len(mem), s.layout.plan[i].elem, shape...)
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
