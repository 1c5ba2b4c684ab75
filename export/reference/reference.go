// Package reference computes what a model must answer, by the plainest program
// that can: float64 arithmetic on the float32 weights, every position attending
// to all before it, no cache, no batch. It shares no code with the graph, so
// that agreement of the two means something.
package reference

import (
	"context"
	"fmt"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// Names of the tensors in a reference file.
const (
	idsName     = "input_ids" // I64 [N, T], padded on the right; [T] is read as [1, T]
	lengthsName = "lengths"   // I64 [N]; absent where no row is padded
	logitsName  = "logits"    // F32 [N, T, V]
	valuesName  = "values"    // F32 [N, T]

	// Behind either name, of the first sequence: F32 [T, P, C]; absent in a
	// trainer's file.
	hiddenSuffix = ".hidden"
)

// Reference holds sequences and what the model answers at each of their tokens.
type Reference struct {
	IDs   [][]int64     // [N][T_n]
	Want  [][][]float32 // [N][T_n][V] logits, or [N][T_n][1] values
	Width int           // V or 1

	// Hidden is what Trace returns for the first sequence, as another reference,
	// of width P*C; nil where it was not recorded.
	Hidden *Reference
}

// Record computes what models answer for sequences and writes it to path.
func Record(ctx context.Context, sequences [][]int64, path string, models ...Model) error {
	n, t := len(sequences), 0
	lengths := make([]int64, n)
	for i, ids := range sequences {
		lengths[i] = int64(len(ids))
		t = max(t, len(ids))
	}
	ids := make([]int64, n*t)
	for i := range sequences {
		copy(ids[i*t:], sequences[i])
	}
	tensors := []safetensors.Tensor{safetensors.Int64Tensor(idsName, []int{n, t}, ids), safetensors.Int64Tensor(lengthsName, []int{n}, lengths)}
	for _, m := range models {
		width := 1
		if m.Head == model.LMHead {
			width = m.Config.Vocab
		}
		name, shape := answerOf(m.Head), []int{n, t, width}
		if m.Head == model.ValueHead {
			shape = shape[:2]
		}
		answers := make([]float32, n*t*width)
		for i, ids := range sequences {
			want, hidden, err := Trace(ctx, m, ids)
			if err != nil {
				return fmt.Errorf("reference values: %w", err)
			}
			for j, row := range want {
				copy(answers[(i*t+j)*width:], row)
			}
			if i == 0 {
				tensors = append(tensors, byPosition(name+hiddenSuffix, hidden))
			}
		}
		tensors = append(tensors, safetensors.Float32Tensor(name, shape, answers))
	}
	return safetensors.Write(path, tensors, nil)
}

// answerOf is the name of a head's answers.
func answerOf(head model.Head) string {
	if head == model.ValueHead {
		return valuesName
	}
	return logitsName
}

// byPosition turns [P][T][C] into a tensor [T, P, C].
func byPosition(name string, hidden [][][]float32) safetensors.Tensor {
	p, t, c := len(hidden), len(hidden[0]), len(hidden[0][0])
	flat := make([]float32, 0, p*t*c)
	for at := range t {
		for _, point := range hidden {
			flat = append(flat, point[at]...)
		}
	}
	return safetensors.Float32Tensor(name, []int{t, p, c}, flat)
}

// Load reads a reference file for one kind of head: one that Record wrote, or one that a trainer
// recorded with the same names. vocab bounds the token ids.
func Load(path string, head model.Head, vocab int) (*Reference, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := parse(f, head, vocab)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func parse(f *safetensors.File, head model.Head, vocab int) (*Reference, error) {
	ids, n, t, err := tokens(f, vocab)
	if err != nil {
		return nil, err
	}
	name, width := answerOf(head), vocab
	if head == model.ValueHead {
		width = 1
	}
	tensor, err := f.Get(name)
	if err != nil {
		return nil, err
	}
	if tensor.Len() != n*t*width {
		return nil, fmt.Errorf("tensor %s: shape %v for %d sequences of %d tokens and %d answers at each", name, tensor.Shape, n, t, width)
	}
	want, err := tensor.Float32()
	if err != nil {
		return nil, err
	}
	r := &Reference{IDs: ids, Width: width}
	for i, row := range ids {
		answers := make([][]float32, len(row))
		for j := range row {
			from := (i*t + j) * width
			answers[j] = want[from : from+width]
		}
		r.Want = append(r.Want, answers)
	}
	r.Hidden, err = r.hidden(f, name+hiddenSuffix)
	return r, err
}

// hidden reads the states of the first sequence, if there are any.
func (r *Reference) hidden(f *safetensors.File, name string) (*Reference, error) {
	if !f.Has(name) {
		return nil, nil
	}
	tensor, err := f.Get(name)
	if err != nil {
		return nil, err
	}
	if len(tensor.Shape) != 3 || tensor.Shape[0] != len(r.IDs[0]) {
		return nil, fmt.Errorf("tensor %s: shape %v, want [%d tokens, states, width]", name, tensor.Shape, len(r.IDs[0]))
	}
	flat, err := tensor.Float32()
	if err != nil {
		return nil, err
	}
	h := &Reference{IDs: r.IDs[:1], Width: tensor.Shape[1] * tensor.Shape[2]}
	rows := make([][]float32, len(r.IDs[0]))
	for i := range rows {
		rows[i] = flat[i*h.Width : (i+1)*h.Width]
	}
	h.Want = [][][]float32{rows}
	return h, nil
}

// tokens reads the sequences, cut to their lengths, and the padded sizes [n, t].
func tokens(f *safetensors.File, vocab int) (rows [][]int64, n, t int, err error) {
	tensor, err := f.Get(idsName)
	if err != nil {
		return nil, 0, 0, err
	}
	flat, err := tensor.Int64()
	if err != nil {
		return nil, 0, 0, err
	}
	switch shape := tensor.Shape; len(shape) {
	case 1:
		n, t = 1, shape[0]
	case 2:
		n, t = shape[0], shape[1]
	}
	if n == 0 || t == 0 {
		return nil, 0, 0, fmt.Errorf("tensor %s: shape %v, want [sequences, tokens], both at least 1", idsName, tensor.Shape)
	}
	for i, id := range flat {
		if id < 0 || id >= int64(vocab) {
			return nil, 0, 0, fmt.Errorf("tensor %s: element %d is %d, outside the vocabulary of %d", idsName, i, id, vocab)
		}
	}
	lengths, err := lengths(f, n, t)
	for i := range lengths {
		rows = append(rows, flat[i*t:i*t+int(lengths[i])])
	}
	return rows, n, t, err
}

func lengths(f *safetensors.File, n, t int) ([]int64, error) {
	if !f.Has(lengthsName) {
		all := make([]int64, n)
		for i := range all {
			all[i] = int64(t)
		}
		return all, nil
	}
	tensor, err := f.Get(lengthsName)
	if err != nil {
		return nil, err
	}
	got, err := tensor.Int64()
	if err != nil {
		return nil, err
	}
	if len(got) != n {
		return nil, fmt.Errorf("tensor %s: %d lengths for %d sequences", lengthsName, len(got), n)
	}
	for i, l := range got {
		if l < 1 || l > int64(t) {
			return nil, fmt.Errorf("tensor %s: element %d is %d, want 1 to %d", lengthsName, i, l, t)
		}
	}
	return got, nil
}
