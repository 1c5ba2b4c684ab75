//go:build cgo

#include "operator.h"

#include <stdlib.h>

enum { version = 16, floats = 1, invalid_argument = 2, no_memory = 1, most_dims = 8 };

// kernel is one node.
typedef struct {
	const product *product;
	const table *api;
} kernel;

static const char *name(const operators *o) { return (void)o, "Product"; }
static const char *on_cpu(const operators *o) { return (void)o, NULL; }
static int type(const operators *o, size_t i) { return (void)o, (void)i, floats; }
static size_t one(const operators *o) { return (void)o, 1; }
static int none(const operators *o, size_t i) { return (void)o, (void)i, 0; }
static int zero(const operators *o) { return (void)o, 0; }

static OrtStatus *create(const operators *o, const table *api, const OrtKernelInfo *info, void **out) {
	int64_t i;
	OrtStatus *s = api->KernelInfoGetAttribute_int64(info, "weights", &i);
	if (s) return s;
	if (i < 0 || (size_t)i >= o->n) return api->CreateStatus(invalid_argument, "Product: no such weights");
	kernel *k = malloc(sizeof *k);
	if (!k) return api->CreateStatus(no_memory, "Product: no memory");
	*k = (kernel){o->products[i], api};
	*out = k;
	return NULL;
}

// pass is one product under way.
typedef struct {
	const product *product;
	long m, share; // rows of x, panels in a part
	const char *rows;
	float *y;
} pass;

static void part(void *user, size_t i) {
	const pass *p = user;
	long from = (long)i * p->share, to = from + p->share;
	if (to > p->product->count) to = p->product->count;
	p->product->panels(p->product, p->m, p->rows, p->y, from, to);
}

// shape reads the dimensions of x [..., k].
static OrtStatus *shape(const table *api, const OrtValue *x, int64_t *dims, size_t *rank) {
	OrtTensorTypeAndShapeInfo *info;
	OrtStatus *s = api->GetTensorTypeAndShape(x, &info);
	if (s) return s;
	s = api->GetDimensionsCount(info, rank);
	if (!s && (*rank < 1 || *rank > most_dims)) s = api->CreateStatus(invalid_argument, "Product: an input of 0 or more than 8 dimensions");
	if (!s) s = api->GetDimensions(info, dims, *rank);
	api->ReleaseTensorTypeAndShapeInfo(info);
	return s;
}

// compute is x [..., k] -> y [..., n].
static OrtStatus *compute(void *user, OrtKernelContext *ctx) {
	const kernel *k = user;
	const product *p = k->product;
	const table *api = k->api;
	const OrtValue *x;
	OrtValue *y;
	void *from, *to;
	int64_t dims[most_dims];
	size_t rank;
	OrtStatus *s = api->KernelContext_GetInput(ctx, 0, &x);
	if (!s) s = shape(api, x, dims, &rank);
	if (!s && dims[rank - 1] != p->k) s = api->CreateStatus(invalid_argument, "Product: rows are not as wide as the weights");
	if (s) return s;
	long m = 1;
	for (size_t i = 0; i + 1 < rank; i++) m *= dims[i];
	dims[rank - 1] = p->n;
	s = api->KernelContext_GetOutput(ctx, 0, dims, rank, &y);
	if (!s) s = api->GetTensorMutableData((OrtValue *)x, &from); // it is only read
	if (!s) s = api->GetTensorMutableData(y, &to);
	if (s || !m) return s;
	char *rows = malloc(p->scratch(p, m));
	if (!rows) return api->CreateStatus(no_memory, "Product: no memory for the rows");
	p->arrange(p, m, from, rows);
	enum { worth = 64 << 10 }; // bytes of weights that are worth handing to a thread
	pass all = {p, m, 1 + worth / (p->bytes / p->count), rows, to};
	s = api->KernelContext_ParallelFor(ctx, part, (p->count + all.share - 1) / all.share, 0, &all);
	free(rows);
	return s;
}

OrtStatus *operators_add(operators *o, const table *api, OrtSessionOptions *options) {
	o->version = version;
	o->GetName = name, o->GetExecutionProviderType = on_cpu;
	o->GetInputType = o->GetOutputType = type;
	o->GetInputTypeCount = o->GetOutputTypeCount = one;
	o->GetInputCharacteristic = o->GetOutputCharacteristic = o->GetInputMemoryType = none; // required, in the device's memory
	o->GetVariadicInputMinArity = o->GetVariadicInputHomogeneity = zero;
	o->GetVariadicOutputMinArity = o->GetVariadicOutputHomogeneity = zero;
	o->CreateKernelV2 = create, o->KernelComputeV2 = compute, o->KernelDestroy = free;
	OrtStatus *s = api->CreateCustomOpDomain("oreo", &o->domain);
	if (!s) s = api->CustomOpDomain_Add(o->domain, o);
	if (!s) s = api->AddCustomOpDomain(options, o->domain);
	return s;
}

void operators_drop(operators *o, const table *api) {
	if (o->domain) api->ReleaseCustomOpDomain(o->domain);
	o->domain = NULL;
}
