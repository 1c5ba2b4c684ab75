package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/math/wordgen"
)

// diagnosis is everything the command reports; its help says what is measured.
type diagnosis struct {
	Trajectories int           `json:"trajectories"`
	Problems     int           `json:"problems"`
	Beta         float64       `json:"beta"`
	Calibration  calibration   `json:"calibration"`
	Pairwise     pairwise      `json:"pairwise"`
	Advantages   advantages    `json:"advantages"`
	LogRatio     *distribution `json:"log_ratio,omitempty"` // nats, over tokens
	KL           *distribution `json:"kl,omitempty"`        // nats, over states

	examples [][2]deciding
}

// interval is a figure with its 95 % confidence interval over N items.
type interval struct {
	Mean float64 `json:"mean"`
	Lo   float64 `json:"lo"`
	Hi   float64 `json:"hi"`
	N    int     `json:"n"`
}

type calibration struct {
	States int              `json:"states"`
	Brier  float64          `json:"brier"`
	ECE    float64          `json:"ece"`
	Bins   []calibrationBin `json:"bins"`
	Steps  []stepValue      `json:"by_step"`
}

// calibrationBin has the states whose value lies in [From, To).
type calibrationBin struct {
	From, To float64 `json:"-"`
	Value    float64 `json:"value"`  // mean
	Reward   float64 `json:"reward"` // mean
	Lo       float64 `json:"lo"`     // of the reward, Wilson
	Hi       float64 `json:"hi"`
	N        int     `json:"n"`
}

// stepValue is the critic after a number of steps.
type stepValue struct {
	Step  int     `json:"step"` // 0: before the first
	N     int     `json:"n"`
	Right float64 `json:"value_of_right"` // mean V in trajectories with a reward above 1/2
	Wrong float64 `json:"value_of_wrong"`
	Brier float64 `json:"brier"`
}

type pairwise struct {
	Problem interval `json:"within_problem"`
	Prefix  interval `json:"within_prefix"`
}

type advantages struct {
	Labels     string    `json:"labels"` // exact or outcome
	Right      int       `json:"right_steps"`
	Wrong      int       `json:"wrong_steps"`
	Explicit   interval  `json:"explicit_auc"`
	Implicit   *interval `json:"implicit_auc,omitempty"`
	Difference *interval `json:"explicit_minus_implicit,omitempty"`
	// Of two steps behind one prefix, how often the right one has the higher implicit advantage.
	ImplicitPairs *interval `json:"implicit_within_prefix,omitempty"`
}

type distribution struct {
	N    int       `json:"n"`
	Mean float64   `json:"mean"`
	From float64   `json:"from"`
	Step float64   `json:"step"` // width of a bin; the outer ones take what lies beyond
	Bins []float64 `json:"shares"`
}

const resamples = 1000

func diagnose(all []followed, withPolicy bool, beta float64) *diagnosis {
	d := &diagnosis{Trajectories: len(all), Beta: beta, Calibration: calibrate(all)}
	byProblem := map[string][]*followed{}
	var names []string
	for i := range all {
		if byProblem[all[i].problem] == nil {
			names = append(names, all[i].problem)
		}
		byProblem[all[i].problem] = append(byProblem[all[i].problem], &all[i])
	}
	d.Problems = len(names)
	var preferred, behindPrefix, behindPrefixImplicit []float64
	var steps [][]deciding // of a problem
	d.Advantages.Labels = "exact"
	for _, name := range names {
		if p, n := preferRight(byProblem[name]); n > 0 {
			preferred = append(preferred, p)
		}
		nodes, exact := decidingSteps(byProblem[name])
		if !exact {
			d.Advantages.Labels = "outcome"
		}
		steps = append(steps, nodes)
		pairs := siblings(nodes)
		if len(pairs) > 0 {
			behindPrefix = append(behindPrefix, agree(pairs, func(s deciding) float64 { return s.after }))
			behindPrefixImplicit = append(behindPrefixImplicit, agree(pairs, func(s deciding) float64 { return s.implicit }))
			d.examples = append(d.examples, pairs[0])
		}
	}
	d.Pairwise = pairwise{Problem: meanInterval(preferred), Prefix: meanInterval(behindPrefix)}
	d.advantages(steps, withPolicy)
	if withPolicy {
		d.divergence(all)
		implicit := meanInterval(behindPrefixImplicit)
		d.Advantages.ImplicitPairs = &implicit
	}
	return d
}

// calibrate compares the value of every state between steps with the outcome.
func calibrate(all []followed) calibration {
	c := calibration{Bins: make([]calibrationBin, 10)}
	for i := range c.Bins {
		c.Bins[i].From, c.Bins[i].To = float64(i)/10, float64(i+1)/10
	}
	type sums struct{ right, wrong, squares, n, nRight float64 }
	var bySteps []sums
	for _, f := range all {
		r := *f.Reward
		for k, v := range f.stateValues() {
			if k == len(bySteps) {
				bySteps = append(bySteps, sums{})
			}
			s := &bySteps[k]
			s.n, s.squares = s.n+1, s.squares+(v-r)*(v-r)
			if r > 0.5 {
				s.right, s.nRight = s.right+v, s.nRight+1
			} else {
				s.wrong += v
			}
			bin := &c.Bins[min(9, max(0, int(math.Floor(v*10))))]
			bin.N, bin.Value, bin.Reward = bin.N+1, bin.Value+v, bin.Reward+r
		}
	}
	for k, s := range bySteps {
		c.States += int(s.n)
		c.Brier += s.squares
		c.Steps = append(c.Steps, stepValue{Step: k, N: int(s.n), Right: s.right / max(1, s.nRight), Wrong: s.wrong / max(1, s.n-s.nRight), Brier: s.squares / s.n})
	}
	c.Brier /= float64(max(1, c.States))
	for i := range c.Bins {
		bin := &c.Bins[i]
		if bin.N == 0 {
			continue
		}
		n := float64(bin.N)
		bin.Value, bin.Reward = bin.Value/n, bin.Reward/n
		bin.Lo, bin.Hi = report.Wilson(int(math.Round(min(1, max(0, bin.Reward))*n)), bin.N)
		c.ECE += math.Abs(bin.Value-bin.Reward) * n / float64(c.States)
	}
	return c
}

// stateValues are the values before the first step and after each one.
func (f *followed) stateValues() []float64 {
	var values []float64
	for k, s := range f.steps {
		if k == 0 {
			values = append(values, f.turns[s.turn].values[s.from])
		}
		values = append(values, f.turns[s.turn].values[s.to])
	}
	return values
}

// preferRight is the share of n pairs of a right and a wrong trajectory in which
// the right one ends with the higher value.
func preferRight(group []*followed) (share float64, n int) {
	for _, a := range group {
		for _, b := range group {
			if *a.Reward > 0.5 && *b.Reward <= 0.5 && len(a.steps) > 0 && len(b.steps) > 0 {
				x, y := a.stateValues(), b.stateValues()
				share += above(x[len(x)-1], y[len(y)-1])
				n++
			}
		}
	}
	return share / float64(max(1, n)), n
}

func above(x, y float64) float64 {
	switch {
	case x > y:
		return 1
	case x == y:
		return 0.5
	}
	return 0
}

// deciding is a step behind a right prefix, with what came of it.
type deciding struct {
	followedStep
	after  float64 // V behind the step
	right  bool
	source *followed
}

// decidingSteps returns the steps of a problem whose prefix is right and which
// are known to be right or wrong, each text once, and how that is known.
func decidingSteps(group []*followed) (steps []deciding, exact bool) {
	check, exact := wordgen.Checker(group[0].Question)
	seen := map[string]bool{}
	add := func(f *followed, s followedStep, right bool) {
		if key := s.before + "\x00" + s.text; !seen[key] {
			seen[key] = true
			steps = append(steps, deciding{s, f.turns[s.turn].values[s.to], right, f})
		}
	}
	if exact {
		for _, f := range group {
			right := check(f.Response)
			for _, s := range f.steps {
				if add(f, s, right[s.line]); !right[s.line] {
					break
				}
			}
		}
		return steps, true
	}
	outcomes := outcomesOf(group)
	for _, f := range group {
		for _, s := range f.steps {
			if mine := outcomes[s.before][s.text]; mine.sure() {
				for _, other := range outcomes[s.before] {
					if other.sure() && other.right() != mine.right() {
						add(f, s, mine.right())
						break
					}
				}
			}
		}
	}
	return steps, false
}

// outcome counts the trajectories through a step.
type outcome struct{ n, rewarded int }

func (o outcome) sure() bool  { return o.rewarded == 0 || o.rewarded == o.n }
func (o outcome) right() bool { return o.rewarded > 0 }

// outcomesOf maps prefix and text of a step to what came of it.
func outcomesOf(group []*followed) map[string]map[string]outcome {
	all := map[string]map[string]outcome{}
	for _, f := range group {
		for _, s := range f.steps {
			if all[s.before] == nil {
				all[s.before] = map[string]outcome{}
			}
			o := all[s.before][s.text]
			o.n++
			if *f.Reward > 0.5 {
				o.rewarded++
			}
			all[s.before][s.text] = o
		}
	}
	return all
}

// siblings pairs right with wrong steps behind one prefix.
func siblings(steps []deciding) (pairs [][2]deciding) {
	for _, a := range steps {
		for _, b := range steps {
			if a.right && !b.right && a.before == b.before {
				pairs = append(pairs, [2]deciding{a, b})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b [2]deciding) int { return cmp.Compare(len(a[0].before), len(b[0].before)) })
	return pairs
}

// agree is the share of pairs whose right step has the higher score.
func agree(pairs [][2]deciding, score func(deciding) float64) float64 {
	sum := 0.0
	for _, p := range pairs {
		sum += above(score(p[0]), score(p[1]))
	}
	return sum / float64(len(pairs))
}

// advantages measures how well both kinds tell right from wrong.
func (d *diagnosis) advantages(byProblem [][]deciding, withPolicy bool) {
	a := &d.Advantages
	for _, steps := range byProblem {
		for _, s := range steps {
			if s.right {
				a.Right++
			} else {
				a.Wrong++
			}
		}
	}
	explicit := func(s deciding) float64 { return s.explicit }
	implicit := func(s deciding) float64 { return s.implicit }
	statistics := []func([][]deciding) float64{func(b [][]deciding) float64 { return auc(b, explicit) }}
	if withPolicy {
		statistics = append(statistics, func(b [][]deciding) float64 { return auc(b, implicit) },
			func(b [][]deciding) float64 { return auc(b, explicit) - auc(b, implicit) })
	}
	found := bootstrap(byProblem, statistics...)
	for i := range found {
		found[i].N = a.Right + a.Wrong
	}
	if a.Explicit = found[0]; withPolicy {
		a.Implicit, a.Difference = &found[1], &found[2]
	}
}

// auc is the chance that a right step scores higher than a wrong one, ties
// counting half (Mann and Whitney); 1/2 if either kind is missing.
func auc(byProblem [][]deciding, score func(deciding) float64) float64 {
	type scored struct {
		x     float64
		right bool
	}
	var all []scored
	for _, steps := range byProblem {
		for _, s := range steps {
			all = append(all, scored{score(s), s.right})
		}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(a.x, b.x) })
	var below, sum, nRight float64 // wrong ones below the current score
	for from := 0; from < len(all); {
		to, right, wrong := from, 0.0, 0.0
		for ; to < len(all) && all[to].x == all[from].x; to++ {
			if all[to].right {
				right++
			} else {
				wrong++
			}
		}
		sum += right * (below + wrong/2)
		below, nRight, from = below+wrong, nRight+right, to
	}
	if nRight == 0 || below == 0 {
		return 0.5
	}
	return sum / (nRight * below)
}

// bootstrap returns statistics of items with percentile intervals over
// resampled items. All statistics see the same samples.
func bootstrap[T any](items []T, statistics ...func([]T) float64) []interval {
	rng := rand.New(rand.NewPCG(1, 0))
	draws := make([][]float64, len(statistics))
	sample := make([]T, len(items))
	for range resamples {
		for i := range sample {
			sample[i] = items[rng.IntN(len(items))]
		}
		for k, f := range statistics {
			draws[k] = append(draws[k], f(sample))
		}
	}
	found := make([]interval, len(statistics))
	for k, f := range statistics {
		slices.Sort(draws[k])
		found[k] = interval{Mean: f(items), Lo: draws[k][resamples/40], Hi: draws[k][resamples-1-resamples/40], N: len(items)}
	}
	return found
}

// meanInterval is the mean of one figure per problem; with none nothing is known.
func meanInterval(x []float64) interval {
	if len(x) == 0 {
		return interval{Mean: 0.5, Lo: 0, Hi: 1}
	}
	return bootstrap(x, func(x []float64) float64 {
		sum := 0.0
		for _, v := range x {
			sum += v
		}
		return sum / float64(len(x))
	})[0]
}

// divergence fills in the histograms.
func (d *diagnosis) divergence(all []followed) {
	var logRatio, kl []float64
	for _, f := range all {
		for _, t := range f.turns {
			logRatio, kl = append(logRatio, t.logRatio...), append(kl, t.kl...)
		}
	}
	d.LogRatio, d.KL = histogram(logRatio, -3, 0.25, 24), histogram(kl, 0, 0.05, 20)
}

func histogram(x []float64, from, width float64, bins int) *distribution {
	h := &distribution{N: len(x), From: from, Step: width, Bins: make([]float64, bins)}
	for _, v := range x {
		h.Mean += v / float64(len(x))
		h.Bins[min(bins-1, max(0, int(math.Floor((v-from)/width))))] += 1 / float64(len(x))
	}
	return h
}
