//go:build cgo

#include "product_amd64.h"

#include <string.h>

enum { STREAMS = 8 };

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(what) JOIN(what, KIND)

#define KIND avx512
#define TARGET __attribute__((target("avx512f")))
#define WIDTH 16
#define VECTORS 3
enum { NAME(rows) = 9 };
#define ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9)
#include "float32.h"
#undef KIND
#undef TARGET
#undef WIDTH
#undef VECTORS
#undef ROWS

#define KIND avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define VECTORS 2
enum { NAME(rows) = 6 };
#define ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#include "float32.h"

int product_floats(product *p) {
	if (p->width >= 512 && __builtin_cpu_supports("avx512f")) return use_avx512(p);
	if (p->width >= 256 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return use_avx2(p);
	return 0;
}
