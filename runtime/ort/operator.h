#pragma once

#include <pthread.h>

#include "../kernel/attention.h"
#include "../kernel/product.h"
#include "api.h"

// pool is memory for passes. It is kept from one to the next: fresh memory costs as much
// as what is done with it.
typedef struct {
	pthread_mutex_t lock;
	struct piece *free;
} pool;

// operator is onnxruntime's OrtCustomOp as of version 1.16, and what ours answers from.
typedef struct operator {
	uint32_t version;
	void *(*CreateKernel)(const struct operator *, const table *, const OrtKernelInfo *);
	const char *(*GetName)(const struct operator *);
	const char *(*GetExecutionProviderType)(const struct operator *);
	int (*GetInputType)(const struct operator *, size_t);
	size_t (*GetInputTypeCount)(const struct operator *);
	int (*GetOutputType)(const struct operator *, size_t);
	size_t (*GetOutputTypeCount)(const struct operator *);
	void (*KernelCompute)(void *, OrtKernelContext *);
	void (*KernelDestroy)(void *);
	int (*GetInputCharacteristic)(const struct operator *, size_t);
	int (*GetOutputCharacteristic)(const struct operator *, size_t);
	int (*GetInputMemoryType)(const struct operator *, size_t);
	int (*GetVariadicInputMinArity)(const struct operator *);
	int (*GetVariadicInputHomogeneity)(const struct operator *);
	int (*GetVariadicOutputMinArity)(const struct operator *);
	int (*GetVariadicOutputHomogeneity)(const struct operator *);
	OrtStatus *(*CreateKernelV2)(const struct operator *, const table *, const OrtKernelInfo *, void **kernel);
	OrtStatus *(*KernelComputeV2)(void *kernel, OrtKernelContext *);
	void *later[8];

	const char *name;
	const int *inputs; // their element types
	size_t n_inputs, n_outputs;
	const product *const *products;
	size_t n_products;
	const attention_kernel *kernel;
	pool *scratch;
} operator;

// operators are those of domain oreo, for one session:
//
//	Product    x [..., K] -> x W^T [..., N], with the number of products' W as attribute weights
//	Attention  of GroupQueryAttention's inputs and attributes, with a plan of the
//	           tokens' segments (see read_plan) instead of lengths, total and bias
typedef struct {
	operator product, attention;
	pool scratch;
	OrtCustomOpDomain *domain;
} operators;

// operators_add gives a session with these options the operators, which must outlive
// it, as must the products; operators_drop then frees what they hold. The attention's
// kernel may be NULL where no node is one.
OrtStatus *operators_add(
	operators *, const product *const *products, size_t n, const attention_kernel *, const table *, OrtSessionOptions *);
void operators_drop(operators *, const table *);
