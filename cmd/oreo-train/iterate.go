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
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/cmd/internal/stage"
	"github.com/oreo-go/oreo/math/data"
	"github.com/oreo-go/oreo/train"
)

//go:embed iterate.yaml
var iterateExample string

// iterateConfig is one run of several rounds.
type iterateConfig struct {
	Model    string   `yaml:"model" required:"true" doc:"folder of the first policy, in Hugging Face form; pi_ref of round 1"`
	Task     string   `yaml:"task" oneof:"math|alfworld" doc:"math: questions with answers, by oreo-run collect and eval; alfworld: games, by oreo-run alfworld rollout"`
	Problems string   `yaml:"problems" required:"true" doc:"what to sample on: JSONL file of questions and answers, or path of games"`
	Test     []string `yaml:"test" required:"true" doc:"what to measure on, nothing of which is in problems: one or more such files or paths"`
	Out      string   `yaml:"out" required:"true" doc:"folder for round-0 (the first policy, measured), round-1, … and report.html"`

	Method  string   `yaml:"method" oneof:"oreo|dqo|rejection|dpo|kto" doc:"how a round trains; the policy of the round before is its model and its pi_ref"`
	Rounds  int      `yaml:"rounds" range:"[1,1000]" doc:"rounds in all; a finished run goes on when it is raised; the paper: 3"`
	Samples int      `yaml:"samples" range:"[1,)" doc:"answers to each problem in each round, or episodes of each game; the paper: 10 for 1.5B models, 16 for 7B, 5 for ALFWorld"`
	Select  string   `yaml:"select" doc:"recipe by which oreo-run select chooses among them: 1.5b, 7b or alfworld"`
	Critic  string   `yaml:"critic" oneof:"continue|restart" doc:"where the critic of oreo and dqo starts from in round 2 and later; continue: the critic of the round before; restart: as in round 1"`
	Beams   []int    `yaml:"beams" range:"[2,)" doc:"widths of searches to measure besides greedy decoding, with the round's critic: beams B, or with task alfworld the K of best-of-K actions"`
	Recipe  string   `yaml:"recipe" doc:"the method's settings by name, see oreo-train recipes; empty: its defaults"`
	Config  string   `yaml:"config" doc:"YAML file with further settings of the method"`
	Set     []string `yaml:"set" doc:"key=value overrides of them; model, data, out, seed, threads and, where it continues, critic are the round's"`

	Generate []string `yaml:"generate" doc:"further flags of the commands that sample and measure, such as [--format, qwen-gsm8k, --max-new-tokens, 512]"`
	Collect  []string `yaml:"collect" doc:"further flags of the one that samples; it does so at temperature 1"`
	Evaluate []string `yaml:"evaluate" doc:"further flags of the one that measures"`
	Export   []string `yaml:"export" doc:"further flags of oreo-export, such as [--dtype, fp16]"`

	Seed    uint64 `yaml:"seed" doc:"of all draws; round k uses seed + k"`
	Threads int    `yaml:"threads" range:"[0,)" doc:"CPU cores to use; 0: all"`
}

// defaultIterate is the paper's experiment (section 4.2, Fig. 2).
func defaultIterate() iterateConfig {
	return iterateConfig{Task: "math", Method: "oreo", Rounds: 3, Samples: 10, Select: "1.5b", Critic: "continue"}
}

// Validate checks what one key's range cannot say.
func (c *iterateConfig) Validate() error {
	if _, err := data.ParseRecipe(c.Select); err != nil {
		return err
	}
	if len(c.Beams) > 0 && !c.hasCritic() {
		return fmt.Errorf("beams: a beam search needs a critic, and method %s trains none; choose oreo or dqo, or set beams to []", c.Method)
	}
	names := map[string]string{}
	for _, path := range c.Test {
		if other, ok := names[testName(path)]; ok {
			return fmt.Errorf("test: results of %s and of %s would have the same name; rename one", other, path)
		}
		names[testName(path)] = path
	}
	return c.checkMethod()
}

// checkMethod reads the method's settings as the rounds will, so that a mistake
// in them shows before anything is sampled.
func (c *iterateConfig) checkMethod() error {
	var cfg any
	switch c.Method {
	case "oreo":
		cfg = ptr(train.DefaultOREO())
	case "dqo":
		cfg = ptr(train.DefaultDQO())
	case "rejection":
		cfg = ptr(train.DefaultRejection())
	case "dpo":
		cfg = ptr(train.DefaultDPO())
	case "kto":
		cfg = ptr(train.DefaultKTO())
	}
	if c.Recipe != "" {
		r, err := findRecipe(c.Recipe)
		if err != nil {
			return err
		}
		if r.Method != c.Method {
			return fmt.Errorf("recipe %s is for method %s, not %s", c.Recipe, r.Method, c.Method)
		}
		if err := config.Apply(cfg, "recipe "+c.Recipe, []byte(r.Text)); err != nil {
			return err
		}
	}
	return config.Load(cfg, c.Config, append(c.Set[:len(c.Set):len(c.Set)], "model=m", "data=d", "out=o"))
}

func ptr[T any](v T) *T { return &v }

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
	exported.InGo = func() error { return it.dropCheckpoints(k) }
	stages := []stage.Stage{
		{Title: title("sample on the problems"), Product: roundFile(k, "samples.jsonl"), Commands: [][]string{it.collect(k)}},
		{Title: title("choose the training set"), Product: roundFile(k, "data.jsonl"), Commands: [][]string{
			{"oreo-run", "select", "--in", it.file(k, "samples.jsonl"), "--recipe", it.Select, "--seed", it.seed(k), it.form(), it.file(k, "data.jsonl")}}},
		{Title: title("train by " + it.Method), Product: roundFile(k, "model/trainer_state.json"), Commands: [][]string{it.train(k)}},
		exported,
	}
	if it.hasCritic() {
		stages = append(stages, stage.Stage{Title: title("export the critic"), Product: roundFile(k, "onnx/critic/oreo.json"),
			Commands: [][]string{it.export(k, "critic", filepath.Join(it.policy(k), "critic"))}})
	}
	return append(stages, it.measure(k)...)
}

// dropCheckpoints removes those of round k's training, which is finished: with
// the optimizers' moments they are several times the size of its models.
func (it *iteration) dropCheckpoints(k int) error {
	all, err := filepath.Glob(filepath.Join(it.policy(k), "checkpoint-*"))
	for _, dir := range all {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func (it *iteration) seed(k int) string { return strconv.FormatUint(it.Seed+uint64(k), 10) }

func (it *iteration) collect(k int) []string {
	command, problems, n := []string{"oreo-run", "collect"}, "--problems", "--n"
	if it.Task == "alfworld" {
		command, problems, n = []string{"oreo-run", "alfworld", "rollout"}, "--games", "--samples"
	}
	return slices.Concat(command, []string{"--temperature", "1"}, it.Generate, it.Collect, []string{
		"--model", it.file(k-1, "onnx/policy"), problems, it.Problems, n, strconv.Itoa(it.Samples), "--seed", it.seed(k),
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
	if it.Recipe != "" {
		args = append(args, "--recipe", it.Recipe)
	}
	if it.Config != "" {
		args = append(args, "--config", it.Config)
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

// measure verifies what round k exported and measures it in every way.
func (it *iteration) measure(k int) (stages []stage.Stage) {
	verify := [][]string{{"oreo-export", "verify", it.file(k, "onnx/policy")}}
	if k > 0 && it.hasCritic() {
		verify = append(verify, []string{"oreo-export", "verify", it.file(k, "onnx/critic")})
	}
	for i, w := range it.ways(k) {
		s := stage.Stage{Title: fmt.Sprintf("round %d: measure the policy, %s", k, w.title), Product: roundFile(k, w.answers())}
		if i == 0 {
			s.Commands = verify
		}
		s.Commands = append(s.Commands, slices.Concat(w.command, it.Generate, it.Evaluate, []string{
			"--model", it.file(k, "onnx/policy"), "--seed", strconv.FormatUint(it.Seed, 10), "--threads", strconv.Itoa(it.Threads), w.out, it.file(k, w.answers())}))
		stages = append(stages, s)
	}
	return stages
}

// way is one way of measuring a policy.
type way struct {
	name, title string
	command     []string // with the problems and what the search needs
	out         string   // its flag for the answers
}

func (w way) answers() string { return "result/" + w.name + ".jsonl" }

// ways are those of round k: on every test greedily and, where there is a
// critic, by searches.
func (it *iteration) ways(k int) (all []way) {
	for _, test := range it.Test {
		all = append(all, it.way(k, test, 0))
		if k > 0 && it.hasCritic() {
			for _, width := range it.Beams {
				all = append(all, it.way(k, test, width))
			}
		}
	}
	return all
}

func (it *iteration) way(k int, test string, width int) way {
	w := way{title: "greedy", command: []string{"oreo-run", "eval", "--problems", test}, out: "--answers"}
	search := "beam"
	if it.Task == "alfworld" {
		w.command, w.out = []string{"oreo-run", "alfworld", "rollout", "--games", test}, "--out"
		search = "best-of"
	}
	if width > 0 {
		w.title = fmt.Sprintf("%s %d", search, width)
		w.command = append(w.command, "--temperature", "1", "--critic", it.file(k, "onnx/critic"), "--"+search, strconv.Itoa(width))
	}
	w.name = testName(test) + "-" + strings.ReplaceAll(w.title, " ", "-")
	if len(it.Test) > 1 {
		w.title = testName(test) + ", " + w.title
	}
	return w
}

// testName is the name of a file or folder of tests without what may follow it.
func testName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return name
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
		if err := os.MkdirAll(it.Out, 0o755); err != nil {
			return err
		}
		return report.WriteJSON(path, now)
	}
	if err != nil {
		return err
	}
	var before map[string]any
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	keys := slices.Sorted(maps.Keys(now))
	for _, key := range append(keys, slices.Sorted(maps.Keys(before))...) {
		if !reflect.DeepEqual(before[key], now[key]) {
			return fmt.Errorf("%s is of a run with another %s (%v, now %v); choose another out or remove it", it.Out, strings.ToLower(key), before[key], now[key])
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
	for _, key := range []string{"Out", "Rounds", "Threads", "Beams", "Problems", "Test", "Config"} { // other beams are measured besides
		delete(all, key)
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { // an empty list may come as null
		list, ok := v.([]any)
		return v == nil || ok && len(list) == 0
	})
	files := map[string]string{"problems": it.Problems, "config": it.Config}
	for _, path := range it.Test {
		files["test "+testName(path)] = path
	}
	for key, path := range files {
		if info, err := os.Stat(path); path == "" || err == nil && info.IsDir() { // of games
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
