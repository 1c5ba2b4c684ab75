// The attention kernel, for the operator of package ort that calls it.

#pragma once

#include <stddef.h>
#include <stdint.h>

// segment is n new tokens of a row of the cache, one behind the other. Their keys and
// values go to its slots from write on. They see the slots of their path, and those of
// the segment up to their own.
typedef struct {
	int32_t row, write, n;
	int32_t path; // number of slots
	int32_t at;   // where they begin in the list of all; -1: they are 0, 1, 2, ...
} segment;

// unit is some tokens of a row that are computed together: n from token on, which is
// number within of a segment.
typedef struct {
	int32_t token, n, segment, within;
} unit;

// attention is one layer's attention of s new tokens over a cache that the branches of
// a tree may share. A pass is turn and units once, and then unit for each unit and head
// of keys, in any order and by any threads.
typedef struct {
	long s, rows, room; // new tokens; rows of the cache, and slots of each
	long heads, kv_heads, dim;
	float scale;
	const float *qkv;         // [s, (heads + 2 kv_heads) dim]
	float *keys, *values;     // [rows, kv_heads, room, dim]
	const segment *segments;  // of all s tokens, in order
	const int32_t *slots;     // of their paths, ascending
	long n_segments, n_slots;
	long longest;             // the most slots that a token sees
	const float *cos, *sin;   // [position, dim / 2]
	const int64_t *positions; // [s]
	float *q;                 // [s, heads, dim]: room for the queries, turned
	float *y;                 // [s, heads dim]
} attention;

// attention_kernel computes it.
typedef struct {
	// turn turns the new queries and keys by the angles of their positions, and writes keys
	// and values to the cache.
	void (*turn)(const attention *a);
	// units divides the tokens into units, at most s, and returns their number.
	long (*units)(const attention *a, unit *units);
	// scratch is the bytes that a unit needs.
	size_t (*scratch)(const attention *a);
	// unit computes y of a unit, of the heads that read keys number kv.
	void (*unit)(const attention *a, const unit *u, long kv, void *scratch);
} attention_kernel;

// attention_for is the kernel for heads of that size, NULL if this processor has none.
const attention_kernel *attention_for(long dim);
