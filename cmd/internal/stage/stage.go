// Package stage runs a long piece of work as a list of stages, each made of
// commands that a user could type. A stage whose product is there is not done
// again, so the same call goes on where an interruption stopped it.
package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/oreo-go/oreo/cmd/internal/report"
)

// Stage is one step of the work.
type Stage struct {
	Title    string
	Product  string // file below the runner's folder that shows the stage is done; its last command writes it
	Commands [][]string
	InGo     func() error // before the commands; nil: nothing
}

// Runner does stages in a folder. One process at a time may use a folder; a
// second one is refused.
type Runner struct {
	Dir  string    // where products are
	Bin  string    // where the commands are
	Log  io.Writer // what is shown; nil: standard error
	lock *os.File
}

// Here returns a runner whose commands lie beside the running program.
func Here(dir string) (Runner, error) {
	program, err := os.Executable()
	return Runner{Dir: dir, Bin: filepath.Dir(program)}, err
}

// Path returns a name below the folder.
func (r Runner) Path(name string) string { return filepath.Join(r.Dir, name) }

// Run does every stage in turn and shows what it does.
func (r Runner) Run(ctx context.Context, stages []Stage) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.lock.Close()
	if r.Log == nil {
		r.Log = os.Stderr
	}
	for i, s := range stages {
		fmt.Fprintf(r.Log, "\n[%d/%d] %s\n", i+1, len(stages), s.Title)
		if err := r.do(ctx, s); err != nil {
			return fmt.Errorf("stage %d, %s: %w", i+1, s.Title, err)
		}
	}
	return nil
}

// acquire locks the folder. The commands inherit the lock: of a run that was
// killed a command may live on for a moment, and must be gone before the next
// one writes to the same files.
func (r *Runner) acquire() error {
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(r.Path(".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	for range 30 {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			r.lock = file
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	file.Close()
	return fmt.Errorf("%s: another process is at work in this folder: wait for it, or choose another", r.Dir)
}

// do runs a stage unless its product is there, and notes how long it took.
func (r Runner) do(ctx context.Context, s Stage) error {
	if _, err := os.Stat(r.Path(s.Product)); err == nil {
		fmt.Fprintln(r.Log, "done before")
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.Path(s.Product)), 0o755); err != nil {
		return err
	}
	began := time.Now()
	if s.InGo != nil {
		if err := s.InGo(); err != nil {
			return err
		}
	}
	for _, c := range s.Commands {
		if err := r.command(ctx, c); err != nil {
			return err
		}
	}
	if _, err := os.Stat(r.Path(s.Product)); err != nil {
		return fmt.Errorf("its commands ended well but left no product: %w", err)
	}
	return r.noteTime(s.Title, time.Since(began))
}

// command runs one of the project's commands and shows it as a user would type it.
func (r Runner) command(ctx context.Context, args []string) error {
	fmt.Fprintln(r.Log, "$", filepath.Join("bin", args[0]), strings.Join(args[1:], " "))
	cmd := r.Command(ctx, args...)
	cmd.Stdout, cmd.Stderr = r.Log, r.Log
	cmd.ExtraFiles = []*os.File{r.lock}
	// Killed, this process takes the command with it, which would write on
	// unseen. The kernel watches the thread that starts the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s %s: %w", args[0], args[1], err)
	}
	return nil
}

// Command prepares one of the project's commands. When ctx ends the command is
// interrupted as by Ctrl-C, and has a minute to save its state.
func (r Runner) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(r.Bin, args[0]), args[1:]...)
	// In a group of its own the command gets an interrupt from here alone; a
	// terminal's would come twice, and the second ends it before it has saved.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}

const timesFile = "result/seconds.json"

// Times returns the seconds that each stage done so far took, by title.
func (r Runner) Times() (map[string]float64, error) {
	seconds := map[string]float64{}
	text, err := os.ReadFile(r.Path(timesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return seconds, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &seconds); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Path(timesFile), err)
	}
	return seconds, nil
}

func (r Runner) noteTime(title string, took time.Duration) error {
	seconds, err := r.Times()
	if err != nil {
		return err
	}
	seconds[title] = took.Seconds()
	if err := os.MkdirAll(filepath.Dir(r.Path(timesFile)), 0o755); err != nil {
		return err
	}
	return report.WriteJSON(r.Path(timesFile), seconds)
}
