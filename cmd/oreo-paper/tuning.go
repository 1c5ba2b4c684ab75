package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/cmd/internal/stage"
)

// tuning is what --tune found: for every method of a part the settings that were
// tried, for no method fewer than for OREO, on a seed that no result is reported of.
type tuning map[string]map[string][]trial

// trial is a point of a grid.
type trial struct {
	Set      settings           `json:"set"`
	Accuracy map[string]float64 `json:"accuracy"` // by level or split, greedy
	Mean     float64            `json:"mean"`
}

//go:embed tuning.json
var standardTuning []byte

// tuningSeed differs from every seed that is reported.
const tuningSeed = 1000

func readTuning(path string) (tuning, error) {
	text := standardTuning
	if path == "" {
		path = "the program's own tuning.json"
	} else {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	t := tuning{}
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for part, methods := range map[string][]string{mathPart: slices.Concat(mathMethods, variants), alfworldPart: alfworldMethods} {
		for _, method := range methods {
			if len(t[part][method]) == 0 {
				return nil, fmt.Errorf("%s: no settings of %s for %s", path, part, method)
			}
		}
	}
	return t, nil
}

// best returns the settings of a method with the highest mean accuracy.
func (t tuning) best(part, method string) settings {
	best := t[part][method][0]
	for _, other := range t[part][method][1:] {
		if other.Mean > best.Mean {
			best = other
		}
	}
	return best.Set
}

// tune trains and measures every point of the grids that it was given, and
// writes them with their accuracies to OUT/tuning.json.
func (p *paper) tune(ctx context.Context) error {
	if err := p.trainAgent(ctx); err != nil {
		return err
	}
	found := maps.Clone(p.tuned)
	for _, part := range p.parts {
		e := p.experiment(part, tuningSeed)
		if err := e.base(ctx); err != nil {
			return err
		}
		found[part] = map[string][]trial{}
		for _, method := range e.tunedMethods() {
			for i, point := range p.tuned[part][method] {
				t, err := e.try(ctx, method, fmt.Sprintf("%s-%d", method, i+1), point.Set)
				if err != nil {
					return err
				}
				found[part][method] = append(found[part][method], t)
			}
		}
	}
	path := filepath.Join(p.out, "tuning.json")
	if err := report.WriteJSON(path, found); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the best settings of every grid are in %s: use them with --tuning\n", path)
	return nil
}

func (e *experiment) tunedMethods() []string {
	if e.part == mathPart {
		return slices.Concat(mathMethods, variants)
	}
	return alfworldMethods
}

// try trains a method with some settings and measures the policy greedily.
func (e *experiment) try(ctx context.Context, method, name string, point settings) (trial, error) {
	command, level, variant := strings.Cut(method, "-")
	set := maps.Clone(point)
	if variant {
		set["level"] = level
	}
	samples := samplesFile("sft")
	if command == "dpo" {
		samples = pairsFile("sft")
	}
	t := trial{Set: point, Accuracy: map[string]float64{}}
	stages := []stage.Stage{
		{Title: "train " + name, Product: name + "/train.yaml", Commands: [][]string{e.trainCommand(command, name, "sft", samples, set)}},
		e.export(name, false),
	}
	groups := splits
	if e.part == mathPart {
		groups = nil
		for _, l := range e.math.levels {
			groups = append(groups, l.name)
			stages = append(stages, e.eval(name, l.name, 1))
		}
	} else {
		for _, split := range splits {
			stages = append(stages, e.play(name, split, 0))
		}
	}
	if err := e.Run(ctx, stages); err != nil {
		return t, err
	}
	for _, group := range groups {
		x, err := e.results(source{policy: name}, group)
		if err != nil {
			return t, err
		}
		t.Accuracy[group] = mean(x)
		t.Mean += mean(x) / float64(len(groups))
	}
	return t, nil
}
