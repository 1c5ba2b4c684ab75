package dataset

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxProblemFile bounds one file of a folder, in bytes.
const maxProblemFile = 1 << 20

// folderRecords yields the problems of MATH's original layout,
// SPLIT/SUBJECT/NUMBER.json, by subject and number.
func folderRecords(root string) iter.Seq2[place, record] {
	return func(yield func(place, record) bool) {
		var files []string
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".json") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			yield(place{err: err}, record{})
			return
		}
		slices.SortFunc(files, compareProblemFiles)
		for _, path := range files {
			r, err := readProblemFile(root, path)
			if !yield(place{path, err}, r) || err != nil {
				return
			}
		}
	}
}

// compareProblemFiles orders by folder, then by number.
func compareProblemFiles(a, b string) int {
	if c := strings.Compare(filepath.Dir(a), filepath.Dir(b)); c != 0 {
		return c
	}
	number := func(path string) int {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".json"))
		if err != nil {
			return -1
		}
		return n
	}
	if c := number(a) - number(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func readProblemFile(root, path string) (record, error) {
	info, err := os.Stat(path)
	if err != nil {
		return record{}, err
	}
	if info.Size() > maxProblemFile {
		return record{}, fmt.Errorf("%s: %d bytes, want one problem of at most %d", path, info.Size(), maxProblemFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("%s: %w", path, err)
	}
	if r.UniqueID == "" {
		// The upstream key is train/algebra/0.json whichever folder was given.
		r.UniqueID = filepath.ToSlash(upstreamPath(root, path))
	}
	return r, nil
}

// upstreamPath is the path from the folder above the split, where the folders
// are called train or test, else from root.
func upstreamPath(root, path string) string {
	parts := strings.Split(filepath.ToSlash(path), "/")
	if n := len(parts); n >= 3 && (parts[n-3] == "train" || parts[n-3] == "test") {
		return strings.Join(parts[n-3:], "/")
	}
	relative, err := filepath.Rel(root, path)
	if err != nil {
		return path
	}
	return relative
}
