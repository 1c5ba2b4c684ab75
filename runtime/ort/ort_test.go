package ort

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
)

// Sessions are tested under cmd, where models can be exported to run them on.

func TestParseDevice(t *testing.T) {
	for text, want := range map[string]device{
		"": {}, "cpu": {}, "cuda": {cuda: true}, "cuda:3": {cuda: true, id: 3}, "auto": {cuda: true, auto: true},
	} {
		if got, err := parseDevice(text); got != want || err != nil {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, bad := range []string{"gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"} {
		if _, err := parseDevice(bad); !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, fine := range map[string]bool{"1.31.1": true, "1.28.0": true, "2.0": true, "1.27.9": false, "0.9": false, "x": false, "": false} {
		if err := checkVersion(version, "lib"); (err == nil) != fine {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, "libonnxruntime.so.1.31.1")
	if names()[0] != "libonnxruntime.so" {
		t.Skip("file names of another system")
	}
	t.Setenv("ORT_LIB", dir)
	if _, err := Locate(""); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "ORT_LIB") {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(lib, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{dir, lib} {
		t.Setenv("ORT_LIB", from)
		if got, err := Locate(""); got != lib || err != nil {
			t.Errorf("ORT_LIB=%s: %q %v", from, got, err)
		}
	}
	t.Setenv("ORT_LIB", filepath.Join(dir, "absent"))
	if got, err := Locate(lib); got != lib || err != nil {
		t.Errorf("the option does not win: %q %v", got, err)
	}
	t.Setenv("ORT_LIB", "")
	t.Chdir(dir)
	if got, err := Locate(""); err != nil || got != "libonnxruntime.so" {
		t.Errorf("left to the loader: %q %v", got, err)
	}
	setup := filepath.Join(dir, setupDir)
	if err := os.MkdirAll(setup, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(lib, filepath.Join(setup, filepath.Base(lib))); err != nil {
		t.Fatal(err)
	}
	if got, err := Locate(""); err != nil || filepath.Base(got) != filepath.Base(lib) || !filepath.IsAbs(got) {
		t.Errorf("make setup's copy: %q %v", got, err)
	}
}

// A graph written by hand, field by field.

func message(num protowire.Number, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

func text(num protowire.Number, s string) []byte { return message(num, []byte(s)) }

func number(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

func portBytes(num protowire.Number, p port) []byte {
	var dims []byte
	for _, d := range p.dims {
		if d == free {
			dims = append(dims, message(1, text(2, "N"))...)
		} else {
			dims = append(dims, message(1, number(1, uint64(d)))...)
		}
	}
	return message(num, text(1, p.name), message(2, message(1, number(1, uint64(p.elem)), message(2, dims))))
}

// ports are those of a one-layer policy with a vocabulary of 9.
func ports() (in, out []port) {
	plan := func(name string, rank int) port { return port{name, elemInt64, []int64{free, free}[:rank]} }
	cache := func(name string) port { return port{name, elemFloat32, []int64{free, 2, free, 4}} }
	return []port{plan("input_ids", 2), plan("position_ids", 2), plan("write_indices", 1), plan("nonpad_kv_seqlen", 1),
			plan("out_rows", 1), cache("past_k.0"), cache("past_v.0")},
		[]port{{"logits", elemFloat32, []int64{free, 9}}, cache("present_k.0"), cache("present_v.0")}
}

func graphBytes(in, out []port, more ...[]byte) []byte {
	var g []byte
	for _, p := range in {
		g = append(g, portBytes(11, p)...)
	}
	for _, p := range out {
		g = append(g, portBytes(12, p)...)
	}
	for _, m := range more {
		g = append(g, m...)
	}
	return append(number(1, 11), message(7, g)...)
}

func entry(key, value string) []byte { return message(13, text(1, key), text(2, value)) }

func TestReadGraph(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(filepath.Join(dir, "data"), make([]byte, 100), 0o644); err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) (*graph, error) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return readGraph(path)
	}
	in, out := ports()
	// A weight of 15 float32 elements, 60 bytes.
	weight := func(more ...[]byte) []byte {
		return message(5, append(more, number(1, 3), number(1, 5), number(2, elemFloat32), text(8, "w"))...)
	}
	outside := func(entries ...[]byte) []byte { return weight(append(entries, number(14, 1))...) }
	node := func(domain, op string, more ...[]byte) []byte {
		return message(1, append(more, text(3, "/node"), text(4, op), text(7, domain))...)
	}
	length := entry("length", "60")
	inline := message(5, message(1, []byte{3, 5}), number(2, elemFloat16), text(8, "inline"), message(9, make([]byte, 30))) // packed dims
	whole := graphBytes(in, out, outside(entry("location", "data"), entry("offset", "40"), length), inline, node("", "Add"), node("com.microsoft", "MatMulNBits"))
	g, err := read(whole)
	if err != nil || len(g.inputs) != 7 || len(g.outputs) != 3 || len(g.weights) != 2 || g.inputs[5].dims[3] != 4 || g.weights[0].offset != 40 || !slices.Equal(g.weights[1].dims, []int64{3, 5}) {
		t.Fatalf("%+v %v", g, err)
	}
	big := uint64(1) << 40
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut":            {whole[:len(whole)-9], "not a graph"},
		"empty":          {nil, "no graph"},
		"text":           {[]byte("<html>"), "not a graph"},
		"outside":        {graphBytes(in, out, outside(entry("location", "../data"), length)), `"../data"`},
		"absolute":       {graphBytes(in, out, outside(entry("location", "/etc/passwd"), length)), "same folder"},
		"absent":         {graphBytes(in, out, outside(entry("location", "gone"), length)), "gone"},
		"data cut":       {graphBytes(in, out, outside(entry("location", "data"), entry("offset", "41"), length)), "was cut"},
		"offset":         {graphBytes(in, out, outside(entry("location", "data"), entry("offset", "-1"), length)), "bytes -1"},
		"length":         {graphBytes(in, out, outside(entry("location", "data"), entry("length", "64"))), "length 64 for shape [3 5], want 60"},
		"no length":      {graphBytes(in, out, outside(entry("location", "data"))), "length 0 for shape [3 5], want 60"},
		"overflow":       {graphBytes(in, out, outside(entry("location", "data"), entry("offset", "9223372036854775807"), length)), "was cut"},
		"not a number":   {graphBytes(in, out, outside(entry("location", "data"), entry("offset", "x"))), `"x"`},
		"empty location": {graphBytes(in, out, outside(entry("offset", "1"), length)), "same folder"},
		"two locations":  {graphBytes(in, out, outside(entry("location", "data"), entry("location", "data"), length)), `entry "location"`},
		"unknown entry":  {graphBytes(in, out, outside(entry("basepath", "/"))), `entry "basepath"`},
		"unmarked":       {graphBytes(in, out, weight(entry("location", "data"), length)), "a form that oreo-export does not write"},
		"marked":         {graphBytes(in, out, weight(number(14, 1))), "a form that oreo-export does not write"},
		"inline bytes":   {graphBytes(in, out, weight(message(9, make([]byte, 59)))), "59 bytes for shape [3 5], want 60"},
		"absurd shape":   {graphBytes(in, out, weight(number(1, big), number(1, big))), "shape [1099511627776 1099511627776 3 5]"},
		"negative shape": {graphBytes(in, out, weight(number(1, 1<<63))), "shape [-9223372036854775808 3 5]"},
		"many sizes":     {graphBytes(in, out, weight(message(1, make([]byte, 1<<16)))), "a form that oreo-export does not write"},
		"strings":        {graphBytes(in, out, weight(text(6, "x"))), "a form that oreo-export does not write"},
		"element type":   {graphBytes(in, out, message(5, number(2, 99), text(8, "w"))), "a form that oreo-export does not write"},
		"sparse":         {graphBytes(in, out, message(15, text(1, "x"))), "sparse"},
		"functions":      {append(slices.Clone(whole), message(25, text(1, "f"))...), "functions"},
		"unknown node":   {graphBytes(in, out, node("", "ConstantOfShape")), `node "/node": operator "ConstantOfShape" of domain ""`},
		"unknown domain": {graphBytes(in, out, node("evil", "Add")), `of domain "evil"`},
		"subgraph":       {graphBytes(in, out, node("", "Add", message(5, message(6, text(1, "g"))))), "an attribute holds a graph"},
	} {
		if _, err := read(c.data); err == nil || !strings.Contains(err.Error(), c.want) || name != "absent" && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestLayout(t *testing.T) {
	spec := engine.Spec{Width: 9, Vocab: 9, MaxPositions: 10}
	in, out := ports()
	l, err := layoutOf(&graph{inputs: in, outputs: out}, spec)
	if err != nil || l.kv != (kv.Shape{Tensors: 2, Heads: 2, Dim: 4, Elem: 4}) || l.answerDims != 2 {
		t.Fatalf("%+v %v", l, err)
	}
	for name, c := range map[string]struct {
		change func(in, out []port)
		want   string
	}{
		"missing input":  {func(in, _ []port) { in[2].name = "other" }, "write_indices"},
		"wrong type":     {func(in, _ []port) { in[0].elem = elemFloat32 }, "input_ids"},
		"wrong rank":     {func(in, _ []port) { in[4].dims = nil }, "out_rows"},
		"no answer":      {func(_, out []port) { out[0].name = "hidden" }, `"logits" nor "values"`},
		"vocabulary":     {func(_, out []port) { out[0].dims = []int64{free, 8} }, "answers 8 numbers"},
		"no cache":       {func(in, _ []port) { in[5].name = "past_k.7" }, "past_k.0"},
		"half a cache":   {func(in, _ []port) { in[6].name = "x" }, "past_v.0"},
		"no present":     {func(_, out []port) { out[2].name = "x" }, "present_v.0"},
		"free heads":     {func(in, _ []port) { in[5].dims = []int64{free, free, free, 4} }, "[B, K, M, D]"},
		"absurd heads":   {func(in, _ []port) { in[5].dims = []int64{free, 1 << 40, free, 4} }, "[B, K, M, D]"},
		"int cache":      {func(in, _ []port) { in[5].elem = elemInt64 }, "element type 7"},
		"uneven cache":   {func(in, _ []port) { in[6].dims = []int64{free, 2, free, 8} }, "differs in shape"},
		"critic's width": {func(_, out []port) { out[0] = port{"values", elemFloat32, []int64{free}} }, "answers 1 numbers"},
	} {
		in, out := ports()
		c.change(in, out)
		_, err := layoutOf(&graph{inputs: in, outputs: out}, spec)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.Is(err, ErrGraph) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// groupedPorts are those of ports in the grouped form.
func groupedPorts() (in, out []port) {
	in, out = ports()
	in[2] = port{"seqlens_k", elemInt32, []int64{free}}
	in[3] = port{"total_sequence_length", elemInt32, []int64{1}}
	return append(in, port{"attention_bias", elemFloat32, []int64{1, 1, free, free}}), out
}

func TestGroupedLayout(t *testing.T) {
	spec := engine.Spec{Width: 9, Vocab: 9, MaxPositions: 10}
	in, out := groupedPorts()
	l, err := layoutOf(&graph{inputs: in, outputs: out}, spec)
	if err != nil || !l.grouped() || len(l.inputs) != len(in) {
		t.Fatalf("%+v %v", l, err)
	}
	for name, c := range map[string]struct {
		change func(in []port)
		want   string
	}{
		"no mask":       {func(in []port) { in[7].name = "other" }, `"attention_bias" is missing`},
		"half a mask":   {func(in []port) { in[7].elem = elemFloat16 }, "element type 10"},
		"wide lengths":  {func(in []port) { in[2].elem = elemInt64 }, `"seqlens_k" has element type 7`},
		"both forms":    {func(in []port) { in[3] = port{"write_indices", elemInt64, []int64{free}} }, `"total_sequence_length" is missing`},
		"unknown input": {func(in []port) { in[4].name = "rows" }, `"out_rows" is missing`},
	} {
		in, out := groupedPorts()
		c.change(in)
		if _, err := layoutOf(&graph{inputs: in, outputs: out}, spec); !errors.Is(err, ErrGraph) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestPairLayout: a pair is opened as either of its models, which take the same
// values in the same order.
func TestPairLayout(t *testing.T) {
	pairPorts := func() (in, out []port) {
		in, out = ports()
		in = append(in, port{"value_rows", elemInt64, []int64{free}}, port{"critic_rows", elemInt64, []int64{free, 1}})
		return in, append(out, port{"values", elemFloat32, []int64{free}})
	}
	in, out := pairPorts()
	policy, err := layoutOf(&graph{inputs: in, outputs: out}, engine.Spec{Width: 9, Vocab: 9, MaxPositions: 10})
	if err != nil || policy.asks != "out_rows" || policy.otherAt != 1 || policy.answerDims != 2 {
		t.Errorf("%+v %v", policy, err)
	}
	critic, err := layoutOf(&graph{inputs: in, outputs: out}, engine.Spec{Width: 1, Vocab: 9, MaxPositions: 10})
	if err != nil || critic.asks != "value_rows" || critic.otherAt != 0 || critic.answerDims != 1 || !slices.Equal(critic.other, []int64{0, 9}) {
		t.Errorf("%+v %v", critic, err)
	}
	if !slices.Equal(policy.inputs, critic.inputs) || !slices.Equal(policy.outputs, critic.outputs) {
		t.Errorf("%v %v\n%v %v", policy.inputs, policy.outputs, critic.inputs, critic.outputs)
	}
	for name, c := range map[string]struct {
		change func(in, out []port)
		want   string
	}{
		"no rows":     {func(in, _ []port) { in[7].name = "other" }, `"values" and input "value_rows" go together`},
		"wrong rank":  {func(in, _ []port) { in[8].dims = []int64{free} }, `"critic_rows" has element type 7 and 1 dimensions`},
		"wrong type":  {func(in, _ []port) { in[7].elem = elemInt32 }, `"value_rows" has element type 6`},
		"one answer":  {func(_, out []port) { out[3].name = "other" }, `"values" and input "value_rows" go together`},
		"other width": {func(_, out []port) { out[0].dims = []int64{free, 8} }, `"logits" answers 8 numbers`},
		"values wide": {func(_, out []port) { out[3].dims = []int64{free, 2} }, `"values" has element type 1 and 2 dimensions`},
	} {
		in, out := pairPorts()
		c.change(in, out)
		for _, width := range []int{9, 1} {
			if _, err := layoutOf(&graph{inputs: in, outputs: out}, engine.Spec{Width: width, Vocab: 9, MaxPositions: 10}); !errors.Is(err, ErrGraph) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, width %d: %v, want %q", name, width, err, c.want)
			}
		}
	}
}

func FuzzReadGraph(f *testing.F) {
	in, out := ports()
	f.Add(graphBytes(in, out))
	f.Add(graphBytes(groupedPorts()))
	f.Add([]byte{0x3a, 0x80, 0x80, 0x80, 0x80, 0x08})
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &graph{}
		if g.model(data) == nil {
			_, _ = layoutOf(g, engine.Spec{Width: 9, Vocab: 9, MaxPositions: 10}) // an error or not, but no panic
		}
	})
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "absent.onnx"), engine.Spec{}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent graph: %v", err)
	}
	if _, err := Open("x", engine.Spec{}, Options{Device: "tpu"}); !errors.Is(err, ErrDevice) {
		t.Errorf("unknown device: %v", err)
	}
}
