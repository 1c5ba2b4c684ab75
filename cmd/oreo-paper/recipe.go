package main

import (
	"fmt"
	"strconv"

	"github.com/oreo-go/oreo/math/wordgen"
)

// recipe is every number of the experiments that no method has for itself; those
// of the methods are tuned (tuning.go).
type recipe struct {
	math     mathRecipe
	alfworld alfworldRecipe
	games    string // folder of real games, or empty
	threads  int
	pretend  bool // that half of the samples are right: the tiny models solve nothing
	tuned    tuning
}

type modelSize struct {
	vocab, hidden, intermediate, layers, heads, positions int
}

type mathRecipe struct {
	levels    []level
	problems  wordgen.CardsConfig // but for the length
	school    int                 // problems of each level that the base model learns from
	annotated int                 // problems of each level that SFT learns from
	sampled   int                 // problems of each level to sample on, new ones in each round
	tested    int                 // of each level
	searched  int                 // of these, for beam search
	probed    int                 // problems of each level for the advantages
	model     modelSize
	base, sft settings
	samples   int // per problem
	probes    int // per probed problem
	rounds    int
	beams     []int
	maxTokens int
}

// level is a degree of difficulty: the cards of a problem.
type level struct {
	name  string
	cards int
}

// alfworldRecipe makes games that a small model wins when it does not waste turns:
// the expert's habit of looking twice, in most kinds of receptacle more often
// than not, costs greedy SFT most of the games that it cannot win within the
// limit. A check costs a turn and nothing else, so that a single one seldom
// decides a game. Checks at shares of 0.8 are still the rule among the won
// episodes, so that imitating these does not end them.
//
// The agent has to copy names almost without a slip: after one, it is where the
// expert never was, and lost. Hence the expert that says where its search goes and
// where it has come to, the beginner's short openings, and one kind of task.
type alfworldRecipe struct {
	layouts      int       // rooms of the training games, and as many unseen ones
	schooled     int       // games with an expert's episode, that the base model learns from
	openingTurns int       // of these episodes, which are all that it sees at first
	demonstrated int       // games with another episode, that SFT learns from
	checks       []float64 // how often the expert checks what it has seen, by kind of receptacle
	expertTurns  int       // at most
	receptacles  int
	objects      int
	kinds        int // of objects
	tasks        []string
	model        modelSize
	beginner     settings // of the base model on openings
	base, sft    settings
	sampled      int // games that SFT plays
	samples      int // episodes of each
	temperature  float64
	seen, unseen int // games to measure on
	searched     int // of each, for the best of some actions
	turns        int // of a model's episode, at most
	maxTokens    int // of a reply
	bestOf       []int
}

// settings are keys of a training run.
type settings map[string]string

// standard needs about ten minutes of one core for one seed of the mathematics
// part.
//
// Annotators use the right rule of an animal in 5 to 90 % of the cases, log-odds
// of -2.9 to 2.2. Among right answers a wrong rule is half as frequent (Agree), so
// that rejection sampling moves the log-odds by log 2 = 0.7 at most. At the optimum
// of Eq. 9 with its KL term, a rule that gains dQ in reward moves them by 2 beta dQ
// / (2 beta² + alpha), here 10 dQ with dQ up to 1/2.
func standard() recipe {
	return recipe{
		math: mathRecipe{
			levels: []level{{"easy", 3}, {"hard", 5}}, problems: wordgen.CardsConfig{Animals: 20, Agree: 0.5, Water: 0.9, Knowledge: []float64{0.05, 0.9}},
			school: 4000, annotated: 2000, sampled: 500, tested: 1000, searched: 200, probed: 30,
			model:   modelSize{vocab: 420, hidden: 64, intermediate: 128, layers: 2, heads: 4, positions: 128},
			base:    settings{"lr": "3e-3", "batch_size": "16", "epochs": "8"},
			sft:     settings{"lr": "2e-3", "batch_size": "32", "epochs": "3"},
			samples: 4, probes: 12, rounds: 3, beams: []int{2, 3, 5, 7}, maxTokens: 56,
		},
		alfworld: alfworldRecipe{
			layouts: 200, schooled: 4000, openingTurns: 2, demonstrated: 2000, receptacles: 4, objects: 1, kinds: 8,
			tasks:  []string{"pick_and_place_simple"},
			checks: []float64{0.3, 0.55, 0.8, 0.8, 0.9, 0.65}, expertTurns: 30,
			model:    modelSize{vocab: 560, hidden: 96, intermediate: 192, layers: 3, heads: 3, positions: 1536},
			beginner: settings{"lr": "3e-3", "batch_size": "8", "epochs": "2", "warmup_ratio": "0.05"},
			base:     settings{"lr": "2e-3", "batch_size": "4", "epochs": "2", "warmup_ratio": "0.05"},
			sft:      settings{"lr": "2e-3", "batch_size": "4", "epochs": "1", "warmup_ratio": "0.05"},
			sampled:  150, samples: 5, temperature: 1, seen: 100, unseen: 100, searched: 50, turns: 9, maxTokens: 64, bestOf: []int{1, 3, 5},
		},
	}
}

// tiny runs every stage in seconds.
func tiny() recipe {
	r := standard()
	r.pretend = true
	m := &r.math
	m.school, m.annotated, m.sampled, m.tested, m.searched, m.probed = 32, 32, 8, 8, 4, 4
	m.model = modelSize{vocab: 320, hidden: 32, intermediate: 48, layers: 1, heads: 2, positions: 128}
	m.base, m.sft, m.samples, m.probes, m.rounds, m.beams, m.maxTokens = settings{"lr": "3e-3", "batch_size": "16", "epochs": "1"}, settings{"lr": "3e-3", "batch_size": "16", "epochs": "1"}, 4, 4, 2, []int{2}, 16
	a := &r.alfworld
	a.layouts, a.schooled, a.demonstrated, a.sampled, a.seen, a.unseen, a.searched = 2, 4, 4, 4, 2, 2, 2
	a.model = modelSize{vocab: 320, hidden: 32, intermediate: 48, layers: 1, heads: 2, positions: 2048}
	a.beginner, a.base, a.sft, a.samples, a.turns, a.maxTokens, a.bestOf = settings{"lr": "3e-3", "batch_size": "4", "epochs": "1"}, settings{"lr": "3e-3", "batch_size": "4", "epochs": "1"}, settings{"lr": "3e-3", "batch_size": "4", "epochs": "1"}, 2, 3, 8, []int{1, 2}
	return r
}

func (m modelSize) args() []string {
	return []string{fmt.Sprintf("vocab=%d", m.vocab), fmt.Sprintf("hidden=%d", m.hidden), fmt.Sprintf("intermediate=%d", m.intermediate),
		fmt.Sprintf("layers=%d", m.layers), fmt.Sprintf("heads=%d", m.heads), fmt.Sprintf("kv_heads=%d", m.heads), fmt.Sprintf("max_positions=%d", m.positions)}
}

func number(n int) string { return strconv.Itoa(n) }
