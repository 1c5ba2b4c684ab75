//go:build !cgo

package ort

import (
	"errors"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/kv"
)

var errNoCgo = errors.New("this program was built without cgo, which onnxruntime needs: build with CGO_ENABLED=1 and a C compiler")

// Session cannot be had without cgo.
type Session struct{ engine.Model }

// Info describes the library that Open would use.
type Info struct {
	Path    string
	Version string
	CUDA    error
}

// Probe fails: the program was built without cgo.
func Probe(string) (Info, error) { return Info{}, errNoCgo }

// Open fails: the program was built without cgo.
func Open(string, engine.Spec, Options) (*Session, error) { return nil, errNoCgo }

// Share fails too.
func (s *Session) Share(engine.Spec) (*Session, error) { return nil, errNoCgo }

// Device is empty.
func (s *Session) Device() string { return "" }

// Fallback is nil.
func (s *Session) Fallback() error { return nil }

// TokenBytes is 0.
func (s *Session) TokenBytes() int { return 0 }

// Store is nil.
func (s *Session) Store() kv.Store { return nil }

// Close does nothing.
func (s *Session) Close() error { return nil }
