package peft

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// digestElements is how many elements of a tensor a digest covers.
const digestElements = 64

// Digest tells bases apart: a hash over the names, shapes and up to 64 elements
// of every tensor of the backbone, spread evenly, each rounded to bfloat16, so
// that it does not depend on the type the base is held in. elements returns
// those at some indices, in bfloat16, two bytes each.
func Digest(c *model.Config, elements func(name string, at []int64) ([]byte, error)) (string, error) {
	h := sha256.New()
	for _, p := range c.Params(model.ValueHead) {
		if p.Name == model.ValueHeadName {
			continue
		}
		n := int64(1)
		for _, d := range p.Shape {
			n *= int64(d)
		}
		at := make([]int64, min(n, digestElements))
		for i := range at {
			at[i] = int64(i) * n / int64(len(at))
		}
		some, err := elements(p.Name, at)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, p.Name, p.Shape)
		h.Write(some)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// DigestOf is the Digest of the model in a file.
func DigestOf(c *model.Config, weights *safetensors.File) (string, error) {
	return Digest(c, func(name string, at []int64) ([]byte, error) {
		t, err := weights.Get(name)
		if err != nil {
			return nil, err
		}
		var out []byte
		for _, i := range at {
			v, err := t.Slice(int(i), int(i)+1)
			if err != nil {
				return nil, err
			}
			out = binary.LittleEndian.AppendUint16(out, bfloat16(v[0]))
		}
		return out, nil
	})
}

// bfloat16 is the upper half of v's bits, rounded to nearest, ties to even.
func bfloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		return 0x7fc0
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
