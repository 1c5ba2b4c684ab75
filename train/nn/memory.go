package nn

import (
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/torch"
)

// ActivationBytes is what the forward pass of some tokens leaves in memory for
// the backward pass, in one layer, for each token:
//
//	float32    4 (6C + 3HD + 2KD + 4I)     of both norms the input, the inner value and the output; q, k and v;
//	                                       attention's output, as it comes and in rows; gate, silu, up, product
//	bfloat16   26C + 6HD + 4KD + 8I        of both norms the input and the inner value in float32, and the output
//	                                       once for each of q, k, v, gate and up; the rest in 2 bytes
//
// Where adapters (lora) are trained alone, norms keep no inner value, and each
// adapter keeps rank elements.
func ActivationBytes(c *model.Config, lora *peft.LoRA, tokens int, autocast bool) int {
	q, kv := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	size, element := 4*(6*c.Hidden+3*q+2*kv+4*c.Intermediate), 4
	if autocast {
		size, element = 26*c.Hidden+6*q+4*kv+8*c.Intermediate, 2
	}
	if lora != nil {
		size += element*lora.Rank*len(lora.Adapted(1)) - 8*c.Hidden
	}
	return tokens * size
}

// LogitBytes is the most that LogProbs, or with a divergence Compare, holds at
// some states: a piece of the logits, what is made of it, and the gradient of
// the head's matrix.
func LogitBytes(c *model.Config, states int, divergence bool) int {
	copies := 3
	if divergence {
		copies = 5
	}
	rows := min(states, max(1, torch.Piece/c.Vocab))
	return 4 * c.Vocab * (copies*rows + c.Hidden)
}
