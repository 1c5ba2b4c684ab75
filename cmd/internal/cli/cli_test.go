package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// testApp has a command for each way to end.
func testApp() *urfave.App {
	return &urfave.App{
		Name: "oreo-test",
		Commands: []*urfave.Command{
			{Name: "grade", Before: NoArgs, Flags: []urfave.Flag{&urfave.StringFlag{Name: "in", Required: true}, &urfave.IntFlag{Name: "n"}},
				Action: func(c *urfave.Context) error { fmt.Fprintln(c.App.Writer, "graded", c.String("in")); return nil }},
			{Name: "fail", Action: func(*urfave.Context) error { return errors.New("Disk full") }},
			{Name: "misuse", Action: func(*urfave.Context) error { return fmt.Errorf("load: %w", Usagef("key %q is unknown", "x")) }},
			{Name: "panic", Action: func(*urfave.Context) error { panic("index out of range") }},
			{Name: "list", Flags: []urfave.Flag{&urfave.StringSliceFlag{Name: "set"}},
				Action: func(c *urfave.Context) error { fmt.Fprintf(c.App.Writer, "%q", c.StringSlice("set")); return nil }},
			{Name: "group", Subcommands: []*urfave.Command{{Name: "step", Action: func(*urfave.Context) error { return nil }}}},
			{Name: "wait", Action: func(c *urfave.Context) error {
				fmt.Println("ready")
				<-c.Context.Done()
				if os.Getenv("OREO_TEST_STUBBORN") != "" {
					time.Sleep(time.Minute)
				}
				return fmt.Errorf("step 3: %w", c.Context.Err())
			}},
		},
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args   string
		code   int
		stdout string // exact, "help" for any help text
		stderr string // a part of it
	}{
		{"grade --in f", ExitDone, "graded f\n", ""},
		{"fail", ExitFailed, "", "oreo-test: disk full\n"},
		{"misuse", ExitUsage, "", "oreo-test: load: key \"x\" is unknown\nsee oreo-test misuse --help\n"},
		{"panic", ExitFailed, "", "oreo-test: internal error, please report it: index out of range"},
		{"grade", ExitUsage, "", "oreo-test: required flag \"in\" not set\nsee oreo-test grade --help\n"},
		{"grade --in f stray", ExitUsage, "", "oreo-test: unexpected argument \"stray\"\n"},
		{"grade --in f --out g", ExitUsage, "", "oreo-test: flag provided but not defined: -out\nsee oreo-test grade --help\n"},
		{"grade --in f --n many", ExitUsage, "", "oreo-test: invalid value \"many\" for flag -n"},
		{"grad --in f", ExitUsage, "", "unknown command \"grad\"; did you mean \"grade\"?"},
		{"zzz", ExitUsage, "", "unknown command \"zzz\"; there are grade, fail, "},
		{"group stp", ExitUsage, "", "unknown command \"stp\"; did you mean \"step\"?\nsee oreo-test group --help\n"},
		{"group step", ExitDone, "", ""},
		{"list --set a=[1,2] --set b=3", ExitDone, `["a=[1,2]" "b=3"]`, ""},
		{"--help", ExitDone, "help", ""},
		{"grade --help", ExitDone, "help", ""},
		{"", ExitUsage, "", "USAGE:"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), testApp(), append([]string{"oreo-test"}, strings.Fields(c.args)...), &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, stderr %q; want %d, %q", c.args, code, stderr.String(), c.code, c.stderr)
		}
		if help := strings.Contains(stdout.String(), "USAGE:"); help != (c.stdout == "help") || !help && stdout.String() != c.stdout {
			t.Errorf("%q: stdout %q, want %q", c.args, stdout.String(), c.stdout)
		}
	}
}

// TestMain lets the test binary stand in for a command, so that signals and
// exit codes are those of a real process.
func TestMain(m *testing.M) {
	if os.Getenv("OREO_TEST_COMMAND") != "" {
		Main(testApp())
	}
	os.Exit(m.Run())
}

func TestSignals(t *testing.T) {
	for _, c := range []struct {
		name    string
		env     string
		signals []syscall.Signal
		want    string
	}{
		{"first cancels", "", []syscall.Signal{syscall.SIGTERM}, "oreo-test: step 3: interrupted\n"},
		{"second forces", "OREO_TEST_STUBBORN=1", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, "once more to stop at once\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "wait")
			cmd.Env = append(os.Environ(), "OREO_TEST_COMMAND=1", c.env)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdout.Read(make([]byte, 1)); err != nil { // it says ready
				t.Fatal(err)
			}
			for i, s := range c.signals {
				if i > 0 {
					time.Sleep(200 * time.Millisecond) // two at once may be delivered as one
				}
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			err = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != ExitFailed || !strings.HasSuffix(stderr.String(), c.want) {
				t.Errorf("exit code %d (%v), stderr %q; want %d, ending in %q", code, err, stderr.String(), ExitFailed, c.want)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"lr", "critic_lr", "beta", "alpha", "batch_size", "max_len"}
	for _, c := range []struct{ name, want string }{
		{"critic-lr", "critic_lr"}, {"bta", "beta"}, {"btea", "beta"}, {"batchsize", "batch_size"}, {"max_length", "max_len"},
		{"temperature", ""}, {"", ""}, {"ls", ""},
	} {
		if got := Nearest(c.name, keys); got != c.want {
			t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, false, "sft", 40, 100)
	p.Set(50, "loss 0.5") // too soon for a line
	if out.Len() > 0 {
		t.Errorf("a line at once: %q", out.String())
	}
	p.last = p.last.Add(-lineEvery)
	p.start = p.start.Add(-10 * time.Second)
	p.Set(60, "loss 0.4") // 20 of the remaining 60 in 10 s: 2/s, 40 left
	p.Printf("saved %s", "checkpoint-60")
	p.Add(40)
	p.Close()
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{"sft 60/100 (60%) 2/s, 20s left, loss 0.4", "saved checkpoint-60", "sft 100/100 (100%) 6/s, 10s elapsed, loss 0.4", ""} {
		if i >= len(lines) || lines[i] != want {
			t.Fatalf("lines %q; line %d should be %q", lines, i, want)
		}
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, true, "collect", 0, 10)
	p.Set(5, "pass 0.4")
	p.Printf("a line")
	p.Set(10, "pass 0.5")
	p.Close()
	for _, want := range []string{"collect", "a line\n", "10/10"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q lacks %q", out.String(), want)
		}
	}
}
