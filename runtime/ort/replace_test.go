//go:build cgo

package ort

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oreo-go/oreo/runtime/kernel"
)

func nodeBytes(name, op, domain string, inputs []string, attributes map[string]int64) []byte {
	var n []byte
	for _, in := range inputs {
		n = append(n, text(1, in)...)
	}
	n = append(n, text(2, name+".out")...)
	if op == "GroupQueryAttention" {
		n = append(n, text(2, name+".k")...)
		n = append(n, text(2, name+".v")...)
	}
	n = append(n, text(3, name)...)
	n = append(n, text(4, op)...)
	for key, value := range attributes {
		n = append(n, message(5, text(1, key), number(3, uint64(value)))...)
	}
	return message(1, append(n, text(7, domain)...))
}

func weightBytes(name string, elem int, dims ...int64) []byte {
	w, size := number(2, uint64(elem)), map[int]int64{elemFloat32: 4, elemUint8: 1}[elem]
	for _, d := range dims {
		w, size = append(w, number(1, uint64(d))...), size*d
	}
	entry := func(key, value string) []byte { return message(13, text(1, key), text(2, value)) }
	return message(5, w, text(8, name), entry("location", "w"), entry("offset", "0"), entry("length", fmt.Sprint(size)), number(14, 1))
}

// attentionInputs are those that export writes.
var attentionInputs = []string{"qkv", "", "", "past_k.0", "past_v.0", "seqlens_k", "total", "cos", "sin", "position_ids", "bias"}

// What has a kernel is replaced, weights that nobody else reads go; all else stays.
func TestReplace(t *testing.T) {
	if kernel.Attention(64) == nil {
		t.Skip("this machine has no kernels")
	}
	nbits := map[string]int64{"K": 64, "N": 32, "bits": 8, "block_size": 64, "accuracy_level": 4}
	attention := map[string]int64{"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "scale": 0}
	changed := func(from map[string]int64, key string, value int64) map[string]int64 {
		to := map[string]int64{key: value}
		for k, v := range from {
			if k != key {
				to[k] = v
			}
		}
		return to
	}
	weights := [][]byte{
		weightBytes("turned", elemFloat32, 8, 48), weightBytes("table", elemFloat32, 100, 8), weightBytes("narrow", elemFloat32, 8, 8),
		weightBytes("codes", elemUint8, 32, 1, 64), weightBytes("scales", elemFloat32, 32, 1), weightBytes("zeros", elemUint8, 32, 1),
		weightBytes("short", elemUint8, 31, 1), weightBytes("left", elemFloat32, 8, 48),
	}
	nodes := []struct {
		name string
		node []byte
		ours string
	}{
		{"matmul", nodeBytes("matmul", "MatMul", "", []string{"x", "turned"}, nil), "Product"},
		{"again", nodeBytes("again", "MatMul", "", []string{"y", "turned"}, nil), "Product"},
		{"embed", nodeBytes("embed", "Gather", "", []string{"table", "ids"}, nil), ""},
		{"head", nodeBytes("head", "Gemm", "", []string{"x", "table"}, map[string]int64{"transB": 1}), "Product"},
		{"codes", nodeBytes("codes", "MatMulNBits", "com.microsoft", []string{"x", "codes", "scales", "zeros"}, nbits), "Product"},
		{"attention", nodeBytes("attention", "GroupQueryAttention", "com.microsoft", attentionInputs, attention), "Attention"},
		// None of these is what export writes.
		{"thin", nodeBytes("thin", "MatMul", "", []string{"x", "narrow"}, nil), ""},
		{"free", nodeBytes("free", "MatMul", "", []string{"x", "y"}, nil), ""},
		{"straight", nodeBytes("straight", "Gemm", "", []string{"x", "left"}, map[string]int64{"transB": 0}), ""},
		{"scaled", nodeBytes("scaled", "Gemm", "", []string{"x", "left"}, map[string]int64{"transB": 1, "alpha": 0}), ""},
		{"three", nodeBytes("three", "Gemm", "", []string{"x", "left", "b"}, map[string]int64{"transB": 1}), ""},
		{"cut", nodeBytes("cut", "MatMulNBits", "com.microsoft", []string{"x", "codes", "scales", "short"}, nbits), ""},
		{"deep", nodeBytes("deep", "MatMulNBits", "com.microsoft", []string{"x", "codes", "scales", "zeros"}, changed(nbits, "K", 1<<60)), ""},
		{"bits", nodeBytes("bits", "MatMulNBits", "com.microsoft", []string{"x", "codes", "scales", "zeros"}, changed(nbits, "bits", 2)), ""},
		{"exact", nodeBytes("exact", "MatMulNBits", "com.microsoft", []string{"x", "codes", "scales", "zeros"}, changed(nbits, "accuracy_level", 0)), ""},
	}
	var all [][]byte
	for _, n := range nodes {
		all = append(all, n.node)
	}
	g := &graph{file: message(7, slices.Concat(append(all, weights...)...))}
	if err := g.model(g.file); err != nil {
		t.Fatal(err)
	}
	o := replace(g, 64)
	if o == nil {
		t.Fatal("nothing was replaced")
	}
	defer o.free()
	if len(o.weights) != 3 || o.attention == nil {
		t.Errorf("%d products, want 3: one is used twice", len(o.weights))
	}
	var names []string
	var got []node
	opsets := 0
	err := fields(o.file, func(num protowire.Number, v []byte, _ uint64) error {
		if num == 8 {
			opsets++
		}
		if num != 7 {
			return nil
		}
		return fields(v, func(num protowire.Number, v []byte, _ uint64) error {
			switch num {
			case 1:
				n, err := readNode(v)
				got = append(got, n)
				return err
			case 5:
				w, err := readWeight(v)
				names = append(names, w.name)
				return err
			}
			return nil
		})
	})
	if err != nil || opsets != 1 || len(got) != len(nodes) {
		t.Fatalf("rewritten: %d nodes, %d operator sets, %v", len(got), opsets, err)
	}
	for i, n := range nodes {
		was, is := g.nodes[i], got[i]
		switch {
		case is.name != n.name || !slices.Equal(is.outputs, was.outputs):
			t.Errorf("%s became %+v", n.name, is)
		case n.ours == "" && (is.op != was.op || is.domain != was.domain || !slices.Equal(is.inputs, was.inputs)):
			t.Errorf("%s is not to be replaced, and is %+v", n.name, is)
		case n.ours != "" && (is.op != n.ours || is.domain != "oreo" || slices.Contains(is.inputs, "")):
			t.Errorf("%s is to be %s, and is %+v", n.name, n.ours, is)
		}
	}
	if want := "table narrow codes scales zeros short left"; strings.Join(names, " ") != want { // of codes others are left
		t.Errorf("weights %v, want %s", names, want)
	}
}

// Attention is replaced all together or not at all: it reads one plan, or lengths.
func TestReplaceAllAttention(t *testing.T) {
	if kernel.Attention(64) == nil {
		t.Skip("this machine has no kernels")
	}
	attention := map[string]int64{"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "scale": 0}
	good := nodeBytes("good", "GroupQueryAttention", "com.microsoft", attentionInputs, attention)
	unturned := map[string]int64{"num_heads": 4, "kv_num_heads": 2, "do_rotary": 0, "scale": 0}
	windowed := map[string]int64{"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "scale": 0, "local_window_size": 7}
	otherLengths := slices.Clone(attentionInputs)
	otherLengths[5] = "lengths"
	for name, other := range map[string][]byte{
		"unturned":      nodeBytes("other", "GroupQueryAttention", "com.microsoft", attentionInputs, unturned),
		"windowed":      nodeBytes("other", "GroupQueryAttention", "com.microsoft", attentionInputs, windowed),
		"other lengths": nodeBytes("other", "GroupQueryAttention", "com.microsoft", otherLengths, attention),
		"short":         nodeBytes("other", "GroupQueryAttention", "com.microsoft", attentionInputs[:7], attention),
		"another use":   nodeBytes("other", "Cast", "", []string{"seqlens_k"}, nil),
	} {
		for _, dim := range []int{64, 24} {
			g := &graph{file: message(7, good, other)}
			if err := g.model(g.file); err != nil {
				t.Fatal(err)
			}
			if o := replace(g, dim); o != nil {
				t.Errorf("%s, heads of %d: replaced", name, dim)
				o.free()
			}
		}
	}
}

func FuzzReplace(f *testing.F) {
	f.Add(message(7, nodeBytes("a", "MatMul", "", []string{"x", "w"}, nil), weightBytes("w", elemFloat32, 8, 48)))
	f.Add(message(7, nodeBytes("a", "MatMulNBits", "com.microsoft", []string{"x", "c", "s", "z"},
		map[string]int64{"K": 64, "N": 32, "bits": 4, "block_size": 32, "accuracy_level": 4}),
		weightBytes("c", elemUint8, 32, 2, 16), weightBytes("s", elemFloat32, 32, 2), weightBytes("z", elemUint8, 32, 1)))
	f.Add(message(7, nodeBytes("a", "GroupQueryAttention", "com.microsoft", attentionInputs,
		map[string]int64{"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "scale": 0})))
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &graph{file: data}
		if g.model(data) != nil {
			return
		}
		o := replace(g, 64)
		if o == nil {
			return
		}
		defer o.free()
		again := &graph{}
		if err := again.model(o.file); err != nil && !strings.Contains(err.Error(), `domain "oreo"`) {
			t.Errorf("what was rewritten is not sound: %v", err)
		}
		for _, w := range o.weights {
			if w.N < narrow || w.Bytes() < 0 {
				t.Errorf("weights %+v of %d bytes", w.Shape, w.Bytes())
			}
		}
	})
}
