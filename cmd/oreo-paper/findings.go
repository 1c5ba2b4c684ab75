package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// finding is a claim of the paper, and what came of it here.
type finding struct {
	Name   string    `json:"name"`
	Claim  string    `json:"claim"`
	Holds  bool      `json:"holds"`
	Bar    float64   `json:"bar"` // Lo must lie above it
	Unit   string    `json:"unit"`
	PerRun []float64 `json:"per_seed"`
	estimate
}

// estimate is a mean with its 95 % confidence interval.
type estimate struct {
	Mean  float64 `json:"effect"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	Seeds int     `json:"seeds"`
}

func (f finding) String() string {
	verdict := "fails"
	if f.Holds {
		verdict = "holds"
	}
	return fmt.Sprintf("finding %s %s effect=%.4f ci=[%.4f,%.4f] seeds=%d", f.Name, verdict, f.Mean, f.Lo, f.Hi, f.Seeds)
}

// student is the 97.5 % quantile of Student's t with n degrees of freedom.
func student(n int) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228}
	if n <= len(table) {
		return table[n-1]
	}
	return 1.96 + 2.4/float64(n)
}

// across is the mean over seeds of a mean over problems. Its interval is the
// wider of two: that of problems, the seeds being given (normal), and that of
// seeds (Student), which needs two of them at least.
func across(means, standardErrors []float64) estimate {
	n := float64(len(means))
	e := estimate{Mean: mean(means), Seeds: len(means)}
	var within, between float64
	for i, m := range means {
		within += standardErrors[i] * standardErrors[i]
		between += (m - e.Mean) * (m - e.Mean)
	}
	half := 1.96 * math.Sqrt(within) / n
	if len(means) > 1 {
		half = max(half, student(len(means)-1)*math.Sqrt(between/(n-1)/n))
	}
	e.Lo, e.Hi = e.Mean-half, e.Mean+half
	return e
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(max(1, len(x)))
}

// standardError of the mean of x; 0 where x has not two values.
func standardError(x []float64) float64 {
	m, sum, n := mean(x), 0.0, float64(len(x))
	if n < 2 {
		return 0
	}
	for _, v := range x {
		sum += (v - m) * (v - m)
	}
	return math.Sqrt(sum / (n - 1) / n)
}

// acrossSamples estimates the mean of figures per problem, a slice a seed.
func acrossSamples(bySeed [][]float64) estimate {
	var means, errs []float64
	for _, x := range bySeed {
		means, errs = append(means, mean(x)), append(errs, standardError(x))
	}
	return across(means, errs)
}

// results reads whether each problem of a group (level or split) was solved.
func (e *experiment) results(s source, group string) ([]float64, error) {
	name := resultName(s.policy, group, s.width)
	if e.part == alfworldPart {
		name = playName(s.policy, group, s.width)
	}
	type answer struct {
		Question string   `json:"question"`
		Text     string   `json:"text"`
		Correct  *bool    `json:"correct"`
		Reward   *float64 `json:"reward"`
	}
	answers, err := jsonl.ReadAll[answer](e.Path(name + ".jsonl"))
	if err != nil {
		return nil, err
	}
	x := make([]float64, len(answers))
	for i, a := range answers {
		switch {
		case a.Reward != nil:
			x[i] = *a.Reward
		case a.Correct == nil:
			return nil, fmt.Errorf("%s: record %d: neither %q nor %q", e.Path(name+".jsonl"), i+1, "correct", "reward")
		case *a.Correct && !(s.sound && unsound(a.Question, a.Text)):
			x[i] = 1
		}
	}
	return x, nil
}

// unsound tells whether a line of a solution is wrong, whatever its answer.
func unsound(question, solution string) bool {
	check, ok := wordgen.Checker(question)
	return ok && slices.Contains(check(solution), false)
}

// source names results: those of a policy with a width of search (in the
// households: the best of so many actions), on the first limit problems of each
// group (0: all).
type source struct {
	policy string
	width  int
	limit  int
	sound  bool // a solution counts only if its every line is right
}

// all returns a source's results on groups, one behind the other.
func (e *experiment) all(s source, groups []string) (x []float64, err error) {
	for _, group := range groups {
		some, err := e.results(s, group)
		if err != nil {
			return nil, err
		}
		if s.limit > 0 {
			some = some[:min(s.limit, len(some))]
		}
		x = append(x, some...)
	}
	return x, nil
}

// accuracy of a source over the seeds that have measured it.
func accuracy(runs []*experiment, s source, groups []string) (estimate, error) {
	var bySeed [][]float64
	for _, e := range runs {
		x, err := e.all(s, groups)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return estimate{}, err
		}
		bySeed = append(bySeed, x)
	}
	return acrossSamples(bySeed), nil
}

// comparison says that one source beats another by more than bar: in points of
// accuracy or, if relative, as a share of the other's accuracy.
type comparison struct {
	name, claim  string
	better, than source
	relative     bool
	bar          float64
}

func (c comparison) finding(runs []*experiment, groups []string) (finding, error) {
	f := finding{Name: c.name, Claim: c.claim, Bar: c.bar, Unit: "accuracy"}
	if c.relative {
		f.Unit = "relative"
	}
	var bySeed [][]float64
	for _, e := range runs {
		var b []float64
		a, err := e.all(c.better, groups)
		if err == nil {
			b, err = e.all(c.than, groups)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return f, err
		}
		if len(a) != len(b) {
			return f, fmt.Errorf("finding %s: %d results against %d", c.name, len(a), len(b))
		}
		bySeed = append(bySeed, paired(a, b, c.relative))
	}
	if len(bySeed) == 0 {
		return f, nil
	}
	f.estimate = acrossSamples(bySeed)
	for _, x := range bySeed {
		f.PerRun = append(f.PerRun, mean(x))
	}
	f.Holds = f.Lo > c.bar
	return f, nil
}

// paired returns a figure per problem whose mean is the gain of a over b, and
// whose spread is the gain's: the difference or, if relative, the gain g with its
// first-order change by each problem, g + (a_i - (1+g) b_i) / mean(b).
func paired(a, b []float64, relative bool) []float64 {
	x := make([]float64, len(a))
	base := mean(b)
	if relative && base == 0 {
		return x
	}
	for i := range x {
		if x[i] = a[i] - b[i]; relative {
			g := mean(a)/base - 1
			x[i] = g + (a[i]-(1+g)*b[i])/base
		}
	}
	return x
}

// diagnosed is the part of oreo-run diagnose's JSON that is reported.
type diagnosed struct {
	Pairwise struct {
		Problem interval `json:"within_problem"`
		Prefix  interval `json:"within_prefix"`
	} `json:"pairwise"`
	Advantages struct {
		Right      int      `json:"right_steps"`
		Wrong      int      `json:"wrong_steps"`
		Explicit   interval `json:"explicit_auc"`
		Implicit   interval `json:"implicit_auc"`
		Difference interval `json:"explicit_minus_implicit"`
		Pairs      interval `json:"implicit_within_prefix"`
	} `json:"advantages"`
	Calibration struct {
		ECE float64 `json:"ece"`
	} `json:"calibration"`
}

type interval struct{ Mean, Lo, Hi float64 }

func (e *experiment) diagnosed() (d diagnosed, err error) {
	text, err := os.ReadFile(e.Path("result/diagnose.json"))
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(text, &d)
}

// acrossIntervals joins figures that come with a bootstrap interval of each seed.
func acrossIntervals(x []interval) estimate {
	var means, errs []float64
	for _, i := range x {
		means, errs = append(means, i.Mean), append(errs, (i.Hi-i.Lo)/(2*1.96))
	}
	return across(means, errs)
}

// begun returns the experiments of a part that have measured anything.
func (p *paper) begun(part string) (runs []*experiment, err error) {
	for seed := range uint64(p.seeds) {
		e := p.experiment(part, seed+1)
		found, err := filepath.Glob(e.Path("result/*.jsonl"))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			runs = append(runs, e)
		}
	}
	return runs, nil
}

func (p *paper) mathFindings(runs []*experiment) (all []finding, err error) {
	plain := func(policy string) source { return source{policy: policy} }
	widest := 7
	if n := len(p.math.beams); n > 0 {
		widest = p.math.beams[n-1]
	}
	comparisons := []comparison{
		{name: "oreo_above_rejection", claim: "Table 1: OREO is above rejection sampling", better: plain("oreo"), than: plain("rejection")},
		{name: "oreo_above_dpo", claim: "Table 1: OREO is above DPO", better: plain("oreo"), than: plain("dpo")},
		{name: "oreo_above_kto", claim: "Table 1: OREO is above KTO", better: plain("oreo"), than: plain("kto")},
		{name: "rejection_above_sft", claim: "Table 1: rejection sampling is above SFT", better: plain("rejection"), than: plain("sft")},
		{name: "dpo_above_sft", claim: "Table 1: DPO is above SFT", better: plain("dpo"), than: plain("sft")},
		{name: "kto_above_sft", claim: "Table 1: KTO is above SFT", better: plain("kto"), than: plain("sft")},
		{name: "oreo_not_below_dqo", claim: "Appendix C: OREO is not below DQO (by 2 points or more)", better: plain("oreo"), than: plain("dqo"), bar: -0.02},
		{name: "token_above_response", claim: "Fig. 5: OREO at the token level is above the response level", better: plain("oreo"), than: plain("oreo-response")},
		{name: fmt.Sprintf("beam_%d_above_greedy", widest), claim: fmt.Sprintf("Fig. 3: beam search with B = %d gains 11 %% or more, relative to greedy decoding", widest),
			better: source{policy: "oreo", width: widest, limit: p.math.searched}, than: source{policy: "oreo", limit: p.math.searched}, relative: true, bar: 0.11},
	}
	for k := 2; k <= p.math.rounds; k++ {
		comparisons = append(comparisons, comparison{name: fmt.Sprintf("oreo_round_%d_above_%d", k, k-1), claim: fmt.Sprintf("Fig. 2: OREO is higher after round %d than after round %d", k, k-1),
			better: plain(inRound("oreo", k)), than: plain(inRound("oreo", k-1))})
	}
	if all, err = findings(comparisons, runs, p.levelNames()); err != nil {
		return nil, err
	}
	f := finding{Name: "explicit_above_implicit", Claim: "Fig. 1: the explicit advantage (Eq. 11) tells right from wrong steps better than the implicit one (Eq. 12)", Unit: "AUC"}
	var differences []interval
	for _, e := range runs {
		d, err := e.diagnosed()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		differences, f.PerRun = append(differences, d.Advantages.Difference), append(f.PerRun, d.Advantages.Difference.Mean)
	}
	if len(differences) > 0 {
		f.estimate = acrossIntervals(differences)
		f.Holds = f.Lo > 0
		all = append(all, f)
	}
	return all, nil
}

func (p *paper) levelNames() (names []string) {
	for _, l := range p.math.levels {
		names = append(names, l.name)
	}
	return names
}

func (p *paper) alfworldFindings(runs []*experiment) ([]finding, error) {
	most := p.alfworld.bestOf[len(p.alfworld.bestOf)-1]
	var comparisons []comparison
	for _, other := range []string{"sft", "rejection", "dpo"} {
		comparisons = append(comparisons, comparison{name: "alfworld_oreo_above_" + other, claim: "Table 2: in the households OREO is above " + label(other),
			better: source{policy: "oreo"}, than: source{policy: other}})
	}
	comparisons = append(comparisons, comparison{name: fmt.Sprintf("best_of_%d_above_1", most), claim: fmt.Sprintf("Fig. 4: the best of %d actions by value is above one sampled action", most),
		better: source{policy: "oreo", width: most}, than: source{policy: "oreo", width: 1}})
	return findings(comparisons, runs, splits)
}

func findings(comparisons []comparison, runs []*experiment, groups []string) (all []finding, err error) {
	for _, c := range comparisons {
		f, err := c.finding(runs, groups)
		if err != nil {
			return nil, err
		}
		if f.Seeds > 0 { // else no seed has come that far
			all = append(all, f)
		}
	}
	return all, nil
}
