package worldgen

import (
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
		for _, p := range newLayout(cfg.Seed, n).places {
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
}

func TestValidate(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Edition = "3" },
		func(c *Config) { c.TrainLayouts = 0 },
		func(c *Config) { c.UnseenLayouts = 0 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
