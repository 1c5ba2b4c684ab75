//go:build cgo

#include "product_amd64.h"

int product_init(product *p) {
	if (!(p->bits == 32 ? product_floats(p) : product_codes(p))) return 0;
	enum { page = 4096, shift = 576 };
	p->count = (p->n + p->columns - 1) / p->columns;
	p->sides = p->count * p->side;
	// Streams that start at the same place of a page would share the caches' sets.
	p->apart = ((p->count * p->part + page - 1) & -(size_t)page) + shift;
	p->bytes = p->sides + p->streams * p->apart;
	return 1;
}
