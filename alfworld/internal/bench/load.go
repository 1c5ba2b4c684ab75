package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/oreo-go/oreo/alfworld"
)

// loadRounds is how often the whole split is gone through; the mean counts.
const loadRounds = 5

// timeLoads loads and resets every game of the split and every timed one, each
// from a file of its own, once in each round, and returns the processor seconds
// that one of the timed games took. A round lies between two loads of the same
// game, so nothing but what different games share can be at hand. With apart,
// they share nothing: every domain and grammar is a different text.
func timeLoads(dir string, split, timed []alfworld.Spec, apart bool) ([]float64, error) {
	specs := append(append([]alfworld.Spec(nil), timed...), split...)
	paths := make([]string, len(specs))
	for i, s := range specs {
		if apart {
			s.Domain += fmt.Sprintf("\n; %d\n", i)
			s.Grammar += fmt.Sprintf("\n# %d\n", i)
		}
		paths[i] = filepath.Join(dir, fmt.Sprintf("%d.tw-pddl", i))
		if err := os.WriteFile(paths[i], s.JSON(), 0o644); err != nil {
			return nil, err
		}
	}
	spent := make([]float64, len(timed))
	for round := range loadRounds + 1 {
		for i, path := range paths {
			start := cpu()
			g, err := alfworld.Load(path)
			if err != nil {
				return nil, err
			}
			if _, err := g.NewEnv().Reset(); err != nil {
				return nil, err
			}
			if round > 0 && i < len(spent) { // the first round warms up
				spent[i] += (cpu() - start).Seconds() / loadRounds
			}
		}
	}
	return spent, nil
}
