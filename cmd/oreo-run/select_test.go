package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/math/data"
	"github.com/oreo-go/oreo/runtime/traj"
)

func TestSelect(t *testing.T) {
	var b strings.Builder
	for i := range 16 {
		reward := "0"
		if i%4 != 0 {
			reward = "1"
		}
		b.WriteString(`{"prompt":"p","response":"r` + string(rune('a'+i)) + `","reward":` + reward + "}\n")
	}
	queries, err := readQueries(linesFile(t, b.String()))
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Build(data.Recipe7B(), queries)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var console bytes.Buffer
	out, pairs := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "pairs.jsonl")
	if err := writeSet(&console, set, out, pairs, ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{out: 8, pairs: 10} {
		text, err := os.ReadFile(path)
		if err != nil || bytes.Count(text, []byte("\n")) != want {
			t.Errorf("%s: %d records, want %d (%v)", path, bytes.Count(text, []byte("\n")), want, err)
		}
	}
	if !strings.Contains(console.String(), "positive trajectories") {
		t.Errorf("no summary:\n%s", &console)
	}
	if _, err := readQueries(linesFile(t, `{"prompt":"p","response":"r"}`)); err == nil {
		t.Error("no reward: want an error")
	}
}

// Rollouts as alfworld rollout writes them become trajectories, pairs and labels
// that training reads: five a game are looked at, at most five pairs made.
func TestSelectConversations(t *testing.T) {
	rollout := func(game, opening, act string, reward int) string {
		return fmt.Sprintf(`{"id":"%s/%s","game":%q,"sample":1,"conversations":[{"role":"user","content":"rules"},{"role":"assistant","content":"OK"},`+
			`{"role":"user","content":%q},{"role":"assistant","content":%q}],"reward":%d,"turns":[{"action":"go"}]}`, game, act, game, opening, act, reward)
	}
	var lines []string
	for _, game := range []string{"g1", "g2"} {
		for i := range 7 {
			lines = append(lines, rollout(game, "task of "+game, fmt.Sprint("act ", i), i%2))
		}
	}
	lines = append(lines, strings.Replace(rollout("g3", "task of g3", "x", 1), `"reward"`, `"error":"no answer","reward"`, 1))
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	run := func(in, suffix string) {
		t.Helper()
		mustRun(t, "select", "--in", in, "--recipe", "alfworld", "--out", path("t"+suffix), "--pairs", path("p"+suffix), "--labels", path("l"+suffix))
	}
	run(writeLines(t, lines...), "")
	trajectories, pairs, labels := readAll[traj.Record](t, path("t")), []traj.Pair{}, readAll[traj.Record](t, path("l"))
	for p, err := range traj.ReadPairs(path("p")) {
		if err != nil {
			t.Fatal(err)
		}
		chosen, rejected := p.Records()
		if !slices.Equal(chosen.Conversations[:3], rejected.Conversations[:3]) {
			t.Errorf("a pair of two games: %+v", p)
		}
		pairs = append(pairs, p)
	}
	// Of samples 0..4 those with an odd number are right: 2 x 3 pairs, of which 5 are drawn.
	if len(trajectories) != 10 || len(labels) != 10 || len(pairs) != 10 {
		t.Errorf("%d trajectories, %d labels, %d pairs; want 10 of each", len(trajectories), len(labels), len(pairs))
	}
	// Without the field the conversations themselves tell the games apart.
	for i := range lines {
		lines[i] = regexp.MustCompile(`"game":"g\d",`).ReplaceAllString(lines[i], "")
	}
	run(writeLines(t, lines...), "-untold")
	if got := readAll[traj.Pair](t, path("p-untold")); len(got) != len(pairs) {
		t.Errorf("%d pairs without the field game, want %d", len(got), len(pairs))
	}
}
