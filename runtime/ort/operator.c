//go:build cgo

#include "operator.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { version = 16, invalid_argument = 2, no_memory = 1, most_dims = 8 };
enum { float32 = 1, int32 = 6, int64 = 7 };

static OrtStatus *wrong(const table *api, const char *why) { return api->CreateStatus(invalid_argument, why); }

// tensor is an input or output.
typedef struct {
	void *data;
	int64_t dims[most_dims];
	size_t rank;
	int64_t n; // elements
} tensor;

static int64_t elements(const tensor *t) {
	int64_t n = 1;
	for (size_t i = 0; i < t->rank; i++) n *= t->dims[i];
	return n;
}

// input reads a tensor of 1 or more dimensions.
static OrtStatus *input(const table *api, const OrtKernelContext *ctx, size_t i, tensor *t) {
	const OrtValue *v;
	OrtTensorTypeAndShapeInfo *info;
	OrtStatus *s = api->KernelContext_GetInput(ctx, i, &v);
	if (!s) s = api->GetTensorMutableData((OrtValue *)v, &t->data);
	if (!s) s = api->GetTensorTypeAndShape(v, &info);
	if (s) return s;
	s = api->GetDimensionsCount(info, &t->rank);
	if (!s && (t->rank < 1 || t->rank > most_dims)) s = wrong(api, "an input of 0 or more than 8 dimensions");
	if (!s) s = api->GetDimensions(info, t->dims, t->rank);
	api->ReleaseTensorTypeAndShapeInfo(info);
	if (!s) t->n = elements(t);
	return s;
}

// output makes the tensor, whose dimensions are set.
static OrtStatus *output(const table *api, OrtKernelContext *ctx, size_t i, tensor *t) {
	OrtValue *v;
	OrtStatus *s = api->KernelContext_GetOutput(ctx, i, t->dims, t->rank, &v);
	if (!s) s = api->GetTensorMutableData(v, &t->data);
	t->n = elements(t);
	return s;
}

// piece is memory of a pool; its data lie behind it.
typedef struct piece {
	struct piece *next;
	size_t size;
	char data[] __attribute__((aligned(64)));
} piece;

// take returns a piece of size bytes, or NULL.
static piece *take(pool *p, size_t size) {
	pthread_mutex_lock(&p->lock);
	piece *m = p->free;
	if (m) p->free = m->next;
	pthread_mutex_unlock(&p->lock);
	if (m && m->size >= size) return m;
	free(m);
	size += size / 4;
	if (posix_memalign((void **)&m, 64, sizeof *m + size)) return NULL;
	m->size = size;
	return m;
}

static void give(pool *p, piece *m) {
	pthread_mutex_lock(&p->lock);
	m->next = p->free;
	p->free = m;
	pthread_mutex_unlock(&p->lock);
}

// Product

typedef struct {
	const table *api;
	const product *product;
	pool *scratch;
} product_node;

static OrtStatus *create_product(const operator *o, const table *api, const OrtKernelInfo *info, void **out) {
	int64_t i;
	OrtStatus *s = api->KernelInfoGetAttribute_int64(info, "weights", &i);
	if (s) return s;
	if (i < 0 || (size_t)i >= o->n_products) return wrong(api, "no such weights");
	product_node *node = malloc(sizeof *node);
	if (!node) return api->CreateStatus(no_memory, "no memory");
	*node = (product_node){api, o->products[i], o->scratch};
	*out = node;
	return NULL;
}

// product_pass is a product under way.
typedef struct {
	const product *product;
	long m, share; // rows of x, panels in a part
	const char *rows;
	float *y;
} product_pass;

static void product_part(void *user, size_t i) {
	const product_pass *p = user;
	long from = (long)i * p->share, to = from + p->share;
	if (to > p->product->count) to = p->product->count;
	p->product->panels(p->product, p->m, p->rows, p->y, from, to);
}

static OrtStatus *run_product(void *user, OrtKernelContext *ctx) {
	const product_node *node = user;
	const table *api = node->api;
	const product *p = node->product;
	tensor x, y;
	OrtStatus *s = input(api, ctx, 0, &x);
	if (s) return s;
	if (x.dims[x.rank - 1] != p->k) return wrong(api, "rows are not as wide as the weights");
	y = x;
	y.dims[y.rank - 1] = p->n;
	s = output(api, ctx, 0, &y);
	long m = x.n / p->k;
	if (s || !m) return s;
	piece *rows = take(node->scratch, p->scratch(p, m));
	if (!rows) return api->CreateStatus(no_memory, "no memory for the rows");
	p->arrange(p, m, x.data, rows->data);
	enum { worth = 64 << 10 }; // bytes of weights that are worth handing to a thread
	product_pass all = {p, m, 1 + worth / (p->bytes / p->count), rows->data, y.data};
	s = api->KernelContext_ParallelFor(ctx, product_part, (p->count + all.share - 1) / all.share, 0, &all);
	give(node->scratch, rows);
	return s;
}

// Attention

enum { QKV, PAST_K, PAST_V, PLAN, COS, SIN, POSITIONS, ATTENTION_INPUTS };
static const int attention_inputs[] = {float32, float32, float32, int32, float32, float32, int64};

typedef struct {
	const table *api;
	int64_t heads, kv_heads;
	float scale;
	const attention_kernel *kernel;
	pool *scratch;
} attention_node;

static OrtStatus *create_attention(const operator *o, const table *api, const OrtKernelInfo *info, void **out) {
	attention_node n = {.api = api, .kernel = o->kernel, .scratch = o->scratch};
	OrtStatus *s = api->KernelInfoGetAttribute_int64(info, "num_heads", &n.heads);
	if (!s) s = api->KernelInfoGetAttribute_int64(info, "kv_num_heads", &n.kv_heads);
	if (!s) s = api->KernelInfoGetAttribute_float(info, "scale", &n.scale);
	if (s) return s;
	if (!n.kernel) return wrong(api, "this processor has no kernel for it");
	if (n.kv_heads < 1 || n.heads < n.kv_heads || n.heads > 1 << 16 || n.heads % n.kv_heads) return wrong(api, "so many heads do not go together");
	attention_node *node = malloc(sizeof *node);
	if (!node) return api->CreateStatus(no_memory, "no memory");
	*node = n;
	*out = node;
	return NULL;
}

// read_plan finds the segments in what package ort passes: the numbers of segments and
// of slots, the segments, the slots. It checks what the kernel relies on.
static const char *read_plan(attention *a, const tensor *plan) {
	const int32_t *p = plan->data;
	const int64_t each = sizeof(segment) / sizeof *p;
	if (plan->n < 2 || p[0] < 0 || p[1] < 0 || plan->n != 2 + each * p[0] + p[1]) return "the plan is not as long as it says";
	a->n_segments = p[0], a->n_slots = p[1];
	a->segments = (const segment *)(p + 2), a->slots = p + 2 + each * p[0];
	int64_t tokens = 0;
	for (long i = 0; i < a->n_segments; i++) {
		const segment *g = &a->segments[i];
		if (g->row < 0 || g->row >= a->rows || g->n < 1 || g->write < 0 || g->write > a->room - g->n) return "a segment lies outside the cache";
		if (g->path < 0 || g->path > g->write || g->at < -1 || (g->at >= 0 && g->at > a->n_slots - g->path)) return "a segment has a path that is not there";
		tokens += g->n;
		if (g->path + g->n > a->longest) a->longest = g->path + g->n;
	}
	for (long i = 0; i < a->n_slots; i++)
		if (a->slots[i] < 0 || a->slots[i] >= a->room) return "a path leads outside the cache";
	return tokens == a->s ? NULL : "the plan is of other tokens";
}

// check_attention compares the rest.
static const char *check_attention(const attention *a, const tensor in[]) {
	const tensor *k = &in[PAST_K], *v = &in[PAST_V], *cos = &in[COS], *sin = &in[SIN];
	if (in[QKV].dims[2] != (a->heads + 2 * a->kv_heads) * a->dim) return "queries, keys and values are not as wide as their heads";
	if (k->dims[1] != a->kv_heads || v->rank != 4 || memcmp(k->dims, v->dims, 4 * sizeof k->dims[0])) return "the cache has other heads or shapes";
	if (cos->rank != 2 || cos->dims[1] != a->dim / 2 || sin->rank != 2 || sin->dims[1] != a->dim / 2 || cos->dims[0] != sin->dims[0])
		return "the angles are not those of half a head";
	if (in[POSITIONS].n != a->s) return "the positions are of other tokens";
	for (long i = 0; i < a->s; i++)
		if (a->positions[i] < 0 || a->positions[i] >= cos->dims[0]) return "a position has no angles";
	return NULL;
}

typedef struct {
	const attention_kernel *kernel;
	const attention *attention;
	const unit *units;
	size_t size; // of a unit's scratch
	pool *scratch;
	atomic_int failed;
} attention_pass;

static void attention_part(void *user, size_t i) {
	attention_pass *p = user;
	const long kv_heads = p->attention->kv_heads;
	piece *m = take(p->scratch, p->size);
	if (!m) {
		p->failed = 1;
		return;
	}
	p->kernel->unit(p->attention, &p->units[(long)i / kv_heads], (long)i % kv_heads, m->data);
	give(p->scratch, m);
}

static OrtStatus *run_attention(void *user, OrtKernelContext *ctx) {
	const attention_node *node = user;
	const table *api = node->api;
	tensor in[ATTENTION_INPUTS];
	for (size_t i = 0; i < ATTENTION_INPUTS; i++) {
		OrtStatus *s = input(api, ctx, i, &in[i]);
		if (s) return s;
	}
	const tensor *qkv = &in[QKV], *past = &in[PAST_K];
	if (qkv->rank != 3 || past->rank != 4) return wrong(api, "want queries, keys and values of 3 dimensions, and a cache of 4");
	attention a = {
		.s = qkv->dims[0] * qkv->dims[1], .rows = past->dims[0], .room = past->dims[2],
		.heads = node->heads, .kv_heads = node->kv_heads, .dim = past->dims[3], .scale = node->scale,
		.qkv = qkv->data, .cos = in[COS].data, .sin = in[SIN].data, .positions = in[POSITIONS].data,
	};
	const char *why = read_plan(&a, &in[PLAN]);
	if (!why) why = check_attention(&a, in);
	if (why) return wrong(api, why);
	tensor y = *qkv, present[2] = {*past, *past};
	y.dims[2] = a.heads * a.dim;
	OrtStatus *s = output(api, ctx, 0, &y);
	for (size_t i = 0; i < 2 && !s; i++) {
		s = output(api, ctx, 1 + i, &present[i]);
		// The caller gives both the same memory; if it does not, what is cached goes over.
		if (!s && present[i].data != in[PAST_K + i].data) memcpy(present[i].data, in[PAST_K + i].data, sizeof(float) * past->n);
	}
	if (s || !y.n) return s;
	a.keys = present[0].data, a.values = present[1].data, a.y = y.data;
	piece *m = take(node->scratch, sizeof(float) * y.n + sizeof(unit) * a.s);
	if (!m) return api->CreateStatus(no_memory, "no memory for the queries");
	a.q = (float *)m->data;
	unit *units = (unit *)(a.q + y.n);
	node->kernel->turn(&a);
	attention_pass all = {.kernel = node->kernel, .attention = &a, .units = units, .size = node->kernel->scratch(&a), .scratch = node->scratch};
	s = api->KernelContext_ParallelFor(ctx, attention_part, node->kernel->units(&a, units) * a.kv_heads, 0, &all);
	give(node->scratch, m);
	if (!s && all.failed) s = api->CreateStatus(no_memory, "no memory for the scores");
	return s;
}

// What onnxruntime asks an operator.

static const char *name(const operator *o) { return o->name; }
static const char *on_cpu(const operator *o) { return (void)o, NULL; }
static int input_type(const operator *o, size_t i) { return o->inputs[i]; }
static size_t inputs(const operator *o) { return o->n_inputs; }
static int output_type(const operator *o, size_t i) { return (void)o, (void)i, float32; }
static size_t outputs(const operator *o) { return o->n_outputs; }
static int none(const operator *o, size_t i) { return (void)o, (void)i, 0; }
static int zero(const operator *o) { return (void)o, 0; }

static const operator common = {
	.version = version, .GetName = name, .GetExecutionProviderType = on_cpu, .KernelDestroy = free,
	.GetInputType = input_type, .GetInputTypeCount = inputs, .GetOutputType = output_type, .GetOutputTypeCount = outputs,
	.GetInputCharacteristic = none, .GetOutputCharacteristic = none, // all are required
	.GetInputMemoryType = none,                                      // in the device's memory
	.GetVariadicInputMinArity = zero, .GetVariadicInputHomogeneity = zero,
	.GetVariadicOutputMinArity = zero, .GetVariadicOutputHomogeneity = zero,
};

OrtStatus *operators_add(
	operators *o, const product *const *products, size_t n, const attention_kernel *kernel, const table *api, OrtSessionOptions *options) {
	static const int rows = float32;
	pthread_mutex_init(&o->scratch.lock, NULL);
	o->product = common;
	o->product.name = "Product", o->product.CreateKernelV2 = create_product, o->product.KernelComputeV2 = run_product;
	o->product.inputs = &rows, o->product.n_inputs = 1, o->product.n_outputs = 1;
	o->product.products = products, o->product.n_products = n;
	o->attention = common;
	o->attention.name = "Attention", o->attention.CreateKernelV2 = create_attention, o->attention.KernelComputeV2 = run_attention;
	o->attention.kernel = kernel;
	o->attention.inputs = attention_inputs, o->attention.n_inputs = ATTENTION_INPUTS, o->attention.n_outputs = 3;
	o->product.scratch = o->attention.scratch = &o->scratch;
	OrtStatus *s = api->CreateCustomOpDomain("oreo", &o->domain);
	if (!s) s = api->CustomOpDomain_Add(o->domain, &o->product);
	if (!s) s = api->CustomOpDomain_Add(o->domain, &o->attention);
	if (!s) s = api->AddCustomOpDomain(options, o->domain);
	return s;
}

void operators_drop(operators *o, const table *api) {
	if (o->domain) api->ReleaseCustomOpDomain(o->domain);
	o->domain = NULL;
	for (piece *m = o->scratch.free; m;) {
		piece *next = m->next;
		free(m);
		m = next;
	}
	o->scratch.free = NULL;
	pthread_mutex_destroy(&o->scratch.lock);
}
