package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// setupDir is where `make setup` puts the library, from the repository's root.
const setupDir = ".deps/onnxruntime/lib"

// Locate returns the file of libonnxruntime. The first of these counts: library,
// the environment's ORT_LIB (both a file or a folder), the copy that `make
// setup` placed beside the program's folder or under the current one, and the
// name alone, which leaves the search to the system's loader.
func Locate(library string) (string, error) {
	for _, given := range []struct{ from, path string }{{"library", library}, {"ORT_LIB", os.Getenv("ORT_LIB")}} {
		if given.path == "" {
			continue
		}
		info, err := os.Stat(given.path)
		if err != nil {
			return "", fmt.Errorf("%w: %s is %s: %w", ErrNoLibrary, given.from, given.path, err)
		}
		if !info.IsDir() {
			return filepath.Abs(given.path)
		}
		if file := inDir(given.path); file != "" {
			return file, nil
		}
		return "", fmt.Errorf("%w: %s is %s, a folder without %s", ErrNoLibrary, given.from, given.path, names()[0])
	}
	for _, dir := range searched() {
		if file := inDir(dir); file != "" {
			return file, nil
		}
	}
	return names()[0], nil
}

// searched are the folders Locate looks into when nothing was given.
func searched() []string {
	dirs := []string{setupDir}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dirs = slices.Insert(dirs, 0, filepath.Join(filepath.Dir(exe), "..", setupDir))
	}
	return dirs
}

// names are the patterns of the library's file name, the plain one first.
func names() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"onnxruntime.dll"}
	case "darwin":
		return []string{"libonnxruntime.dylib", "libonnxruntime.*.dylib"}
	}
	return []string{"libonnxruntime.so", "libonnxruntime.so.*"}
}

// inDir returns the library in dir as an absolute path, "" if there is none.
func inDir(dir string) string {
	for _, pattern := range names() {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the patterns are well-formed
		if len(found) > 0 {
			slices.Sort(found)
			if abs, err := filepath.Abs(found[len(found)-1]); err == nil {
				return abs
			}
		}
	}
	return ""
}

// notFound explains a failed load of the library at path.
func notFound(path string, err error) error {
	if filepath.IsAbs(path) {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return fmt.Errorf("%w in %s, nor by the system's loader (%w): run `make setup`, or set ORT_LIB to the path of libonnxruntime %s or newer",
		ErrNoLibrary, strings.Join(searched(), ", "), err, MinVersion)
}
