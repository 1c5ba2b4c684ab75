package native

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// A wheel is a pinned file of the Python package index; only what keep accepts
// is unpacked from it.
type wheel struct {
	name, version, sha256 string
	keep                  func(path string) bool
}

// Versions that setup fetches where nothing is installed. The x86-64 torch
// wheel is the CUDA build (there is no other): its CPU library needs two small
// CUDA libraries beside it, and nothing else of CUDA.
var (
	torchWheels = map[string][]wheel{
		"amd64": {
			{"torch", "2.11.0", "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756", keepTorch},
			{"nvidia-cuda-cupti", "13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8", keepShared},
			{"nvidia-cuda-runtime", "13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548", keepShared},
		},
		"arm64": {{"torch", "2.10.0", "5fd4117d89ffd47e3dcc71e71a22efac24828ad781c7e46aaaf56bf7f2796acf", keepTorch}},
	}
	ortWheels = map[string][]wheel{
		"amd64": {{"onnxruntime", "1.31.1", "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536", keepORT}},
		"arm64": {{"onnxruntime", "1.31.1", "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc", keepORT}},
	}
	ortGPUWheels = map[string][]wheel{
		"amd64": {{"onnxruntime-gpu", "1.30.0", "6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1", keepORT}},
	}
	// pip itself, run from its wheel: the distribution's own may be too old to
	// take up a broken download where it stopped.
	pipWheel = wheel{"pip", "25.3", "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd", nil}
)

func keepTorch(path string) bool {
	if strings.HasPrefix(path, "torch/include/") || strings.HasPrefix(path, "torch.libs/") || path == "torch/version.py" {
		return true
	}
	if filepath.Dir(path) != "torch/lib" {
		return false
	}
	name := filepath.Base(path)
	for _, unused := range []string{"libtorch_cuda", "libtorch_python", "libtorch_nvshmem", "libc10_cuda", "libcaffe2_nvrtc", "libtorchbind_test",
		"libaoti_custom_ops", "libbackend_with_compiler", "libjitbackend_test", "libtorch_global_deps", "libtorch.so", "libshm"} {
		if strings.HasPrefix(name, unused) {
			return false
		}
	}
	return strings.Contains(name, ".so")
}

func keepShared(path string) bool { return strings.Contains(filepath.Base(path), ".so.") }

func keepORT(path string) bool {
	return strings.HasPrefix(path, "onnxruntime/capi/libonnxruntime")
}

// fetch makes the folder dest from wheels: downloads each with pip, checks its
// sum, unpacks what is wanted and renames the result into place. A folder that
// exists is complete and left alone.
func fetch(ctx context.Context, log io.Writer, dest string, wheels []wheel) error {
	if _, err := os.Stat(dest); err == nil {
		return nil
	}
	if len(wheels) == 0 {
		return fmt.Errorf("no pinned files for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	downloads := filepath.Join(filepath.Dir(dest), "downloads")
	partial := dest + ".partial"
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755), os.MkdirAll(downloads, 0o755)); err != nil {
		return err
	}
	for _, w := range wheels {
		file, err := w.download(ctx, log, downloads)
		if err != nil {
			return err
		}
		fmt.Fprintf(log, "unpacking %s %s\n", w.name, w.version)
		if err := w.unpack(file, partial); err != nil {
			return fmt.Errorf("unpack %s: %w", file, err)
		}
	}
	if err := os.Rename(partial, dest); err != nil {
		return err
	}
	for _, w := range wheels { // the unpacked copy is all that is needed
		if file, err := w.find(downloads); err == nil {
			_ = os.Remove(file)
		}
	}
	return nil
}

// find returns the one file of this wheel in dir.
func (w wheel) find(dir string) (string, error) {
	files, _ := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(w.name, "-", "_")+"-"+w.version+"-*.whl"))
	if len(files) == 0 {
		return "", fmt.Errorf("no wheel of %s %s in %s", w.name, w.version, dir)
	}
	return files[0], nil
}

// download returns the path of the wheel in dir, fetching it when it is absent
// or its sum is wrong.
func (w wheel) download(ctx context.Context, log io.Writer, dir string) (string, error) {
	if file, err := w.find(dir); err == nil {
		if w.check(file) == nil {
			return file, nil
		}
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(log, "fetching %s %s\n", w.name, w.version)
	pip := []string{"-m", "pip", "download"}
	if w.name != pipWheel.name {
		own, err := pipWheel.download(ctx, log, dir)
		if err != nil {
			return "", err
		}
		pip = []string{filepath.Join(own, "pip"), "download", "--resume-retries", "20"}
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	args := append(pip, "--quiet", "--progress-bar", "on", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--retries", "10",
		"--dest", dir, "--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--abi", "none")
	for _, glibc := range []string{"2_28", "2_27", "2_25", "2_17"} { // pip matches the tag to the letter
		args = append(args, "--platform", "manylinux_"+glibc+"_"+arch)
	}
	args = append(args, "--platform", "manylinux2014_"+arch, w.name+"=="+w.version)
	cmd := exec.CommandContext(ctx, "python3", unquiet(args)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("pip download %s==%s: %w (run setup again to go on; a proxy is taken from pip's own configuration)", w.name, w.version, err)
	}
	file, err := w.find(dir)
	if err != nil {
		return "", err
	}
	return file, w.check(file)
}

// unquiet drops --quiet, which would hide the progress bar, where the output is
// a terminal.
func unquiet(args []string) []string {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		for i, a := range args {
			if a == "--quiet" {
				return append(args[:i:i], args[i+1:]...)
			}
		}
	}
	return args
}

func (w wheel) check(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != w.sha256 {
		return fmt.Errorf("%s: sha256 is %s, want %s: the download is damaged or not the file that was pinned; remove it and run setup again", file, sum, w.sha256)
	}
	return nil
}

func (w wheel) unpack(file, dir string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, entry := range z.File {
		if !w.keep(entry.Name) || entry.FileInfo().IsDir() {
			continue
		}
		if !filepath.IsLocal(entry.Name) {
			return fmt.Errorf("entry %q leaves the folder", entry.Name)
		}
		if err := unpackFile(entry, filepath.Join(dir, entry.Name)); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	return nil
}

func unpackFile(entry *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
