package alfworld_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

var update = flag.Bool("update", false, "rewrite the dialogues in testdata")

// TestDialogues plays the commands of testdata/*.txt, lines that start with
// "> ", and compares what is said. The first line names a game of our own:
// split, number and edition.
func TestDialogues(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := dialogue(t, string(want))
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func dialogue(t *testing.T, script string) []byte {
	t.Helper()
	lines := strings.Split(script, "\n")
	var split, edition string
	var number int
	if _, err := fmt.Sscanf(lines[0], "game %s %d %s", &split, &number, &edition); err != nil {
		t.Fatalf("first line %q: %v", lines[0], err)
	}
	cfg := worldgen.DefaultConfig()
	cfg.Edition = edition
	var spec alfworld.Spec
	for s, err := range worldgen.Games(cfg, split, number+1) {
		if err != nil {
			t.Fatal(err)
		}
		spec = s
	}
	game, err := spec.Compile()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	env := game.NewEnv()
	obs, err := env.Reset()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%s\n%s\n", lines[0], obs)
	for _, line := range lines[1:] {
		cmd, isCommand := strings.CutPrefix(line, "> ")
		if !isCommand {
			continue
		}
		if obs, err = env.Step(cmd); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "\n> %s\n%s\n", cmd, obs)
		if cmd == "look" {
			fmt.Fprintf(&out, "(%s)\n", strings.Join(env.Admissible(), "; "))
		}
	}
	fmt.Fprintf(&out, "\nwon: %v\n", env.Won())
	return out.Bytes()
}
