package stage

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runner returns a runner with a command `say WORD FILE` and a command
// `nap FILE`, which saves when it is interrupted, as training does.
func runner(t *testing.T) Runner {
	t.Helper()
	r := Runner{Dir: t.TempDir(), Bin: t.TempDir()}
	for name, script := range map[string]string{
		"say": "#!/bin/sh\necho \"$1\" >> \"$2\"\n",
		"nap": "#!/bin/sh\ntrap 'echo saved > \"$1\"; exit 1' INT\ntouch \"$1.began\"\nwhile :; do sleep 0.05; done\n",
	} {
		if err := os.WriteFile(filepath.Join(r.Bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestAStageIsDoneOnce(t *testing.T) {
	r := runner(t)
	inGo := 0
	stages := []Stage{
		{Title: "one", Product: "a/one", InGo: func() error { inGo++; return nil }, Commands: [][]string{{"say", "x", r.Path("a/one")}}},
		{Title: "two", Product: "two", Commands: [][]string{{"say", "y", r.Path("two")}, {"say", "z", r.Path("two")}}},
	}
	for range 2 {
		if err := r.Run(context.Background(), stages); err != nil {
			t.Fatal(err)
		}
	}
	one, _ := os.ReadFile(r.Path("a/one"))
	two, _ := os.ReadFile(r.Path("two"))
	if string(one) != "x\n" || string(two) != "y\nz\n" || inGo != 1 {
		t.Errorf("products %q and %q, the function ran %d times", one, two, inGo)
	}
	times, err := r.Times()
	if err != nil || len(times) != 2 || times["two"] <= 0 {
		t.Errorf("times %v, %v", times, err)
	}
}

func TestFailuresNameTheStage(t *testing.T) {
	r := runner(t)
	bad := errors.New("bad")
	for want, s := range map[string]Stage{
		"stage 1, t: bad":      {Title: "t", Product: "p", InGo: func() error { return bad }},
		"stage 1, t: none now": {Title: "t", Product: "p", Commands: [][]string{{"none", "now"}}},
		"left no product":      {Title: "t", Product: "p", Commands: [][]string{{"say", "x", r.Path("other")}}},
	} {
		if err := r.Run(context.Background(), []Stage{s}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestAnInterruptedCommandSaves(t *testing.T) {
	r := runner(t)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for range 200 {
			if _, err := os.Stat(r.Path("state.began")); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	err := r.Run(ctx, []Stage{{Title: "t", Product: "state", Commands: [][]string{{"nap", r.Path("state")}}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if saved, _ := os.ReadFile(r.Path("state")); string(saved) != "saved\n" {
		t.Errorf("the command left %q", saved)
	}
}

func TestBrokenTimesAreNamed(t *testing.T) {
	r := runner(t)
	if err := os.MkdirAll(r.Path("result"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Path(timesFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Times(); err == nil || !strings.Contains(err.Error(), timesFile) {
		t.Errorf("error %v", err)
	}
}

// A folder in use is refused to a second run, and its command dies with a run
// that is killed.
func TestAFolderIsLocked(t *testing.T) {
	if dir := os.Getenv("STAGE_TEST_DIR"); dir != "" { // the process to be killed
		r := Runner{Dir: dir, Bin: os.Getenv("STAGE_TEST_BIN")}
		t.Fatal(r.Run(context.Background(), []Stage{{Title: "t", Product: "state", Commands: [][]string{{"nap", r.Path("state")}}}}))
	}
	r := runner(t)
	cmd := exec.Command(os.Args[0], "-test.run=TestAFolderIsLocked")
	cmd.Env = append(os.Environ(), "STAGE_TEST_DIR="+r.Dir, "STAGE_TEST_BIN="+r.Bin)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, r.Path("state.began"))
	if err := r.Run(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "another process is at work") {
		t.Errorf("a second run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := r.Run(context.Background(), nil); err != nil {
		t.Errorf("after the first was killed: %v", err)
	}
}

func waitFor(t *testing.T, path string) {
	t.Helper()
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %s", path)
}
