package torch

// #include "shim.h"
import "C"

import lib "github.com/sugarme/gotch/libtch"

// Divergence of two distributions p and q over the vocabulary.
type Divergence int64

// The divergences that LogProbs computes.
const (
	NoDivergence Divergence = iota
	KL                      // sum p (log p - log q)
	ForwardKL               // sum q (log q - log p)
)

// Piece is the number of logits that LogProbs has in memory at a time: 64 MiB of
// float32.
const Piece = 16 << 20

var piece int64 = Piece // tests have smaller ones

// Output is a head's input: hidden states [N, C] and the matrix [V, C] that makes
// logits of them.
type Output struct{ Hidden, Weight *Tensor }

// LogProbs returns, [N] each, log p of the actions [N], ids below V, under
// p = softmax(hidden weightᵀ); and for a divergence from q, which is made of ref
// likewise and gets no gradient, also that and log q of the actions. Only some
// rows of the logits are in memory at any time; the backward pass computes them
// again. bf16 rounds the factors of matrix products to bfloat16.
func LogProbs(p Output, actions *Tensor, ref *Output, d Divergence, bf16 bool) (logp, divergence, refLogp *Tensor) {
	var l, k, r, refHidden, refWeight C.tensor_p
	if ref != nil {
		refHidden, refWeight = C.tensor_p(ref.Hidden.c), C.tensor_p(ref.Weight.c)
	}
	msg := C.shim_head(C.tensor_p(p.Hidden.c), C.tensor_p(p.Weight.c), C.tensor_p(actions.c), refHidden, refWeight,
		C.int64_t(d), C.int(flag(bf16)), C.int64_t(piece), &l, &k, &r)
	logp = made(msg, l)
	if d == NoDivergence {
		return logp, nil, nil
	}
	return logp, wrap(lib.Ctensor(k)), wrap(lib.Ctensor(r))
}
