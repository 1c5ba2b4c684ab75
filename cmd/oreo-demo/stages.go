package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/oreo-go/oreo/cmd/internal/stage"
	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// demo is one run of the recipe in a folder.
type demo struct {
	recipe
	stage.Runner
}

// Data of the demo, below its folder.
const (
	annotatedFile = "data/annotated.jsonl" // prompt and response, for SFT
	sampleOnFile  = "data/sample-on.jsonl" // questions and answers, to collect on
	testFile      = "data/test.jsonl"
	samplesFile   = "data/samples.jsonl" // what the SFT model answered, graded
)

// dataset names how answers are marked and graded: "#### N", as in GSM8K.
const dataset = "gsm8k"

func (d *demo) stages() []stage.Stage {
	train := func(method string, settings stageSettings, set ...string) []string {
		args := []string{"oreo-train", method, "--set", "out=" + d.Path(method), fmt.Sprintf("lr=%g", settings.lr),
			fmt.Sprintf("batch_size=%d", settings.batchSize), fmt.Sprintf("epochs=%d", settings.epochs),
			fmt.Sprintf("seed=%d", d.seed), fmt.Sprintf("threads=%d", d.threads), "micro_batch=16", "device=cpu", "save_every=200"}
		return append(args, set...)
	}
	export := func(kind, model, name string) []string {
		return []string{"oreo-export", kind, "--model", d.Path(model), "--out", d.Path("onnx/" + name)}
	}
	verify := func(name string) []string { return []string{"oreo-export", "verify", d.Path("onnx/" + name)} }
	stages := []stage.Stage{
		{Title: "make problems", Product: testFile, InGo: d.makeProblems},
		{Title: "make a model from nothing", Product: "new/config.json", Commands: [][]string{{"oreo-train", "init", "--set",
			"data=" + d.Path(annotatedFile), "out=" + d.Path("new"), fmt.Sprintf("vocab=%d", d.vocab), fmt.Sprintf("hidden=%d", d.hidden),
			fmt.Sprintf("intermediate=%d", d.intermediate), fmt.Sprintf("layers=%d", d.layers), fmt.Sprintf("heads=%d", d.heads),
			fmt.Sprintf("kv_heads=%d", d.heads), fmt.Sprintf("max_positions=%d", d.maxPositions), fmt.Sprintf("seed=%d", d.seed)}}},
		{Title: "supervised fine-tuning on the annotated problems", Product: "sft/trainer_state.json", Commands: [][]string{
			train("sft", d.sft, "model="+d.Path("new"), "data="+d.Path(annotatedFile))}},
		{Title: "export the SFT policy", Product: "onnx/sft/oreo.json", Commands: [][]string{export("policy", "sft", "sft"), verify("sft")}},
		{Title: "let it answer new problems and grade the answers", Product: samplesFile, Commands: [][]string{
			{"oreo-run", "collect", "--model", d.Path("onnx/sft"), "--problems", d.Path(sampleOnFile), "--n", strconv.Itoa(d.samples),
				"--out", d.Path(samplesFile), "--max-new-tokens", strconv.Itoa(d.maxTokens), "--seed", fmt.Sprint(d.seed), "--threads", strconv.Itoa(d.threads)}}},
		{Title: "OREO: policy and critic learn from the graded answers", Product: "oreo/trainer_state.json", Commands: [][]string{
			train("oreo", d.oreo, "model="+d.Path("sft"), "data="+d.Path(samplesFile), fmt.Sprintf("critic_lr=%g", d.criticLR),
				fmt.Sprintf("beta=%g", d.beta), fmt.Sprintf("alpha=%g", d.alpha))}},
		{Title: "export policy and critic", Product: "onnx/critic/oreo.json", Commands: [][]string{
			export("policy", "oreo", "policy"), export("critic", "oreo/critic", "critic"), verify("policy"), verify("critic")}},
		{Title: "measure the SFT policy, greedy", Product: "result/sft.json", Commands: [][]string{d.eval("sft", "sft", 0)}},
		{Title: "measure the OREO policy, greedy", Product: "result/oreo.json", Commands: [][]string{d.eval("oreo", "policy", 0)}},
	}
	for _, b := range d.beams {
		name := fmt.Sprintf("beam-%d", b)
		stages = append(stages, stage.Stage{Title: fmt.Sprintf("measure the OREO policy, beam search B = %d with the critic", b),
			Product: "result/" + name + ".json", Commands: [][]string{d.eval(name, "policy", b)}})
	}
	return stages
}

// eval measures an exported policy on the test problems, with a beam search of
// the given width or, at width 0, greedily.
func (d *demo) eval(name, policy string, width int) []string {
	args := []string{"oreo-run", "eval", "--model", d.Path("onnx/" + policy), "--problems", d.Path(testFile),
		"--out", d.Path("result/" + name + ".json"), "--answers", d.Path("result/" + name + ".jsonl"),
		"--max-new-tokens", strconv.Itoa(d.maxTokens), "--seed", fmt.Sprint(d.seed), "--threads", strconv.Itoa(d.threads)}
	if width > 0 {
		args = append(args, "--critic", d.Path("onnx/critic"), "--beam", strconv.Itoa(width))
	}
	return args
}

// makeProblems writes three disjoint sets; the test set, the stage's product,
// comes last.
func (d *demo) makeProblems() error {
	d.problems.Seed = d.seed
	generator, err := wordgen.New(d.problems)
	if err != nil {
		return err
	}
	for _, set := range []struct {
		file   string
		n      int
		record func(wordgen.Problem) any
	}{
		{annotatedFile, d.annotated, func(p wordgen.Problem) any {
			return traj.Record{ID: p.ID, Prompt: p.Question + "\n", Response: p.Solution, Dataset: dataset}
		}},
		{sampleOnFile, d.sampled, problem},
		{testFile, d.tested, problem},
	} {
		problems, err := generator.Next(set.n)
		if err != nil {
			return err
		}
		w, err := jsonl.Create(d.Path(set.file))
		if err != nil {
			return err
		}
		for _, p := range problems {
			if err := w.Write(set.record(p)); err != nil {
				w.Abort()
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d problems, such as\n%s\n%s\n", d.Path(set.file), len(problems), problems[0].Question, problems[0].Solution)
	}
	return nil
}

func problem(p wordgen.Problem) any {
	return traj.Record{ID: p.ID, Question: p.Question, Answer: p.Answer, Dataset: dataset}
}
