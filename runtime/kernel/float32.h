// The float32 kernel, for VECTORS vectors of WIDTH floats and up to NAME(rows) rows:
// included once for each kind of processor.
//
// A panel is the columns of y that these vectors hold; stream s has their weights at
// k = s, then at k = s + STREAMS, and so on. A tile is a block of rows by one panel; its
// sums stay in registers while k runs.

typedef float NAME(vector) __attribute__((vector_size(4 * WIDTH), aligned(4)));

enum { NAME(columns) = WIDTH * VECTORS, NAME(lines) = 4 * NAME(columns) / 64 };

// step adds the products at one k. It fetches some lines of weights that are read
// later, into the first cache or only the second.
static inline __attribute__((always_inline)) TARGET void NAME(step)(const int rows, const int lines, const int soon,
	NAME(vector) sum[][VECTORS], const float *x, const char *w, const char *later) {
	_Pragma("GCC unroll 3") for (int l = 0; l < lines; l++) __builtin_prefetch(later + 64 * l, 0, soon ? 3 : 2);
	NAME(vector) column[VECTORS];
	_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) column[v] = ((const NAME(vector) *)w)[v];
	_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++)
		_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++) sum[r][v] += x[r] * column[v];
}

// tile adds k steps to a tile of y, whose rows are stride floats apart; its rows of x
// lie as [k][rows].
static inline __attribute__((always_inline)) TARGET void NAME(tile)(const int rows, const int lines, const int soon,
	const float *x, const char *w, size_t apart, float *y, long stride, long k, int first, const char *later) {
	NAME(vector) sum[NAME(rows)][VECTORS];
	_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++)
		_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++)
			sum[r][v] = first ? (NAME(vector)){} : *(const NAME(vector) *)(y + r * stride + v * WIDTH);
	for (; k >= STREAMS; k -= STREAMS) {
		_Pragma("GCC unroll 8") for (int s = 0; s < STREAMS; s++)
			NAME(step)(rows, lines, soon, sum, x + s * rows, w + s * apart, later + s * apart);
		x += STREAMS * rows, w += 4 * NAME(columns), later += 64 * lines;
	}
	for (; k > 0; k--, x += rows, w += apart) NAME(step)(rows, 0, 0, sum, x, w, later);
	_Pragma("GCC unroll 9") for (int r = 0; r < rows; r++)
		_Pragma("GCC unroll 3") for (int v = 0; v < VECTORS; v++)
			*(NAME(vector) *)(y + r * stride + v * WIDTH) = sum[r][v];
}

// Weights that a block of rows alone reads next are fetched while it reads these; those
// of the panel after this one, by two blocks or the first three.
#define CASE(n) \
	case n: NAME(tile)(n, LINES, SOON, x, w, apart, y, stride, k, first, later); return;
#define TILES(name) \
	static TARGET void NAME(name)(long rows, const float *x, const char *w, size_t apart, float *y, long stride, long k, \
		int first, const char *later) { \
		switch (rows) { ROWS(CASE) } \
	}
#define SOON 1
#define LINES NAME(lines)
TILES(alone)
#undef SOON
#undef LINES
#define SOON 0
#define LINES (NAME(lines) + 1) / 2
TILES(of_two)
#undef LINES
#define LINES 1
TILES(of_many)
#undef LINES
#undef SOON
#undef TILES
#undef CASE

static size_t NAME(scratch)(const product *p, long m) { return sizeof(float) * (size_t)m * (size_t)p->k; }

static TARGET void NAME(arrange)(const product *p, long m, const float *x, char *to) {
	enum { together = 64 }; // what is written stays in the first cache
	float *rows = (float *)to;
	blocks all = blocks_of(m, NAME(rows));
	for (long b = 0; b < all.n; b++) {
		long n = height(all, b);
		for (long from = 0; from < p->k; from += together)
			for (long r = 0; r < n; r++)
				for (long i = from; i < from + together && i < p->k; i++) rows[i * n + r] = x[r * p->k + i];
		x += n * p->k, rows += n * p->k;
	}
}

// piece is so many steps, by the number of streams, that their part of a panel stays in
// the second cache while block after block of rows reads it.
enum { NAME(piece) = (512 << 10) / (4 * NAME(columns)) / STREAMS * STREAMS };

static TARGET void NAME(panels)(const product *p, long m, const char *rows, float *y, long from, long to) {
	blocks all = blocks_of(m, NAME(rows));
	float edge[NAME(rows) * NAME(columns)]; // a tile of which only some columns are y's
	for (long panel = from; panel < to; panel++) {
		const char *w = p->weights + panel * p->part;
		long column = panel * NAME(columns), width = p->n - column;
		for (long at = 0; at < p->k; at += NAME(piece)) {
			long k = p->k - at < NAME(piece) ? p->k - at : NAME(piece);
			long bytes = 64 * (k / STREAMS); // of a stream, if one line is fetched for each step
			const char *next = w + NAME(lines) * bytes;
			const float *x = (const float *)rows;
			float *out = y + column;
			for (long b = 0; b < all.n; b++) {
				long n = height(all, b), stride = p->n;
				float *tile = out;
				if (width < NAME(columns)) {
					tile = edge, stride = NAME(columns);
					for (long r = 0; at && r < n; r++) memcpy(tile + r * stride, out + r * p->n, sizeof(float) * width);
				}
				if (all.n == 1)
					NAME(alone)(n, x + at * n, w, p->apart, tile, stride, k, !at, w + NEAR);
				else if (all.n == 2)
					NAME(of_two)(n, x + at * n, w, p->apart, tile, stride, k, !at, next + b * bytes * (NAME(lines) / 2));
				else
					NAME(of_many)(n, x + at * n, w, p->apart, tile, stride, k, !at, next + b % NAME(lines) * bytes);
				for (long r = 0; tile == edge && r < n; r++) memcpy(out + r * p->n, tile + r * stride, sizeof(float) * width);
				x += n * p->k, out += n * p->n;
			}
			w = next;
		}
	}
}

static int NAME(use)(product *p) {
	p->scratch = NAME(scratch), p->arrange = NAME(arrange), p->panels = NAME(panels);
	p->columns = NAME(columns), p->streams = STREAMS;
	p->part = (p->k + STREAMS - 1) / STREAMS * sizeof(float) * NAME(columns);
	return 1;
}
