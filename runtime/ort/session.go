//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
	"github.com/oreo-go/oreo/runtime/manifest"
)

// Session is a loaded graph with its cache. It implements engine.Model.
type Session struct {
	path     string
	opt      Options
	graph    *graph
	spec     engine.Spec
	layout   *layout
	device   device
	fallback error // why auto did not take the GPU
	host     place
	native   *native
	call     *call
	cache    cache

	plan    []buffer // in layout's order
	answer  buffer
	other   buffer // the empty answer of a pair that is not wanted
	values  view   // of a pair's values behind the logits, in answer
	kv      []view // tensors of the cache
	lens    []int32
	slots   []int32
	rows    []int64
	none    []float32
	inputs  []value // of the pass under way
	outputs []value
}

// native is a graph in onnxruntime's hands, which any number of sessions run, at
// the same time too.
type native struct {
	*onnx.DynamicAdvancedSession
	users atomic.Int32
	ours  *ours // what we compute of it; nil for nothing
}

// release frees the graph with its last user.
func (n *native) release() error {
	if n.users.Add(-1) > 0 {
		return nil
	}
	err := n.Destroy()
	n.ours.free()
	return err
}

// Open loads the graph at path, checks it against spec and runs a self-test.
// The caller ends with Close.
func Open(path string, spec engine.Spec, opt Options) (*Session, error) {
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
	if opt.Manifest != nil {
		if err := g.agrees(opt.Manifest); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return open(&Session{path: path, opt: opt, graph: g, spec: spec, device: dev})
}

// Share opens a pair that s was opened as one half of as the other half, which
// has a cache of its own and the same weights in memory.
func (s *Session) Share(spec engine.Spec) (*Session, error) {
	if s.layout.other == nil {
		return nil, fmt.Errorf("%s: %w: it holds one model, not a pair", s.path, ErrGraph)
	}
	s.native.users.Add(1)
	return open(&Session{path: s.path, opt: s.opt, graph: s.graph, spec: spec, device: s.device, fallback: s.fallback, native: s.native})
}

// open makes s ready, or frees what it holds. A native graph that is there already
// is shared.
func open(s *Session) (_ *Session, err error) {
	acquired := false
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", s.path, errors.Join(err, s.unload()))
			if acquired {
				err = errors.Join(err, release())
			}
		}
	}()
	if s.layout, err = layoutOf(s.graph, s.spec); err != nil {
		return nil, err
	}
	if _, err := acquire(s.opt.Library); err != nil {
		return nil, err
	}
	acquired = true
	s.spec.Valued = s.layout.valued
	s.plan, s.kv = make([]buffer, len(s.layout.plan)), make([]view, s.layout.kv.Tensors)
	if s.layout.grouped() {
		s.spec.TreeSlots = s.spec.MaxPositions // the operator asks for angles up to the last slot
	}
	err = s.load()
	if err != nil && s.device.auto && s.device.cuda {
		s.fallback, s.device = errors.Join(err, s.unload()), device{}
		err = s.load()
	}
	if err == nil && s.attends() {
		s.spec.Segments, s.spec.TreeSlots = true, mostSlots
	}
	return s, err
}

// mostSlots bounds a tree over which our attention goes: memory is what it needs.
const mostSlots = 1 << 24

// load makes the graph ready on s.device.
func (s *Session) load() (err error) {
	if s.native == nil {
		if err := s.loadNative(); err != nil {
			return err
		}
	}
	if s.call, err = newCall(s.native.DynamicAdvancedSession, s.layout.inputs, s.layout.outputs); err != nil {
		return err
	}
	if s.host, err = hostPlace(); err != nil {
		return err
	}
	if s.cache, err = s.newCache(); err != nil {
		return fmt.Errorf("cache on %s: %w", s.device, err)
	}
	return s.selfTest()
}

func (s *Session) loadNative() error {
	opts, err := s.options()
	if err != nil {
		return err
	}
	defer opts.Destroy()
	defer openingSession()()
	o, err := s.replaced(opts)
	if err != nil {
		return err
	}
	var run *onnx.DynamicAdvancedSession
	if o != nil {
		run, err = onnx.NewDynamicAdvancedSessionWithONNXData(o.file, nil, nil, opts)
	} else {
		run, err = onnx.NewDynamicAdvancedSession(s.path, nil, nil, opts)
	}
	if err != nil {
		o.free()
		return s.explain(err)
	}
	s.native = &native{DynamicAdvancedSession: run, ours: o}
	s.native.users.Add(1)
	return nil
}

// replaced is what we compute of the graph, ready for a session with these options;
// nil for nothing.
func (s *Session) replaced(opts *onnx.SessionOptions) (*ours, error) {
	if s.device.cuda || s.opt.Plain || s.layout.kvElem != elemFloat32 {
		return nil, nil
	}
	o := replace(s.graph, s.layout.kv.Dim)
	if o == nil {
		return nil, nil
	}
	dir := filepath.Dir(s.path)
	err := o.load(dir)
	if err == nil {
		o.operators, err = addOperators(opts, o.weights, o.attention)
	}
	if err == nil {
		err = opts.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", dir)
	}
	if err != nil {
		o.free()
		return nil, err
	}
	return o, nil
}

// attends tells whether attention is ours.
func (s *Session) attends() bool { return s.native.ours != nil && s.native.ours.attention != nil }

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

func (s *Session) options() (*onnx.SessionOptions, error) {
	opts, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	threads := s.opt.Threads
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
	if err == nil && s.opt.Profile != "" {
		err = opts.EnableProfiling(s.opt.Profile)
	}
	switch {
	case err != nil:
	case s.device.cuda:
		err = appendCUDA(opts, s.device.id, s.opt.GPU)
	case environment.hugePages != nil:
		err = opts.AddSessionConfigEntry("session.use_env_allocators", "1")
	}
	if err != nil {
		return nil, errors.Join(err, opts.Destroy())
	}
	return opts, nil
}

func (s *Session) newCache() (cache, error) {
	name := hostDevice
	switch {
	case s.device.cuda:
		name = cudaDevice
	case !s.opt.DeviceCache:
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
	s.other.free()
	s.values.drop()
	for i := range s.kv {
		s.kv[i].drop()
	}
	if s.cache != nil {
		err = s.cache.free()
	}
	if s.call != nil {
		s.call.free()
	}
	if s.native != nil {
		err = errors.Join(err, s.native.release())
	}
	s.host.free()
	s.cache, s.call, s.native, s.host = nil, nil, nil, place{}
	return err
}

// Forward implements engine.Model.
func (s *Session) Forward(b *engine.Batch) ([]float32, error) {
	if s.layout.grouped() && !s.attends() && b.B > 1 && b.S > 1 && slices.Max(b.Write) > 0 {
		return s.rowByRow(b)
	}
	if ours := s.attends(); ours && b.Bias != nil || !ours && b.Segments != nil {
		return nil, errors.New("ort: segments are for our attention, masks for onnxruntime's")
	}
	s.inputs, s.outputs = s.inputs[:0], s.outputs[:0]
	out := b.Out
	if len(out) == 0 {
		out = []int64{0} // the graph always answers something
	}
	if err := s.describe(b, out); err != nil {
		return nil, err
	}
	each := s.spec.Width // numbers of a position
	if b.Values {
		each++
	}
	mem, err := s.answer.take(4 * len(out) * each)
	if err != nil {
		return nil, err
	}
	first := mem[:4*len(out)*s.spec.Width]
	shape := [2]int64{int64(len(out)), int64(s.spec.Width)}
	v, err := s.answer.view.of(s.host, address(first), len(first), elemFloat32, shape[:s.layout.answerDims]...)
	if err != nil {
		return nil, err
	}
	s.outputs = append(s.outputs, v)
	if s.layout.other != nil {
		if v, err = s.second(b, mem[len(first):]); err != nil {
			return nil, err
		}
		s.outputs = slices.Insert(s.outputs, s.layout.otherAt, v)
	}
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
	return as[float32](mem)[:len(b.Out)*each], nil
}

// second is the output of a pair that is no answer by itself: the values, in mem,
// where b asks for them besides, or else an empty one.
func (s *Session) second(b *engine.Batch, mem []byte) (value, error) {
	if b.Values {
		return s.values.of(s.host, address(mem), len(mem), elemFloat32, int64(len(mem)/4))
	}
	none, err := s.other.take(1)
	if err != nil {
		return nil, err
	}
	return s.other.view.of(s.host, address(none), len(none), elemFloat32, s.layout.other...)
}

// describe adds the inputs that say what pass b computes.
func (s *Session) describe(b *engine.Batch, out []int64) error {
	rows, size, total := int64(b.B), int64(b.S), int64(0)
	if b.Segments != nil {
		rows = 1
	} else {
		total = slices.Max(b.Used)
	}
	for i, p := range s.layout.plan {
		var err error
		switch p.name {
		case manifest.InputIDs:
			err = put(s, i, b.IDs, rows, size)
		case manifest.PositionIDs:
			err = put(s, i, b.Pos, rows, size)
		case s.layout.asks:
			err = put(s, i, out, int64(len(out)))
		case manifest.OutRows, manifest.ValueRows: // of a pair's other answer
			also := []int64{}
			if b.Values {
				also = out
			}
			err = put(s, i, also, int64(len(also)))
		case manifest.CriticRows:
			s.rows = s.rows[:0]
			for row := range rows {
				if s.layout.asks == manifest.ValueRows {
					s.rows = append(s.rows, row)
				}
			}
			err = put(s, i, s.rows, int64(len(s.rows)), 1)
		case manifest.WriteIndices:
			err = put(s, i, b.Write, rows)
		case manifest.NonpadKVLen:
			err = put(s, i, b.Used, rows)
		case manifest.SeqLensK:
			s.lens = s.lens[:0]
			for _, n := range b.Used {
				s.lens = append(s.lens, int32(n-1))
			}
			if s.attends() {
				s.segments(b)
			}
			err = put(s, i, s.lens, int64(len(s.lens)))
		case manifest.TotalLen:
			err = put(s, i, []int32{int32(total)}, 1)
		case manifest.AttentionBias:
			switch {
			case b.Bias != nil:
				err = put(s, i, b.Bias, 1, 1, size, total)
			case s.attends(): // it reads none
				err = put(s, i, []float32{}, 1, 1, 1, 0)
			default:
				err = put(s, i, s.zeros(int(size*total)), 1, 1, size, total)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// segments writes the plan of our attention: the numbers of segments and of slots, the
// segments as attention.h has them, the slots of their paths. A batch of rows is one of
// as many segments.
func (s *Session) segments(b *engine.Batch) {
	all := b.Segments
	if all == nil {
		for row := range b.B {
			all = append(all, engine.Segment{Row: row, Write: int(b.Write[row]), N: b.S})
		}
	}
	plan, slots := append(s.lens[:0], int32(len(all)), 0), s.slots[:0]
	for _, g := range all {
		path, at := len(g.Path), len(slots)
		switch {
		case b.Segments == nil:
			path, at = g.Write, -1
		case path == 0 || g.Path[path-1] == path-1: // 0, 1, 2, …
			at = -1
		default:
			for _, slot := range g.Path {
				slots = append(slots, int32(slot))
			}
		}
		plan = append(plan, int32(g.Row), int32(g.Write), int32(g.N), int32(path), int32(at))
	}
	plan[1] = int32(len(slots))
	s.lens, s.slots = append(plan, slots...), slots
}

// put copies data into the plan's buffer i and adds it to the inputs. A value
// without elements needs memory all the same.
func put[T int32 | int64 | float32](s *Session, i int, data []T, shape ...int64) error {
	mem, err := s.plan[i].take(max(1, len(data)) * int(unsafe.Sizeof(data[0])))
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
	var all, values []float32
	for row := range b.B {
		size := min(b.S, s.spec.MaxPositions-int(b.Write[row]))
		first := row * b.S
		one := &engine.Batch{
			Lo: b.Lo + row, B: 1, S: size, IDs: b.IDs[first : first+size], Pos: b.Pos[first : first+size],
			Write: b.Write[row : row+1], Used: []int64{b.Write[row] + int64(size)}, Values: b.Values,
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
		split := len(one.Out) * s.spec.Width
		all, values = append(all, answers[:split]...), append(values, answers[split:]...)
	}
	return append(all, values...), nil
}
