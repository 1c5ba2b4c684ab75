// Package jsonl reads and writes files of one JSON value a line, plain or
// gzipped, the record format of every data file in this project.
//
// Reading is streaming and strict: a line that does not parse is an error that
// names the file and the line. Writing is atomic: the file appears under its
// name, whole, when Close returns, or not at all.
package jsonl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
)

// MaxLine bounds one line, in bytes. A longer one is an error, so that a file
// without newlines cannot take all memory.
const MaxLine = 256 << 20

// Read yields the records of the file at path in order. "-" is standard input;
// a name ending in .gz is decompressed. Blank lines are passed over. After the
// first error, which carries "path:line:", the sequence ends.
func Read[T any](path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		f, err := open(path)
		if err != nil {
			yield(zero, err)
			return
		}
		defer f.Close()
		for line, err := range lines(f, path) {
			if err != nil {
				yield(zero, err)
				return
			}
			var v T
			if err := json.Unmarshal(line.text, &v); err != nil {
				yield(zero, fmt.Errorf("%s:%d: %w", path, line.number, explain(err, line.text)))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// ReadAll collects Read. A file without records is an error, since no command
// has a use for an empty data set.
func ReadAll[T any](path string) ([]T, error) {
	var all []T
	for v, err := range Read[T](path) {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no records: the file is empty", path)
	}
	return all, nil
}

type line struct {
	number int
	text   []byte
}

// lines yields the non-blank lines of r; text is valid until the next one.
func lines(r io.Reader, path string) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		br := bufio.NewReaderSize(r, 1<<16)
		var long []byte
		for n := 1; ; n++ {
			long = long[:0]
			var err error
			for {
				var part []byte
				part, err = br.ReadSlice('\n')
				long = append(long, part...)
				if !errors.Is(err, bufio.ErrBufferFull) {
					break
				}
				if len(long) > MaxLine {
					yield(line{}, fmt.Errorf("%s:%d: line longer than %d bytes", path, n, MaxLine))
					return
				}
			}
			if err != nil && err != io.EOF {
				yield(line{}, fmt.Errorf("%s:%d: %w", path, n, err))
				return
			}
			if len(bytes.TrimSpace(long)) > 0 && !yield(line{n, long}, nil) {
				return
			}
			if err == io.EOF {
				return
			}
		}
	}
}

// explain turns encoding/json's errors into ones that say where in the line.
func explain(err error, text []byte) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		if at := int(syntax.Offset) - 1; at >= 0 && at < len(text) && notANumber.Match(text[at:]) {
			return fmt.Errorf("malformed JSON at byte %d: %s is not a value in JSON; write a number, or leave the record out",
				syntax.Offset, notANumber.Find(text[at:]))
		}
		return fmt.Errorf("malformed JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("field %q: want %s, have %s", kind.Field, wanted(kind.Type), kind.Value)
	}
	return fmt.Errorf("malformed JSON: %w", err)
}

// notANumber is what other languages' writers put where a number is none.
var notANumber = regexp.MustCompile(`^(NaN|-?Infinity|-?Inf)`)

// wanted names a type as people do who write JSON.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "an integer"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return t.String()
}

func open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &zipped{z, f}, nil
}

type zipped struct {
	*gzip.Reader
	f *os.File
}

func (z *zipped) Close() error {
	return errors.Join(z.Reader.Close(), z.f.Close())
}

// Writer writes records to a file that appears when Close succeeds.
// It is not safe for concurrent use.
type Writer struct {
	pending *renameio.PendingFile // nil for standard output
	out     *bufio.Writer
	zip     *gzip.Writer // nil unless the name ends in .gz
	enc     *json.Encoder
}

// Create starts a file at path: "-" is standard output, a name ending in .gz
// is compressed. The caller ends with Close or Abort.
func Create(path string) (*Writer, error) {
	w := &Writer{}
	var sink io.Writer = os.Stdout
	if path != "-" {
		p, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
		if err != nil {
			return nil, err
		}
		w.pending, sink = p, p
	}
	w.out = bufio.NewWriterSize(sink, 1<<16)
	sink = w.out
	if strings.HasSuffix(path, ".gz") {
		w.zip = gzip.NewWriter(w.out)
		sink = w.zip
	}
	w.enc = json.NewEncoder(sink)
	w.enc.SetEscapeHTML(false)
	return w, nil
}

// Write appends v as one line.
func (w *Writer) Write(v any) error { return w.enc.Encode(v) }

// Close flushes, syncs and renames the file into place.
func (w *Writer) Close() error {
	var err error
	if w.zip != nil {
		err = w.zip.Close()
	}
	err = errors.Join(err, w.out.Flush())
	if w.pending == nil {
		return err
	}
	if err != nil {
		return errors.Join(err, w.pending.Cleanup())
	}
	return w.pending.CloseAtomicallyReplace()
}

// Abort drops what was written. After Close it does nothing.
func (w *Writer) Abort() {
	if w.pending != nil {
		_ = w.pending.Cleanup() // best effort: the temporary file is all there is to lose
	}
}
