//go:build cgo

package main

/*
#cgo CFLAGS: -O2
// CHAINS multiply-adds do not wait for each other: more than latency times units.
enum { CHAINS = 12 };

// FMA defines a function of n rounds of CHAINS multiply-adds of vectors.
#define FMA(name, attributes, width) \
	attributes static float name(long n) { \
		typedef float vector __attribute__((vector_size(width))); \
		vector sum[CHAINS] = {}, x = {}, y = {}; \
		x += 0.999f, y += 0.5f; \
		for (long i = 0; i < n; i++) \
			_Pragma("GCC unroll 12") for (int k = 0; k < CHAINS; k++) sum[k] = sum[k] * x + y; \
		for (int k = 1; k < CHAINS; k++) sum[0] += sum[k]; \
		return sum[0][0]; \
	}

// STREAMS are read side by side: a processor fetches more of several than of one.
enum { STREAMS = 8 };

// READ defines a function that reads n bytes, a multiple of STREAMS times 64, at a
// multiple of width.
#define READ(name, attributes, width) \
	attributes static int name(const char *p, long n) { \
		typedef int vector __attribute__((vector_size(width))); \
		vector any[STREAMS] = {}; \
		for (long i = 0; i < n / STREAMS; i += 64) \
			for (int s = 0; s < STREAMS; s++) \
				_Pragma("GCC unroll 4") for (int k = 0; k < 64 / width; k++) \
					any[s] |= ((const vector *)(p + s * (n / STREAMS) + i))[k]; \
		for (int s = 1; s < STREAMS; s++) any[0] |= any[s]; \
		return any[0][0]; \
	}

static volatile float sink;

#if defined(__x86_64__)
FMA(fma64, __attribute__((target("avx512f"))), 64)
FMA(fma32, __attribute__((target("avx2,fma"))), 32)
READ(read64, __attribute__((target("avx512f"))), 64)
READ(read32, __attribute__((target("avx2"))), 32)

// The sums are of whatever is in the registers. (Of intrinsics gcc 12 makes moves.)
#define DOT(k) "vpdpbusd %%zmm0, %%zmm1, %%zmm" #k "\n\t"
static void dot64(long n) {
	for (long i = 0; i < n; i++)
		__asm__ volatile(DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10) DOT(11) DOT(12) DOT(13)
			::: "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13");
}
#endif
FMA(fma16, , 16)
READ(read16, , 16)

// multiply_floats runs n rounds on the widest vectors there are, and returns the
// operations of one.
static long multiply_floats(long n) {
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f")) return sink = fma64(n), 2 * CHAINS * 16;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return sink = fma32(n), 2 * CHAINS * 8;
#endif
	return sink = fma16(n), 2 * CHAINS * 4;
}

// multiply_bytes is the same on products of bytes that are added up to 32 bits; 0
// where the processor has no instruction for them that is known here.
static long multiply_bytes(long n) {
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512vnni")) return dot64(n), 2 * CHAINS * 64;
#endif
	return 0;
}

static void read_all(const char *p, long n) {
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f")) {
		sink = read64(p, n);
		return;
	}
	if (__builtin_cpu_supports("avx2")) {
		sink = read32(p, n);
		return;
	}
#endif
	sink = read16(p, n);
}
*/
import "C"

import "unsafe"

// read reads whole pages of memory.
func read(data []byte) { C.read_all((*C.char)(unsafe.Pointer(&data[0])), C.long(len(data))) }

// peaks are what one thread multiplies and adds at most, in operations per CPU
// second: of floats, and of bytes, 0 if that is not known.
func peaks() (floats, bytes float64) {
	return fastest(func(n int) int { return int(C.multiply_floats(C.long(n))) }),
		fastest(func(n int) int { return int(C.multiply_bytes(C.long(n))) })
}

// fastest is the best of some runs of rounds that tell the operations of one.
func fastest(run func(rounds int) (operations int)) (best float64) {
	const rounds = 20_000_000 // 50 ms and more
	for range 5 {
		start := cpuTime()
		operations := run(rounds)
		best = max(best, float64(operations)*rounds/(cpuTime()-start))
	}
	return best
}
