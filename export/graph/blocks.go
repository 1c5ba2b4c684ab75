package graph

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/export/onnx"
	"github.com/oreo-go/oreo/export/quant"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
)

// bits is the width of a quantised weight. Embeddings and head, often one table,
// stay at 8: 4 bits for the head alone would cost a fifth of all the divergence.
func (b *builder) bits(name string) int {
	if b.p == Int4 && name != model.LMHeadName && name != model.EmbedName {
		return 4
	}
	return 8
}

// blocks stores the linear weight [out, in], or several stacked, quantised, and
// returns the names of codes, scales and zeros.
func (b *builder) blocks(names ...string) (inputs []string, out, width int) {
	name, w, ok := b.stacked(names...)
	if !ok {
		return make([]string, 3), 0, 0
	}
	out, width = w.shape()[0], w.shape()[1]
	bits := b.bits(name)
	perRow := quant.Blocks(width, bits)
	scales := make([]float32, out*perRow)
	zeros := make([]byte, out*quant.ZeroBytes(width, bits))
	inputs = []string{name + ".codes", name + ".scales", name + ".zeros"}
	var calibration *quant.Calibration
	if x := b.src.Inputs[names[0]]; bits == 4 && x != nil {
		calibration = quant.Calibrate(x)
	}
	b.initializer(inputs[0], onnx.TensorProto_UINT8, []int{out, perRow, quant.Block(width, bits) * bits / 8}, func(to io.Writer) error {
		return quantise(to, w, calibration, bits, scales, zeros)
	})
	b.initializer(inputs[1], onnx.TensorProto_FLOAT, []int{out, perRow}, func(to io.Writer) error {
		return binary.Write(to, binary.LittleEndian, scales)
	})
	b.initializer(inputs[2], onnx.TensorProto_UINT8, []int{out, quant.ZeroBytes(width, bits)}, func(to io.Writer) error {
		_, err := to.Write(zeros)
		return err
	})
	return inputs, out, width
}

// blockTable stores the embeddings [V, C] quantised, and returns the inputs of
// GatherBlockQuantized. A tied head uses the same bytes: the operators differ only
// in the shape they give the codes, [V, C] here and [V, blocks, block] there.
func (b *builder) blockTable(name string) []string {
	if b.err == nil && b.c.Hidden%quant.Smallest != 0 {
		b.err = fmt.Errorf("hidden_size %d is not a multiple of %d, which %s needs: export as fp32 or fp16", b.c.Hidden, quant.Smallest, b.p)
	}
	inputs, out, width := b.blocks(name)
	flat := name + ".table"
	for i, t := range b.g.Initializer {
		if t.GetName() != inputs[0] {
			continue
		}
		table := onnx.Reshape(t, flat, out, width)
		if b.c.TieEmbeddings && b.src.Head == model.LMHead {
			b.g.Initializer = append(b.g.Initializer, table)
		} else {
			b.g.Initializer[i] = table
		}
		break
	}
	return in(flat, manifest.InputIDs, inputs[1], inputs[2])
}

// quantise writes the codes of w and fills scales and zeros; rows are shared out
// over the processors.
func quantise(to io.Writer, w stack, calibration *quant.Calibration, bits int, scales []float32, zeros []byte) error {
	out, width := w.shape()[0], w.shape()[1]
	perRow, codeBytes, zeroBytes := quant.Blocks(width, bits), quant.CodeBytes(width, bits), quant.ZeroBytes(width, bits)
	together := max(chunk/width, 1) // rows read at a time
	for from := 0; from < out; from += together {
		last := min(from+together, out)
		values, err := w.part(from*width, last*width)
		if err != nil {
			return err
		}
		codes := make([]byte, (last-from)*codeBytes)
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		const share = 16
		for first := from; first < last; first += share {
			group.Go(func() error {
				for r := first; r < min(first+share, last); r++ {
					i := r - from
					quant.Row(values[i*width:(i+1)*width], calibration, bits, codes[i*codeBytes:(i+1)*codeBytes],
						scales[r*perRow:(r+1)*perRow], zeros[r*zeroBytes:(r+1)*zeroBytes])
				}
				return nil
			})
		}
		_ = group.Wait() // rows cannot fail
		if _, err := to.Write(codes); err != nil {
			return err
		}
	}
	return nil
}
