// Package safetensors reads and writes Hugging Face safetensors files, single
// or sharded, memory-mapped.
//
// Format (huggingface/safetensors README): 8 bytes little-endian header length
// N, N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]},
// "__metadata__": {...}}, then the data, offsets counted from its start.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oreo-go/oreo/runtime/bounded"
	"github.com/x448/float16"
	"golang.org/x/sys/unix"
)

// DType names an element type as the format spells it.
type DType string

// The element types that language models use.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// Size is the bytes of one element, 0 for a type this package does not know.
func (d DType) Size() int {
	switch d {
	case F64, I64:
		return 8
	case F32, I32:
		return 4
	case F16, BF16:
		return 2
	case U8, Bool:
		return 1
	}
	return 0
}

// Tensor is a named array in row-major order, little-endian.
// When it was read, Data aliases the mapped file: valid until File.Close and
// not to be written.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Float32 returns a copy of the elements widened or narrowed to float32.
func (t Tensor) Float32() ([]float32, error) {
	out := make([]float32, t.Len())
	le := binary.LittleEndian
	switch t.DType {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(t.Data[4*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(le.Uint16(t.Data[2*i:])) << 16)
		}
	case F16:
		for i := range out {
			out[i] = float16.Frombits(le.Uint16(t.Data[2*i:])).Float32()
		}
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(le.Uint64(t.Data[8*i:])))
		}
	default:
		return nil, fmt.Errorf("tensor %s: dtype %s is not a floating-point type", t.Name, t.DType)
	}
	return out, nil
}

// Slice returns a copy of elements [from, to) as Float32 does.
func (t Tensor) Slice(from, to int) ([]float32, error) {
	size := t.DType.Size()
	return Tensor{Name: t.Name, DType: t.DType, Shape: []int{to - from}, Data: t.Data[from*size : to*size]}.Float32()
}

// Float32Tensor makes a tensor of float32 values.
func Float32Tensor(name string, shape []int, values []float32) Tensor {
	data := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(v))
	}
	return Tensor{Name: name, DType: F32, Shape: shape, Data: data}
}

// Int64Tensor makes a tensor of int64 values.
func Int64Tensor(name string, shape []int, values []int64) Tensor {
	data := make([]byte, 8*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint64(data[8*i:], uint64(v))
	}
	return Tensor{Name: name, DType: I64, Shape: shape, Data: data}
}

// Int64 returns a copy of the elements of an I64 tensor.
func (t Tensor) Int64() ([]int64, error) {
	if t.DType != I64 {
		return nil, fmt.Errorf("tensor %s: dtype %s, want I64", t.Name, t.DType)
	}
	out := make([]int64, t.Len())
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
	}
	return out, nil
}

// File is an open set of tensors: one file or all shards of a model.
// It is safe for concurrent reading.
type File struct {
	tensors  map[string]Tensor
	metadata map[string]string
	maps     [][]byte
}

// Names lists the tensors in byte order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.tensors))
	for n := range f.tensors {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Has tells whether a tensor of that name exists.
func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// Get returns the tensor of that name.
func (f *File) Get(name string) (Tensor, error) {
	t, ok := f.tensors[name]
	if !ok {
		return Tensor{}, fmt.Errorf("no tensor %q among the %d present", name, len(f.tensors))
	}
	return t, nil
}

// Metadata is the free-form "__metadata__" map; nil where there is none.
func (f *File) Metadata() map[string]string { return f.metadata }

// Close unmaps the files. Tensors read from f must not be used afterwards.
func (f *File) Close() error {
	var err error
	for _, m := range f.maps {
		err = errors.Join(err, unix.Munmap(m))
	}
	f.maps, f.tensors = nil, nil
	return err
}

// Open maps one file and checks its whole header: lengths, offsets, shapes,
// overlaps. Errors name the file and the tensor.
func Open(path string) (*File, error) {
	f := &File{tensors: map[string]Tensor{}}
	if err := f.add(path); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// SingleFile and IndexFile are the names under which a model folder holds its weights.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// OpenModel opens the weights of a Hugging Face model folder: model.safetensors,
// or the shards that model.safetensors.index.json lists.
func OpenModel(dir string) (*File, error) {
	single := filepath.Join(dir, SingleFile)
	if _, err := os.Stat(single); err == nil {
		return Open(single)
	}
	indexPath := filepath.Join(dir, IndexFile)
	raw, err := bounded.ReadFile(indexPath, maxHeader)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: neither %s nor %s found; a model folder needs one of them", dir, SingleFile, IndexFile)
	}
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("%s: %w", indexPath, err)
	}
	var shards []string
	for tensor, shard := range index.WeightMap {
		if !filepath.IsLocal(shard) || filepath.Base(shard) != shard {
			return nil, fmt.Errorf("%s: tensor %s: shard %q is not a file name in this folder", indexPath, tensor, shard)
		}
		if !slices.Contains(shards, shard) {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	f := &File{tensors: map[string]Tensor{}}
	for _, shard := range shards {
		if err := f.add(filepath.Join(dir, shard)); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	for tensor, shard := range index.WeightMap {
		if !f.Has(tensor) {
			_ = f.Close()
			return nil, fmt.Errorf("%s: tensor %s is not in %s", indexPath, tensor, shard)
		}
	}
	return f, nil
}

type header struct {
	DType   DType     `json:"dtype"`
	Shape   []int     `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

// maxHeader is the format's own bound on the JSON header, in bytes.
const maxHeader = 100 << 20

func (f *File) add(path string) error {
	data, err := mmap(path)
	if err != nil {
		return err
	}
	if data != nil {
		f.maps = append(f.maps, data)
	}
	if len(data) < 8 {
		return fmt.Errorf("%s: %d bytes, too short for a safetensors header: the file is cut or empty; fetch it again", path, len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return fmt.Errorf("%s: header of %d bytes in a file of %d: cut short, or not a safetensors file", path, n, len(data))
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(data[8:8+n], &entries); err != nil {
		return fmt.Errorf("%s: header: %w", path, err)
	}
	if raw, ok := entries["__metadata__"]; ok {
		if err := json.Unmarshal(raw, &f.metadata); err != nil {
			return fmt.Errorf("%s: __metadata__: %w", path, err)
		}
		delete(entries, "__metadata__")
	}
	body := data[8+n:]
	spans := make([][2]uint64, 0, len(entries))
	for name, raw := range entries {
		var h header
		if err := json.Unmarshal(raw, &h); err != nil {
			return fmt.Errorf("%s: tensor %s: %w", path, name, err)
		}
		if err := h.check(uint64(len(body))); err != nil {
			return fmt.Errorf("%s: tensor %s: %w", path, name, err)
		}
		if f.Has(name) {
			return fmt.Errorf("%s: tensor %s occurs in two shards", path, name)
		}
		f.tensors[name] = Tensor{name, h.DType, h.Shape, body[h.Offsets[0]:h.Offsets[1]:h.Offsets[1]]}
		spans = append(spans, h.Offsets)
	}
	return checkOverlap(path, spans)
}

func checkOverlap(path string, spans [][2]uint64) error {
	// By begin and end: an empty tensor stands before the one that begins where it lies.
	slices.SortFunc(spans, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) })
	for i := 1; i < len(spans); i++ {
		if spans[i][0] < spans[i-1][1] {
			return fmt.Errorf("%s: tensors overlap at byte %d of the data", path, spans[i][0])
		}
	}
	return nil
}

func (h header) check(body uint64) error {
	size := uint64(h.DType.Size())
	if size == 0 {
		return fmt.Errorf("dtype %q is not supported (F64 F32 F16 BF16 I64 I32 U8 BOOL are)", h.DType)
	}
	n := uint64(1)
	for _, d := range h.Shape {
		if d < 0 || (d > 0 && n > math.MaxInt64/uint64(d)/size) {
			return fmt.Errorf("shape %v is out of range", h.Shape)
		}
		n *= uint64(d)
	}
	begin, end := h.Offsets[0], h.Offsets[1]
	if begin > end || end > body {
		return fmt.Errorf("data_offsets [%d, %d] lie outside the %d bytes of data: the file is cut short", begin, end, body)
	}
	if end-begin != n*size {
		return fmt.Errorf("%d bytes of data for shape %v of %s, want %d", end-begin, h.Shape, h.DType, n*size)
	}
	return nil
}

func mmap(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait
		return nil, fmt.Errorf("%s is no regular file, want a safetensors file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() == 0 {
		return nil, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return data, nil
}
