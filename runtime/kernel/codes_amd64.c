//go:build cgo

// The kernel for weights of 8 and 4 bits, for processors that multiply bytes and add
// four products at a time (AVX-512 VNNI).
//
// A weight is scale * (code - zero), where the weights of a block, next to each other
// in a row of W, share scale and zero. Rows of x are quantised to 8 bits with a scale
// for each block, as onnxruntime's MatMulNBits does at accuracy level 4. So for
// a block, with codes c, zero z, quantised x q and both scales s and t,
//
//	sum of s (c - z) t q = s t (sum of c q  -  z sum of q)
//
// in whole numbers but for s and t.
//
// A panel is COLUMNS columns of y. Beside the streams it has zeros, bytes
// [block][column] in whole cache lines, and scales [block][column]. Codes are bytes
// [column][4] for steps of 4 in k; of 4 bits, those of two steps share bytes, the first
// in the low halves. Each stream has one of STREAMS such rows in turn. A tile is a block
// of rows of x by one panel; its x is block after block, q [step][row][4], scales
// t [row] and minus the sums of q [row].

#include "product_amd64.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

enum { ROWS = 6, COLUMNS = 32, STREAMS = 4 };

// tile computes a tile of y, whose rows are stride floats apart. At each block it
// fetches some lines of every stream that are read later.
static inline __attribute__((always_inline)) TARGET void tile(const int rows, const int bits, const int block, const char *x,
	const char *zeros, const char *scales, const char *w, size_t apart, float *y, long stride, long n, const char *later, long lines) {
	const __m512i low = _mm512_set1_epi8(15);
	__m512 sum[ROWS][2];
	_Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
	for (long i = 0; i < n; i++) {
		for (long l = 0; l < lines; l++)
			_Pragma("GCC unroll 4") for (int s = 0; s < STREAMS; s++) __builtin_prefetch(later + 64 * l + s * apart);
		later += 64 * lines;
		const float *t = (const float *)(x + block * rows);
		const int32_t *minus = (const int32_t *)(t + rows);
		__m512i dot[ROWS][2]; // starts as -z sum of q
		__m512i z0 = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)zeros));
		__m512i z1 = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(zeros + 16)));
		_Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) {
			__m512i q = _mm512_set1_epi32(minus[r]);
			dot[r][0] = _mm512_dpwssd_epi32(_mm512_setzero_si512(), z0, q);
			dot[r][1] = _mm512_dpwssd_epi32(_mm512_setzero_si512(), z1, q);
		}
		_Pragma("GCC unroll 16") for (int step = 0; step < block / 4; step++) {
			const int row = step * bits / 8; // of codes
			const char *codes = w + row % STREAMS * apart + row / STREAMS * 4 * COLUMNS;
			__m512i c0 = _mm512_loadu_si512(codes), c1 = _mm512_loadu_si512(codes + 64);
			if (bits == 4) {
				if (step % 2) c0 = _mm512_srli_epi16(c0, 4), c1 = _mm512_srli_epi16(c1, 4);
				c0 = _mm512_and_si512(c0, low), c1 = _mm512_and_si512(c1, low);
			}
			_Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) {
				int32_t four;
				memcpy(&four, x + 4 * (step * rows + r), 4);
				__m512i q = _mm512_set1_epi32(four);
				dot[r][0] = _mm512_dpbusd_epi32(dot[r][0], c0, q);
				dot[r][1] = _mm512_dpbusd_epi32(dot[r][1], c1, q);
			}
		}
		__m512 s0 = _mm512_loadu_ps(scales), s1 = _mm512_loadu_ps(scales + 64);
		_Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) {
			__m512 ts = _mm512_set1_ps(t[r]);
			sum[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][0]), _mm512_mul_ps(s0, ts), sum[r][0]);
			sum[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][1]), _mm512_mul_ps(s1, ts), sum[r][1]);
		}
		zeros += COLUMNS, scales += 4 * COLUMNS, w += block * bits / 8 / STREAMS * COLUMNS, x += (block + 8) * rows;
	}
	_Pragma("GCC unroll 6") for (int r = 0; r < rows; r++) {
		_mm512_storeu_ps(y + r * stride, sum[r][0]);
		_mm512_storeu_ps(y + r * stride + 16, sum[r][1]);
	}
}

#define CASE(r) \
	case r: tile(r, BITS, BLOCK, x, zeros, scales, w, apart, y, stride, n, later, lines); return;
#define TILES(name) \
	static TARGET void name(long rows, const char *x, const char *zeros, const char *scales, const char *w, size_t apart, \
		float *y, long stride, long n, const char *later, long lines) { \
		switch (rows) { CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) } \
	}
#define BITS 8
#define BLOCK 64
TILES(tiles8_64)
#undef BLOCK
#define BLOCK 32
TILES(tiles8_32)
#undef BITS
#define BITS 4
TILES(tiles4_32)
#undef BITS
#undef BLOCK
#undef TILES
#undef CASE

static size_t scratch(const product *p, long m) { return (size_t)m * (size_t)(p->k / p->block * (p->block + 8)); }

// quantise writes a block of a row: 4 bytes a step, steps apart; it returns t and
// stores -sum of q. A NaN or an infinity among x makes t, and so all of the row of y,
// one too: as whole numbers they are above all others.
static inline TARGET float quantise(const float *x, long block, char *to, long apart, int32_t *minus) {
	__m512i top = _mm512_setzero_si512();
	for (long i = 0; i < block; i += 16)
		top = _mm512_max_epi32(top, _mm512_castps_si512(_mm512_abs_ps(_mm512_loadu_ps(x + i))));
	float largest = _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_set1_epi32(_mm512_reduce_max_epi32(top))));
	__m512 by = _mm512_set1_ps(largest > 0 ? 127 / largest : 0);
	__m512i sum = _mm512_setzero_si512();
	for (long i = 0; i < block; i += 16) {
		__m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), by));
		sum = _mm512_add_epi32(sum, q);
		__m128i bytes = _mm512_cvtsepi32_epi8(q);
		for (int step = 0; step < 4; step++) memcpy(to + (i / 4 + step) * apart, (const char *)&bytes + 4 * step, 4);
	}
	*minus = (uint16_t)-_mm512_reduce_add_epi32(sum); // the low half of what dpwssd takes
	return largest / 127;
}

static TARGET void arrange(const product *p, long m, const float *x, char *to) {
	blocks all = blocks_of(m, ROWS);
	for (long b = 0; b < all.n; b++) {
		long rows = height(all, b);
		for (long i = 0; i < p->k; i += p->block) {
			float *t = (float *)(to + p->block * rows);
			int32_t *minus = (int32_t *)(t + rows);
			for (long r = 0; r < rows; r++) t[r] = quantise(x + r * p->k + i, p->block, to + 4 * r, 4 * rows, &minus[r]);
			to += (p->block + 8) * rows;
		}
		x += rows * p->k;
	}
}

static size_t zeros_bytes(const product *p) { return (size_t)(p->k / p->block * COLUMNS + 63) & -(size_t)64; }

static TARGET void panels(const product *p, long m, const char *rows, float *y, long from, long to) {
	blocks all = blocks_of(m, ROWS);
	long n = p->k / p->block;
	// Weights that a block of rows alone reads next are fetched while it reads these;
	// those of the panel after this one, by all blocks or the first ones.
	long whole = (long)p->part / n / 64, lines = (whole + all.n - 1) / all.n;
	float edge[ROWS * COLUMNS]; // a tile of which only some columns are y's
	for (long panel = from; panel < to; panel++) {
		const char *zeros = p->weights + panel * p->side, *scales = zeros + zeros_bytes(p);
		const char *w = p->weights + p->sides + panel * p->part;
		const char *x = rows;
		long column = panel * COLUMNS, width = p->n - column;
		float *out = y + column;
		for (long b = 0; b < all.n; b++) {
			long high = height(all, b), stride = width < COLUMNS ? COLUMNS : p->n;
			float *tile = width < COLUMNS ? edge : out;
			const char *later = all.n == 1 ? w + NEAR : w + p->part + 64 * b * n * lines;
			long fetch = b * lines < whole ? lines : 0;
			if (p->bits == 4)
				tiles4_32(high, x, zeros, scales, w, p->apart, tile, stride, n, later, fetch);
			else if (p->block == 32)
				tiles8_32(high, x, zeros, scales, w, p->apart, tile, stride, n, later, fetch);
			else
				tiles8_64(high, x, zeros, scales, w, p->apart, tile, stride, n, later, fetch);
			for (long r = 0; tile == edge && r < high; r++) memcpy(out + r * p->n, tile + r * stride, sizeof(float) * width);
			x += high * n * (p->block + 8), out += high * p->n;
		}
	}
}

int product_codes(product *p) {
	int known = ((p->bits == 8 && (p->block == 32 || p->block == 64)) || (p->bits == 4 && p->block == 32)) && p->k % p->block == 0;
	if (!known || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512vnni"))
		return 0;
	p->scratch = scratch, p->arrange = arrange, p->panels = panels;
	p->columns = COLUMNS, p->streams = STREAMS;
	p->side = zeros_bytes(p) + p->k / p->block * sizeof(float) * COLUMNS;
	p->part = p->k * p->bits / 8 / STREAMS * COLUMNS;
	return 1;
}
