package expert_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

// TestOfficial solves the official games, searching and directly.
func TestOfficial(t *testing.T) {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	every := 20
	if os.Getenv("OREO_LONG") != "" {
		every = 1
	}
	for _, edition := range []string{alfworld.Edition211, alfworld.Edition213} {
		for _, split := range []string{"train", "valid_seen", "valid_unseen"} {
			path := filepath.Join(root, "alfworld-data", "games", split+".jsonl.gz")
			if _, err := os.Stat(path); err != nil {
				t.Skipf("data not at hand: %v", err)
			}
			n, games, won, steps, longest := 0, 0, 0, 0, 0
			for spec, err := range alfworld.Specs(path, edition) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; n%every != 0 {
					continue
				}
				g, err := spec.Compile()
				if err != nil {
					t.Fatal(err)
				}
				games++
				if task, err := g.Task(); err != nil || task.Type != spec.TaskType {
					t.Errorf("%s: task %+v, %v", spec.ID, task, err)
				}
				env := g.NewEnv()
				plan, err := expert.Plan(env, expert.Config{Seed: uint64(n), Direct: n%3 == 0})
				if err != nil {
					t.Error(err)
					continue
				}
				for _, s := range plan {
					obs, err := env.Step(s.Command)
					if err != nil || obs == alfworld.Nothing {
						t.Errorf("%s: %q: %q %v", spec.ID, s.Command, obs, err)
					}
				}
				if env.Won() && len(plan) <= 40 {
					won++
				} else {
					t.Errorf("%s: not won after %d steps", spec.ID, len(plan))
				}
				steps += len(plan)
				longest = max(longest, len(plan))
			}
			t.Logf("%s %s: %d of %d won, %.1f steps a game, at most %d", edition, split, won, games, float64(steps)/float64(games), longest)
		}
	}
}

// TestWaste plays games of our own with an expert that never, sometimes and
// always checks what it has seen before it goes on.
func TestWaste(t *testing.T) {
	cfg := worldgen.DefaultConfig()
	cfg.Rooms, cfg.Tasks = []string{"kitchen"}, []string{"pick_clean_then_place_in_recep"}
	lengths := [3]int{}
	for spec, err := range worldgen.Games(cfg, "train", 10) {
		if err != nil {
			t.Fatal(err)
		}
		g, err := spec.Compile()
		if err != nil {
			t.Fatal(err)
		}
		for i, checks := range [][]float64{nil, {0, 1}, {1}} {
			env := g.NewEnv()
			plan, err := expert.Plan(env, expert.Config{Seed: 5, Brief: true, Checks: checks, MaxSteps: 100})
			if err != nil {
				t.Fatal(err)
			}
			lengths[i] += len(plan)
			for j, s := range plan {
				if s.Thought == "" || strings.Contains(s.Thought, "{") {
					t.Errorf("thought %q", s.Thought)
				}
				if i == 2 && j > 0 && !strings.HasPrefix(s.Command, "examine ") && !strings.HasPrefix(plan[j-1].Command, "examine ") {
					t.Errorf("%s: no check between %q and %q", spec.ID, plan[j-1].Command, s.Command)
				}
				if obs, err := env.Step(s.Command); err != nil || obs == alfworld.Nothing {
					t.Fatalf("%s: %q: %q %v", spec.ID, s.Command, obs, err)
				}
			}
			if !env.Won() {
				t.Errorf("%s: not won", spec.ID)
			}
		}
	}
	if !(lengths[0] < lengths[1] && lengths[1] < lengths[2]) {
		t.Errorf("%d commands without checks, %d with some, %d with all", lengths[0], lengths[1], lengths[2])
	}
	if _, err := expert.Plan(nil, expert.Config{Checks: []float64{0.5, 2}}); err == nil {
		t.Error("a share of 2 is accepted")
	}
}

// TestPlan follows what the first thought announces: the places of the room in the
// order of its description, and where things go in the end; later thoughts say
// where the search has come to.
func TestPlan(t *testing.T) {
	cfg := worldgen.DefaultConfig()
	cfg.Tasks, cfg.Apart = []string{"pick_and_place_simple"}, true
	searched := 0
	for spec, err := range worldgen.Games(cfg, "train", 20) {
		if err != nil {
			t.Fatal(err)
		}
		g, err := spec.Compile()
		if err != nil {
			t.Fatal(err)
		}
		env := g.NewEnv()
		plan, err := expert.Plan(env, expert.Config{Seed: 5, Brief: true, Plan: true, MaxSteps: 100})
		if err != nil {
			t.Fatal(err)
		}
		places, target, _ := strings.Cut(plan[0].Thought, " and bring it to the ")
		_, places, _ = strings.Cut(places, " at the ")
		order := strings.Split(places, ", the ")
		text, err := env.Reset()
		if err != nil {
			t.Fatal(err)
		}
		_, described, _ := strings.Cut(text, "you see a ")
		described, _, _ = strings.Cut(described, ".")
		if described = strings.ReplaceAll(described, ", and a ", ", a "); described != strings.Join(order, ", a ") {
			t.Fatalf("%s: the plan names %q, the room has %q", spec.ID, order, described)
		}
		before := ""
		for _, s := range plan {
			if strings.HasPrefix(s.Command, "take ") {
				break
			}
			if place, goes := strings.CutPrefix(s.Command, "go to "); goes {
				if len(order) == 0 || place != order[0] {
					t.Fatalf("%s: goes to %s, next in the plan %q is %q", spec.ID, place, plan[0].Thought, order)
				}
				if want := "Not at the " + before + ", the " + place + " is next."; before != "" && s.Thought != want {
					t.Errorf("%s: thinks %q, want %q", spec.ID, s.Thought, want)
				}
				before, order = place, order[1:]
				searched++
			}
		}
		if last := plan[len(plan)-1].Command + "."; !strings.HasSuffix(last, " in/on "+target) {
			t.Errorf("%s: ends with %q, planned %q", spec.ID, last, plan[0].Thought)
		}
	}
	if searched < 20 {
		t.Errorf("only %d places searched", searched)
	}
}
