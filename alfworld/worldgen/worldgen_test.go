package worldgen

import (
	"slices"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
)

func TestGamesAreSolvable(t *testing.T) {
	for _, edition := range []string{alfworld.Edition211, alfworld.Edition213} {
		cfg := DefaultConfig()
		cfg.Edition = edition
		types := map[string]int{}
		for _, split := range Splits {
			for spec, err := range Games(cfg, split, 40) {
				if err != nil {
					t.Fatal(err)
				}
				types[spec.TaskType]++
				g, err := spec.Compile()
				if err != nil {
					t.Fatal(err)
				}
				if ok, why := g.Compiled(); !ok {
					t.Errorf("%s: %v", spec.ID, why)
				}
				if task, err := g.Task(); err != nil || task.Type != spec.TaskType {
					t.Errorf("%s: %+v %v", spec.ID, task, err)
				}
				plan, err := expert.Plan(g.NewEnv(), expert.Config{Seed: 3})
				if err != nil {
					t.Error(err)
				}
				env := g.NewEnv()
				for _, s := range plan {
					if obs, err := env.Step(s.Command); err != nil || obs == alfworld.Nothing {
						t.Fatalf("%s: %q: %q %v", spec.ID, s.Command, obs, err)
					}
				}
				if !env.Won() || len(plan) > 40 {
					t.Errorf("%s: won %v after %d steps", spec.ID, env.Won(), len(plan))
				}
			}
		}
		for _, typ := range alfworld.TaskTypes {
			if types[typ] < 5 {
				t.Errorf("only %d games of type %s", types[typ], typ)
			}
		}
	}
}

// The layouts of valid_unseen occur nowhere else; a game does not depend on how
// many are asked for.
func TestSplits(t *testing.T) {
	cfg := DefaultConfig()
	first := func(split string, n int) (specs []alfworld.Spec) {
		for s, err := range Games(cfg, split, n) {
			if err != nil {
				t.Fatal(err)
			}
			specs = append(specs, s)
		}
		return specs
	}
	a, b := first("train", 3), first("train", 6)
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Problem != b[i].Problem {
			t.Errorf("game %d depends on the number of games", i)
		}
	}
	seen := map[string]bool{}
	furniture := func(n int) (key string) {
		for _, p := range cfg.newLayout(n).places {
			key += p.id + p.location
		}
		return key
	}
	for n := range cfg.TrainLayouts {
		seen[furniture(n)] = true
	}
	for n := range cfg.UnseenLayouts {
		if seen[furniture(cfg.TrainLayouts+n)] {
			t.Errorf("unseen layout %d is a training layout", n)
		}
	}
	cfg.LayoutSeed, cfg.Seed = cfg.Seed, cfg.Seed+1
	if !seen[furniture(0)] {
		t.Error("another seed of games changes the layouts")
	}
	if c := first("train", 1); c[0].Problem == a[0].Problem {
		t.Error("another seed of games makes the same ones")
	}
}

// Small worlds are as small as asked and still have every task asked for.
func TestSmallWorlds(t *testing.T) {
	for _, test := range []struct {
		receptacles, objects int
		rooms, tasks         []string
	}{
		{receptacles: 3, objects: 4, rooms: []string{"kitchen"}},
		{receptacles: 4, objects: 3, tasks: alfworld.TaskTypes[:1]},
		{receptacles: 5, objects: 6, rooms: []string{"bedroom", "livingroom"}, tasks: alfworld.TaskTypes[:2]},
	} {
		cfg := DefaultConfig()
		cfg.Receptacles, cfg.Objects, cfg.Rooms, cfg.Tasks = test.receptacles, test.objects, test.rooms, test.tasks
		cfg.TrainLayouts, cfg.UnseenLayouts = 6, 3
		types := map[string]bool{}
		for _, split := range Splits {
			for spec, err := range Games(cfg, split, 30) {
				if err != nil {
					t.Fatal(err)
				}
				types[spec.TaskType] = true
				if len(test.tasks) > 0 && !slices.Contains(test.tasks, spec.TaskType) {
					t.Errorf("%s: not asked for", spec.ID)
				}
				if n := strings.Count(spec.Problem, "\n  (receptacleAtLocation "); n < 2 || n > test.receptacles {
					t.Errorf("%s: %d receptacles", spec.ID, n)
				}
				if n := strings.Count(spec.Problem, "\n  (objectAtLocation "); n < 1 || n > test.objects {
					t.Errorf("%s: %d objects", spec.ID, n)
				}
			}
		}
		if want := len(cfg.tasks()); len(types) < want && test.rooms == nil {
			t.Errorf("%+v: only tasks %v", test, types)
		}
	}
}

// With few kinds, one thing of each, no other kind lies about and none twice.
func TestFewKinds(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Rooms, cfg.Tasks = []string{"kitchen"}, []string{"pick_clean_then_place_in_recep"}
	cfg.Kinds, cfg.Single = 4, true
	seen := map[string]int{}
	for spec, err := range Games(cfg, "train", 30) {
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range rooms[0].kinds {
			n := strings.Count(spec.Problem, "\n  (objectAtLocation "+kind.name+"_bar_")
			if n > 1 {
				t.Errorf("%s: %d of the kind %s", spec.ID, n, kind.name)
			}
			seen[kind.name] += n
		}
	}
	for i, kind := range rooms[0].kinds {
		if (seen[kind.name] > 0) != (i < cfg.Kinds) {
			t.Errorf("kind %d, %s, lies about %d times", i, kind.name, seen[kind.name])
		}
	}
}

func TestValidate(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Edition = "3" },
		func(c *Config) { c.TrainLayouts = 0 },
		func(c *Config) { c.UnseenLayouts = 0 },
		func(c *Config) { c.Receptacles = 1 },
		func(c *Config) { c.Objects = -1 },
		func(c *Config) { c.Kinds = -1 },
		func(c *Config) { c.Tasks = []string{"dance"} },
		func(c *Config) { c.Rooms = []string{"garage"} },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// Receptacles share spots now and then, but not where they are to stand apart.
func TestApart(t *testing.T) {
	for _, apart := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Apart = apart
		shared := 0
		for n := range cfg.TrainLayouts {
			seen := map[string]bool{}
			for _, p := range cfg.newLayout(n).places {
				if seen[p.location] {
					shared++
				}
				seen[p.location] = true
			}
		}
		if (shared == 0) != apart {
			t.Errorf("apart %v: %d receptacles share a spot", apart, shared)
		}
	}
}
