//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// environment is onnxruntime's, one per process. It lives while sessions do.
var environment struct {
	sync.Mutex
	users     int
	path      string
	ours      bool   // we made it, and unmake it
	file      string // the library's, as the loader found it
	leave     func() // the library's environment
	unload    func() // the library
	cuda      bool   // the CUDA provider's library is registered
	hugePages func() // undoes useHugePages; nil if weights do not lie in them
}

// acquire loads the library if need be, counts one more user and returns the
// library's path.
func acquire(library string) (string, error) {
	path, err := Locate(library)
	if err != nil {
		return "", err
	}
	env := &environment
	env.Lock()
	defer env.Unlock()
	switch {
	case env.users > 0 && library != "" && path != env.path:
		return "", fmt.Errorf("load %s: a process has one onnxruntime, and %s is in use", path, env.path)
	case env.users > 0:
		env.users++
		return env.path, nil
	}
	env.ours = !onnx.IsInitialized() // the program around us may use onnxruntime itself
	if env.ours {
		onnx.SetSharedLibraryPath(path)
		// Errors come back as values; nothing is to appear on stderr.
		if err := onnx.InitializeEnvironment(onnx.WithLogLevelFatal()); err != nil {
			return "", notFound(path, err)
		}
	}
	err = checkVersion(onnx.GetVersion(), path)
	if err == nil {
		env.file, env.leave, env.unload, err = enterAPI(path)
	}
	if err != nil {
		if env.ours {
			err = errors.Join(err, onnx.DestroyEnvironment())
		}
		return "", err
	}
	if env.users, env.path = 1, path; env.ours {
		env.hugePages = useHugePages()
	}
	return path, nil
}

// release counts one user less; with the last goes the environment.
func release() error {
	env := &environment
	env.Lock()
	defer env.Unlock()
	env.users--
	if env.users > 0 {
		return nil
	}
	var err error
	if env.cuda {
		err = onnx.UnregisterExecutionProviderLibrary(cudaProvider)
		env.cuda = false
	}
	env.leave()
	if env.ours {
		err = errors.Join(err, onnx.DestroyEnvironment())
	}
	if env.hugePages != nil {
		env.hugePages()
		env.hugePages = nil
	}
	env.unload()
	return err
}

// Info describes the library that Open would use.
type Info struct {
	Path    string
	Version string
	CUDA    error // nil if a CUDA session can be asked for
}

// Probe loads the library and tells what it is.
func Probe(library string) (Info, error) {
	path, err := acquire(library)
	if err != nil {
		return Info{}, err
	}
	info := Info{Path: path, Version: onnx.GetVersion()}
	opts, err := onnx.NewSessionOptions()
	if err == nil {
		info.CUDA = appendCUDA(opts, 0, GPU{})
		err = opts.Destroy()
	}
	return info, errors.Join(err, release())
}

const (
	cudaProvider = "CUDAExecutionProvider"
	cudaLibrary  = "libonnxruntime_providers_cuda.so"
)

// appendCUDA adds the CUDA provider to a session's options.
func appendCUDA(opts *onnx.SessionOptions, id int, gpu GPU) error {
	err := registerCUDA()
	var cuda *onnx.CUDAProviderOptions
	if err == nil {
		cuda, err = onnx.NewCUDAProviderOptions()
	}
	if err == nil {
		defer cuda.Destroy()
		err = cuda.Update(gpu.options(id))
	}
	if err == nil {
		err = opts.AppendExecutionProviderCUDA(cuda)
	}
	if err == nil && !gpu.PartlyCPU {
		err = opts.AddSessionConfigEntry("session.disable_cpu_ep_fallback", "1")
	}
	if err != nil {
		return fmt.Errorf("%w: cuda:%d: %w", ErrDevice, id, err)
	}
	return nil
}

// registerCUDA registers the provider's library, once: a session would load it by
// itself, but only what is registered copies tensors outside of sessions.
func registerCUDA() error {
	env := &environment
	env.Lock()
	defer env.Unlock()
	if env.cuda {
		return nil
	}
	path := filepath.Join(filepath.Dir(env.file), cudaLibrary)
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s is the CPU's onnxruntime, without %s beside it: point ORT_LIB to that of the package onnxruntime-gpu, or choose device cpu", env.file, cudaLibrary)
	}
	if err := onnx.RegisterExecutionProviderLibrary(cudaProvider, path); err != nil {
		return fmt.Errorf("%w: put CUDA's libraries where the loader finds them (LD_LIBRARY_PATH), install a driver, or choose device cpu", err)
	}
	env.cuda = true
	return nil
}

// options are the provider's.
func (g GPU) options(id int) map[string]string {
	o := map[string]string{
		"device_id": fmt.Sprint(id),
		"use_tf32":  "0", // who exports float32 wants float32
	}
	if g.MemoryLimit > 0 {
		o["gpu_mem_limit"] = fmt.Sprint(g.MemoryLimit)
	}
	if g.Exact {
		o["arena_extend_strategy"] = "kSameAsRequested"
	}
	return o
}
