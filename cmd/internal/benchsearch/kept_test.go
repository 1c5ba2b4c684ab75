package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// counter answers how often it was asked.
type counter struct {
	who   string
	asked int
}

func (c *counter) name() string     { return "counter" }
func (c *counter) identity() string { return c.who }
func (c *counter) atOnce() bool     { return false }
func (c *counter) run(_ context.Context, tasks []task) ([]answer, error) {
	c.asked++
	return []answer{{IDs: []int{c.asked}}}, nil
}

// What was answered is answered again after a restart, even one in the middle of a
// line, to the same task and player alone.
func TestAnswersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.jsonl")
	p := &counter{who: "a"}
	ask := func(x task, want int, wantAgain bool) {
		t.Helper()
		k, err := openKept(path)
		if err != nil {
			t.Fatal(err)
		}
		defer k.close()
		a, again, err := k.run(context.Background(), p, []task{x})
		if err != nil || a[0].IDs[0] != want || again != wantAgain {
			t.Errorf("answer %v, kept %v, error %v; want %d, %v", a, again, err, want, wantAgain)
		}
	}
	ask(task{Width: 3}, 1, false)
	ask(task{Width: 3}, 1, true)
	ask(task{Width: 3, Question: 1}, 2, false)
	p.who = "b"
	ask(task{Width: 3}, 3, false)

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-5], 0o644); err != nil {
		t.Fatal(err)
	}
	ask(task{Width: 3}, 4, false)
	ask(task{Width: 3}, 4, true)
	p.who = "a"
	ask(task{Width: 3, Question: 1}, 2, true)

	for name, text := range map[string]string{"no JSON": "{}\nno\n", "a huge number": `{}` + "\n" + `{"answers":[{"cpu":1e999}]}` + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := openKept(path); err == nil || !strings.Contains(err.Error(), path+": line 2: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ask(task{Width: 3}, 5, false)
}
