package alfworld_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// Recordings by others leave out where one arrives.
var arrival = regexp.MustCompile(`^You arrive at loc \d+\. `)

// TestExpertRecordings replays ETO's recorded expert episodes.
func TestExpertRecordings(t *testing.T) {
	type episode struct {
		ID            string `json:"id"`
		Conversations []struct {
			From  string `json:"from"`
			Value string `json:"value"`
		} `json:"conversations"`
	}
	specs := officialSpecs(t, alfworld.Edition211)
	seen, played, steps := 0, 0, 0
	for ep, err := range jsonl.Read[episode](shared(t, "trajectories", "eto_gt_traj.jsonl.gz")) {
		if err != nil {
			t.Fatal(err)
		}
		spec, known := specs[ep.ID]
		if seen++; !known || seen%sample() != 0 {
			continue
		}
		played++
		env := start(t, spec)
		obs, err := env.Reset()
		for _, turn := range ep.Conversations {
			if turn.From == "gpt" {
				obs, err = env.Step(turn.Value)
				steps++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := arrival.ReplaceAllString(obs, ""); got != turn.Value {
				t.Fatalf("%s:\n got %q\nwant %q", ep.ID, got, turn.Value)
			}
		}
		if !env.Won() {
			t.Fatalf("%s: not won", ep.ID)
		}
	}
	t.Logf("%d episodes, %d steps", played, steps)
}

// TestModelRecordings replays what a language model tried, much of it not
// admissible.
func TestModelRecordings(t *testing.T) {
	type episode struct {
		Name   string `json:"name"`
		Result any    `json:"result"` // true, or 1 in a part of the records
		Traj   string `json:"traj"`
	}
	byTrial := map[string]alfworld.Spec{}
	for id, s := range officialSpecs(t, alfworld.Edition211) {
		_, trial, _ := strings.Cut(id, "/")
		byTrial[trial] = s
	}
	seen, played, steps, nothing := 0, 0, 0, 0
	for ep, err := range jsonl.Read[episode](shared(t, "trajectories", "knowagent_llama2_rollouts.jsonl.gz")) {
		if err != nil {
			t.Fatal(err)
		}
		spec, known := byTrial[ep.Name]
		if seen++; !known || seen%sample() != 0 {
			continue
		}
		played++
		env := start(t, spec)
		var cmd string
		for _, line := range strings.Split(strings.TrimRight(ep.Traj, "\n"), "\n") {
			if rest, isInput := strings.CutPrefix(line, "> "); isInput {
				if cmd = rest; strings.HasPrefix(cmd, "Think:") || strings.HasPrefix(cmd, "ActionPath") {
					cmd = ""
				}
				continue
			}
			if cmd == "" {
				continue
			}
			obs, err := env.Step(cmd)
			if err != nil {
				t.Fatal(err)
			}
			if got := arrival.ReplaceAllString(obs, ""); got != line {
				t.Fatalf("%s: %q:\n got %q\nwant %q", ep.Name, cmd, got, line)
			}
			steps++
			if obs == alfworld.Nothing {
				nothing++
			}
			cmd = ""
		}
		if env.Won() != (ep.Result == true || ep.Result == 1.0) {
			t.Fatalf("%s: won %v, recorded %v", ep.Name, env.Won(), ep.Result)
		}
	}
	t.Logf("%d episodes, %d steps, %d of them %q", played, steps, nothing, alfworld.Nothing)
}

// TestWalkthroughs wins every official game with its own solution.
func TestWalkthroughs(t *testing.T) {
	for _, edition := range []string{alfworld.Edition211, alfworld.Edition213} {
		seen, won := 0, 0
		for id, spec := range officialSpecs(t, edition) {
			if seen++; seen%sample() != 0 {
				continue
			}
			env := start(t, spec)
			for _, cmd := range spec.Walkthrough {
				if env.Won() {
					t.Errorf("%s: won before the end", id)
				}
				if _, err := env.Step(cmd); err != nil {
					t.Fatal(err)
				}
			}
			if !env.Won() {
				t.Errorf("%s (%s): the walkthrough does not win", id, edition)
				continue
			}
			won++
		}
		t.Logf("%s: %d games won", edition, won)
	}
}

func start(t testing.TB, spec alfworld.Spec) *alfworld.Env {
	t.Helper()
	g, err := spec.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := g.Compiled(); !ok {
		t.Fatalf("%s: %v", spec.ID, why)
	}
	return g.NewEnv()
}
