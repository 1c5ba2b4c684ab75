package onnx

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

func write(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

func TestData(t *testing.T) {
	dir := t.TempDir()
	w, err := CreateData(dir, "m.data")
	if err != nil {
		t.Fatal(err)
	}
	small, big, last := bytes.Repeat([]byte{1}, 4092), bytes.Repeat([]byte{2}, 4100), bytes.Repeat([]byte{3}, 4096)
	var tensors []*TensorProto
	for _, b := range [][]byte{small, big, last} {
		tensor, err := w.Add("t", TensorProto_FLOAT, []int{len(b) / 4}, write(b))
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, tensor)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "m.data"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tensors[0].RawData, small) || tensors[0].GetDataLocation() != TensorProto_DEFAULT {
		t.Error("a tensor under 4 KiB is not in the graph")
	}
	for i, want := range [][]byte{big, last} {
		entry := map[string]string{}
		for _, e := range tensors[i+1].ExternalData {
			entry[e.GetKey()] = e.GetValue()
		}
		offset, _ := strconv.Atoi(entry["offset"])
		if entry["location"] != "m.data" || entry["length"] != strconv.Itoa(len(want)) || offset%4096 != 0 ||
			!bytes.HasPrefix(data[offset:], want) || tensors[i+1].GetDataLocation() != TensorProto_EXTERNAL {
			t.Errorf("tensor %d: %v in a file of %d bytes", i+1, entry, len(data))
		}
	}
}

func TestDataRefusesWrongSizes(t *testing.T) {
	w, err := CreateData(t.TempDir(), "d")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{3, 5000} {
		if _, err := w.Add("x", TensorProto_FLOAT, []int{n}, write(make([]byte, 8))); err == nil || !strings.Contains(err.Error(), "x: 8 bytes") {
			t.Errorf("%d elements: %v", n, err)
		}
	}
	broken := errors.New("broken")
	if _, err := w.Add("x", TensorProto_FLOAT, []int{1}, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestPackageName guards the trap that generate.sh describes.
func TestPackageName(t *testing.T) {
	if name := (&ModelProto{}).ProtoReflect().Descriptor().FullName(); name != "oreo.onnx.ModelProto" {
		t.Errorf("%s would clash with other ONNX readers in one program", name)
	}
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	m := &ModelProto{IrVersion: proto.Int64(11), Graph: &GraphProto{Name: proto.String("g")}}
	if err := Save(path, m); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	var back ModelProto
	if err != nil || proto.Unmarshal(b, &back) != nil || !proto.Equal(m, &back) {
		t.Error(err, &back)
	}
}
