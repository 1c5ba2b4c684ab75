// What is used of onnxruntime's C interface.

#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtValue OrtValue;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

// The functions that are called, at their places in onnxruntime's table OrtApi:
// skipN are those from place N on to the next one named. The table grows at its end
// alone, so that places never change; TestTable compares them with the header that
// the Go binding comes with.
typedef struct {
	OrtStatus *(*CreateStatus)(int code, const char *message);
	void *skip1[1];
	const char *(*GetErrorMessage)(const OrtStatus *);
	OrtStatus *(*CreateEnv)(int level, const char *id, OrtEnv **out);
	void *skip4[5];
	OrtStatus *(*Run)(OrtSession *, const void *options, const char *const *in_names, const OrtValue *const *in, size_t n_in,
		const char *const *out_names, size_t n_out, OrtValue **out);
	void *skip10[16];
	OrtStatus *(*CreateCustomOpDomain)(const char *name, OrtCustomOpDomain **out);
	OrtStatus *(*CustomOpDomain_Add)(OrtCustomOpDomain *, const void *op);
	OrtStatus *(*AddCustomOpDomain)(OrtSessionOptions *, OrtCustomOpDomain *);
	void *skip29[20];
	OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *, void *data, size_t bytes, const int64_t *shape,
		size_t rank, int elem, OrtValue **out);
	void *skip50[1];
	OrtStatus *(*GetTensorMutableData)(OrtValue *, void **out);
	void *skip52[9];
	OrtStatus *(*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo *, size_t *out);
	OrtStatus *(*GetDimensions)(const OrtTensorTypeAndShapeInfo *, int64_t *dims, size_t n);
	void *skip63[2];
	OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *, OrtTensorTypeAndShapeInfo **out);
	void *skip66[2];
	OrtStatus *(*CreateMemoryInfo)(const char *name, int allocator, int id, int kind, OrtMemoryInfo **out);
	void *skip69[6];
	OrtStatus *(*AllocatorAlloc)(OrtAllocator *, size_t bytes, void **out);
	OrtStatus *(*AllocatorFree)(OrtAllocator *, void *);
	void *skip77[8];
	OrtStatus *(*KernelInfoGetAttribute_float)(const OrtKernelInfo *, const char *name, float *out);
	OrtStatus *(*KernelInfoGetAttribute_int64)(const OrtKernelInfo *, const char *name, int64_t *out);
	void *skip87[3];
	OrtStatus *(*KernelContext_GetInput)(const OrtKernelContext *, size_t i, const OrtValue **out);
	OrtStatus *(*KernelContext_GetOutput)(OrtKernelContext *, size_t i, const int64_t *dims, size_t rank, OrtValue **out);
	void (*ReleaseEnv)(OrtEnv *);
	void (*ReleaseStatus)(OrtStatus *);
	void (*ReleaseMemoryInfo)(OrtMemoryInfo *);
	void *skip95[1];
	void (*ReleaseValue)(OrtValue *);
	void *skip97[2];
	void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo *);
	void *skip100[1];
	void (*ReleaseCustomOpDomain)(OrtCustomOpDomain *);
	void *skip102[29];
	OrtStatus *(*CreateAllocator)(const OrtSession *, const OrtMemoryInfo *, OrtAllocator **out);
	void (*ReleaseAllocator)(OrtAllocator *);
	void *skip133[141];
	OrtStatus *(*KernelContext_ParallelFor)(const OrtKernelContext *, void (*part)(void *, size_t), size_t n, size_t batches, void *user);
	void *skip275[111];
	OrtStatus *(*CopyTensors)(const OrtEnv *, const OrtValue *const *src, OrtValue *const *dst, void *stream, size_t n);
} table;
