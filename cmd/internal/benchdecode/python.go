package main

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/oreo-go/oreo/cmd/internal/peer"
	"github.com/oreo-go/oreo/export/graph"
)

//go:embed peer.py
var peerProgram []byte

// theirs is a running peer.py.
type theirs struct {
	*peer.Process
	hello struct {
		Name  string
		Bytes int64
	}
}

// start runs peer.py for the peer called name.
func start(ctx context.Context, env peer.Environment, name, model, work string, dtype graph.Precision, threads int) (*theirs, error) {
	p := &theirs{}
	var err error
	p.Process, err = env.Start(ctx, filepath.Join(work, "peer.py"), peerProgram, threads, &p.hello, name, model, work, string(dtype), strconv.Itoa(threads))
	return p, err
}

func (p *theirs) name() string { return p.hello.Name }

func (p *theirs) bytes() int64 { return p.hello.Bytes }

func (p *theirs) run(t task) (a answer, err error) {
	if err := p.Ask(t, &a); err != nil {
		return a, err
	}
	if len(a.Tokens) != len(t.First) {
		return a, fmt.Errorf("%d rows answered, want %d", len(a.Tokens), len(t.First))
	}
	return a, nil
}
