// What kernels share with Go, and with the operator of package ort that calls them.

#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct product product;

// product is y [m, n] = x [m, k] W^T for weights W [n, k]. For rows x it is arrange
// once, and then panels for all of them, in any order and by any threads.
struct product {
	long n, k;
	long bits, block; // 32 bits are floats; 8 and 4 codes, in blocks that share scale and zero
	const char *weights;

	// scratch is the bytes that arrange writes for m rows.
	size_t (*scratch)(const product *, long m);
	// arrange writes rows as panels reads them.
	void (*arrange)(const product *, long m, const float *x, char *rows);
	// panels computes panels [from, to) of count, each of so many columns of y.
	void (*panels)(const product *, long m, const char *rows, float *y, long from, long to);
	long columns, count;

	// Weights lie in streams that are read side by side, since a processor fetches more
	// of several than of one: a panel has a part of each, behind that of the panel before
	// it. Streams start apart bytes from each other, after sides: what a panel has beside
	// them. All are bytes.
	long streams;
	size_t sides, side, apart, part, bytes;
};

// product_init chooses the kernel for n, k, bits and block, and returns 0 if this processor
// has none.
int product_init(product *p);
