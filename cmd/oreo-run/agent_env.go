package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// agentEnv is an environment in a process of its own that speaks JSON lines. We
// write a line, it answers one:
//
//	{"reset": {"episode": 0, "seed": 7, "item": "…"}}   begin an episode
//	{"step": "go to desk 1"}                            do an action
//
//	{"observation": "…", "done": false, "reward": 0, "admissible": ["…"]}
//
// reward (or score) is that of the episode so far; admissible may be left out, as
// may done and reward while they are false and 0. {"error": "…"} ends the episode.
// Other fields are passed over. A process answers for one episode after the other.
//
// With lines, for programs such as oreo-run alfworld step, the process is started
// for each episode, shows its first observation unasked, and takes an action a
// line as it is. Both kinds find OREO_EPISODE, OREO_SEED and OREO_ITEM set.
type agentEnv struct {
	command string // for the shell
	lines   bool
	timeout time.Duration // for an answer
	process *envProcess   // nil while there is none
}

// observed is what an environment answers.
type observed struct {
	Observation *string  `json:"observation"`
	Done        bool     `json:"done"`
	Reward      *float64 `json:"reward"`
	Score       *float64 `json:"score"`
	Admissible  []string `json:"admissible"`
	Error       string   `json:"error"`
}

// reward is that of the episode so far.
func (o observed) reward() float64 {
	switch {
	case o.Reward != nil:
		return *o.Reward
	case o.Score != nil:
		return *o.Score
	}
	return 0
}

// lostError ends an episode that cannot go on; others can.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// reset begins an episode.
func (e *agentEnv) reset(ctx context.Context, t agentTask) (observed, error) {
	if e.lines {
		e.close()
	}
	if e.process == nil {
		p, err := startEnv(e.command, t)
		if err != nil {
			return observed{}, e.fail(err)
		}
		e.process = p
	}
	if e.lines {
		return e.answer(ctx)
	}
	return e.ask(ctx, map[string]any{"reset": map[string]any{"episode": t.Episode, "seed": t.Seed, "item": t.Item}})
}

// step does an action.
func (e *agentEnv) step(ctx context.Context, action string) (observed, error) {
	if !e.lines {
		return e.ask(ctx, map[string]string{"step": action})
	}
	return e.send(ctx, []byte(strings.ReplaceAll(action, "\n", " ")+"\n"))
}

func (e *agentEnv) ask(ctx context.Context, v any) (observed, error) {
	var line bytes.Buffer
	if err := writeJSON(&line, v); err != nil {
		return observed{}, err
	}
	return e.send(ctx, line.Bytes())
}

// send writes a line and waits for the answer. A process that does not read it
// in time counts as one that does not answer.
func (e *agentEnv) send(ctx context.Context, line []byte) (observed, error) {
	p := e.process
	written := make(chan error, 1)
	go func() {
		_, err := p.in.Write(line)
		written <- err
	}()
	timer := time.NewTimer(e.timeout)
	defer timer.Stop()
	select {
	case <-written: // if it failed the process is gone, as the answer will say
		return e.answer(ctx)
	case <-timer.C:
		return observed{}, e.fail(fmt.Errorf("it did not read its input for %v", e.timeout))
	case <-ctx.Done():
		e.close()
		return observed{}, ctx.Err()
	}
}

// answer waits for the process's next line.
func (e *agentEnv) answer(ctx context.Context) (observed, error) {
	var o observed
	timer := time.NewTimer(e.timeout)
	defer timer.Stop()
	select {
	case line, ok := <-e.process.lines:
		if !ok {
			return o, e.fail(e.process.ended())
		}
		e.process.count++
		if err := json.Unmarshal(line, &o); err != nil {
			return o, e.fail(fmt.Errorf("line %d of its output is not an answer: %w: %.200q", e.process.count, err, line))
		}
		if o.Error == "" && o.Observation == nil {
			return o, e.fail(fmt.Errorf(`line %d of its output: field "observation" is missing: %.200q`, e.process.count, line))
		}
		if o.Error != "" {
			return o, e.fail(errors.New(o.Error))
		}
		return o, nil
	case <-timer.C:
		return o, e.fail(fmt.Errorf("no answer for %v", e.timeout))
	case <-ctx.Done():
		e.close()
		return o, ctx.Err()
	}
}

// fail ends the process: what it would say next is not to be trusted.
func (e *agentEnv) fail(err error) error {
	e.close()
	return &lostError{fmt.Errorf("environment: %w", err)}
}

// close ends the process and whatever it started.
func (e *agentEnv) close() {
	if e.process != nil {
		e.process.kill()
		e.process = nil
	}
}

// envProcess is a running environment.
type envProcess struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan []byte // closed at the end of its output
	quit   chan struct{}
	stderr tailBuffer
	count  int // lines read

	read error // why lines was closed
}

// maxEnvLine bounds an answer, in bytes.
const maxEnvLine = 4 << 20

func startEnv(command string, t agentTask) (*envProcess, error) {
	p := &envProcess{cmd: exec.Command("sh", "-c", command), lines: make(chan []byte), quit: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "OREO_EPISODE="+strconv.Itoa(t.Episode), "OREO_SEED="+strconv.FormatUint(t.Seed, 10), "OREO_ITEM="+t.Item)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that kill reaches its children
	p.cmd.WaitDelay = time.Second
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.scan(out)
	return p, nil
}

// scan hands out the lines of the output, one at a time: a process that floods
// waits.
func (p *envProcess) scan(out io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(out)
	s.Buffer(make([]byte, 1<<16), maxEnvLine)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		select {
		case p.lines <- bytes.Clone(s.Bytes()):
		case <-p.quit:
			return
		}
	}
	p.read = s.Err()
}

// ended says why there is no further line.
func (p *envProcess) ended() error {
	if errors.Is(p.read, bufio.ErrTooLong) {
		return fmt.Errorf("line %d of its output has more than %d bytes", p.count+1, maxEnvLine)
	}
	err := p.kill()
	what := "it ended"
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		what += fmt.Sprintf(" with exit code %d", exit.ExitCode())
	}
	if said := p.stderr.String(); said != "" {
		what += ": " + said
	}
	return errors.New(what)
}

// kill ends the process's group and returns how it ended.
func (p *envProcess) kill() error {
	select {
	case <-p.quit:
		return nil // done before
	default:
	}
	close(p.quit)
	_ = p.in.Close()
	done := make(chan struct{})
	defer close(done)
	time.AfterFunc(100*time.Millisecond, func() { // for one that ends by itself, to say how
		select {
		case <-done:
		default:
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may be gone
		}
	})
	err := p.cmd.Wait()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // children it left behind
	return err
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	tail []byte
}

const maxTail = 2000

func (b *tailBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tail = append(b.tail, text...)
	if len(b.tail) > maxTail {
		b.tail = bytes.Clone(b.tail[len(b.tail)-maxTail:])
	}
	return len(text), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(string(b.tail))
}
