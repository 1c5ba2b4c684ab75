#pragma once

#include "../product/product.h"
#include "api.h"

// operators is onnxruntime's OrtCustomOp as of version 1.16, for an operator whose
// attribute "weights" says which of n products it is.
typedef struct operators {
	uint32_t version;
	void *(*CreateKernel)(const struct operators *, const table *, const OrtKernelInfo *);
	const char *(*GetName)(const struct operators *);
	const char *(*GetExecutionProviderType)(const struct operators *);
	int (*GetInputType)(const struct operators *, size_t);
	size_t (*GetInputTypeCount)(const struct operators *);
	int (*GetOutputType)(const struct operators *, size_t);
	size_t (*GetOutputTypeCount)(const struct operators *);
	void (*KernelCompute)(void *, OrtKernelContext *);
	void (*KernelDestroy)(void *);
	int (*GetInputCharacteristic)(const struct operators *, size_t);
	int (*GetOutputCharacteristic)(const struct operators *, size_t);
	int (*GetInputMemoryType)(const struct operators *, size_t);
	int (*GetVariadicInputMinArity)(const struct operators *);
	int (*GetVariadicInputHomogeneity)(const struct operators *);
	int (*GetVariadicOutputMinArity)(const struct operators *);
	int (*GetVariadicOutputHomogeneity)(const struct operators *);
	OrtStatus *(*CreateKernelV2)(const struct operators *, const table *, const OrtKernelInfo *, void **kernel);
	OrtStatus *(*KernelComputeV2)(void *kernel, OrtKernelContext *);
	void *later[8];

	OrtCustomOpDomain *domain;
	const product *const *products;
	size_t n;
} operators;

// operators_add gives a session with these options the operator Product of domain oreo.
// The operators, all zero but for products and n, must outlive the session; then
// operators_drop frees what they hold.
OrtStatus *operators_add(operators *, const table *, OrtSessionOptions *);
void operators_drop(operators *, const table *);
