package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/cmd/internal/stage"
	"github.com/oreo-go/oreo/math/data"
)

//go:embed iterate.yaml
var iterateExample string

// iterateConfig is one run of several rounds.
type iterateConfig struct {
	Model    string `yaml:"model" required:"true" doc:"folder of the first policy, in Hugging Face form; pi_ref of round 1"`
	Problems string `yaml:"problems" required:"true" doc:"JSONL file of problems to sample on: question and answer"`
	Test     string `yaml:"test" required:"true" doc:"JSONL file of problems to measure on, none of which is in problems"`
	Out      string `yaml:"out" required:"true" doc:"folder for round-0 (the first policy, measured), round-1, … and report.html"`

	Method  string   `yaml:"method" oneof:"oreo|dqo|rejection|dpo|kto" doc:"how a round trains; the policy of the round before is its model and its pi_ref"`
	Rounds  int      `yaml:"rounds" range:"[1,1000]" doc:"rounds in all; a finished run goes on when it is raised; the paper: 3"`
	Samples int      `yaml:"samples" range:"[1,)" doc:"answers drawn to each problem in each round; the paper: 10 for 1.5B models, 16 for 7B"`
	Recipe  string   `yaml:"recipe" doc:"rule by which oreo-run select chooses among them: 1.5b, 7b or alfworld"`
	Critic  string   `yaml:"critic" oneof:"continue|restart" doc:"where the critic of oreo and dqo starts from in round 2 and later; continue: the critic of the round before; restart: as in round 1"`
	Beams   []int    `yaml:"beams" range:"[1,)" doc:"widths of beam searches to measure besides greedy decoding, with the round's critic"`
	Train   string   `yaml:"train" doc:"YAML file with the method's own settings; empty: its defaults"`
	Set     []string `yaml:"train_set" doc:"key=value overrides of them; model, data, out, seed, threads and, where it continues, critic are the round's"`

	Generate []string `yaml:"generate" doc:"further flags of oreo-run collect and eval, such as [--format, qwen-gsm8k, --max-new-tokens, 512]"`
	Collect  []string `yaml:"collect" doc:"further flags of oreo-run collect"`
	Evaluate []string `yaml:"evaluate" doc:"further flags of oreo-run eval"`
	Export   []string `yaml:"export" doc:"further flags of oreo-export, such as [--dtype, fp16]"`

	Seed    uint64 `yaml:"seed" doc:"of all draws; round k uses seed + k"`
	Threads int    `yaml:"threads" range:"[0,)" doc:"CPU cores to use; 0: all"`
}

// defaultIterate is the paper's experiment (section 4.2, Fig. 2).
func defaultIterate() iterateConfig {
	return iterateConfig{Method: "oreo", Rounds: 3, Samples: 10, Recipe: "1.5b", Critic: "continue"}
}

// Validate checks what one key's range cannot say.
func (c *iterateConfig) Validate() error {
	if _, err := data.ParseRecipe(c.Recipe); err != nil {
		return err
	}
	if len(c.Beams) > 0 && !c.hasCritic() {
		return fmt.Errorf("beams: a beam search needs a critic, and method %s trains none; choose oreo or dqo, or set beams to []", c.Method)
	}
	return nil
}

func (c *iterateConfig) hasCritic() bool { return c.Method == "oreo" || c.Method == "dqo" }

func iterateCommand() *urfave.Command {
	cfg := defaultIterate()
	return &urfave.Command{
		Name:      "iterate",
		Usage:     "rounds of sampling with the policy, training on the samples, exporting and measuring",
		UsageText: "oreo-train iterate --config iterate.yaml",
		Description: `Every stage is a command of oreo-run, oreo-train or oreo-export, found beside this
one and shown as it runs. What is finished is not done again: after an
interruption or a crash, at any moment, the same command goes on and ends with
the same models and figures.

` + config.Describe(&cfg) + "\nAn example:\n\n" + iterateExample,
		Flags: config.Flags(),
		Action: func(c *urfave.Context) error {
			if err := config.FromContext(c, &cfg); err != nil {
				return err
			}
			runner, err := stage.Here(cfg.Out)
			if err != nil {
				return err
			}
			it := &iteration{iterateConfig: cfg, Runner: runner}
			return it.all(c.Context, c.App.Writer)
		},
	}
}

// iteration is a run in its folder.
type iteration struct {
	iterateConfig
	stage.Runner
}

// file is the path of a file of round k.
func (it *iteration) file(k int, name string) string { return it.Path(roundFile(k, name)) }

// roundFile is the same below the run's folder.
func roundFile(k int, name string) string { return filepath.Join("round-"+strconv.Itoa(k), name) }

// policy is the folder of the policy after round k.
func (it *iteration) policy(k int) string {
	if k == 0 {
		return it.Model
	}
	return it.file(k, "model")
}

// stages are those of round k; round 0 measures the first policy.
func (it *iteration) stages(k int) []stage.Stage {
	title := func(text string) string { return fmt.Sprintf("round %d: %s", k, text) }
	exported := stage.Stage{Title: title("export the policy"), Product: roundFile(k, "onnx/policy/oreo.json"), Commands: [][]string{it.export(k, "policy", it.policy(k))}}
	if k == 0 {
		return append([]stage.Stage{exported}, it.measure(k)...)
	}
	stages := []stage.Stage{
		{Title: title("sample on the problems"), Product: roundFile(k, "samples.jsonl"), Commands: [][]string{it.collect(k)}},
		{Title: title("choose the training set"), Product: roundFile(k, "data.jsonl"), Commands: [][]string{
			{"oreo-run", "select", "--in", it.file(k, "samples.jsonl"), "--recipe", it.Recipe, "--seed", it.seed(k), it.form(), it.file(k, "data.jsonl")}}},
		{Title: title("train by " + it.Method), Product: roundFile(k, "model/trainer_state.json"), Commands: [][]string{it.train(k)}},
		exported,
	}
	if it.hasCritic() {
		stages = append(stages, stage.Stage{Title: title("export the critic"), Product: roundFile(k, "onnx/critic/oreo.json"),
			Commands: [][]string{it.export(k, "critic", filepath.Join(it.policy(k), "critic"))}})
	}
	return append(stages, it.measure(k)...)
}

func (it *iteration) seed(k int) string { return strconv.FormatUint(it.Seed+uint64(k), 10) }

func (it *iteration) collect(k int) []string {
	return slices.Concat([]string{"oreo-run", "collect"}, it.Generate, it.Collect, []string{
		"--model", it.file(k-1, "onnx/policy"), "--problems", it.Problems, "--n", strconv.Itoa(it.Samples), "--seed", it.seed(k),
		"--threads", strconv.Itoa(it.Threads), "--out", it.file(k, "samples.jsonl")})
}

// form is the flag of oreo-run select for what the method learns from.
func (it *iteration) form() string {
	switch it.Method {
	case "dpo":
		return "--pairs"
	case "kto":
		return "--labels"
	}
	return "--out"
}

func (it *iteration) train(k int) []string {
	args := []string{"oreo-train", it.Method}
	if it.Train != "" {
		args = append(args, "--config", it.Train)
	}
	args = slices.Concat(args, []string{"--set"}, it.Set, []string{
		"model=" + it.policy(k-1), "data=" + it.file(k, "data.jsonl"), "out=" + it.policy(k), "seed=" + it.seed(k), "threads=" + strconv.Itoa(it.Threads)})
	if it.hasCritic() && it.Critic == "continue" && k > 1 {
		args = append(args, "critic="+filepath.Join(it.policy(k-1), "critic"))
	}
	return args
}

func (it *iteration) export(k int, kind, model string) []string {
	return slices.Concat([]string{"oreo-export", kind}, it.Export, []string{"--model", model, "--out", it.file(k, "onnx/"+kind)})
}

// measure verifies what round k exported and measures it, greedily and by beam
// search where there is a critic.
func (it *iteration) measure(k int) []stage.Stage {
	critic := k > 0 && it.hasCritic()
	verify := [][]string{{"oreo-export", "verify", it.file(k, "onnx/policy")}}
	if critic {
		verify = append(verify, []string{"oreo-export", "verify", it.file(k, "onnx/critic")})
	}
	measure := func(way, title string, flags ...string) stage.Stage {
		result := roundFile(k, "result/"+way)
		return stage.Stage{Title: fmt.Sprintf("round %d: measure the policy, %s", k, title), Product: result + ".json", Commands: [][]string{
			slices.Concat([]string{"oreo-run", "eval"}, it.Generate, it.Evaluate, flags, []string{
				"--model", it.file(k, "onnx/policy"), "--problems", it.Test, "--seed", strconv.FormatUint(it.Seed, 10),
				"--threads", strconv.Itoa(it.Threads), "--answers", it.Path(result + ".jsonl"), "--out", it.Path(result + ".json")})}}
	}
	greedy := measure("greedy", "greedy")
	greedy.Commands = append(verify, greedy.Commands...)
	stages := []stage.Stage{greedy}
	if critic {
		for _, b := range it.Beams {
			width := strconv.Itoa(b)
			stages = append(stages, measure("beam-"+width, "beam search B = "+width, "--critic", it.file(k, "onnx/critic"), "--beam", width))
		}
	}
	return stages
}

const settingsFile = "iterate.json"

// claim notes the run's settings in its folder, or compares them with those
// noted before: stages that are done stand for other settings otherwise.
func (it *iteration) claim() error {
	now, err := it.settings()
	if err != nil {
		return err
	}
	path := it.Path(settingsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = json.MarshalIndent(now, "", "  "); err != nil {
			return err
		}
		if err := os.MkdirAll(it.Out, 0o755); err != nil {
			return err
		}
		return renameio.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return err
	}
	var before map[string]any
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if !reflect.DeepEqual(before[key], now[key]) {
			return fmt.Errorf("%s is of a run with another %s (%v, now %v); choose another out or remove it", it.Out, key, before[key], now[key])
		}
	}
	return nil
}

// settings are all that shapes the results, in the types of JSON: the keys
// without those that may change between two calls, and the contents of files.
func (it *iteration) settings() (map[string]any, error) {
	text, err := json.Marshal(it.iterateConfig)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for _, key := range []string{"Out", "Rounds", "Threads", "Beams", "Problems", "Test", "Train"} { // other beams are measured besides
		delete(all, key)
	}
	for key, path := range map[string]string{"problems": it.Problems, "test": it.Test, "train": it.Train} {
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all[key] = fmt.Sprintf("content %.12x", sha256.Sum256(text))
	}
	return all, nil
}

// all does every round and reports after each.
func (it *iteration) all(ctx context.Context, console io.Writer) error {
	if err := it.claim(); err != nil {
		return err
	}
	for k := range it.Rounds + 1 {
		if err := it.Run(ctx, it.stages(k)); err != nil {
			return err
		}
		if err := it.report(k); err != nil {
			return err
		}
	}
	return it.summary(console)
}
