// What libtorch has and gotch does not bind. Functions that can fail return a
// message from malloc, or NULL.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef void* tensor_p;

void shim_manual_seed(int64_t seed);
void shim_set_threads(int n);
int shim_threads(void);
const char* shim_version(void);
const char* shim_library_path(void);
char* shim_load(const char* path);
int shim_cuda_devices(void);

char* shim_to_device(tensor_p t, int cuda, int index, tensor_p* out);
char* shim_rms_norm(tensor_p x, tensor_p weight, double eps, tensor_p* out);
char* shim_attention(tensor_p q, tensor_p k, tensor_p v, double scale, tensor_p* out);
char* shim_grad(tensor_p t, tensor_p* out);
char* shim_set_requires_grad(tensor_p t, int on);
char* shim_zero_grad(tensor_p* ts, size_t n);
char* shim_copy(tensor_p dst, tensor_p src);
char* shim_clip_grad_norm(tensor_p* params, size_t n, double max_norm, double* norm);
char* shim_adamw(tensor_p* params, tensor_p* m, tensor_p* v, size_t n, int64_t step, double lr, double beta1,
                 double beta2, double weight_decay, double eps);
void shim_autocast(int cuda, int on);
char* shim_head(tensor_p hidden, tensor_p weight, tensor_p actions, tensor_p ref_hidden, tensor_p ref_weight,
                int64_t divergence, int bf16, int64_t piece, tensor_p* logp, tensor_p* kl, tensor_p* ref_logp);
#ifdef __cplusplus
}
#endif
