package runtime_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const embedder = `package main

import (
	"context"
	"fmt"

	oreo "github.com/oreo-go/oreo/runtime"
)

func main() {
	policy, err := oreo.OpenPolicy("policy", oreo.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer policy.Close()
	answers, err := policy.Sample(context.Background(), oreo.Text("1+1="), 1, oreo.GenerateConfig{})
	fmt.Println(answers, err)
}
`

// A module of its own that embeds this package builds without libtorch: nothing
// of the trainer is among what it links.
func TestEmbeddingModule(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	// The module's own requirements, so that no network is needed to find them.
	_, requirements, _ := strings.Cut(string(mod), "\n")
	own := "module example.com/agent\n" + requirements +
		"\nrequire github.com/oreo-go/oreo v0.0.0\nreplace github.com/oreo-go/oreo => " + root + "\n"
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": own, "go.sum": string(sum), "main.go": embedder} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		// No compiler flags for libtorch, whatever surrounds the test.
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_CXXFLAGS=", "CGO_LDFLAGS=", "CGO_CFLAGS=", "CXX=false")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for _, dep := range strings.Fields(run("list", "-deps", ".")) {
		for _, no := range []string{"gotch", "oreo/train", "oreo/export", "oreo/cmd"} {
			if strings.Contains(dep, no) {
				t.Errorf("an embedding program links %s", dep)
			}
		}
	}
	run("build", "-o", os.DevNull, ".")
}
