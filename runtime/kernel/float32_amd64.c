//go:build cgo

// The kernel for float32 weights (AVX-512).
//
// A panel is COLUMNS columns of y; stream s has their weights at k = s, then at
// k = s + STREAMS, and so on. A tile is a block of up to ROWS rows by one panel; its sums
// stay in registers while k runs.

#include "product_amd64.h"

#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { WIDTH = 16, VECTORS = 3, COLUMNS = WIDTH * VECTORS, LINES = VECTORS, ROWS = 9, STREAMS = 8 };

// step adds the products at one k. It fetches some lines of weights that are read
// later, into the first cache if that is soon, else the second.
INLINE void step(const int rows, const int lines, const int soon, __m512 sum[][VECTORS], const float *x, const char *w, const char *later) {
	_Pragma("GCC unroll 3") for (int l = 0; l < lines; l++) __builtin_prefetch(later + 64 * l, 0, soon ? 3 : 2);
	__m512 column[VECTORS];
	_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) column[v] = _mm512_loadu_ps(w + 64 * v);
	_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++) {
		__m512 all = _mm512_set1_ps(x[r]);
		_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) sum[r][v] = _mm512_fmadd_ps(all, column[v], sum[r][v]);
	}
}

// CHAIN is how many products are added up one after the other; their sums are then added
// to those before them. So rounding errors do not grow with k, but with k / CHAIN.
enum { CHAIN = 128 };

// tile adds k steps to a tile of y, whose rows are stride floats apart, or begins it; its
// rows of x lie as [k][rows].
INLINE void tile(const int rows, const int lines, const int soon, const float *x, const char *w, size_t apart, float *y, long stride,
	long k, int begin, const char *later) {
	for (; k > 0; k -= CHAIN, begin = 0) {
		__m512 sum[ROWS][VECTORS];
		_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++)
			_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) sum[r][v] = _mm512_setzero_ps();
		long left = k < CHAIN ? k : CHAIN;
		for (; left >= STREAMS; left -= STREAMS) {
			_Pragma("GCC unroll 8") for (int s = 0; s < STREAMS; s++)
				step(rows, lines, soon, sum, x + s * rows, w + s * apart, later + s * apart);
			x += STREAMS * rows, w += 4 * COLUMNS, later += 64 * lines;
		}
		for (; left > 0; left--, x += rows, w += apart) step(rows, 0, 0, sum, x, w, later);
		_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++) {
			_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) {
				float *at = y + r * stride + v * WIDTH;
				_mm512_storeu_ps(at, begin ? sum[r][v] : _mm512_add_ps(_mm512_loadu_ps(at), sum[r][v]));
			}
		}
	}
}

// Weights that a block of rows alone reads next are fetched while it reads these; those
// of the panel after this one, by two blocks or the first three.
#define CASE(n, lines, soon) \
	case n: tile(n, lines, soon, x, w, apart, y, stride, k, begin, later); return;
#define TILES(name, lines, soon) \
	static TARGET void name( \
		long rows, const float *x, const char *w, size_t apart, float *y, long stride, long k, int begin, const char *later) { \
		switch (rows) { \
			CASE(1, lines, soon) CASE(2, lines, soon) CASE(3, lines, soon) CASE(4, lines, soon) CASE(5, lines, soon) \
			CASE(6, lines, soon) CASE(7, lines, soon) CASE(8, lines, soon) CASE(9, lines, soon) \
		} \
	}
TILES(of_one, LINES, 1)
TILES(of_two, (LINES + 1) / 2, 0)
TILES(of_many, 1, 0)

static size_t scratch(const product *p, long m) { return sizeof(float) * (size_t)m * (size_t)p->k; }

static void arrange(const product *p, long m, const float *x, char *to) {
	enum { together = 64 }; // what is written stays in the first cache
	float *rows = (float *)to;
	blocks all = blocks_of(m, ROWS);
	for (long b = 0; b < all.n; b++) {
		long n = height(all, b);
		for (long from = 0; from < p->k; from += together)
			for (long r = 0; r < n; r++)
				for (long i = from; i < from + together && i < p->k; i++) rows[i * n + r] = x[r * p->k + i];
		x += n * p->k, rows += n * p->k;
	}
}

// PIECE is so many steps that their part of a panel stays in the second cache while
// block after block of rows reads it.
enum { PIECE = (512 << 10) / (4 * COLUMNS) / STREAMS * STREAMS };

static void panels(const product *p, long m, const char *rows, float *y, long from, long to) {
	blocks all = blocks_of(m, ROWS);
	float edge[ROWS * COLUMNS]; // a tile of which only some columns are y's
	for (long panel = from; panel < to; panel++) {
		const char *w = p->weights + panel * p->part;
		long column = panel * COLUMNS, width = p->n - column;
		for (long at = 0; at < p->k; at += PIECE) {
			long k = p->k - at < PIECE ? p->k - at : PIECE;
			long bytes = 64 * (k / STREAMS); // of a stream, if one line is fetched for each step
			const char *next = w + LINES * bytes;
			const float *x = (const float *)rows;
			float *out = y + column;
			for (long b = 0; b < all.n; b++) {
				long n = height(all, b), stride = p->n;
				float *tile = out;
				if (width < COLUMNS) {
					tile = edge, stride = COLUMNS;
					for (long r = 0; at && r < n; r++) memcpy(tile + r * stride, out + r * p->n, sizeof(float) * width);
				}
				if (all.n == 1)
					of_one(n, x + at * n, w, p->apart, tile, stride, k, !at, w + NEAR);
				else if (all.n == 2)
					of_two(n, x + at * n, w, p->apart, tile, stride, k, !at, next + b * bytes * (LINES / 2));
				else
					of_many(n, x + at * n, w, p->apart, tile, stride, k, !at, next + b % LINES * bytes);
				for (long r = 0; tile == edge && r < n; r++) memcpy(out + r * p->n, tile + r * stride, sizeof(float) * width);
				x += n * p->k, out += n * p->n;
			}
			w = next;
		}
	}
}

int product_floats(product *p) {
	if (!__builtin_cpu_supports("avx512f")) return 0;
	p->scratch = scratch, p->arrange = arrange, p->panels = panels;
	p->columns = COLUMNS, p->streams = STREAMS;
	p->part = (p->k + STREAMS - 1) / STREAMS * sizeof(float) * COLUMNS;
	return 1;
}
