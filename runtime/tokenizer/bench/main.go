// Command bench measures package tokenizer against Hugging Face tokenizers: the
// same texts one by one, in turns, in one run, each on one thread, in CPU
// seconds. It installs the peer in a Python virtual environment, and checks that
// both give the same tokens.
//
// Its arguments are folders with a tokenizer.json and an oracle.jsonl, whose
// texts are encoded; testdata/gen/oracle.py makes such folders. The last line is
// "ratio bench-tokenizer X": the geometric mean of our speed over the peer's.
package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

//go:embed peer.py
var program []byte

func main() {
	deps := flag.String("deps", ".deps", "`folder` for the virtual environment")
	python := flag.String("python", "", "`interpreter` that has tokenizers, instead of setting it up")
	turns := flag.Int("repeat", 5, "turns of each; the fastest counts")
	flag.Parse()
	if err := run(*deps, *python, *turns, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench-tokenizer:", err)
		os.Exit(1)
	}
}

func run(deps, python string, turns int, dirs []string) error {
	if len(dirs) == 0 {
		dirs, _ = filepath.Glob(filepath.Join(deps, "tokenizers", "*"))
	}
	if len(dirs) == 0 {
		return fmt.Errorf("no folders given, and none in %s: runtime/tokenizer/testdata/gen/oracle.py makes them", filepath.Join(deps, "tokenizers"))
	}
	p, err := start(filepath.Join(deps, "bench-tokenizer"), python)
	if err != nil {
		return err
	}
	defer p.close()
	runtime.GOMAXPROCS(1)
	logs := 0.0
	fmt.Println("tokenizer    texts   tokens  ours  peer  ratio   (million tokens per CPU second)")
	for _, dir := range dirs {
		ours, theirs, tokens, texts, err := measure(p, dir, turns)
		if err != nil {
			return err
		}
		millions := float64(tokens) / 1e6
		fmt.Printf("%-10s %7d %8d %5.2f %5.2f %6.2f\n", filepath.Base(dir), texts, tokens, millions/ours, millions/theirs, theirs/ours)
		logs += math.Log(theirs / ours)
	}
	fmt.Printf("ratio bench-tokenizer %.2f\n", math.Exp(logs/float64(len(dirs))))
	return nil
}

// measure lets both encode the texts of dir in turns; times are CPU seconds.
func measure(p *peer, dir string, turns int) (ours, theirs float64, tokens, count int, err error) {
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	t := task{File: filepath.Join(dir, "tokenizer.json")}
	for row, err := range jsonl.Read[struct{ Text string }](filepath.Join(dir, "oracle.jsonl")) {
		if err != nil {
			return 0, 0, 0, 0, err
		}
		t.Texts = append(t.Texts, row.Text)
	}
	ours, theirs = math.Inf(1), math.Inf(1)
	ids := make([][]int, len(t.Texts))
	for range turns {
		start := cpuTime()
		for i, text := range t.Texts {
			ids[i] = tok.Encode(text)
		}
		ours = min(ours, cpuTime()-start)
		reply, err := p.encode(t)
		if err != nil {
			return 0, 0, 0, 0, err
		}
		theirs = min(theirs, reply.CPU)
		for i, text := range t.Texts {
			if !slices.Equal(ids[i], reply.IDs[i]) {
				return 0, 0, 0, 0, fmt.Errorf("%s: %q: tokens %v, the peer's %v", dir, text, ids[i], reply.IDs[i])
			}
		}
	}
	for _, row := range ids {
		tokens += len(row)
	}
	return ours, theirs, tokens, len(t.Texts), nil
}

func cpuTime() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for a wrong pointer alone
	return float64(u.Utime.Nano()+u.Stime.Nano()) / float64(time.Second)
}

// peer is the running peer.py.
type peer struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

type task struct {
	File  string   `json:"file"`
	Texts []string `json:"texts"`
}

type reply struct {
	IDs [][]int
	CPU float64
}

func start(dir, python string) (*peer, error) {
	if python == "" {
		python = filepath.Join(dir, "bin", "python")
		if _, err := os.Stat(filepath.Join(dir, "installed")); err != nil {
			for _, line := range [][]string{{"python3", "-m", "venv", dir}, {python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "tokenizers==0.23.3"}} {
				if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
					return nil, fmt.Errorf("%v: %w: %s", line, err, out)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil {
				return nil, err
			}
		}
	}
	p := &peer{command: exec.Command(python, "-c", string(program))}
	p.command.Stderr = os.Stderr
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.command.Start()
}

func (p *peer) encode(t task) (r reply, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return r, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return r, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("the peer ended: %w", err)
	}
	if err = json.Unmarshal(line, &r); err == nil && len(r.IDs) != len(t.Texts) {
		err = fmt.Errorf("%d texts encoded, want %d", len(r.IDs), len(t.Texts))
	}
	return r, err
}

func (p *peer) close() {
	_ = p.in.Close()
	_ = p.command.Wait()
}
