//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// environment is onnxruntime's, one per process. It lives while sessions do.
var environment struct {
	sync.Mutex
	users     int
	path      string
	ours      bool // we made it, and unmake it
	hugePages bool // of ours
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
	if err := checkVersion(onnx.GetVersion(), path); err != nil {
		if env.ours {
			err = errors.Join(err, onnx.DestroyEnvironment())
		}
		return "", err
	}
	env.users, env.path, env.hugePages = 1, path, env.ours && useHugePages(path)
	return path, nil
}

// release counts one user less; with the last goes the environment.
func release() error {
	env := &environment
	env.Lock()
	defer env.Unlock()
	env.users--
	if env.users > 0 || !env.ours {
		return nil
	}
	err := onnx.DestroyEnvironment()
	if env.hugePages {
		leftHugePages()
	}
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
		info.CUDA = appendCUDA(opts, 0)
		err = opts.Destroy()
	}
	return info, errors.Join(err, release())
}

// appendCUDA adds the CUDA provider to a session's options.
func appendCUDA(opts *onnx.SessionOptions, id int) error {
	cuda, err := onnx.NewCUDAProviderOptions()
	if err == nil {
		defer cuda.Destroy()
		if err = cuda.Update(map[string]string{"device_id": fmt.Sprint(id)}); err == nil {
			err = opts.AppendExecutionProviderCUDA(cuda)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: cuda:%d: %s; it needs the library of the onnxruntime-gpu package and a driver, or choose device cpu", ErrDevice, id, strings.TrimRight(err.Error(), "."))
	}
	return nil
}
