package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	in := []Tensor{
		Float32Tensor("b", []int{2, 2}, []float32{1, -2, float32(math.Inf(1)), 1e-40}),
		Int64Tensor("a", []int{3}, []int64{-1, 0, 1 << 40}),
		{Name: "half", DType: F16, Shape: []int{2}, Data: []byte{0x00, 0x3c, 0x00, 0xc0}},
		{Name: "brain", DType: BF16, Shape: []int{1}, Data: []byte{0x80, 0x3f}},
		{Name: "none", DType: F32, Shape: []int{0, 4}, Data: nil},
		{Name: "scalar", DType: U8, Data: []byte{7}},
	}
	if err := Write(path, in, map[string]string{"k": "v"}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Metadata()["k"] != "v" || len(f.Names()) != len(in) {
		t.Fatalf("metadata %v, names %v", f.Metadata(), f.Names())
	}
	for _, want := range in {
		got, err := f.Get(want.Name)
		if err != nil || !bytes.Equal(got.Data, want.Data) || got.DType != want.DType || got.Len() != want.Len() {
			t.Errorf("%s: %+v, %v", want.Name, got, err)
		}
	}
	half, _ := f.Get("half")
	if v, err := half.Float32(); err != nil || v[0] != 1 || v[1] != -2 {
		t.Errorf("half: %v %v", v, err)
	}
	brain, _ := f.Get("brain")
	if v, err := brain.Float32(); err != nil || v[0] != 1 {
		t.Errorf("brain: %v %v", v, err)
	}
}

func TestSharded(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, SingleFile)
	if err := os.WriteFile(stale, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	in := []Tensor{Float32Tensor("x", []int{4}, make([]float32, 4)), Float32Tensor("y", []int{4}, make([]float32, 4)), Float32Tensor("z", []int{1}, []float32{3})}
	if err := writeModel(dir, in, 20); err != nil {
		t.Fatal(err)
	}
	f, err := OpenModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := strings.Join(f.Names(), " "); got != "x y z" {
		t.Errorf("names %q", got)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the stale single file is still there")
	}
	if err := os.Remove(filepath.Join(dir, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenModel(dir); err == nil || !strings.Contains(err.Error(), "model-00002-of-00002") {
		t.Errorf("missing shard: %v", err)
	}
}

// file builds a safetensors file from a header text and a body size.
func file(header string, body int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, body)...)
}

func TestHostileFiles(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "too short"},
		"cut":        {[]byte{1, 2, 3}, "too short"},
		"header":     {binary.LittleEndian.AppendUint64(nil, 1<<60), "header of"},
		"json":       {file("{", 0), "header:"},
		"beyond":     {file(`{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 8), "outside"},
		"backwards":  {file(`{"w":{"dtype":"F32","shape":[0],"data_offsets":[8,4]}}`, 8), "outside"},
		"negative":   {file(`{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 8), "out of range"},
		"overflow":   {file(`{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`, 8), "out of range"},
		"size":       {file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8), "want 4"},
		"dtype":      {file(`{"w":{"dtype":"Q4","shape":[1],"data_offsets":[0,8]}}`, 8), "not supported"},
		"overlap":    {file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, 8), "overlap"},
		"bad offset": {file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,-1]}}`, 8), "tensor w"},
	} {
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the path", name, err, c.want)
		}
	}
}

func TestIndexCannotLeaveTheFolder(t *testing.T) {
	dir := t.TempDir()
	index := `{"weight_map":{"w":"../secret.safetensors"}}`
	if err := os.WriteFile(filepath.Join(dir, IndexFile), []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenModel(dir); err == nil || !strings.Contains(err.Error(), "not a file name") {
		t.Errorf("got %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(file(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		for _, n := range file.Names() {
			if tensor, err := file.Get(n); err != nil || len(tensor.Data) != tensor.Len()*tensor.DType.Size() {
				t.Fatalf("%s: %v", n, err)
			}
		}
	})
}

// An empty tensor may lie where another begins or ends, in whatever order the header names them.
func TestEmptyTensorDoesNotOverlap(t *testing.T) {
	for _, spans := range [][][2]uint64{
		{{0, 4}, {4, 4}, {4, 6}},
		{{4, 6}, {4, 4}, {0, 4}},
		{{0, 0}, {0, 4}, {0, 0}},
	} {
		if err := checkOverlap("a", spans); err != nil {
			t.Errorf("%v: %v", spans, err)
		}
	}
	if err := checkOverlap("a", [][2]uint64{{0, 4}, {2, 2}}); err == nil {
		t.Error("an empty tensor inside another one is no error")
	}
}
