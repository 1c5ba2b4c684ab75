#include "shim.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <cstring>
#include <vector>

#undef scaled_dot_product_attention  // gotch_compat.h renames it for gotch alone

#define TRY try {
#define CATCH                                                  \
  }                                                            \
  catch (const std::exception& e) { return strdup(e.what()); } \
  return nullptr;

static at::Tensor& T(tensor_p p) { return *static_cast<at::Tensor*>(p); }
static tensor_p own(at::Tensor t) { return new at::Tensor(std::move(t)); }
static std::vector<at::Tensor> list(tensor_p* p, size_t n) {
  std::vector<at::Tensor> v;
  v.reserve(n);
  for (size_t i = 0; i < n; i++) v.push_back(T(p[i]));
  return v;
}

void shim_manual_seed(int64_t seed) { at::manual_seed(seed); }
void shim_set_threads(int n) { at::set_num_threads(n); }
int shim_threads(void) { return at::get_num_threads(); }
const char* shim_version(void) { return TORCH_VERSION; }

// The file libtorch_cpu.so was loaded from; the CUDA parts lie beside it.
const char* shim_library_path(void) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info)) return "";
  return info.dli_fname;
}

char* shim_load(const char* path) {
  return dlopen(path, RTLD_NOW | RTLD_GLOBAL) ? nullptr : strdup(dlerror());
}

int shim_cuda_devices(void) { return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; }

char* shim_to_device(tensor_p t, int cuda, int index, tensor_p* out) {
  TRY at::Device d = cuda ? at::Device(at::kCUDA, index) : at::Device(at::kCPU);
  *out = own(T(t).to(d));
  CATCH
}

char* shim_rms_norm(tensor_p x, tensor_p weight, double eps, tensor_p* out) {
  TRY* out = own(at::rms_norm(T(x), T(weight).sizes(), T(weight), eps));
  CATCH
}

// q [B,H,T,D], k and v [B,K,T,D] with K dividing H, causal.
char* shim_attention(tensor_p q, tensor_p k, tensor_p v, double scale, tensor_p* out) {
  TRY bool grouped = T(q).size(1) != T(k).size(1);
  *out = own(at::scaled_dot_product_attention(T(q), T(k), T(v), std::nullopt, 0.0, true, scale, grouped));
  CATCH
}

// A handle of the gradient, or NULL in *out while there is none.
char* shim_grad(tensor_p t, tensor_p* out) {
  TRY* out = T(t).grad().defined() ? own(T(t).grad()) : nullptr;
  CATCH
}

char* shim_set_requires_grad(tensor_p t, int on) {
  TRY T(t).set_requires_grad(on != 0);
  CATCH
}

// Drops the gradients, so that the next backward pass starts from nothing.
char* shim_zero_grad(tensor_p* ts, size_t n) {
  TRY for (auto& t : list(ts, n)) t.mutable_grad() = at::Tensor();
  CATCH
}

char* shim_copy(tensor_p dst, tensor_p src) {
  TRY at::NoGradGuard off;
  T(dst).copy_(T(src));
  CATCH
}

char* shim_clip_grad_norm(tensor_p* params, size_t n, double max_norm, double* norm) {
  TRY at::NoGradGuard off;
  std::vector<at::Tensor> grads;
  for (auto& t : list(params, n))
    if (t.grad().defined()) grads.push_back(t.grad());
  *norm = 0;
  if (grads.empty()) return nullptr;
  auto total = at::linalg_vector_norm(at::stack(at::_foreach_norm(grads)));
  if (max_norm > 0) at::_foreach_mul_(grads, (max_norm / (total + 1e-6)).clamp_max(1.0));
  *norm = total.item<double>();
  CATCH
}

// One step of AdamW (arXiv 1711.05101). A parameter without a gradient stays.
char* shim_adamw(tensor_p* params, tensor_p* m, tensor_p* v, size_t n, int64_t step, double lr, double beta1,
                 double beta2, double weight_decay, double eps) {
  TRY at::NoGradGuard off;
  std::vector<at::Tensor> p, g, ms, vs, steps;
  for (size_t i = 0; i < n; i++) {
    if (!T(params[i]).grad().defined()) continue;
    p.push_back(T(params[i]));
    g.push_back(T(params[i]).grad());
    ms.push_back(T(m[i]));
    vs.push_back(T(v[i]));
  }
  if (p.empty()) return nullptr;
  auto now = at::full({}, double(step), p[0].options().dtype(at::kFloat));
  steps.assign(p.size(), now);
  at::_fused_adamw_(p, g, ms, vs, {}, steps, lr, beta1, beta2, weight_decay, eps, false, false);
  CATCH
}

void shim_autocast(int cuda, int on) {
  auto device = cuda ? at::kCUDA : at::kCPU;
  if (on) {
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::increment_nesting();
  } else if (at::autocast::decrement_nesting() == 0) {
    at::autocast::clear_cache();
  }
  at::autocast::set_autocast_enabled(device, on != 0);
}
