// Package onnx holds the ONNX protobuf types, generated from the standard's
// schema, and writes models whose weights lie in a file beside the graph.
//
// External data (onnx/docs/ExternalData.md): a tensor names a file relative to
// the model's folder, an offset and a length. Offsets are multiples of 4096 so
// that the file can be memory-mapped; tensors under 4 KiB stay in the graph.
package onnx

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"google.golang.org/protobuf/proto"
)

const (
	align     = 4096
	inlineMax = 4096 // bytes; smaller tensors are kept in the graph
)

// Size is the bytes of one element of the types this project writes, 0 for others.
func (t TensorProto_DataType) Size() int {
	switch t {
	case TensorProto_INT64:
		return 8
	case TensorProto_FLOAT:
		return 4
	case TensorProto_FLOAT16:
		return 2
	case TensorProto_UINT8:
		return 1
	}
	return 0
}

// DataWriter collects the weights of one model: large ones go to a file, in the
// order of the calls, small ones into the TensorProto.
type DataWriter struct {
	name   string // relative, as the graph will spell it
	file   *os.File
	buf    *bufio.Writer
	offset int64
}

// CreateData starts the file dir/name.
func CreateData(dir, name string) (*DataWriter, error) {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &DataWriter{name: name, file: f, buf: bufio.NewWriterSize(f, 1<<20)}, nil
}

// Add stores one tensor. write must produce exactly its bytes: row-major,
// little-endian.
func (w *DataWriter) Add(name string, dtype TensorProto_DataType, shape []int, write func(io.Writer) error) (*TensorProto, error) {
	size := int64(dtype.Size())
	t := &TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(dtype))}
	for _, d := range shape {
		t.Dims = append(t.Dims, int64(d))
		size *= int64(d)
	}
	if size < inlineMax {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			return nil, err
		}
		t.RawData = b.Bytes()
		return t, checkSize(name, int64(b.Len()), size)
	}
	if err := w.pad(); err != nil {
		return nil, err
	}
	n := counter{w: w.buf}
	if err := write(&n); err != nil {
		return nil, err
	}
	t.DataLocation = TensorProto_EXTERNAL.Enum()
	for _, kv := range [][2]string{{"location", w.name}, {"offset", strconv.FormatInt(w.offset, 10)}, {"length", strconv.FormatInt(size, 10)}} {
		t.ExternalData = append(t.ExternalData, &StringStringEntryProto{Key: proto.String(kv[0]), Value: proto.String(kv[1])})
	}
	w.offset += n.n
	return t, checkSize(name, n.n, size)
}

// Reshape is t under another name and shape, on the same bytes.
func Reshape(t *TensorProto, name string, shape ...int) *TensorProto {
	r := proto.CloneOf(t)
	r.Name, r.Dims = proto.String(name), nil
	for _, d := range shape {
		r.Dims = append(r.Dims, int64(d))
	}
	return r
}

func checkSize(name string, got, want int64) error {
	if got != want {
		return fmt.Errorf("tensor %s: %d bytes written for a shape of %d", name, got, want)
	}
	return nil
}

func (w *DataWriter) pad() error {
	n := (align - w.offset%align) % align
	w.offset += n
	_, err := w.buf.Write(make([]byte, n))
	return err
}

// Close flushes the file to the disk.
func (w *DataWriter) Close() error {
	return errors.Join(w.buf.Flush(), w.file.Sync(), w.file.Close())
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// maxModel bounds the file of a graph, protobuf's own limit.
const maxModel = 1<<31 - 1

// Load reads the graph of a model, without its external data.
func Load(path string) (*ModelProto, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxModel {
		return nil, fmt.Errorf("%s: %d bytes, an ONNX file has at most 2 GiB", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m ModelProto
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &m, nil
}

// Save writes the graph of a model. Equal models give equal bytes.
func Save(path string, m *ModelProto) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
