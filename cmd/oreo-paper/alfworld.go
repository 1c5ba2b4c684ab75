package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	openingsFile    = "data/openings.jsonl" // what the base model learns from, first
	schoolGames     = "data/school.jsonl"   // and then
	expertFile      = "data/expert.jsonl"   // what SFT learns from
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
	samples := slices.Concat(e.rollout("games/train", samplesFile("sft"), e.alfworld.samples, e.alfworld.turns, e.seed), e.sampling("sft"), []string{"--limit", number(e.alfworld.sampled)})
	stages := []stage.Stage{{Title: "take the agent that all seeds start from", Product: "sft", InGo: e.takeAgent}}
	if e.games == "" {
		stages = append(stages, stage.Stage{Title: "make games", Product: "games/valid_unseen",
			Commands: e.generate(e.alfworld.sampled, e.alfworld.seen, e.alfworld.unseen)})
	}
	stages = append(stages, e.pretended(samplesFile("sft"), stage.Stage{Title: "collect episodes of sft", Product: samplesFile("sft"), Commands: [][]string{samples}})...)
	return append(stages, e.pair("alfworld"))
}

// agentSeed is that of the agent's training, and of the rooms of all games.
const agentSeed = 100

// agent is the folder in which the agent of all seeds is trained: as in the
// paper, seeds differ in what is sampled and learnt from there on.
func (p *paper) agent() *experiment { return p.experiment(alfworldPart, agentSeed) }

// agentStages train the agent on what the expert does: on the openings of games,
// where names are soon learnt to be copied, texts being short; on whole games;
// and, as SFT, on others by the same expert.
func (e *experiment) agentStages() []stage.Stage {
	a := e.alfworld
	games := e.generate(a.schooled, 1, 1)
	openings := e.watch(openingsFile, a.schooled, a.openingTurns, 0)
	openings.Commands = append(games, openings.Commands...)
	learn := func(name, from, data string, set settings) stage.Stage {
		return stage.Stage{Title: "train " + name, Product: name + "/train.yaml", Commands: [][]string{e.trainCommand("sft", name, from, data, set)}}
	}
	return []stage.Stage{
		{Title: "write the instruction", Product: instructionFile, InGo: e.writeInstruction},
		openings,
		e.watch(schoolGames, a.schooled, a.expertTurns, 0),
		e.watch(expertFile, a.demonstrated, a.expertTurns, 1),
		e.init(schoolGames, a.model),
		learn("beginner", "new", openingsFile, a.beginner),
		learn("base", "beginner", schoolGames, a.base),
		learn("sft", "base", expertFile, a.sft),
		e.export("sft", false),
	}
}

// watch lets the expert play, each time otherwise.
func (e *experiment) watch(episodes string, games, turns, time int) stage.Stage {
	expert := append(e.rollout("games/train", episodes, 1, turns, e.seed+uint64(time)), "--expert", "--brief", "--plan", "--limit", number(games))
	for _, share := range e.alfworld.checks {
		expert = append(expert, "--check", fmt.Sprint(share))
	}
	return stage.Stage{Title: "let the expert play", Product: episodes, Commands: [][]string{expert}}
}

// trainAgent makes the agent, if the households are wanted.
func (p *paper) trainAgent(ctx context.Context) error {
	if !slices.Contains(p.parts, alfworldPart) {
		return nil
	}
	agent := p.agent()
	return agent.Run(ctx, agent.agentStages())
}

// takeAgent links to what agentStages made.
func (e *experiment) takeAgent() error {
	for _, name := range []string{"onnx/sft", "sft"} {
		from, err := filepath.Rel(filepath.Dir(e.Path(name)), e.agent().Path(name))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(e.Path(name)), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(from, e.Path(name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// generate makes games of this seed, in the rooms of all seeds, unless there are
// real ones.
func (e *experiment) generate(train, seen, unseen int) [][]string {
	if e.games != "" {
		return nil
	}
	a := e.alfworld
	args := []string{"oreo-run", "alfworld", "generate", "--out", e.Path("games"), "--train", number(train), "--seen", number(seen), "--unseen", number(unseen),
		"--train-layouts", number(a.layouts), "--unseen-layouts", number(a.layouts), "--layout-seed", number(agentSeed), "--room", "kitchen",
		"--receptacles", number(a.receptacles), "--objects", number(a.objects), "--kinds", number(a.kinds), "--single", "--apart", "--seed", fmt.Sprint(e.seed)}
	for _, task := range a.tasks {
		args = append(args, "--task", task)
	}
	return [][]string{args}
}

// sampling lets a policy draw its replies.
func (e *experiment) sampling(policy string) []string {
	return []string{"--model", e.Path("onnx/" + policy), "--temperature", fmt.Sprint(e.alfworld.temperature)}
}

func (e *experiment) writeInstruction() error {
	if err := os.MkdirAll(filepath.Dir(e.Path(instructionFile)), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(e.Path(instructionFile), []byte(instruction+"\n"), 0o644)
}

// rollout plays games.
func (e *experiment) rollout(games, out string, samples, turns int, seed uint64) []string {
	path := e.Path(games)
	if e.games != "" {
		path = filepath.Join(e.games, filepath.Base(games))
	}
	return []string{"oreo-run", "alfworld", "rollout", "--games", path, "--instruction", e.agent().Path(instructionFile), "--out", e.Path(out),
		"--samples", number(samples), "--max-turns", number(turns), "--max-new-tokens", number(e.alfworld.maxTokens),
		"--seed", fmt.Sprint(seed), "--threads", number(e.threads)}
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
	rollout := e.rollout("games/valid_"+split, name+".jsonl", 1, e.alfworld.turns, e.seed)
	if bestOf == 0 {
		rollout = append(rollout, "--model", e.Path("onnx/"+policy))
	} else {
		rollout = slices.Concat(rollout, e.sampling(policy), []string{"--limit", number(e.alfworld.searched)})
	}
	if bestOf > 1 {
		rollout = append(rollout, "--best-of", number(bestOf), "--critic", e.Path("onnx/"+policy+"-critic"))
	}
	return stage.Stage{Title: "measure " + strings.TrimPrefix(name, "result/"), Product: name + ".json", Commands: [][]string{rollout,
		{"oreo-run", "alfworld", "eval", "--episodes", e.Path(name + ".jsonl"), "--out", e.Path(name + ".json")}}}
}
