package torch

import lib "github.com/sugarme/gotch/libtch"

// op runs one operator of gotch's C layer, which writes its result to a slot.
func op(f func(out *lib.Ctensor)) *Tensor {
	var out lib.Ctensor
	f(&out)
	return wrap(out)
}

// scalarOp runs one operator with a number, which the C layer boxes.
func scalarOp(v float64, f func(out *lib.Ctensor, s lib.Cscalar)) *Tensor {
	s := lib.AtsFloat(v)
	defer lib.AtsFree(s)
	return op(func(out *lib.Ctensor) { f(out, s) })
}

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// Elementwise arithmetic; shapes broadcast as in NumPy.

// Add returns t + u.
func (t *Tensor) Add(u *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgAdd(o, t.c, u.c) })
}

// Sub returns t - u.
func (t *Tensor) Sub(u *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgSub(o, t.c, u.c) })
}

// Mul returns t * u.
func (t *Tensor) Mul(u *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgMul(o, t.c, u.c) })
}

// Div returns t / u.
func (t *Tensor) Div(u *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgDiv(o, t.c, u.c) })
}

// Plus returns t + v.
func (t *Tensor) Plus(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgAddScalar(o, t.c, s) })
}

// Times returns t * v.
func (t *Tensor) Times(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgMulScalar(o, t.c, s) })
}

// AtLeast returns max(t, v).
func (t *Tensor) AtLeast(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgClampMin(o, t.c, s) })
}

// AtMost returns min(t, v).
func (t *Tensor) AtMost(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgClampMax(o, t.c, s) })
}

// Equals is 1 where t is v and 0 elsewhere, in t's type; no gradient flows.
func (t *Tensor) Equals(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgEq(o, t.c, s) }).To(t.DType())
}

// Above is 1 where t is greater than v and 0 elsewhere, in t's type; no gradient
// flows.
func (t *Tensor) Above(v float64) *Tensor {
	return scalarOp(v, func(o *lib.Ctensor, s lib.Cscalar) { lib.AtgGt(o, t.c, s) }).To(t.DType())
}

// Neg returns -t.
func (t *Tensor) Neg() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgNeg(o, t.c) }) }

// Exp returns e^t.
func (t *Tensor) Exp() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgExp(o, t.c) }) }

// Square returns t².
func (t *Tensor) Square() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgSquare(o, t.c) }) }

// Sigmoid returns 1 / (1 + e^-t).
func (t *Tensor) Sigmoid() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgSigmoid(o, t.c) }) }

// LogSigmoid returns log sigmoid(t), which stays finite where the sigmoid is 0.
func (t *Tensor) LogSigmoid() *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgLogSigmoid(o, t.c) })
}

// Cos returns cos t.
func (t *Tensor) Cos() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgCos(o, t.c) }) }

// Sin returns sin t.
func (t *Tensor) Sin() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgSin(o, t.c) }) }

// Silu returns t * sigmoid(t).
func (t *Tensor) Silu() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgSilu(o, t.c) }) }

// Reductions.

// Sum adds up all elements.
func (t *Tensor) Sum() *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgSum(o, t.c, int32(t.DType())) })
}

// SumDim adds up dimension dim, which goes.
func (t *Tensor) SumDim(dim int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgSumDimIntlist(o, t.c, []int64{dim}, 1, 0, int32(t.DType())) })
}

// Cumsum returns running sums along dim.
func (t *Tensor) Cumsum(dim int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgCumsum(o, t.c, dim, int32(t.DType())) })
}

// Flip reverses dim.
func (t *Tensor) Flip(dim int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgFlip(o, t.c, []int64{dim}, 1) })
}

// LogSoftmax normalises the last dimension, in float32 or wider.
func (t *Tensor) LogSoftmax() *Tensor {
	dtype := t.DType()
	if dtype != Float64 {
		dtype = Float32
	}
	return op(func(o *lib.Ctensor) { lib.AtgLogSoftmax(o, t.c, -1, int32(dtype)) })
}

// Linear algebra and look-ups.

// Linear returns t Wᵀ + b, for t [.., in], weight [out, in] and bias [out] or nil.
func (t *Tensor) Linear(weight, bias *Tensor) *Tensor {
	if bias == nil {
		wT := weight.Transpose(0, 1)
		return op(func(o *lib.Ctensor) { lib.AtgMatmul(o, t.c, wT.c) })
	}
	return op(func(o *lib.Ctensor) { lib.AtgLinear(o, t.c, weight.c, bias.c) })
}

// Embedding returns the rows of weight [V, C] that ids [..] name: [.., C].
func Embedding(weight, ids *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgEmbedding(o, weight.c, ids.c, -1, 0, 0) })
}

// Gather picks t[.., index] along dim: the result has index's shape.
func (t *Tensor) Gather(dim int64, index *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgGather(o, t.c, dim, index.c, 0) })
}

// ScatterAdd adds src[.., j] to t[.., index[.., j]] along dim and returns the
// sums; index [..] is int64, and src has at least its sizes.
func (t *Tensor) ScatterAdd(dim int64, index, src *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgScatterAdd(o, t.c, dim, index.c, src.c) })
}

// Zeros makes zeros of a shape with the type and on the device of t, which is
// not empty.
func (t *Tensor) Zeros(shape ...int64) *Tensor {
	one := t.View(-1).Narrow(0, 0, 1)
	zero := op(func(o *lib.Ctensor) { lib.AtgZerosLike(o, one.c) })
	return op(func(o *lib.Ctensor) { lib.AtgExpand(o, zero.c, shape, len(shape), 0) }).Contiguous()
}

// IndexSelect picks the slices of dim that index [n] names.
func (t *Tensor) IndexSelect(dim int64, index *Tensor) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgIndexSelect(o, t.c, dim, index.c) })
}

// Shapes.

// View reshapes; one size may be -1.
func (t *Tensor) View(shape ...int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgReshape(o, t.c, shape, len(shape)) })
}

// Transpose swaps two dimensions.
func (t *Tensor) Transpose(a, b int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgTranspose(o, t.c, a, b) })
}

// Unsqueeze inserts a dimension of size 1.
func (t *Tensor) Unsqueeze(dim int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgUnsqueeze(o, t.c, dim) })
}

// Squeeze drops dimension dim of size 1.
func (t *Tensor) Squeeze(dim int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgSqueezeDim(o, t.c, dim) })
}

// Narrow is the view of length elements of dim from start on.
func (t *Tensor) Narrow(dim, start, length int64) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgNarrow(o, t.c, dim, start, length) })
}

// Cat joins tensors along dim.
func Cat(dim int64, ts ...*Tensor) *Tensor {
	cs := handles(ts)
	return op(func(o *lib.Ctensor) { lib.AtgCat(o, cs, len(cs), dim) })
}

// Contiguous returns t in row-major memory.
func (t *Tensor) Contiguous() *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgContiguous(o, t.c) })
}

// Types and gradients.

// To converts the elements.
func (t *Tensor) To(dtype DType) *Tensor {
	return op(func(o *lib.Ctensor) { lib.AtgToDtype(o, t.c, int32(dtype), 0, 0) })
}

// Detach is t cut from the graph: no gradient flows through it.
func (t *Tensor) Detach() *Tensor { return op(func(o *lib.Ctensor) { lib.AtgDetach(o, t.c) }) }

// IsFinite tells whether no element is NaN or infinite.
func (t *Tensor) IsFinite() bool {
	finite := op(func(o *lib.Ctensor) { lib.AtgIsfinite(o, t.c) })
	return op(func(o *lib.Ctensor) { lib.AtgAll(o, finite.c) }).Item() == 1
}

// Backward adds d t / d p to the gradient of every parameter p that t, one
// number, depends on, and frees the graph.
func (t *Tensor) Backward() {
	lib.AtBackward(t.c, 0, 0)
	check()
}

// RequiresGrad tells whether gradients flow into t.
func (t *Tensor) RequiresGrad() bool { return lib.AtRequiresGrad(t.c) }

// NoGrad runs f without recording a graph. It nests.
func NoGrad(f func()) {
	before := lib.AtGradSetEnabled(0)
	defer func() { lib.AtGradSetEnabled(before) }()
	f()
}

func handles(ts []*Tensor) []lib.Ctensor {
	cs := make([]lib.Ctensor, len(ts))
	for i, t := range ts {
		cs[i] = t.c
	}
	return cs
}
