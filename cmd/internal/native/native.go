// Package native finds, fetches and describes the two native libraries: libtorch
// for training and onnxruntime for serving. `make setup` runs it. It needs
// neither library itself.
package native

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/google/renameio/v2"
)

// Library is one native library on this machine.
type Library struct {
	Dir     string // libtorch: holds lib and include; onnxruntime: holds libonnxruntime.so*
	Version string
	From    string // where it was found, in words
}

// CacheDir is where fetched libraries live: $OREO_CACHE, else the user's cache
// folder. Checkouts share it.
func CacheDir() (string, error) {
	if dir := os.Getenv("OREO_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set OREO_CACHE to a folder", err)
	}
	return filepath.Join(dir, "oreo"), nil
}

// Tools checks for what setup itself needs and names the packages that bring it.
func Tools() error {
	var missing []string
	for _, t := range []struct{ name, apt string }{{"go", "golang"}, {"g++", "g++"}, {"make", "make"}, {"git", "git"}, {"python3", "python3"}} {
		if _, err := exec.LookPath(t.name); err != nil {
			missing = append(missing, t.apt)
		}
	}
	if exec.Command("python3", "-m", "pip", "--version").Run() != nil {
		missing = append(missing, "python3-pip")
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this machine: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// Libtorch returns the libtorch to build against: LIBTORCH, else the torch of
// python3, else the pinned one, which is fetched when fetchIt is set.
func Libtorch(ctx context.Context, log io.Writer, fetchIt bool) (Library, error) {
	if dir := os.Getenv("LIBTORCH"); dir != "" {
		lib, err := describeTorch(dir, "LIBTORCH")
		if err != nil {
			return lib, fmt.Errorf("LIBTORCH=%s: %w", dir, err)
		}
		return lib, nil
	}
	if dir := pythonPackage(ctx, "torch"); dir != "" {
		lib, err := describeTorch(dir, "torch of python3")
		if err == nil {
			return lib, nil
		}
		fmt.Fprintf(log, "passing over the torch of python3: %v\n", err)
	}
	cache, err := CacheDir()
	if err != nil {
		return Library{}, err
	}
	wheels := torchWheels[runtime.GOARCH]
	if len(wheels) == 0 {
		return Library{}, fmt.Errorf("no libtorch is pinned for %s: install torch for python3, or set LIBTORCH to an unpacked libtorch", runtime.GOARCH)
	}
	site := filepath.Join(cache, "torch-"+wheels[0].version)
	if fetchIt {
		if err := fetch(ctx, log, site, wheels); err != nil {
			return Library{}, err
		}
	}
	lib, err := describeTorch(filepath.Join(site, "torch"), "fetched by setup")
	if err != nil {
		return lib, fmt.Errorf("%w: run make setup", err)
	}
	return lib, nil
}

// pythonPackage is the folder of an installed Python package, "" without one.
func pythonPackage(ctx context.Context, name string) string {
	code := "import importlib.util as u; s = u.find_spec('" + name + "'); print(s.submodule_search_locations[0] if s and s.submodule_search_locations else '')"
	out, err := exec.CommandContext(ctx, "python3", "-c", code).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

var versionDefine = regexp.MustCompile(`(?m)^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)`)

// describeTorch checks that dir is a libtorch this project compiles against.
func describeTorch(dir, from string) (Library, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Library{}, err
	}
	lib := Library{Dir: dir, From: from}
	if !exists(filepath.Join(dir, "lib", "libtorch_cpu.so")) {
		return lib, fmt.Errorf("no lib/libtorch_cpu.so in %s", dir)
	}
	var header []byte
	for _, h := range []string{"include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"} {
		if text, err := os.ReadFile(filepath.Join(dir, h)); err == nil && versionDefine.Match(text) {
			header = text
			break
		}
	}
	if header == nil {
		return lib, fmt.Errorf("no C++ headers in %s/include", dir)
	}
	part := map[string]int{}
	for _, m := range versionDefine.FindAllStringSubmatch(string(header), -1) {
		n := 0
		_, _ = fmt.Sscan(m[2], &n) // the expression matched digits
		part[m[1]] = n
	}
	lib.Version = fmt.Sprintf("%d.%d.%d", part["MAJOR"], part["MINOR"], part["PATCH"])
	if part["MAJOR"] != 2 || part["MINOR"] < 7 {
		return lib, fmt.Errorf("libtorch %s is not supported: 2.7 to 2.11 are", lib.Version)
	}
	return lib, nil
}

// ORT returns the onnxruntime to serve with: ORT_LIB (a path to the library),
// else the onnxruntime of python3 when it is new enough, else the pinned one,
// which is fetched when fetchIt is set: the GPU build where there is an NVIDIA
// device.
func ORT(ctx context.Context, log io.Writer, fetchIt bool) (Library, error) {
	if file := os.Getenv("ORT_LIB"); file != "" {
		if !exists(file) {
			return Library{}, fmt.Errorf("ORT_LIB=%s: no such file; it names libonnxruntime.so itself", file)
		}
		return describeORT(filepath.Dir(file), "ORT_LIB")
	}
	if dir := pythonPackage(ctx, "onnxruntime"); dir != "" {
		lib, err := describeORT(filepath.Join(dir, "capi"), "onnxruntime of python3")
		if err == nil {
			return lib, nil
		}
		fmt.Fprintf(log, "passing over the onnxruntime of python3: %v\n", err)
	}
	cache, err := CacheDir()
	if err != nil {
		return Library{}, err
	}
	wheels := ortWheels[runtime.GOARCH]
	if gpu := ortGPUWheels[runtime.GOARCH]; gpu != nil && HasNVIDIA() {
		wheels = gpu
	}
	if len(wheels) == 0 {
		return Library{}, fmt.Errorf("no onnxruntime is pinned for %s: set ORT_LIB to a libonnxruntime.so of 1.28 or later", runtime.GOARCH)
	}
	site := filepath.Join(cache, wheels[0].name+"-"+wheels[0].version)
	if fetchIt {
		if err := fetch(ctx, log, site, wheels); err != nil {
			return Library{}, err
		}
	}
	return describeORT(filepath.Join(site, "onnxruntime", "capi"), "fetched by setup")
}

var ortVersion = regexp.MustCompile(`libonnxruntime\.so\.(\d+)\.(\d+)\.(\d+)$`)

func describeORT(dir, from string) (Library, error) {
	files, _ := filepath.Glob(filepath.Join(dir, "libonnxruntime.so*"))
	if len(files) == 0 {
		return Library{}, fmt.Errorf("no libonnxruntime.so in %s: run make setup", dir)
	}
	lib := Library{Dir: dir, From: from}
	for _, f := range files {
		if m := ortVersion.FindStringSubmatch(f); m != nil {
			lib.Version = strings.Join(m[1:], ".")
			minor := 0
			_, _ = fmt.Sscan(m[2], &minor) // the expression matched digits
			if m[1] != "1" || minor < 28 {
				return lib, fmt.Errorf("onnxruntime %s is not supported: 1.28 and later are (earlier ones misplace chunks in Attention)", lib.Version)
			}
		}
	}
	return lib, nil
}

// HasNVIDIA tells whether a GPU driver is loaded.
func HasNVIDIA() bool { return exists("/dev/nvidiactl") || exists("/dev/nvidia0") }

//go:embed build/gotch_compat.h
var compatHeader []byte

//go:embed build/cxx
var cxxWrapper []byte

// BuildEnv writes what the C++ compiler needs to compile gotch against lib into
// the cache and returns the environment of the go command, as NAME=value.
//
// All paths lie outside the checkout and name the version, because Go's build
// cache keys on flags, not on headers: another checkout then compiles nothing
// anew, and another libtorch never meets stale objects.
func BuildEnv(lib Library) ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(append([]byte(nil), compatHeader...), cxxWrapper...))
	dir := filepath.Join(cache, "build-"+lib.Version+"-"+hex.EncodeToString(sum[:4]))
	stubs := filepath.Join(dir, "stubs")
	if err := os.MkdirAll(stubs, 0o755); err != nil {
		return nil, err
	}
	header, cxx := filepath.Join(dir, "gotch_compat.h"), filepath.Join(dir, "cxx")
	if err := errors.Join(renameio.WriteFile(header, compatHeader, 0o644), renameio.WriteFile(cxx, cxxWrapper, 0o755)); err != nil {
		return nil, err
	}
	// gotch names CUDA's libraries on its link line. Empty archives satisfy it, so
	// that one binary runs with and without a GPU; train/torch loads the CUDA
	// parts when it starts.
	for _, name := range []string{"torch", "torch_cuda", "c10_cuda", "cuda", "cudart", "cublas", "cudnn", "caffe2_nvrtc", "nvrtc-builtins", "nvrtc", "nvToolsExt"} {
		if err := renameio.WriteFile(filepath.Join(stubs, "lib"+name+".a"), []byte("!<arch>\n"), 0o644); err != nil {
			return nil, err
		}
	}
	include, libDir := filepath.Join(lib.Dir, "include"), filepath.Join(lib.Dir, "lib")
	return []string{
		"CGO_ENABLED=1",
		"CXX=" + cxx,
		"CGO_CXXFLAGS=-w -I" + include + " -I" + include + "/torch/csrc/api/include -include " + header,
		"CGO_LDFLAGS=-L" + stubs + " -L" + libDir + " -Wl,--no-as-needed -Wl,--allow-shlib-undefined -Wl,-rpath," + libDir,
	}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
