// Command oreo-setup readies a checkout: it finds or fetches libtorch and
// onnxruntime, writes .deps/env for the build, and compiles bin/. `make setup`
// runs it; a second run finds everything in place and needs no network.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/oreo-go/oreo/cmd/internal/native"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := native.Tools(); err != nil {
		return err
	}
	if err := os.MkdirAll(".deps/onnxruntime", 0o755); err != nil {
		return err
	}
	torch, err := native.Libtorch(ctx, os.Stderr, true)
	if err != nil {
		return err
	}
	say("libtorch %s, %s: %s", torch.Version, torch.From, torch.Dir)
	ort, err := native.ORT(ctx, os.Stderr, true)
	if err != nil {
		return err
	}
	say("onnxruntime %s, %s: %s", ort.Version, ort.From, ort.Dir)
	if err := link(ort.Dir, ".deps/onnxruntime/lib"); err != nil {
		return err
	}
	env, err := native.BuildEnv(torch)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(ort.Dir, "libonnxruntime.so*"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no libonnxruntime.so in %s", ort.Dir)
	}
	env = append(env, "ORT_LIB="+files[0]) // tests run in folders of their own
	if err := writeEnv(".deps/env", env); err != nil {
		return err
	}
	if err := command(ctx, env, "go", "mod", "download"); err != nil {
		return err
	}
	say("compiling bin/ (the first time, libtorch's bindings take a few minutes)")
	start := time.Now()
	if err := command(ctx, env, "go", append([]string{"build", "-o", "bin/"}, programs...)...); err != nil {
		return err
	}
	say("compiled in %s; everything is ready", time.Since(start).Round(time.Second))
	return nil
}

// programs are compiled into bin/.
var programs = []string{"./cmd/oreo-train", "./cmd/oreo-export", "./cmd/oreo-run", "./cmd/oreo-demo", "./cmd/oreo-paper"}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "setup: "+format+"\n", args...) }

// link makes name a symbolic link to dir, replacing an older one at once.
func link(dir, name string) error {
	return renameio.Symlink(dir, name)
}

// writeEnv writes the build environment as a file that a shell can source.
func writeEnv(path string, env []string) error {
	var b strings.Builder
	b.WriteString("# written by make setup; `. .deps/env` lets the go command build and test everything\n")
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	return renameio.WriteFile(filepath.FromSlash(path), []byte(b.String()), 0o644)
}

func command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
