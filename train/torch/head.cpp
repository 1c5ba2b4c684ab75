// Log-probabilities of tokens, and the KL divergence to another distribution
// over the vocabulary, straight from hidden states: logits exist for some rows
// at a time, in the forward pass and again in the backward pass, and never for
// all. For a vocabulary of 150,000 all of them, with what a loss makes of them,
// are by far the largest thing in memory. Where one piece holds all rows, it is
// kept and nothing is computed twice.
//
//   forward   z = h Wᵀ,  lse = logsumexp z,  log p = z - lse
//             l  = log p[action]
//             kl = sum p (log p - log q)   or   sum q (log q - log p)
//   backward  dz = dl (onehot(action) - p) + dkl p (log p - log q - kl)   or   + dkl (p - q)
//             dh = dz W,  dW = dzᵀ h
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

#include "shim.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

enum Divergence : int64_t { none, reverse, forward_ };  // reverse: KL(p || q)

// product is a bᵀ; bf16 rounds the factors, as autocast does.
Tensor product(const Tensor& a, const Tensor& b, bool bf16) {
  if (!bf16) return a.mm(b.t());
  return a.to(at::kBFloat16).mm(b.to(at::kBFloat16).t()).to(at::kFloat);
}

struct Head : torch::autograd::Function<Head> {
  static variable_list forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& weight, const Tensor& actions,
                               const Tensor& ref_hidden, const Tensor& ref_weight, int64_t divergence, bool bf16, int64_t piece) {
    at::NoGradGuard off;
    const int64_t rows = hidden.size(0), chunk = std::max<int64_t>(1, piece / weight.size(0));
    auto options = hidden.options().dtype(hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    Tensor logp = at::empty({rows}, options), lse = at::empty({rows}, options);
    Tensor ref_logp, ref_lse, kl, all, ref_all;
    if (divergence) ref_logp = at::empty({rows}, options), ref_lse = at::empty({rows}, options), kl = at::empty({rows}, options);
    for (int64_t i = 0; i < rows; i += chunk) {
      const int64_t n = std::min(chunk, rows - i);
      Tensor a = actions.narrow(0, i, n).unsqueeze(1);
      Tensor z = product(hidden.narrow(0, i, n), weight, bf16);
      Tensor norm = z.logsumexp(1);
      lse.narrow(0, i, n).copy_(norm);
      z.sub_(norm.unsqueeze(1));
      logp.narrow(0, i, n).copy_(z.gather(1, a).squeeze(1));
      if (rows <= chunk) all = z;
      if (!divergence) continue;
      Tensor q = product(ref_hidden.narrow(0, i, n), ref_weight, bf16);
      norm = q.logsumexp(1);
      ref_lse.narrow(0, i, n).copy_(norm);
      q.sub_(norm.unsqueeze(1));
      ref_logp.narrow(0, i, n).copy_(q.gather(1, a).squeeze(1));
      Tensor apart = divergence == reverse ? z.sub(q).mul_(z.exp()) : q.sub(z).mul_(q.exp());
      kl.narrow(0, i, n).copy_(apart.sum(1));
      if (rows <= chunk) ref_all = q;
    }
    ctx->save_for_backward({hidden, weight, actions, ref_hidden, ref_weight, lse, ref_lse, kl, all, ref_all});
    ctx->saved_data["divergence"] = divergence;
    ctx->saved_data["bf16"] = bf16;
    ctx->saved_data["piece"] = piece;
    if (!divergence) return {logp};
    ctx->mark_non_differentiable({ref_logp});
    return {logp, kl, ref_logp};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    at::NoGradGuard off;
    auto saved = ctx->get_saved_variables();
    const Tensor &hidden = saved[0], &weight = saved[1], &actions = saved[2], &ref_hidden = saved[3], &ref_weight = saved[4];
    const Tensor &lse = saved[5], &ref_lse = saved[6], &kl = saved[7], &all = saved[8], &ref_all = saved[9];
    const int64_t divergence = ctx->saved_data["divergence"].toInt();
    const bool bf16 = ctx->saved_data["bf16"].toBool();
    const Tensor dl = grads[0], dkl = divergence ? grads[1] : Tensor();
    const int64_t rows = hidden.size(0), chunk = std::max<int64_t>(1, ctx->saved_data["piece"].toInt() / weight.size(0));
    Tensor dh = ctx->needs_input_grad(0) ? at::empty_like(hidden) : Tensor();
    Tensor dw = ctx->needs_input_grad(1) ? at::zeros_like(weight) : Tensor();
    for (int64_t i = 0; i < rows; i += chunk) {
      const int64_t n = std::min(chunk, rows - i);
      auto part = [&](const Tensor& t) { return t.narrow(0, i, n).unsqueeze(1); };
      Tensor h = hidden.narrow(0, i, n);
      Tensor z = all.defined() ? all : product(h, weight, bf16).sub_(part(lse));  // log p
      Tensor dz;
      if (dkl.defined()) {
        Tensor q = ref_all.defined() ? ref_all : product(ref_hidden.narrow(0, i, n), ref_weight, bf16).sub_(part(ref_lse));
        dz = divergence == reverse ? z.sub(q).sub_(part(kl)).mul_(z.exp()) : z.exp().sub_(q.exp());
        dz.mul_(part(dkl));
      }
      if (dl.defined()) {
        Tensor from_l = z.exp().mul_(part(dl.neg()));
        dz = dz.defined() ? dz.add_(from_l) : from_l;
        dz.scatter_add_(1, part(actions), part(dl));
      }
      if (dh.defined()) dh.narrow(0, i, n).copy_(product(dz, weight.t(), bf16));
      if (dw.defined()) dw.add_(product(dz.t(), h.t(), bf16));
    }
    return {dh, dw, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

char* shim_head(tensor_p hidden, tensor_p weight, tensor_p actions, tensor_p ref_hidden, tensor_p ref_weight, int64_t divergence,
                int bf16, int64_t piece, tensor_p* logp, tensor_p* kl, tensor_p* ref_logp) {
  auto at_ = [](tensor_p p) { return p ? *static_cast<Tensor*>(p) : at::empty({0}); };
  try {
    auto out = Head::apply(at_(hidden), at_(weight), at_(actions), at_(ref_hidden), at_(ref_weight), divergence, bf16 != 0, piece);
    *logp = new Tensor(out[0]);
    if (divergence) *kl = new Tensor(out[1]), *ref_logp = new Tensor(out[2]);
  } catch (const std::exception& e) {
    return strdup(e.what());
  }
  return nullptr;
}
