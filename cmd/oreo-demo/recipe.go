package main

import "github.com/oreo-go/oreo/math/wordgen"

// recipe is every number of the demo.
type recipe struct {
	problems                   wordgen.Config
	annotated, sampled, tested int // problems with solutions, to sample on, and to measure on

	// The model: about a million parameters.
	vocab, hidden, intermediate, layers, heads, maxPositions int

	sft                   stageSettings
	samples               int // per problem
	oreo                  stageSettings
	criticLR, beta, alpha float64

	maxTokens int   // longest answer
	beams     []int // widths of the search

	seed    uint64
	threads int
}

type stageSettings struct {
	lr        float64
	batchSize int
	epochs    int
}

// standard is tuned so that two cores need about ten minutes and that there is
// room at every stage: the annotated problems teach the format and both habits
// of calculating, and leave it to the reward to find out which habit works.
//
// At the optimum of Eq. 9 with its KL term, the log-odds of a habit that gains dQ
// in reward move by 2 beta dQ / (2 beta² + alpha): here, with dQ about 0.65, by
// 1.6. That turns the scenes in which 60 and 70 % work in the head (log-odds 0.4
// and 0.8), and leaves those with 93 and 95 % (2.6 and 2.9) to the search.
func standard() recipe {
	return recipe{
		problems:  wordgen.DefaultConfig(),
		annotated: 8000, sampled: 2000, tested: 2000,
		vocab: 640, hidden: 128, intermediate: 352, layers: 4, heads: 4, maxPositions: 256,
		sft:      stageSettings{lr: 2e-3, batchSize: 32, epochs: 4},
		samples:  4,
		oreo:     stageSettings{lr: 3e-4, batchSize: 32, epochs: 1},
		criticLR: 1e-3, beta: 0.1, alpha: 0.06,
		maxTokens: 96, beams: []int{3, 5},
	}
}

// tiny runs every stage in seconds.
func tiny() recipe {
	r := standard()
	r.annotated, r.sampled, r.tested = 64, 16, 16
	r.hidden, r.intermediate, r.layers = 32, 48, 2
	r.sft.batchSize, r.sft.epochs, r.oreo.batchSize = 16, 2, 8
	r.samples, r.maxTokens, r.beams = 2, 32, []int{2}
	return r
}
