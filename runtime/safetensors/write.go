package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// MaxShard is the size above which WriteModel starts another shard, in bytes
// (5 GB, the limit transformers uses).
const MaxShard = 5_000_000_000

// Write writes one file, tensors in the order of their names, so that equal
// input gives equal bytes. The file appears whole or not at all.
func Write(path string, tensors []Tensor, metadata map[string]string) error {
	head, sorted, err := encodeHeader(tensors, metadata)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	p, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return err
	}
	chunks := [][]byte{binary.LittleEndian.AppendUint64(nil, uint64(len(head))), head}
	for _, t := range sorted {
		chunks = append(chunks, t.Data)
	}
	for _, c := range chunks {
		if _, err := p.Write(c); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", path, err), p.Cleanup())
		}
	}
	if err := p.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func encodeHeader(tensors []Tensor, metadata map[string]string) ([]byte, []Tensor, error) {
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	entries := map[string]any{} // encoding/json writes map keys in order
	if len(metadata) > 0 {
		entries["__metadata__"] = metadata
	}
	var offset uint64
	for _, t := range sorted {
		if _, twice := entries[t.Name]; twice {
			return nil, nil, fmt.Errorf("tensor %s occurs twice", t.Name)
		}
		if len(t.Data) != t.Len()*t.DType.Size() {
			return nil, nil, fmt.Errorf("tensor %s: %d bytes for shape %v of %s", t.Name, len(t.Data), t.Shape, t.DType)
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{} // a scalar is [], not null
		}
		end := offset + uint64(len(t.Data))
		entries[t.Name] = header{t.DType, shape, [2]uint64{offset, end}}
		offset = end
	}
	head, err := json.Marshal(entries)
	if err != nil {
		return nil, nil, err
	}
	return append(head, bytes.Repeat([]byte{' '}, (8-len(head)%8)%8)...), sorted, nil
}

// WriteModel writes the weights of a model folder: one model.safetensors, or
// shards with an index where they exceed MaxShard. Weight files of an earlier
// save that are not part of this one are removed last.
func WriteModel(dir string, tensors []Tensor) error {
	return writeModel(dir, tensors, MaxShard)
}

func writeModel(dir string, tensors []Tensor, maxShard int) error {
	meta := map[string]string{"format": "pt"} // transformers asks for it
	shards := split(tensors, maxShard)
	keep := map[string]bool{}
	weightMap := map[string]string{}
	total := 0
	for i, shard := range shards {
		name := SingleFile
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		if err := Write(filepath.Join(dir, name), shard, meta); err != nil {
			return err
		}
		keep[name] = true
		for _, t := range shard {
			weightMap[t.Name] = name
			total += len(t.Data)
		}
	}
	if len(shards) > 1 {
		index, err := json.MarshalIndent(map[string]any{
			"metadata": map[string]int{"total_size": total}, "weight_map": weightMap}, "", "  ")
		if err != nil {
			return err
		}
		if err := renameio.WriteFile(filepath.Join(dir, IndexFile), append(index, '\n'), 0o644); err != nil {
			return err
		}
		keep[IndexFile] = true
	}
	return removeStale(dir, keep)
}

func split(tensors []Tensor, maxShard int) [][]Tensor {
	shards := [][]Tensor{nil}
	size := 0
	for _, t := range tensors {
		if size > 0 && size+len(t.Data) > maxShard {
			shards, size = append(shards, nil), 0
		}
		last := len(shards) - 1
		shards[last] = append(shards[last], t)
		size += len(t.Data)
	}
	return shards
}

func removeStale(dir string, keep map[string]bool) error {
	old, err := filepath.Glob(filepath.Join(dir, "model*.safetensors*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if name := filepath.Base(path); !keep[name] && (strings.HasSuffix(name, ".safetensors") || name == IndexFile) {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
