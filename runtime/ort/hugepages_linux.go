//go:build cgo

package ort

/*
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

// allocator is onnxruntime's OrtAllocator as of version 1.18, and what it answers
// for Info.
typedef struct allocator {
	uint32_t version;
	void *(*Alloc)(struct allocator *, size_t);
	void (*Free)(struct allocator *, void *);
	const void *(*Info)(const struct allocator *);
	void *(*Reserve)(struct allocator *, size_t);
	void *later[2];
	const void *info;
} allocator;

// region is huge pages that blocks are cut from, one behind the other; this stands
// at its start. It is given back with the last block.
typedef struct {
	size_t size, used, blocks;
} region;

// In front of a block stands the region it is cut from, or NULL.
enum { huge_page = 2 << 20, region_size = 64 << 20, header = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static region *newest;
static int opening; // sessions

static region *new_region(size_t size) {
	char *p = mmap(NULL, size + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) return NULL;
	size_t before = -(uintptr_t)p & (huge_page - 1);
	if (before) munmap(p, before);
	p += before;
	munmap(p + size, huge_page - before);
	madvise(p, size, MADV_HUGEPAGE); // where that is refused, it is right and slower
	region *r = (region *)p;
	*r = (region){.size = size, .used = header};
	return r;
}

static void *begin(char *at, region *r) {
	*(region **)at = r;
	return at + header;
}

// allocate is for what comes and goes in a pass.
static void *allocate(allocator *a, size_t size) {
	void *at;
	if (size > SIZE_MAX / 2 || posix_memalign(&at, header, header + size)) return NULL;
	return begin(at, NULL);
}

// reserve is for what stays as long as a session, its weights; some operators ask
// it for their passes' memory too.
static void *reserve(allocator *a, size_t size) {
	if (size > SIZE_MAX / 2) return NULL;
	size_t need = header + ((size + header - 1) & -(size_t)header);
	void *p = NULL;
	pthread_mutex_lock(&lock);
	if (!opening) {
		pthread_mutex_unlock(&lock);
		return allocate(a, size);
	}
	region *r = newest;
	if (!r || need > r->size - r->used) {
		size_t whole = (header + need + huge_page - 1) & -(size_t)huge_page;
		r = new_region(whole > region_size ? whole : region_size);
		if (r && whole <= region_size) newest = r;
	}
	if (r) {
		p = begin((char *)r + r->used, r);
		r->used += need;
		r->blocks++;
	}
	pthread_mutex_unlock(&lock);
	return p;
}

static void count_opening(int more) {
	pthread_mutex_lock(&lock);
	opening += more;
	pthread_mutex_unlock(&lock);
}

static void release(allocator *a, void *p) {
	if (!p) return;
	char *at = (char *)p - header;
	region *r = *(region **)at;
	if (!r) {
		free(at);
		return;
	}
	pthread_mutex_lock(&lock);
	if (--r->blocks == 0) {
		if (r == newest) newest = NULL;
		munmap(r, r->size);
	}
	pthread_mutex_unlock(&lock);
}

static const void *info(const allocator *a) { return a->info; }

static allocator host = {18, allocate, release, info, reserve};

static allocator *host_allocator(const void *info) {
	host.info = info;
	return &host;
}
*/
import "C"

import (
	"unsafe"

	"golang.org/x/sys/unix"

	onnx "github.com/yalue/onnxruntime_go"
)

// hugeMapped is mapped memory in huge pages, if there are any.
func hugeMapped(bytes int) ([]byte, error) {
	b, err := mapped(bytes)
	if err == nil {
		_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // where that is refused, it is right and slower
	}
	return b, err
}

// useHugePages gives the environment an allocator of ours, for sessions that ask for
// the environment's. It lays weights in huge pages: a token reads all weights, and
// with pages of 4 kB the processor spends up to a fifth of that time on finding
// them. It returns what to call when the environment has ended, nil if there is
// nothing to be had.
func useHugePages() (ended func()) {
	host, err := hostPlace()
	if err != nil {
		return nil
	}
	a := unsafe.Pointer(C.host_allocator(unsafe.Pointer(host.info)))
	if err := with(onnx.RegisterAllocator, a); err != nil {
		host.free()
		return nil
	}
	return host.free
}

// openingSession says that a session begins to load its weights; what it returns,
// that it has.
func openingSession() (opened func()) {
	C.count_opening(1)
	return func() { C.count_opening(-1) }
}

// with calls f, whose parameter is a C type of the binding's that has no name here.
func with[T any](f func(*T) error, p unsafe.Pointer) error { return f((*T)(p)) }
