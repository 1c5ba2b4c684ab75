package train

import (
	"fmt"
	"path/filepath"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// recordReference writes dir/reference.safetensors: what libtorch computes with
// the model saved in dir, in float32, for the beginnings of two training
// sequences of different length. oreo-export verify compares the exported graph
// with it.
func (r *run) recordReference(dir string, head model.Head) error {
	m, err := nn.Load(dir, head, r.device, torch.Float32)
	if err != nil {
		return err
	}
	defer m.Free()
	const rows, longest = 2, 16
	ids := make([]int64, rows*longest)
	lengths := make([]int64, rows)
	for i := range rows {
		tokens := r.seqs[i%min(rows, len(r.seqs))].Tokens
		tokens = tokens[:min(len(tokens), longest-4*i)]
		lengths[i] = int64(len(tokens))
		for j, id := range tokens {
			ids[i*longest+j] = int64(id)
		}
	}
	var want []float32
	err = torch.Scope(func() {
		torch.NoGrad(func() { want = m.Forward(torch.FromInt64(ids, rows, longest).On(r.device)).Float32s() })
	})
	if err != nil {
		return fmt.Errorf("reference values: %w", err)
	}
	answer := safetensors.Float32Tensor("values", []int{rows, longest}, want)
	if head == model.LMHead {
		answer = safetensors.Float32Tensor("logits", []int{rows, longest, m.Config.Vocab}, want)
	}
	return safetensors.Write(filepath.Join(dir, "reference.safetensors"), []safetensors.Tensor{
		safetensors.Int64Tensor("input_ids", []int{rows, longest}, ids), safetensors.Int64Tensor("lengths", []int{rows}, lengths), answer}, nil)
}
