package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/search"
)

// Every method and choice through the command, with trace and page: the tree is
// whole, and the answer is a node of it.
func TestSearchMethods(t *testing.T) {
	policy, critic := exported(t, model.LMHead), exported(t, model.ValueHead)
	problems := problemFile(t, 3)
	for _, flags := range [][]string{
		{"--method", "beam"}, {"--method", "dvts"}, {"--method", "best-of-n", "--width", "9", "--rows", "4"},
		{"--method", "best-of-n", "--choice", "majority"}, {"--method", "best-of-n", "--choice", "weighted", "--aggregate", "mean"},
		{"--method", "dvts", "--choice", "weighted", "--aggregate", "min"}, {"--method", "beam", "--budget-tokens", "60"},
		{"--method", "best-of-n", "--budget-time", "1h"},
	} {
		dir := t.TempDir()
		out, trace, html := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "trace.jsonl"), filepath.Join(dir, "trees.html")
		mustRun(t, append([]string{"search", "--model", policy, "--critic", critic, "--problems", problems, "--width", "3", "--max-new-tokens", "60",
			"--max-steps", "5", "--out", out, "--trace", trace, "--html", html}, flags...)...)
		page, err := os.ReadFile(html)
		if err != nil {
			t.Fatal(err)
		}
		nodes := readAll[search.Node](t, trace)
		for i, a := range readAll[foundAnswer](t, out) {
			known := map[int]search.Node{}
			tokens := 0
			for _, n := range nodes {
				if n.Question != uint64(i) {
					continue
				}
				if _, ok := known[n.Parent]; n.Parent != 0 && !ok {
					t.Errorf("%v: node %+v stands before its parent", flags, n)
				}
				known[n.ID] = n
				tokens += n.Tokens * n.Copies
			}
			if tokens != a.Tokens || a.Reason == "" || a.Correct == nil {
				t.Errorf("%v: %d tokens traced, answer %+v", flags, tokens, a)
			}
			if slices.Contains(flags, "--budget-tokens") && a.Tokens > 60 {
				t.Errorf("%v: %d tokens drawn", flags, a.Tokens)
			}
			for _, v := range a.Votes {
				if v.Says == "" || v.Copies < 1 {
					t.Errorf("%v: votes %+v", flags, a.Votes)
				}
			}
		}
		if n := strings.Count(string(page), `class="step"`); n != len(nodes) || !strings.Contains(string(page), " best") {
			t.Errorf("%v: the page shows %d of %d nodes", flags, n, len(nodes))
		}
	}
	for _, c := range []struct{ flag, value, want string }{
		{"--method", "mcts", `method is "mcts"`}, {"--choice", "x", `choice is "x"`}, {"--aggregate", "x", `aggregate is "x"`}, {"--budget-tokens", "-1", "budget of -1"},
	} {
		if _, err := run(t, "search", "--model", policy, "--critic", critic, "--problems", problems, c.flag, c.value); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v", c.flag, c.value, err)
		}
	}
}

// A page shows what models write, whatever it is, as text.
func TestTreePageEscapes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.html")
	evil := `</span><script>alert("x")</script>`
	tree := searchTree{Answer: foundAnswer{ID: evil, Question: evil, node: 1, Votes: []search.Vote{{Says: evil}}}, Nodes: []search.Node{{ID: 1, Text: evil, Copies: 2}}}
	if err := writeTrees(path, []searchTree{tree}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(page), "<script>alert") {
		t.Errorf("the page holds the script; %v", err)
	}
}

// An interrupted search writes what it has found.
func TestSearchInterrupted(t *testing.T) {
	policy, critic := exported(t, model.LMHead), exported(t, model.ValueHead)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	problems := problemFile(t, 3000)
	// A busy machine may need longer than that to find anything.
	for wait := 300 * time.Millisecond; wait < time.Minute; wait *= 2 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(wait, cancel)
		err := newApp().RunContext(ctx, []string{"oreo-run", "search", "--model", policy, "--critic", critic, "--problems", problems, "--rows", "9",
			"--width", "3", "--max-new-tokens", "80", "--out", out})
		timer.Stop()
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n >= 3000 {
			t.Fatalf("%d answers", n)
		} else if n > 0 {
			readAll[foundAnswer](t, out)
			return
		}
	}
	t.Error("no answer was kept")
}

func TestGenerateUnderGrammars(t *testing.T) {
	policy := exported(t, model.LMHead)
	schema := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(schema, []byte(`{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string","maxLength":4}},"required":["n","s"]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	gen := func(args ...string) []generated {
		args = append([]string{"generate", "--model", policy, "--prompt", "Ann", "--temperature", "1", "--max-new-tokens", "90", "--n", "6", "--json"}, args...)
		var all []generated
		for line := range strings.Lines(mustRun(t, args...)) {
			var g generated
			decodeJSON(t, line, &g)
			all = append(all, g)
		}
		if len(all) != 6 {
			t.Errorf("%v: %d answers", args, len(all))
		}
		return all
	}
	for _, g := range gen("--schema", schema) {
		var v struct {
			N *int64
			S *string
		}
		if err := json.Unmarshal([]byte(g.Text), &v); err != nil || v.N == nil || v.S == nil || len([]rune(*v.S)) > 4 {
			t.Errorf("%q: %v", g.Text, err)
		}
	}
	for _, g := range gen("--one-of", "3+14=17", "--one-of", "many apples") {
		if g.Text != "3+14=17" && g.Text != "many apples" {
			t.Errorf("%q", g.Text)
		}
	}
	for _, g := range gen("--regexp", `#### [0-9]{1,3}\n`) {
		if !strings.HasPrefix(g.Text, "#### ") || !strings.HasSuffix(g.Text, "\n") {
			t.Errorf("%q", g.Text)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--schema", schema, "--regexp", "a"}, "one of --schema"},
		{[]string{"--schema", "nowhere"}, "nowhere"},
		{[]string{"--regexp", "a\\b"}, "anchors"},
		{[]string{"--n", "2"}, "needs --json"},
		{[]string{"--repetition-penalty", "-1"}, "repetition penalty is -1"},
	} {
		if _, err := run(t, append([]string{"generate", "--model", policy, "--prompt", "a"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

// A dialogue's turns answer as calls of their own do, and cost what is new.
func TestDialogue(t *testing.T) {
	policy, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{MaxRows: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	critic, err := runtime.OpenValue(exported(t, model.ValueHead), runtime.Options{MaxRows: 6})
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Close()
	d, err := runtime.NewDialogue(t.Context(), policy, critic, 4)
	if err != nil {
		t.Fatal(err)
	}
	said := "Ann has 3 apples.\n"
	choices, err := policy.Choices([]string{"3+14=17", "17-5=12", "many"})
	if err != nil {
		t.Fatal(err)
	}
	for turn := range uint64(4) {
		cfg := runtime.ActionConfig{K: 4, MaxNewTokens: 12, Seed: 1, Question: turn, Stop: []string{"."}}
		if turn%2 == 1 {
			cfg.Grammar = choices
		}
		got, err := d.ChooseAction(t.Context(), runtime.Text(said), cfg)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{MaxRows: 6})
		if err != nil {
			t.Fatal(err)
		}
		freshCritic, err := runtime.OpenValue(exported(t, model.ValueHead), runtime.Options{MaxRows: 6})
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Grammar != nil {
			if cfg.Grammar, err = fresh.Choices([]string{"3+14=17", "17-5=12", "many"}); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains([]string{"3+14=17", "17-5=12", "many"}, got.Text) {
				t.Errorf("turn %d: %q", turn, got.Text)
			}
		}
		want, err := runtime.ChooseAction(t.Context(), fresh, freshCritic, runtime.Text(said), cfg)
		fresh.Close()
		freshCritic.Close()
		if err != nil || got.Text != want.Text || len(got.Others) != len(want.Others) {
			t.Errorf("turn %d: %+v, want %+v, %v", turn, got, want, err)
			continue
		}
		closeTo(t, "value", []float64{got.Value}, []float64{want.Value})
		for _, o := range got.Others {
			if o.Value > got.Value {
				t.Errorf("turn %d: value %v was taken, %v left", turn, got.Value, o.Value)
			}
		}
		said += got.Text + "\nObservation.\n"
	}
	if _, err := d.ChooseAction(t.Context(), runtime.Text(said), runtime.ActionConfig{K: 5}); !errors.Is(err, runtime.ErrRows) {
		t.Errorf("more actions than the dialogue has room for: %v", err)
	}
	d.Close()
	d.Close()
	if _, err := d.ChooseAction(t.Context(), runtime.Text(said), runtime.ActionConfig{}); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("a closed dialogue: %v", err)
	}
	greedy, err := runtime.ChooseAction(t.Context(), policy, nil, runtime.Text("Ann"), runtime.ActionConfig{MaxNewTokens: 9})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := policy.Sample(t.Context(), runtime.Text("Ann"), 1, runtime.GenerateConfig{MaxNewTokens: 9})
	if err != nil || plain[0].Text != greedy.Text {
		t.Errorf("greedy action %q, greedy answer %q, %v", greedy.Text, plain[0].Text, err)
	}
	if _, err := runtime.ChooseAction(t.Context(), policy, nil, runtime.Text("Ann"), runtime.ActionConfig{K: 2}); err == nil {
		t.Error("two actions without a critic")
	}
	if _, err := policy.Sample(t.Context(), runtime.Text("Tom"), 6, runtime.GenerateConfig{MaxNewTokens: 4}); err != nil {
		t.Error(err) // all rows are free again
	}
}
