//go:build cgo

// Attention over a cache that branches of a prefix may share (AVX-512).
//
// A token reads the slots of its path alone, in ascending order, the order of its
// tokens; slots of other branches cost nothing. Its sums are added up in that order
// whatever is computed beside it. The tokens of a unit have the beginning of their
// paths in common, which is read once for all of them.

#include "attention.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define INLINE static inline __attribute__((always_inline)) TARGET

// TOKENS are those of a unit; TOGETHER the rows of queries that read a value at once;
// CHUNK the slots whose keys or values stay in the first cache while all rows read them.
enum { WIDTH = 16, TOKENS = 16, TOGETHER = 3, CHUNK = 64, MOST_DIM = 256 };

// turned is head x at a position: its halves are the coordinates of points in planes
// that turn by the angles whose cosines and sines are given.
static void turned(const float *x, const float *cos, const float *sin, long half, float scale, float *to) {
	for (long i = 0; i < half; i++) {
		float u = x[i], v = x[half + i];
		to[i] = scale * (u * cos[i] - v * sin[i]);
		to[half + i] = scale * (v * cos[i] + u * sin[i]);
	}
}

static void turn(const attention *a) {
	const long d = a->dim, half = d / 2;
	long token = 0;
	for (const segment *g = a->segments; g < a->segments + a->n_segments; g++) {
		for (long i = 0; i < g->n; i++, token++) {
			const float *x = a->qkv + token * (a->heads + 2 * a->kv_heads) * d;
			const float *cos = a->cos + a->positions[token] * half, *sin = a->sin + a->positions[token] * half;
			for (long h = 0; h < a->heads; h++, x += d) turned(x, cos, sin, half, a->scale, a->q + (token * a->heads + h) * d);
			for (long h = 0; h < a->kv_heads; h++, x += d) {
				const size_t at = ((g->row * a->kv_heads + h) * a->room + g->write + i) * (size_t)d;
				turned(x, cos, sin, half, 1, a->keys + at);
				memcpy(a->values + at, x + a->kv_heads * d, sizeof(float) * d);
			}
		}
	}
}

static long units(const attention *a, unit *to) {
	long n = 0, token = 0;
	int32_t row = -1;
	for (long g = 0; g < a->n_segments; g++) {
		for (int32_t i = 0; i < a->segments[g].n; i++, token++) {
			if (a->segments[g].row != row || to[n - 1].n == TOKENS) to[n++] = (unit){(int32_t)token, 0, (int32_t)g, i};
			row = a->segments[g].row;
			to[n - 1].n++;
		}
	}
	return n;
}

// sums are the sums of 16 vectors, as a vector.
INLINE __m512 sums(__m512 v[16]) {
	// Halves of neighbours side by side, four times: each round adds up half of what is left.
	__m512 a[8], b[4];
	_Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
		a[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
	_Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
		__m512d lo = _mm512_unpacklo_pd(_mm512_castps_pd(a[2 * i]), _mm512_castps_pd(a[2 * i + 1]));
		__m512d hi = _mm512_unpackhi_pd(_mm512_castps_pd(a[2 * i]), _mm512_castps_pd(a[2 * i + 1]));
		b[i] = _mm512_add_ps(_mm512_castpd_ps(lo), _mm512_castpd_ps(hi)); // lane l: 4 sums of its quarter
	}
	__m512 c0 = _mm512_add_ps(_mm512_shuffle_f32x4(b[0], b[1], 0x88), _mm512_shuffle_f32x4(b[0], b[1], 0xdd));
	__m512 c1 = _mm512_add_ps(_mm512_shuffle_f32x4(b[2], b[3], 0x88), _mm512_shuffle_f32x4(b[2], b[3], 0xdd));
	return _mm512_add_ps(_mm512_shuffle_f32x4(c0, c1, 0x88), _mm512_shuffle_f32x4(c0, c1, 0xdd));
}

// power is e^x for x <= 0, within 2 units in the last place: 2^n times a polynomial of
// what is left, |r| <= ln 2 / 2 (Taylor, degree 7).
INLINE __m512 power(__m512 x) {
	x = _mm512_max_ps(_mm512_set1_ps(-104), x); // below is 0; of a NaN the second operand stays
	__m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
	__m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x); // ln 2 in two parts
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
	__m512 p = _mm512_set1_ps(1.f / 5040);
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 720));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 120));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 24));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 6));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(.5f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
	return _mm512_scalef_ps(p, n);
}

// score writes q . k for the keys at n slots. What it writes is rounded up to WIDTH.
INLINE void score(const int vectors, const float *q, const float *keys, long dim, const int32_t *slots, long n, float *to) {
	for (long i = 0; i < n; i += WIDTH) {
		__m512 all[WIDTH];
		_Pragma("GCC unroll 16") for (int j = 0; j < WIDTH; j++) {
			const float *k = keys + slots[i + j] * dim; // behind the last slot stand others
			__m512 sum = _mm512_mul_ps(_mm512_loadu_ps(q), _mm512_loadu_ps(k));
			if (vectors)
				_Pragma("GCC unroll 8") for (int v = 1; v < vectors; v++)
					sum = _mm512_fmadd_ps(_mm512_loadu_ps(q + WIDTH * v), _mm512_loadu_ps(k + WIDTH * v), sum);
			else
				for (long v = WIDTH; v < dim; v += WIDTH) sum = _mm512_fmadd_ps(_mm512_loadu_ps(q + v), _mm512_loadu_ps(k + v), sum);
			all[j] = sum;
		}
		_mm512_storeu_ps(to + i, sums(all));
	}
}

// mix adds the values at n slots, in the proportions p of each of rows rows, to y
// [rows][dim]. p rows are apart floats from each other.
INLINE void mix(const int vectors, const int rows, const float *p, long apart, const float *values, long dim, const int32_t *slots,
	long n, float *y) {
	__m512 sum[TOGETHER][8];
	_Pragma("GCC unroll 3") for (int r = 0; r < rows; r++)
		_Pragma("GCC unroll 8") for (int v = 0; v < vectors; v++) sum[r][v] = _mm512_loadu_ps(y + r * dim + WIDTH * v);
	for (long i = 0; i < n; i++) {
		const float *value = values + slots[i] * dim;
		_Pragma("GCC unroll 8") for (int v = 0; v < vectors; v++) {
			__m512 x = _mm512_loadu_ps(value + WIDTH * v);
			_Pragma("GCC unroll 3") for (int r = 0; r < rows; r++) sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(p[r * apart + i]), x, sum[r][v]);
		}
	}
	_Pragma("GCC unroll 3") for (int r = 0; r < rows; r++)
		_Pragma("GCC unroll 8") for (int v = 0; v < vectors; v++) _mm512_storeu_ps(y + r * dim + WIDTH * v, sum[r][v]);
}

// mix_any is mix for heads of any size, a vector of them at a time.
INLINE void mix_any(const int rows, const float *p, long apart, const float *values, long dim, const int32_t *slots, long n, float *y) {
	for (long v = 0; v < dim; v += WIDTH) {
		for (int r = 0; r < rows; r++) {
			__m512 sum = _mm512_loadu_ps(y + r * dim + v);
			for (long i = 0; i < n; i++)
				sum = _mm512_fmadd_ps(_mm512_set1_ps(p[r * apart + i]), _mm512_loadu_ps(values + slots[i] * dim + v), sum);
			_mm512_storeu_ps(y + r * dim + v, sum);
		}
	}
}

static TARGET void scores(const float *q, const float *keys, long dim, const int32_t *slots, long n, float *to) {
	switch (dim) {
	case 64: score(4, q, keys, dim, slots, n, to); return;
	case 128: score(8, q, keys, dim, slots, n, to); return;
	default: score(0, q, keys, dim, slots, n, to);
	}
}

static TARGET void mixture(long rows, const float *p, long apart, const float *values, long dim, const int32_t *slots, long n, float *y) {
	for (; rows > 0; rows -= TOGETHER, p += TOGETHER * apart, y += TOGETHER * dim) {
		int some = rows < TOGETHER ? (int)rows : TOGETHER;
#define CASE(vectors, r) \
	case 16 * vectors + r: mix(vectors, r, p, apart, values, dim, slots, n, y); break;
		switch (dim / WIDTH * 16 + some) {
			CASE(4, 1) CASE(4, 2) CASE(4, 3) CASE(8, 1) CASE(8, 2) CASE(8, 3)
		default: mix_any(some, p, apart, values, dim, slots, n, y);
		}
#undef CASE
	}
}

// block_of is which of WIDTH numbers from one on are below end.
static inline __mmask16 block_of(long from, long end) { return end - from < WIDTH ? (__mmask16)((1u << (end - from)) - 1) : 0xffff; }

// exponents turns n scores into e to what they have over the largest, and returns the
// sum of these. What lies behind n, up to WIDTH, becomes 0.
static TARGET float exponents(float *p, long n) {
	__m512 top = _mm512_set1_ps(-INFINITY);
	for (long i = 0; i < n; i += WIDTH) {
		__mmask16 in = block_of(i, n);
		top = _mm512_max_ps(top, _mm512_mask_loadu_ps(_mm512_set1_ps(-INFINITY), in, p + i));
	}
	__m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(top)), sum = _mm512_setzero_ps();
	for (long i = 0; i < n; i += WIDTH) {
		__mmask16 in = block_of(i, n);
		__m512 e = _mm512_maskz_mov_ps(in, power(_mm512_sub_ps(_mm512_loadu_ps(p + i), largest)));
		sum = _mm512_add_ps(sum, e);
		_mm512_storeu_ps(p + i, e);
	}
	return _mm512_reduce_add_ps(sum);
}

// room_of is the room for a list of n slots, or their scores, that is read in vectors.
static long room_of(long n) { return (n + 2 * WIDTH) / WIDTH * WIDTH; }

// A unit has a list of slots for each token, scores and y for each row of queries, and
// the sums of the scores.
static size_t scratch_size(const attention *a) {
	const long rows = TOKENS * (a->heads / a->kv_heads), room = room_of(a->longest);
	return sizeof(int32_t) * room * TOKENS + sizeof(float) * rows * (room + a->dim + 1);
}

// list writes the slots that token i of a segment sees, and returns their number.
static long list(const attention *a, const segment *g, long i, int32_t *to) {
	if (g->at < 0)
		for (int32_t slot = 0; slot < g->path; slot++) to[slot] = slot;
	else
		memcpy(to, a->slots + g->at, sizeof(int32_t) * g->path);
	long n = g->path;
	for (long j = 0; j <= i; j++) to[n++] = (int32_t)(g->write + j);
	for (long j = 0; j < WIDTH; j++) to[n + j] = to[n - 1]; // what is read in vectors
	return n;
}

// same is how many of n numbers x and y begin with alike. Both may be read in vectors.
INLINE long same(const int32_t *x, const int32_t *y, long n) {
	for (long i = 0; i < n; i += WIDTH) {
		__mmask16 other = _mm512_cmpneq_epi32_mask(_mm512_loadu_si512(x + i), _mm512_loadu_si512(y + i));
		if (other && i + __builtin_ctz(other) < n) return i + __builtin_ctz(other);
	}
	return n;
}

static TARGET void compute(const attention *a, const unit *u, long kv, void *scratch) {
	const long d = a->dim, group = a->heads / a->kv_heads, rows = u->n * group, room = room_of(a->longest);
	const segment *g = a->segments + u->segment;
	const float *keys = a->keys + (g->row * a->kv_heads + kv) * a->room * (size_t)d;
	const float *values = a->values + (g->row * a->kv_heads + kv) * a->room * (size_t)d;
	int32_t *slots = scratch;                                                             // [tokens][room]
	float *p = (float *)(slots + u->n * room), *y = p + rows * room, *whole = y + rows * d; // [rows][room], [rows][d], [rows]
	memset(y, 0, sizeof(float) * rows * d);

	long n[TOKENS], common = 0; // slots that a token sees, and that all see
	for (long t = 0, i = u->within; t < u->n; t++, i++) {
		for (; i == g->n; g++) i = 0;
		n[t] = list(a, g, i, slots + t * room);
		common = t ? same(slots, slots + t * room, common < n[t] ? common : n[t]) : n[0];
	}
#define Q(r) (a->q + ((u->token + (r) / group) * a->heads + kv * group + (r) % group) * d)
	for (long from = 0; from < common; from += CHUNK)
		for (long r = 0; r < rows; r++) scores(Q(r), keys, d, slots + from, common - from < CHUNK ? common - from : CHUNK, p + r * room + from);
	for (long r = 0; r < rows; r++) {
		const long t = r / group;
		scores(Q(r), keys, d, slots + t * room + common, n[t] - common, p + r * room + common);
		whole[r] = exponents(p + r * room, n[t]);
	}
#undef Q
	for (long from = 0; from < common; from += CHUNK)
		mixture(rows, p + from, room, values, d, slots + from, common - from < CHUNK ? common - from : CHUNK, y);
	for (long t = 0; t < u->n; t++) {
		const long r = t * group;
		mixture(group, p + r * room + common, room, values, d, slots + t * room + common, n[t] - common, y + r * d);
		float *to = a->y + ((u->token + t) * a->heads + kv * group) * d;
		for (long i = 0; i < group * d; i++) to[i] = y[r * d + i] / whole[r + i / d];
	}
}

const attention_kernel *attention_for(long dim) {
	static const attention_kernel kernel = {turn, units, scratch_size, compute};
	int can = dim > 0 && dim % WIDTH == 0 && dim <= MOST_DIM && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
	return can ? &kernel : NULL;
}
