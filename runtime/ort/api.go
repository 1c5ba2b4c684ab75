//go:build cgo

package ort

/*
#cgo linux LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { tableVersion = 23, fatal = 4, deviceAllocator = 0, defaultMemory = 0, elemUint8 = 2 };

static const table *api;
static OrtEnv *env;

// load finds the table of the library that is loaded from path, and returns its
// handle, or NULL and why.
static void *load(const char *path, const char **version, const char **file, const char **why) {
	void *lib = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (!lib) {
		*why = "another onnxruntime is loaded already";
		return NULL;
	}
	struct base {
		const table *(*GetApi)(uint32_t);
		const char *(*GetVersionString)(void);
	} *(*base)(void) = (struct base *(*)(void))dlsym(lib, "OrtGetApiBase");
	Dl_info info;
	api = base ? base()->GetApi(tableVersion) : NULL;
	if (!api || !dladdr((void *)base, &info)) {
		*why = "it has not the interface of version 1.23";
		dlclose(lib);
		return NULL;
	}
	*version = base()->GetVersionString();
	*file = info.dli_fname;
	return lib;
}

static const table *api_table(void) { return api; }

static const char *message(const OrtStatus *s) { return api->GetErrorMessage(s); }
static void release_status(OrtStatus *s) { api->ReleaseStatus(s); }
static OrtStatus *enter(void) { return api->CreateEnv(fatal, "oreo", &env); }
static void leave(void) { api->ReleaseEnv(env); }

static OrtStatus *run(OrtSession *s, const char *const *in_names, OrtValue **in, size_t n_in, const char *const *out_names,
	OrtValue **out, size_t n_out) {
	return api->Run(s, NULL, in_names, (const OrtValue *const *)in, n_in, out_names, n_out, out);
}

static OrtStatus *new_place(const char *name, int id, OrtMemoryInfo **out) {
	return api->CreateMemoryInfo(name, deviceAllocator, id, defaultMemory, out);
}
static void release_place(OrtMemoryInfo *p) { api->ReleaseMemoryInfo(p); }
static OrtStatus *new_allocator(OrtSession *s, const OrtMemoryInfo *p, OrtAllocator **out) { return api->CreateAllocator(s, p, out); }
static void release_allocator(OrtAllocator *a) { api->ReleaseAllocator(a); }

static OrtStatus *allocate(OrtAllocator *a, size_t bytes, uintptr_t *out) { return api->AllocatorAlloc(a, bytes, (void **)out); }
static OrtStatus *deallocate(OrtAllocator *a, uintptr_t at) { return api->AllocatorFree(a, (void *)at); }

static OrtStatus *new_value(const OrtMemoryInfo *p, uintptr_t at, size_t bytes, const int64_t *shape, size_t rank, int elem, OrtValue **out) {
	return api->CreateTensorWithDataAsOrtValue(p, (void *)at, bytes, shape, rank, elem, out);
}
static void release_value(OrtValue *v) { api->ReleaseValue(v); }

typedef struct {
	uintptr_t to, from;
	size_t bytes;
} span;

static void copy_host_spans(const span *spans, size_t n) {
	for (size_t i = 0; i < n; i++) memcpy((void *)spans[i].to, (void *)spans[i].from, spans[i].bytes);
}

// copy_spans copies n spans from and to a device, and waits for it. values has room
// for 2n.
static OrtStatus *copy_spans(const OrtMemoryInfo *to, const OrtMemoryInfo *from, const span *spans, size_t n, OrtValue **values) {
	OrtStatus *s = NULL;
	OrtValue **src = values, **dst = values + n;
	for (size_t i = 0; i < n && !s; i++) {
		int64_t bytes = (int64_t)spans[i].bytes;
		s = new_value(from, spans[i].from, bytes, &bytes, 1, elemUint8, &src[i]);
		if (!s) s = new_value(to, spans[i].to, bytes, &bytes, 1, elemUint8, &dst[i]);
	}
	if (!s) s = api->CopyTensors(env, (const OrtValue *const *)src, dst, NULL, n);
	for (size_t i = 0; i < 2 * n; i++)
		if (values[i]) api->ReleaseValue(values[i]);
	return s;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	onnx "github.com/yalue/onnxruntime_go"
)

// This file is what the Go binding lacks of onnxruntime's C interface: tensors in
// the memory of a device, copies between them, and a pass over them. Everything
// else, sessions and their options included, is the binding's.

// enterAPI finds the C interface of the library that the binding has loaded from
// path. It returns the library's own file name, what leaves its environment, and
// what lets go of the library after that.
func enterAPI(path string) (file string, leave, unload func(), err error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var version, at, why *C.char
	lib := C.load(name, &version, &at, &why)
	if lib == nil {
		return "", nil, nil, fmt.Errorf("%s: %s", path, C.GoString(why))
	}
	if v := C.GoString(version); v != onnx.GetVersion() {
		err = fmt.Errorf("%s: version %s, but %s is in use", path, v, onnx.GetVersion())
	} else {
		err = check(C.enter()) // there is one environment: this is the binding's
	}
	if err != nil {
		C.dlclose(lib)
		return "", nil, nil, err
	}
	return C.GoString(at), func() { C.leave() }, func() { C.dlclose(lib) }, nil
}

// check makes an error of a status.
func check(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	defer C.release_status(s)
	return errors.New(C.GoString(C.message(s)))
}

// call is a session of the binding, run on values of our own.
type call struct {
	session         *C.OrtSession
	inputs, outputs []*C.char // names
}

func newCall(s *onnx.DynamicAdvancedSession, inputs, outputs []string) (*call, error) {
	session, err := hidden(s, "s", "ortSession")
	if err != nil {
		return nil, err
	}
	c := &call{session: (*C.OrtSession)(session)}
	for _, name := range inputs {
		c.inputs = append(c.inputs, C.CString(name))
	}
	for _, name := range outputs {
		c.outputs = append(c.outputs, C.CString(name))
	}
	return c, nil
}

// hidden is a pointer that the binding keeps where it does not show it: in the last of
// these fields, each of what the one before points to.
func hidden(of any, fields ...string) (unsafe.Pointer, error) {
	field := reflect.ValueOf(of)
	for _, name := range fields {
		if field = reflect.Indirect(field); field.Kind() == reflect.Struct {
			field = field.FieldByName(name)
		}
		if field.Kind() != reflect.Pointer || field.IsNil() {
			return nil, fmt.Errorf("onnxruntime_go has no field %q where its version 1.27 has it", name)
		}
	}
	return field.UnsafePointer(), nil
}

// run runs a pass on a value for each name.
func (c *call) run(inputs, outputs []value) error {
	return check(C.run(c.session, &c.inputs[0], &inputs[0], C.size_t(len(inputs)), &c.outputs[0], &outputs[0], C.size_t(len(outputs))))
}

func (c *call) free() {
	for _, name := range append(c.inputs, c.outputs...) {
		C.free(unsafe.Pointer(name))
	}
	c.inputs, c.outputs = nil, nil
}

// place says in which device's memory something lies. Addresses there are numbers:
// Go must not follow them.
type place struct {
	info *C.OrtMemoryInfo
	host bool
}

const hostDevice, cudaDevice = "Cpu", "Cuda" // onnxruntime's names

func newPlace(device string, id int) (place, error) {
	text := C.CString(device)
	defer C.free(unsafe.Pointer(text))
	p := place{host: device == hostDevice}
	err := check(C.new_place(text, C.int(id), &p.info))
	return p, err
}

func (p place) free() {
	if p.info != nil {
		C.release_place(p.info)
	}
}

// value is a tensor over memory that is not its own.
type value = *C.OrtValue

func newValue(p place, at uintptr, bytes, elem int, shape []int64) (value, error) {
	var v value
	err := check(C.new_value(p.info, C.uintptr_t(at), C.size_t(bytes), (*C.int64_t)(&shape[0]), C.size_t(len(shape)), C.int(elem), &v))
	return v, err
}

func freeValue(v value) {
	if v != nil {
		C.release_value(v)
	}
}

// arena allocates memory of a session's device.
type arena struct {
	place     place
	allocator *C.OrtAllocator
}

func newArena(c *call, device string, id int) (*arena, error) {
	p, err := newPlace(device, id)
	if err != nil {
		return nil, err
	}
	a := &arena{place: p}
	if err := check(C.new_allocator(c.session, p.info, &a.allocator)); err != nil {
		p.free()
		return nil, err
	}
	return a, nil
}

func (a *arena) alloc(bytes int) (uintptr, error) {
	var at C.uintptr_t
	err := check(C.allocate(a.allocator, C.size_t(bytes), &at))
	return uintptr(at), err
}

func (a *arena) dealloc(at uintptr) error {
	if at == 0 {
		return nil
	}
	return check(C.deallocate(a.allocator, C.uintptr_t(at)))
}

// free must come after all of its memory was given back.
func (a *arena) free() {
	C.release_allocator(a.allocator)
	a.place.free()
}

// span is bytes to copy from one address to another.
type span = C.span

func newSpan(to, from uintptr, bytes int) span {
	return span{to: C.uintptr_t(to), from: C.uintptr_t(from), bytes: C.size_t(bytes)}
}

// copySpans copies spans of memory from one place to another, and waits for it.
// None may overlap another or itself.
func copySpans(to, from place, spans []span) error {
	if len(spans) == 0 {
		return nil
	}
	if to.host && from.host { // onnxruntime copies for devices alone
		C.copy_host_spans(&spans[0], C.size_t(len(spans)))
		return nil
	}
	values := make([]value, 2*len(spans))
	return check(C.copy_spans(to.info, from.info, &spans[0], C.size_t(len(spans)), &values[0]))
}

// apiTable is the table of functions of the library that is loaded.
func apiTable() unsafe.Pointer { return unsafe.Pointer(C.api_table()) }

// table is what is known of the C interface's table of functions.
type table = C.table
