package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed peer.py
var peerProgram []byte

// pinned are the versions of the script's environment. sympy 1.12 works with
// antlr 4.11 only: with another, its LaTeX parser fails on everything and
// verdicts change without an error.
var pinned = []string{
	"sympy==1.12", "antlr4-python3-runtime==4.11.0", "regex==2023.10.3", "numpy==1.26.0", "mpmath==1.3.0",
}

// peer is the running script.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// reply is the script's answer for one pair.
type reply struct {
	Correct bool
	Hung    bool
	CPU     float64
}

// startPeer sets up what is missing under deps and starts the script.
func startPeer(ctx context.Context, deps, source string) (*peer, error) {
	checkout, err := fetchScript(ctx, filepath.Join(deps, "deepseek-math"), source)
	if err != nil {
		return nil, fmt.Errorf("get DeepSeekMath's script: %w (set OREO_DEEPSEEK_MATH to a checkout or mirror)", err)
	}
	python, err := environment(ctx, filepath.Join(deps, "bench-grade"))
	if err != nil {
		return nil, err
	}
	program := filepath.Join(deps, "bench-grade", "peer.py")
	if err := os.WriteFile(program, peerProgram, 0o644); err != nil {
		return nil, err
	}
	p := &peer{command: exec.CommandContext(ctx, python, program, filepath.Join(checkout, "evaluation"))}
	p.command.Stderr = os.Stderr
	p.command.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1")
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
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, fmt.Errorf("start %s: got %q: %w", program, line, err)
	}
	return p, nil
}

// scriptParts are the folders of the repository the script consists of; its
// data files are large and not needed.
var scriptParts = []string{"evaluation/data_processing", "evaluation/eval"}

// fetchScript returns a folder with the script's sources: source itself if it
// is a checkout, else a clone of it at dir.
func fetchScript(ctx context.Context, dir, source string) (string, error) {
	for _, place := range []string{source, dir} {
		if _, err := os.Stat(filepath.Join(place, "evaluation", "eval", "eval_script.py")); err == nil {
			return place, nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := command(ctx, "git", "clone", "--quiet", "--no-checkout", source, dir); err != nil {
		return "", err
	}
	checkout := append([]string{"-C", dir, "checkout", "--quiet", "HEAD", "--"}, scriptParts...)
	return dir, command(ctx, "git", checkout...)
}

// environment makes a virtual environment with the pinned packages, once, and
// returns its interpreter.
func environment(ctx context.Context, dir string) (string, error) {
	python := filepath.Join(dir, "bin", "python")
	marker := filepath.Join(dir, "installed")
	if _, err := os.Stat(marker); err == nil {
		return python, nil
	}
	base, err := findPython(ctx)
	if err != nil {
		return "", err
	}
	if err := command(ctx, base, "-m", "venv", dir); err != nil {
		return "", fmt.Errorf("make %s: %w", dir, err)
	}
	install := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, pinned...)
	if err := command(ctx, python, install...); err != nil {
		return "", fmt.Errorf("install the script's packages: %w", err)
	}
	return python, os.WriteFile(marker, nil, 0o644)
}

// findPython returns an interpreter the pinned packages have wheels for,
// 3.10 first, which the script's authors used.
func findPython(ctx context.Context) (string, error) {
	home, _ := os.UserHomeDir()
	for _, minor := range []string{"10", "11", "12", "9"} {
		candidates := []string{"python3." + minor}
		managed, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", "3."+minor+".*", "bin", "python"))
		for _, path := range append(candidates, managed...) {
			if exec.CommandContext(ctx, path, "-c", "import venv").Run() == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("no Python 3.9 to 3.12 found for the script: install python3.10 with venv")
}

func command(ctx context.Context, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %q: %w", name, args, err)
	}
	return nil
}

// grade has the script grade a block of pairs.
func (p *peer) grade(pairs []pair) ([]reply, error) {
	text, err := json.Marshal(pairs)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return nil, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the script ended: %w", err)
	}
	var replies []reply
	if err := json.Unmarshal(line, &replies); err != nil {
		return nil, err
	}
	if len(replies) != len(pairs) {
		return nil, fmt.Errorf("the script graded %d of %d pairs", len(replies), len(pairs))
	}
	return replies, nil
}

func (p *peer) close() {
	p.in.Close()
	_ = p.command.Wait()
}
