package torch

// #cgo CXXFLAGS: -std=c++17
// #cgo LDFLAGS: -ltorch_cpu -lc10 -lstdc++ -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// toError takes a message from malloc and frees it.
func toError(msg unsafe.Pointer) *Error {
	defer C.free(msg)
	return &Error{trim(C.GoString((*C.char)(msg)))}
}

func must(msg *C.char) {
	if msg != nil {
		panic(toError(unsafe.Pointer(msg)))
	}
}

// made wraps a handle that a shim function put out.
func made(msg *C.char, c C.tensor_p) *Tensor {
	must(msg)
	return wrap(lib.Ctensor(c))
}

func pointers(ts []*Tensor) *C.tensor_p {
	if len(ts) == 0 {
		return nil
	}
	ps := make([]C.tensor_p, len(ts)) // addresses of C memory: Go may hand them to C
	for i, t := range ts {
		ps[i] = C.tensor_p(t.c)
	}
	return &ps[0]
}

// Version of the libtorch this program was compiled against.
func Version() string { return C.GoString(C.shim_version()) }

// LibraryDir is the folder libtorch was loaded from.
func LibraryDir() string { return filepath.Dir(C.GoString(C.shim_library_path())) }

// Seed sets libtorch's generators.
func Seed(seed int64) { C.shim_manual_seed(C.int64_t(seed)) }

// SetThreads sets how many cores an operator uses.
func SetThreads(n int) { C.shim_set_threads(C.int(n)) }

// Threads is how many cores an operator uses.
func Threads() int { return int(C.shim_threads()) }

// Device is where tensors live and operators run.
type Device struct {
	CUDA  bool
	Index int // of the CUDA device
}

// CPU is the processor.
var CPU = Device{}

func (d Device) String() string {
	if d.CUDA {
		return fmt.Sprintf("cuda:%d", d.Index)
	}
	return "cpu"
}

// OpenDevice reads "auto", "cpu", "cuda" or "cuda:N". CUDA is loaded at this
// point where libtorch's CUDA parts are installed, so that a program runs
// without them; "auto" takes the first GPU if there is one.
func OpenDevice(name string) (Device, error) {
	kind, number, _ := strings.Cut(name, ":")
	index := 0
	if number != "" {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return CPU, fmt.Errorf("device %q: want auto, cpu, cuda or cuda:N", name)
		}
		index = n
	}
	switch kind {
	case "cpu":
		return CPU, nil
	case "auto", "cuda":
	default:
		return CPU, fmt.Errorf("device %q: want auto, cpu, cuda or cuda:N", name)
	}
	n, err := CUDADevices()
	switch {
	case n > index:
		return Device{CUDA: true, Index: index}, nil
	case kind == "auto":
		return CPU, nil
	case err != nil:
		return CPU, fmt.Errorf("device %q: %w", name, err)
	}
	return CPU, fmt.Errorf("device %q: %d CUDA devices are visible; see nvidia-smi and CUDA_VISIBLE_DEVICES", name, n)
}

// CUDADevices loads libtorch's CUDA parts and counts the GPUs. Without those
// parts the error says where they were looked for.
func CUDADevices() (int, error) {
	path := filepath.Join(LibraryDir(), "libtorch_cuda.so")
	if _, err := os.Stat(path); err != nil {
		return 0, fmt.Errorf("no libtorch_cuda.so in %s: this is the CPU build of libtorch; install a CUDA build of the same version (%s) and put its lib folder first in LD_LIBRARY_PATH", LibraryDir(), Version())
	}
	file := C.CString(path)
	defer C.free(unsafe.Pointer(file))
	if msg := C.shim_load(file); msg != nil {
		return 0, toError(unsafe.Pointer(msg))
	}
	return int(C.shim_cuda_devices()), nil
}

// On copies t to a device; a tensor already there is returned as another handle.
func (t *Tensor) On(d Device) *Tensor {
	var out C.tensor_p
	return made(C.shim_to_device(C.tensor_p(t.c), C.int(flag(d.CUDA)), C.int(d.Index), &out), out)
}

// RMSNorm returns x / sqrt(mean(x²) + eps) * weight over the last dimension.
func (t *Tensor) RMSNorm(weight *Tensor, eps float64) *Tensor {
	var out C.tensor_p
	msg := C.shim_rms_norm(C.tensor_p(t.c), C.tensor_p(weight.c), C.double(eps), &out)
	return made(msg, out)
}

// Attention is causal softmax(q kᵀ scale) v for q [B,H,T,D], k and v [B,K,T,D].
func Attention(q, k, v *Tensor, scale float64) *Tensor {
	var out C.tensor_p
	msg := C.shim_attention(C.tensor_p(q.c), C.tensor_p(k.c), C.tensor_p(v.c), C.double(scale), &out)
	return made(msg, out)
}

// Grad is the gradient collected so far, nil before the first.
func (t *Tensor) Grad() *Tensor {
	var out C.tensor_p
	msg := C.shim_grad(C.tensor_p(t.c), &out)
	if msg == nil && out == nil {
		return nil
	}
	return made(msg, out)
}

// SetRequiresGrad makes t a leaf that collects gradients, or stops it.
func (t *Tensor) SetRequiresGrad(on bool) {
	must(C.shim_set_requires_grad(C.tensor_p(t.c), C.int(flag(on))))
}

// ZeroGrad drops the gradients of the parameters.
func ZeroGrad(params []*Tensor) {
	must(C.shim_zero_grad(pointers(params), C.size_t(len(params))))
}

// CopyFrom overwrites the elements of t, converting and moving as needed.
func (t *Tensor) CopyFrom(src *Tensor) { must(C.shim_copy(C.tensor_p(t.c), C.tensor_p(src.c))) }

// ClipGradNorm scales all gradients so that their joint Euclidean norm is at
// most limit (no limit if 0), and returns the norm before.
func ClipGradNorm(params []*Tensor, limit float64) float64 {
	var norm C.double
	must(C.shim_clip_grad_norm(pointers(params), C.size_t(len(params)), C.double(limit), &norm))
	return float64(norm)
}

// AdamW makes step number step (from 1) of the optimizer for params with their
// moments m and v, all changed in place.
func AdamW(params, m, v []*Tensor, step int, lr, beta1, beta2, weightDecay, eps float64) {
	must(C.shim_adamw(pointers(params), pointers(m), pointers(v), C.size_t(len(params)), C.int64_t(step),
		C.double(lr), C.double(beta1), C.double(beta2), C.double(weightDecay), C.double(eps)))
}

// Autocast runs f with matrix products in bfloat16 and sums in float32, the
// parameters staying as they are (libtorch's automatic mixed precision).
func Autocast(d Device, f func()) {
	C.shim_autocast(C.int(flag(d.CUDA)), 1)
	defer C.shim_autocast(C.int(flag(d.CUDA)), 0)
	f()
}

// SelfTest multiplies two matrices on the CPU and, where there is one, on the
// first GPU, and reports what failed.
func SelfTest() error {
	devices := []Device{CPU}
	if n, err := CUDADevices(); err == nil && n > 0 {
		devices = append(devices, Device{CUDA: true})
	}
	for _, d := range devices {
		err := Scope(func() {
			x := FromFloat32([]float32{1, 2, 3, 4}, 2, 2).On(d)
			if got := x.Linear(x, nil).Float32s(); got[0] != 5 || got[3] != 25 {
				panic(&Error{fmt.Sprintf("a matrix product came out as %v", got)})
			}
		})
		if err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	return nil
}
