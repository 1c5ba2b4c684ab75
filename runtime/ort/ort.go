// Package ort runs exported graphs on onnxruntime. It is the only importer of
// the binding. A Session is an engine.Model: policy or critic, with its key/value
// cache in memory of its device, the host's or a GPU's, that the graph reads and
// writes in place.
//
// The library is loaded at run time, see Locate; nothing is linked.
package ort

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/runtime/manifest"
)

// MinVersion is the oldest library that is accepted: up to 1.27 the Attention
// operator is silently wrong for several new tokens behind a cached prefix
// (onnxruntime pull request 28958).
const MinVersion = "1.28"

// Options say where and how a graph runs.
type Options struct {
	Library string // libonnxruntime file or its folder; empty: see Locate
	Device  string // cpu (also empty), cuda, cuda:N, or auto: the GPU if there is one
	Threads int    // CPU threads of one pass; 0 is all that Go may use
	GPU     GPU
	Profile string // start of the name of a file to which Close writes the time of every operator; empty: none

	// Manifest is what the graph must agree with; nil: it is not compared.
	Manifest *manifest.Manifest

	// Plain leaves all of the graph to onnxruntime, even where package kernel is faster;
	// tests and benchmarks compare.
	Plain bool

	// DeviceCache keeps the cache as on a GPU even where the device is the CPU: in
	// memory that only onnxruntime touches. It is slower there; tests want it.
	DeviceCache bool
}

// GPU says how a GPU is used; the zero value takes what it needs.
type GPU struct {
	MemoryLimit int64 // bytes for weights, cache and passes; 0: what the device has
	Exact       bool  // memory grows by what is asked for, not in powers of two: less of it, more often
	PartlyCPU   bool  // nodes that have no kernel for the GPU run on the CPU; else they are an error
}

// Errors that callers may want to tell apart.
var (
	ErrNoLibrary = errors.New("onnxruntime not found")
	ErrDevice    = errors.New("device not usable")
	ErrGraph     = errors.New("not a graph of this project")
)

// device is a parsed Options.Device.
type device struct {
	cuda, auto bool
	id         int
}

func parseDevice(s string) (device, error) {
	switch {
	case s == "" || s == "cpu":
		return device{}, nil
	case s == "auto":
		return device{cuda: true, auto: true}, nil
	case s == "cuda":
		return device{cuda: true}, nil
	}
	if n, found := strings.CutPrefix(s, "cuda:"); found {
		if id, err := strconv.Atoi(n); err == nil && id >= 0 {
			return device{cuda: true, id: id}, nil
		}
	}
	return device{}, fmt.Errorf("%w: %q, want cpu, cuda, cuda:N or auto", ErrDevice, s)
}

func (d device) String() string {
	if d.cuda {
		return fmt.Sprintf("cuda:%d", d.id)
	}
	return "cpu"
}

// checkVersion refuses libraries older than MinVersion.
func checkVersion(version, path string) error {
	var have, want [2]int
	_, _ = fmt.Sscanf(MinVersion, "%d.%d", &want[0], &want[1]) // a constant
	if _, err := fmt.Sscanf(version, "%d.%d", &have[0], &have[1]); err != nil {
		return fmt.Errorf("%s: version %q not understood, want %s or newer", path, version, MinVersion)
	}
	if have[0] < want[0] || have[0] == want[0] && have[1] < want[1] {
		return fmt.Errorf("%s: onnxruntime %s is too old, want %s or newer: run `make setup` or point ORT_LIB to a newer one", path, version, MinVersion)
	}
	return nil
}
