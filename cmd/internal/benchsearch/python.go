package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/oreo-go/oreo/cmd/internal/peer"
	"github.com/oreo-go/oreo/runtime/manifest"
)

//go:embed peer.py
var peerProgram []byte

// convertProgram is bench-decode's, which makes llama.cpp's file of a model folder.
const convertProgram = "cmd/internal/benchdecode/peer.py"

// theirs is a running peer.py.
type theirs struct {
	*peer.Process
	kind    string
	program string // what identifies it
}

// start runs peer.py for the peer called name.
func start(ctx context.Context, env peer.Environment, name string, c config, work string) (*theirs, error) {
	if !slices.Contains([]string{"recompute", "llama"}, name) {
		return nil, fmt.Errorf("-peer %q: want recompute or llama", name)
	}
	threads := strconv.Itoa(c.threads)
	gguf := filepath.Join(work, "llama-fp32.gguf")
	if _, err := os.Stat(gguf); name == "llama" && err != nil {
		convert, err := os.ReadFile(convertProgram)
		if err != nil {
			return nil, err
		}
		if err := env.Run(ctx, filepath.Join(work, "convert.py"), convert, "llama", c.model, work, "fp32", threads); err != nil {
			return nil, err
		}
	}
	p := &theirs{kind: name}
	files, err := hashes(ctx, filepath.Join(work, "peer-policy", manifest.Name), filepath.Join(work, "peer-critic", manifest.Name))
	if err != nil {
		return nil, err
	}
	p.program = fmt.Sprint(name, threads, env.Packages(), files, string(peerProgram))
	p.Process, err = env.Start(ctx, filepath.Join(work, "peer.py"), peerProgram, c.threads, &struct{}{}, name,
		filepath.Join(work, "peer-policy"), filepath.Join(work, "peer-critic"), gguf, threads)
	return p, err
}

func (p *theirs) name() string { return p.kind }

func (p *theirs) identity() string { return p.program }

func (*theirs) atOnce() bool { return false }

func (p *theirs) run(_ context.Context, tasks []task) ([]answer, error) {
	answers := make([]answer, len(tasks))
	for i, t := range tasks {
		if err := p.Ask(t, &answers[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}
