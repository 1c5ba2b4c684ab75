// Force-included (-include) when gotch v0.9.1, written for libtorch 2.1, is
// compiled against libtorch 2.7 to 2.11. The signatures of three operators have
// changed since; their generated wrappers, which nothing here calls, are pointed
// at templates that throw. gotch turns a C++ exception into a Go error.
#pragma once
#ifdef __cplusplus
#include <torch/torch.h>
#include <tuple>
namespace torch {
template <class... A> at::Tensor gotch_cslt_sparse_mm(A&&...) {
  TORCH_CHECK(false, "_cslt_sparse_mm is not bound for this libtorch");
}
template <class... A> std::tuple<at::Tensor, at::Tensor> gotch_scaled_mm(A&&...) {
  TORCH_CHECK(false, "_scaled_mm is not bound for this libtorch");
}
template <class... A> std::tuple<at::Tensor, at::Tensor> gotch_scaled_mm_out(A&&...) {
  TORCH_CHECK(false, "_scaled_mm_out is not bound for this libtorch");
}
// gotch hands over "no mask" as an optional that holds an undefined tensor, which
// newer libtorch refuses; make it an empty optional again.
template <class... A>
at::Tensor gotch_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask, A&&... rest) {
  return at::scaled_dot_product_attention(
      q, k, v, mask.defined() ? std::optional<at::Tensor>(mask) : std::nullopt, std::forward<A>(rest)...);
}
}  // namespace torch
#define _cslt_sparse_mm gotch_cslt_sparse_mm
#define _scaled_mm gotch_scaled_mm
#define _scaled_mm_out gotch_scaled_mm_out
#define scaled_dot_product_attention gotch_sdpa
#endif
