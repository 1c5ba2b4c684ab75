// Package bounded reads files that are not trusted.
package bounded

import (
	"fmt"
	"io"
	"os"
)

// ReadFile returns the contents of a regular file of at most most bytes. A pipe or
// a device, which could make the reader wait or never end, is an error.
func ReadFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: that of a pipe would wait
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, min(most, info.Size())+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s: larger than %d bytes", path, most)
	}
	return data, err
}
