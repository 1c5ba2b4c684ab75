#pragma once

#include "product.h"

// product_floats and product_codes set what product_init leaves to one kind of weights:
// the functions, columns, streams, side and part. They return 0 if there is no kernel.
int product_floats(product *p);
int product_codes(product *p);

// NEAR is how far ahead of where a stream is read, in bytes, it is fetched.
enum { NEAR = 2048 };

// blocks are m rows in as few blocks of up to most as there can be, all as high or one
// row lower.
typedef struct {
	long n, low, higher; // low rows each, one more in the first higher blocks
} blocks;

static inline blocks blocks_of(long m, long most) {
	long n = (m + most - 1) / most;
	return (blocks){n, m / n, m % n};
}

static inline long height(blocks all, long i) { return all.low + (i < all.higher); }
