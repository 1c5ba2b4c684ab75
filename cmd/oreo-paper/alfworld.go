package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/cmd/internal/stage"
)

var alfworldMethods = []string{"rejection", "dpo", "oreo"}

// splits are what Table 2 measures on.
var splits = []string{"unseen", "seen"}

const (
	instructionFile = "data/instruction.txt"
	expertFile      = "data/expert.jsonl"
)

// A small model learns the instruction by heart; it need not say much.
const instruction = "Do household tasks. Think, then act."

func (e *experiment) alfworldStages() []stage.Stage {
	stages := e.alfworldBase()
	for _, method := range alfworldMethods {
		stages = append(stages, e.train(method, method, "sft", samplesFile("sft")), e.export(method, method == "oreo"))
	}
	for _, split := range splits {
		for _, policy := range slices.Concat([]string{"sft"}, alfworldMethods) {
			stages = append(stages, e.play(policy, split, 0))
		}
		for _, k := range e.alfworld.bestOf {
			stages = append(stages, e.play("oreo", split, k))
		}
	}
	return stages
}

// alfworldBase leads to the episodes that every method learns from.
func (e *experiment) alfworldBase() []stage.Stage {
	a := e.alfworld
	generate := []string{"oreo-run", "alfworld", "generate", "--out", e.Path("games"), "--train", number(a.train), "--seen", number(a.seen), "--unseen", number(a.unseen),
		"--train-layouts", number(a.layouts), "--room", "kitchen", "--receptacles", number(a.receptacles), "--objects", number(a.objects), "--seed", fmt.Sprint(e.seed)}
	for _, task := range a.tasks {
		generate = append(generate, "--task", task)
	}
	stages := []stage.Stage{{Title: "write the instruction", Product: instructionFile, InGo: e.writeInstruction}}
	play := [][]string{append(e.rollout("train", expertFile, 1), "--expert", "--limit", number(a.demonstrated))}
	if e.games == "" {
		play = append([][]string{generate}, play...)
	}
	samples := append(e.rollout("train", samplesFile("sft"), a.samples), "--model", e.Path("onnx/sft"), "--temperature", "1")
	stages = append(stages,
		stage.Stage{Title: "make games and let the expert play", Product: expertFile, Commands: play},
		e.init(expertFile, a.model),
		stage.Stage{Title: "train sft", Product: "sft/train.yaml", Commands: [][]string{e.trainCommand("sft", "sft", "new", expertFile, a.sft)}},
		e.export("sft", false),
	)
	stages = append(stages, e.pretended(samplesFile("sft"), stage.Stage{Title: "collect episodes of sft", Product: samplesFile("sft"), Commands: [][]string{samples}})...)
	return append(stages, e.pair("alfworld"))
}

func (e *experiment) writeInstruction() error {
	if err := os.MkdirAll(filepath.Dir(e.Path(instructionFile)), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(e.Path(instructionFile), []byte(instruction+"\n"), 0o644)
}

// rollout plays the games of a split.
func (e *experiment) rollout(split, out string, samples int) []string {
	root := e.games
	if root == "" {
		root = e.Path("games")
	}
	return []string{"oreo-run", "alfworld", "rollout", "--games", filepath.Join(root, split), "--instruction", e.Path(instructionFile), "--out", e.Path(out),
		"--samples", number(samples), "--max-turns", number(e.alfworld.turns), "--max-new-tokens", number(e.alfworld.maxTokens),
		"--seed", fmt.Sprint(e.seed), "--threads", number(e.threads)}
}

// playName names the episodes of a policy on a split; bestOf 0 is greedy.
func playName(policy, split string, bestOf int) string {
	if bestOf > 0 {
		return fmt.Sprintf("result/%s-best-of-%d-%s", policy, bestOf, split)
	}
	return "result/" + policy + "-" + split
}

// play measures a policy on a split: greedily or, as Fig. 4, with the best of
// some sampled actions.
func (e *experiment) play(policy, split string, bestOf int) stage.Stage {
	name := playName(policy, split, bestOf)
	rollout := append(e.rollout("valid_"+split, name+".jsonl", 1), "--model", e.Path("onnx/"+policy))
	if bestOf > 0 {
		rollout = append(rollout, "--temperature", "1")
	}
	if bestOf > 1 {
		rollout = append(rollout, "--best-of", number(bestOf), "--critic", e.Path("onnx/"+policy+"-critic"))
	}
	return stage.Stage{Title: "measure " + strings.TrimPrefix(name, "result/"), Product: name + ".json", Commands: [][]string{rollout,
		{"oreo-run", "alfworld", "eval", "--episodes", e.Path(name + ".jsonl"), "--out", e.Path(name + ".json")}}}
}
