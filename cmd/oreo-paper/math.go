package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/stage"
	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// dataset names how answers are marked and graded: "#### N", as in GSM8K.
const dataset = "gsm8k"

// The methods of Table 1, and OREO's variants of Fig. 5.
var (
	mathMethods = []string{"rejection", "dpo", "kto", "dqo", "oreo"}
	variants    = []string{"oreo-step", "oreo-response"}
)

// Files of the mathematics part, below the experiment's folder.
const (
	schoolFile    = "data/school.jsonl"    // what the base model learns from
	annotatedFile = "data/annotated.jsonl" // what SFT learns from
)

func problemsFile(round int) string    { return fmt.Sprintf("data/problems-%d.jsonl", round) }
func testFile(level string) string     { return "data/test-" + level + ".jsonl" }
func probeFile() string                { return "data/probe.jsonl" }
func samplesFile(policy string) string { return "data/samples-of-" + policy + ".jsonl" }
func pairsFile(policy string) string   { return "data/pairs-of-" + policy + ".jsonl" }
func inRound(method string, k int) string {
	if k == 1 {
		return method
	}
	return fmt.Sprintf("%s-round-%d", method, k)
}

// mathStages come in the order of what most depends on them, so that a run that
// is cut short has whole tables.
func (e *experiment) mathStages() []stage.Stage {
	stages := e.mathBase()
	learn := func(method, name, from string) {
		stages = append(stages, e.train(method, name, from, samplesFile(from)), e.export(name, name == "oreo"))
	}
	measure := func(policy string, width int) {
		for _, l := range e.math.levels {
			stages = append(stages, e.eval(policy, l.name, width))
		}
	}
	for _, method := range mathMethods { // Table 1
		learn(method, method, "sft")
	}
	for _, policy := range slices.Concat([]string{"sft"}, mathMethods) {
		measure(policy, 1)
	}
	stages = append(stages, e.probe()...)             // Fig. 1
	for _, b := range slices.Backward(e.math.beams) { // Fig. 3
		measure("oreo", b)
	}
	for _, method := range []string{"oreo", "rejection"} { // Fig. 2
		for k := 2; k <= e.math.rounds; k++ {
			before, now := inRound(method, k-1), inRound(method, k)
			stages = append(stages, e.collect(before, k)...)
			learn(method, now, before)
			measure(now, 1)
		}
	}
	for _, variant := range variants { // Fig. 5
		learn(variant, variant, "sft")
		measure(variant, 1)
	}
	return stages
}

// mathBase leads to the samples that every method learns from.
func (e *experiment) mathBase() []stage.Stage {
	stages := []stage.Stage{
		{Title: "make problems", Product: probeFile(), InGo: e.makeProblems},
		e.init(schoolFile, e.math.model),
		{Title: "train a base model", Product: "base/train.yaml", Commands: [][]string{e.trainCommand("sft", "base", "new", schoolFile, e.math.base)}},
		{Title: "train sft", Product: "sft/train.yaml", Commands: [][]string{e.trainCommand("sft", "sft", "base", annotatedFile, e.math.sft)}},
		e.export("sft", false),
	}
	return append(append(stages, e.collect("sft", 1)...), e.pair("1.5b"))
}

// pair chooses pairs for DPO by the paper's rules.
func (e *experiment) pair(recipe string) stage.Stage {
	return stage.Stage{Title: "choose pairs for DPO", Product: pairsFile("sft"), Commands: [][]string{{"oreo-run", "select", "--in", e.Path(samplesFile("sft")),
		"--recipe", recipe, "--pairs", e.Path(pairsFile("sft")), "--seed", fmt.Sprint(e.seed)}}}
}

func (e *experiment) init(data string, m modelSize) stage.Stage {
	return stage.Stage{Title: "make a model from nothing", Product: "new/config.json", Commands: [][]string{slices.Concat([]string{"oreo-train", "init", "--set",
		"data=" + e.Path(data), "out=" + e.Path("new"), fmt.Sprintf("seed=%d", e.seed)}, m.args())}}
}

// train lets a method learn from samples of the policy that it starts from.
func (e *experiment) train(method, name, from, samples string) stage.Stage {
	command, set := e.method(method)
	if command == "dpo" {
		samples = strings.Replace(samples, "samples-of-", "pairs-of-", 1)
	}
	if strings.HasPrefix(name, "oreo-round-") { // the critic goes on learning, too
		set["critic"] = e.Path(from + "/critic")
	}
	return stage.Stage{Title: "train " + name, Product: name + "/train.yaml", Commands: [][]string{e.trainCommand(command, name, from, samples, set)}}
}

// method returns the command of a method or variant, and its tuned settings.
func (e *experiment) method(name string) (command string, set settings) {
	command, level, variant := strings.Cut(name, "-")
	set = maps.Clone(e.tuned.best(e.part, name))
	if variant {
		set["level"] = level
	}
	return command, set
}

func (e *experiment) trainCommand(method, name, from, data string, set settings) []string {
	args := []string{"oreo-train", method, "--set", "model=" + e.Path(from), "data=" + e.Path(data), "out=" + e.Path(name),
		fmt.Sprintf("seed=%d", e.seed), fmt.Sprintf("threads=%d", e.threads), "device=cpu", "micro_batch=32", "save_every=500", "keep_last=1"}
	if method != "sft" && method != "rejection" {
		args = append(args, "cache_dir="+e.Path("cache"))
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		args = append(args, key+"="+set[key])
	}
	return args
}

// export makes the policy of a run, and its critic if that is wanted, ready to run.
func (e *experiment) export(name string, critic bool) stage.Stage {
	commands := [][]string{{"oreo-export", "policy", "--model", e.Path(name), "--out", e.Path("onnx/" + name)}}
	product := "onnx/" + name + "/oreo.json"
	if critic {
		product = "onnx/" + name + "-critic/oreo.json"
		commands = append(commands, []string{"oreo-export", "verify", e.Path("onnx/" + name)},
			[]string{"oreo-export", "critic", "--model", e.Path(name + "/critic"), "--out", e.Path("onnx/" + name + "-critic")})
	}
	return stage.Stage{Title: "export " + name, Product: product, Commands: commands}
}

// collect lets a policy answer a round's problems.
func (e *experiment) collect(policy string, round int) []stage.Stage {
	return e.pretended(samplesFile(policy), stage.Stage{Title: "collect samples of " + policy, Product: samplesFile(policy), Commands: [][]string{
		e.sample(policy, problemsFile(round), samplesFile(policy), e.math.samples, uint64(round))}})
}

// pretended, in the tiny recipe, whose models solve nothing, says of every other
// sample that it is right, so that there is something to learn from.
func (e *experiment) pretended(samples string, collect stage.Stage) []stage.Stage {
	if !e.pretend {
		return []stage.Stage{collect}
	}
	mark := samples + ".pretended"
	return []stage.Stage{collect, {Title: "pretend that half of the samples are right", Product: mark, InGo: func() error {
		records, err := jsonl.ReadAll[map[string]any](e.Path(samples))
		if err != nil {
			return err
		}
		for i, r := range records {
			r["reward"] = i % 2
		}
		if err := writeRecords(e.Path(samples), records); err != nil {
			return err
		}
		return os.WriteFile(e.Path(mark), nil, 0o644)
	}}}
}

func (e *experiment) sample(policy, problems, out string, n int, draw uint64) []string {
	return []string{"oreo-run", "collect", "--model", e.Path("onnx/" + policy), "--problems", e.Path(problems), "--n", number(n), "--out", e.Path(out),
		"--max-new-tokens", number(e.math.maxTokens), "--seed", fmt.Sprint(10*e.seed + draw), "--threads", number(e.threads)}
}

// resultName names the measurement of a policy on a level, with a width of search.
func resultName(policy, level string, width int) string {
	if width > 1 {
		return fmt.Sprintf("result/%s-beam-%d-%s", policy, width, level)
	}
	return "result/" + policy + "-" + level
}

// eval measures a policy on a level, greedily or with a beam search.
func (e *experiment) eval(policy, level string, width int) stage.Stage {
	name := resultName(policy, level, width)
	args := []string{"oreo-run", "eval", "--model", e.Path("onnx/" + policy), "--problems", e.Path(testFile(level)),
		"--out", e.Path(name + ".json"), "--answers", e.Path(name + ".jsonl"),
		"--max-new-tokens", number(e.math.maxTokens), "--seed", fmt.Sprint(e.seed), "--threads", number(e.threads)}
	if width > 1 {
		args = append(args, "--critic", e.Path("onnx/"+policy+"-critic"), "--beam", number(width), "--limit", number(e.math.searched))
	}
	return stage.Stage{Title: "measure " + strings.TrimPrefix(name, "result/"), Product: name + ".json", Commands: [][]string{args}}
}

// probe asks what OREO's critic and policy know of steps.
func (e *experiment) probe() []stage.Stage {
	_, set := e.method("oreo")
	return []stage.Stage{
		{Title: "collect solutions to diagnose", Product: "data/probes.jsonl", Commands: [][]string{
			e.sample("sft", probeFile(), "data/probes.jsonl", e.math.probes, 9)}},
		{Title: "diagnose", Product: "result/diagnose.json", Commands: [][]string{{"oreo-run", "diagnose", "--critic", e.Path("onnx/oreo-critic"),
			"--policy", e.Path("onnx/oreo"), "--reference", e.Path("onnx/sft"), "--data", e.Path("data/probes.jsonl"), "--beta", set["beta"],
			"--out", e.Path("diagnose.html"), "--json", e.Path("result/diagnose.json"), "--threads", number(e.threads)}}},
	}
}

// makeProblems writes disjoint sets: for the base model, for SFT, for each round
// of sampling, to measure on and, the stage's product, to probe.
func (e *experiment) makeProblems() error {
	sets := map[string][]traj.Record{}
	for i, l := range e.math.levels {
		cfg := e.math.problems
		cfg.Length, cfg.Seed = l.cards, e.seed*100+uint64(i)
		generator, err := wordgen.NewCards(cfg)
		if err != nil {
			return err
		}
		take := func(file string, n int, record func(wordgen.CardsProblem) traj.Record) {
			problems, nextErr := generator.Next(n)
			if err == nil {
				err = nextErr
			}
			for _, p := range problems {
				sets[file] = append(sets[file], record(p))
			}
		}
		solved := func(p wordgen.CardsProblem) traj.Record {
			return traj.Record{ID: p.ID, Prompt: p.Question + "\n", Response: p.Solution, Dataset: dataset}
		}
		take(annotatedFile, e.math.annotated, solved)
		take(schoolFile, e.math.school, func(p wordgen.CardsProblem) traj.Record { return solved(e.atSchool(p)) })
		asked := func(p wordgen.CardsProblem) traj.Record {
			return traj.Record{ID: p.ID, Question: p.Question, Answer: p.Answer, Dataset: dataset}
		}
		for k := range e.math.rounds {
			take(problemsFile(k+1), e.math.sampled, asked)
		}
		take(testFile(l.name), e.math.tested, asked)
		take(probeFile(), e.math.probed, asked)
		if err != nil {
			return err
		}
	}
	for _, file := range slices.SortedFunc(maps.Keys(sets), func(a, b string) int { // the product last
		return strings.Compare(fmt.Sprint(a == probeFile(), a), fmt.Sprint(b == probeFile(), b))
	}) {
		if err := writeRecords(e.Path(file), sets[file]); err != nil {
			return err
		}
	}
	return nil
}

// atSchool solves a problem by rules drawn evenly, whatever the animal.
func (e *experiment) atSchool(p wordgen.CardsProblem) wordgen.CardsProblem {
	digest := fnv.New64a()
	fmt.Fprint(digest, p.ID)
	rng := rand.New(rand.NewPCG(digest.Sum64(), 0))
	rules := make([]wordgen.Rule, len(p.Cards))
	for i := range rules {
		rules[i] = wordgen.Rule(rng.IntN(2))
	}
	p.Solution = p.Solve(rules)
	return p
}

func writeRecords[T any](path string, records []T) error {
	w, err := jsonl.Create(path)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			w.Abort()
			return err
		}
	}
	return w.Close()
}

// base runs the stages up to the samples: what tuning starts from.
func (e *experiment) base(ctx context.Context) error {
	if e.part == mathPart {
		return e.Run(ctx, e.mathBase())
	}
	return e.Run(ctx, e.alfworldBase())
}
