package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// demo is one run of the recipe in a folder.
type demo struct {
	recipe
	out string
	bin string // folder of the commands
}

// stage is one step of the road: commands, and the file that shows it is done.
type stage struct {
	title    string
	product  string
	commands [][]string
	inGo     func() error // instead of commands
}

func (d *demo) path(name string) string { return filepath.Join(d.out, name) }

// Data of the demo, below its folder.
const (
	annotatedFile = "data/annotated.jsonl" // prompt and response, for SFT
	sampleOnFile  = "data/sample-on.jsonl" // questions and answers, to collect on
	testFile      = "data/test.jsonl"
	samplesFile   = "data/samples.jsonl" // what the SFT model answered, graded
)

// dataset names how answers are marked and graded: "#### N", as in GSM8K.
const dataset = "gsm8k"

func (d *demo) stages() []stage {
	train := func(method string, settings stageSettings, set ...string) []string {
		args := []string{"oreo-train", method, "--set", "out=" + d.path(method), fmt.Sprintf("lr=%g", settings.lr),
			fmt.Sprintf("batch_size=%d", settings.batchSize), fmt.Sprintf("epochs=%d", settings.epochs),
			fmt.Sprintf("seed=%d", d.seed), fmt.Sprintf("threads=%d", d.threads), "micro_batch=16", "device=cpu", "save_every=200"}
		return append(args, set...)
	}
	export := func(kind, model, name string) []string {
		return []string{"oreo-export", kind, "--model", d.path(model), "--out", d.path("onnx/" + name)}
	}
	verify := func(name string) []string { return []string{"oreo-export", "verify", d.path("onnx/" + name)} }
	stages := []stage{
		{title: "make problems", product: testFile, inGo: d.makeProblems},
		{title: "make a model from nothing", product: "new/config.json", commands: [][]string{{"oreo-train", "init", "--set",
			"data=" + d.path(annotatedFile), "out=" + d.path("new"), fmt.Sprintf("vocab=%d", d.vocab), fmt.Sprintf("hidden=%d", d.hidden),
			fmt.Sprintf("intermediate=%d", d.intermediate), fmt.Sprintf("layers=%d", d.layers), fmt.Sprintf("heads=%d", d.heads),
			fmt.Sprintf("kv_heads=%d", d.heads), fmt.Sprintf("max_positions=%d", d.maxPositions), fmt.Sprintf("seed=%d", d.seed)}}},
		{title: "supervised fine-tuning on the annotated problems", product: "sft/trainer_state.json", commands: [][]string{
			train("sft", d.sft, "model="+d.path("new"), "data="+d.path(annotatedFile))}},
		{title: "export the SFT policy", product: "onnx/sft/oreo.json", commands: [][]string{export("policy", "sft", "sft"), verify("sft")}},
		{title: "let it answer new problems and grade the answers", product: samplesFile, commands: [][]string{
			{"oreo-run", "collect", "--model", d.path("onnx/sft"), "--problems", d.path(sampleOnFile), "--n", strconv.Itoa(d.samples),
				"--out", d.path(samplesFile), "--max-new-tokens", strconv.Itoa(d.maxTokens), "--seed", fmt.Sprint(d.seed), "--threads", strconv.Itoa(d.threads)}}},
		{title: "OREO: policy and critic learn from the graded answers", product: "oreo/trainer_state.json", commands: [][]string{
			train("oreo", d.oreo, "model="+d.path("sft"), "data="+d.path(samplesFile), fmt.Sprintf("critic_lr=%g", d.criticLR),
				fmt.Sprintf("beta=%g", d.beta), fmt.Sprintf("alpha=%g", d.alpha))}},
		{title: "export policy and critic", product: "onnx/critic/oreo.json", commands: [][]string{
			export("policy", "oreo", "policy"), export("critic", "oreo/critic", "critic"), verify("policy"), verify("critic")}},
		{title: "measure the SFT policy, greedy", product: "result/sft.json", commands: [][]string{d.eval("sft", "sft", 0)}},
		{title: "measure the OREO policy, greedy", product: "result/oreo.json", commands: [][]string{d.eval("oreo", "policy", 0)}},
	}
	for _, b := range d.beams {
		name := fmt.Sprintf("beam-%d", b)
		stages = append(stages, stage{title: fmt.Sprintf("measure the OREO policy, beam search B = %d with the critic", b),
			product: "result/" + name + ".json", commands: [][]string{d.eval(name, "policy", b)}})
	}
	return stages
}

// eval measures an exported policy on the test problems, with a beam search of
// the given width or, at width 0, greedily.
func (d *demo) eval(name, policy string, width int) []string {
	args := []string{"oreo-run", "eval", "--model", d.path("onnx/" + policy), "--problems", d.path(testFile),
		"--out", d.path("result/" + name + ".json"), "--answers", d.path("result/" + name + ".jsonl"),
		"--max-new-tokens", strconv.Itoa(d.maxTokens), "--seed", fmt.Sprint(d.seed), "--threads", strconv.Itoa(d.threads)}
	if width > 0 {
		args = append(args, "--critic", d.path("onnx/critic"), "--beam", strconv.Itoa(width))
	}
	return args
}

// do runs a stage unless its product is there, and notes how long it took.
func (d *demo) do(ctx context.Context, s stage) error {
	if _, err := os.Stat(d.path(s.product)); err == nil {
		fmt.Fprintln(os.Stderr, "done before")
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.path(s.product)), 0o755); err != nil {
		return err
	}
	began := time.Now()
	if s.inGo != nil {
		if err := s.inGo(); err != nil {
			return err
		}
	}
	for _, c := range s.commands {
		if err := d.command(ctx, c); err != nil {
			return err
		}
	}
	return d.noteTime(s.title, time.Since(began))
}

// command runs one of the project's commands and shows it as a user would type it.
func (d *demo) command(ctx context.Context, args []string) error {
	fmt.Fprintln(os.Stderr, "$", filepath.Join("bin", args[0]), strings.Join(args[1:], " "))
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, args[0]), args[1:]...)
	// In a group of its own the command gets an interrupt from here alone; a
	// terminal's would come twice, and the second ends it before it has saved.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // training saves, then ends
	cmd.WaitDelay = time.Minute
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s %s: %w", args[0], args[1], err)
	}
	return nil
}

const timesFile = "result/seconds.json"

// times reads the seconds of the stages run so far, by title.
func (d *demo) times() (map[string]float64, error) {
	seconds := map[string]float64{}
	text, err := os.ReadFile(d.path(timesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return seconds, nil
	}
	if err != nil {
		return nil, err
	}
	return seconds, json.Unmarshal(text, &seconds)
}

func (d *demo) noteTime(title string, took time.Duration) error {
	seconds, err := d.times()
	if err != nil {
		return err
	}
	seconds[title] = took.Seconds()
	text, err := json.MarshalIndent(seconds, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.path("result"), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(d.path(timesFile), append(text, '\n'), 0o644)
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
		w, err := jsonl.Create(d.path(set.file))
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
		fmt.Fprintf(os.Stderr, "%s: %d problems, such as\n%s\n%s\n", d.path(set.file), len(problems), problems[0].Question, problems[0].Solution)
	}
	return nil
}

func problem(p wordgen.Problem) any {
	return traj.Record{ID: p.ID, Question: p.Question, Answer: p.Answer, Dataset: dataset}
}
