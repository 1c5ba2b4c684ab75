package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/cmd/internal/stage"
)

// tuning is what --tune found: for every method of a part the settings that were
// tried, as many for each, on seeds that no result is reported of.
type tuning map[string]map[string][]trial

// trial is a point of a grid.
type trial struct {
	Set settings `json:"set"`
	// Correct, greedily, a mean of the levels or splits, on the first tuning seeds.
	Correct []float64 `json:"correct"`
}

//go:embed tuning.json
var standardTuning []byte

// tuningSeeds differ from every seed that is reported. All points of a grid are
// measured on the first one, and the better half of them on the others: what is
// best on a single seed has often been lucky there.
var tuningSeeds = []uint64{1000, 1001, 1002}

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
			for i, point := range t[part][method] {
				if !(point.rate() > 0) { // NaN, too
					return nil, fmt.Errorf("%s: %s, %s, settings %d: lr is %q, want a positive number", path, part, method, i+1, point.Set["lr"])
				}
			}
		}
	}
	return t, nil
}

// best returns the gentlest settings of a method that may be its best: of those that
// were measured on most seeds and come within two standard errors of the highest
// mean, the ones with the smallest learning rate, of equal ones the better. A
// high rate that wins by less than that has been lucky on these seeds, and does not
// keep what it promises on others.
func (t tuning) best(part, method string) settings {
	points := t[part][method]
	best := slices.MaxFunc(points, func(a, b trial) int {
		return cmp.Or(cmp.Compare(len(a.Correct), len(b.Correct)), cmp.Compare(mean(a.Correct), mean(b.Correct)))
	})
	bar := mean(best.Correct) - 2*standardError(best.Correct)
	for _, other := range points {
		if len(other.Correct) < len(best.Correct) || mean(other.Correct) < bar {
			continue
		}
		if c := cmp.Compare(other.rate(), best.rate()); c < 0 || c == 0 && mean(other.Correct) > mean(best.Correct) {
			best = other
		}
	}
	return best.Set
}

// rate is the learning rate, which readTuning has checked.
func (t trial) rate() float64 {
	rate, _ := strconv.ParseFloat(t.Set["lr"], 64)
	return rate
}

// tune trains and measures the points of the grids that it was given, and writes
// them with their accuracies to OUT/tuning.json.
func (p *paper) tune(ctx context.Context) error {
	if err := p.trainAgent(ctx); err != nil {
		return err
	}
	found := maps.Clone(p.tuned)
	for _, part := range p.parts {
		found[part] = map[string][]trial{}
		for method, points := range p.tuned[part] {
			for _, point := range points {
				found[part][method] = append(found[part][method], trial{Set: point.Set})
			}
		}
		for i, seed := range tuningSeeds {
			e := p.experiment(part, seed)
			if err := e.base(ctx); err != nil {
				return err
			}
			for _, method := range e.tunedMethods() {
				points := found[part][method]
				for _, k := range worthTrying(points, i) {
					correct, err := e.try(ctx, method, fmt.Sprintf("%s-%d", method, k+1), points[k].Set)
					if err != nil {
						return err
					}
					points[k].Correct = append(points[k].Correct, correct)
				}
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

// worthTrying returns which points to measure on the i-th tuning seed: on the first
// one all of them, in their order, then the half that was best there, the best first.
func worthTrying(points []trial, i int) []int {
	order := make([]int, len(points))
	for k := range order {
		order[k] = k
	}
	if i == 0 {
		return order
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(points[b].Correct[0], points[a].Correct[0]) })
	return order[:(len(order)+1)/2]
}

func (e *experiment) tunedMethods() []string {
	if e.part == mathPart {
		return slices.Concat(mathMethods, variants)
	}
	return alfworldMethods
}

// try trains a method with some settings and measures the policy greedily.
func (e *experiment) try(ctx context.Context, method, name string, point settings) (correct float64, err error) {
	command, level, variant := strings.Cut(method, "-")
	set := maps.Clone(point)
	if variant {
		set["level"] = level
	}
	samples := samplesFile("sft")
	if command == "dpo" {
		samples = pairsFile("sft")
	}
	stages := []stage.Stage{
		{Title: "train " + name, Product: name + "/train.yaml", Commands: [][]string{e.trainCommand(command, name, "sft", samples, set)}},
		e.export(name, false),
	}
	groups := splits
	if e.part == mathPart {
		groups = e.levelNames()
	}
	for _, group := range groups {
		if e.part == mathPart {
			stages = append(stages, e.eval(name, group, 1))
		} else {
			stages = append(stages, e.play(name, group, 0))
		}
	}
	if err := e.Run(ctx, stages); err != nil {
		return 0, err
	}
	for _, group := range groups {
		x, err := e.results(source{policy: name}, group)
		if err != nil {
			return 0, err
		}
		correct += mean(x) / float64(len(groups))
	}
	return correct, nil
}
