package react

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"github.com/oreo-go/oreo/alfworld"
)

// Episode is a played game: what training needs and what a report shows.
type Episode struct {
	ID            string    `json:"id"` // game and sample
	Game          string    `json:"game"`
	TaskType      string    `json:"task_type,omitempty"`
	Sample        int       `json:"sample"`
	Seed          uint64    `json:"seed"`
	Question      string    `json:"question"` // the task sentence
	Conversations []Message `json:"conversations"`
	Reward        float64   `json:"reward"` // 1 for a won game, else 0
	// Invalid: a reply had no action, or the actor failed (Error).
	Invalid    bool   `json:"invalid"`
	OutOfTurns bool   `json:"out_of_turns"`
	Error      string `json:"error,omitempty"`
	Turns      []Step `json:"turns"`
}

// Step is one reply and what came of it.
type Step struct {
	Action      string    `json:"action"`
	Observation string    `json:"observation"` // as the game prints it
	LogProbs    []float64 `json:"logprobs,omitempty"`
	Value       *float64  `json:"value,omitempty"`
	// Best of several: the other replies, and the scores of all in order.
	Others []string  `json:"others,omitempty"`
	Scores []float64 `json:"scores,omitempty"`
	Chosen int       `json:"chosen,omitempty"`
}

// Config of an episode.
type Config struct {
	Protocol Protocol
	// K replies are asked for in each turn and Chooser takes one, or without a
	// Chooser the one of the highest value; 0 and 1 ask for one reply.
	K       int
	Chooser Chooser
}

// Validate names what is wrong.
func (c Config) Validate() error { return c.Protocol.Validate() }

// Run plays one episode from the start of the game. An actor that fails makes
// the episode invalid, as in the paper, unless ctx is done: that is an error,
// as is a game whose grammar fails.
func Run(ctx context.Context, game *alfworld.Game, actor Actor, cfg Config, seed uint64) (Episode, error) {
	env := game.NewEnv()
	obs, err := env.Reset()
	ep := Episode{ID: game.ID, Game: game.ID, TaskType: game.TaskType, Seed: seed, Question: game.Goal}
	if err != nil {
		return ep, err
	}
	if o, ok := actor.(Opener); ok {
		session, err := o.Open(ctx)
		if err != nil {
			return ep, err
		}
		defer session.Close()
		actor = session
	}
	ep.Conversations = cfg.Protocol.start(obs)
	for turn := 0; !env.Won(); turn++ {
		if turn == cfg.Protocol.MaxTurns {
			ep.OutOfTurns = true
			break
		}
		reply, step, err := choose(ctx, actor, cfg, Turn{
			Messages: ep.Conversations[:len(ep.Conversations):len(ep.Conversations)],
			Seed:     mix(seed, uint64(turn)), Episode: seed, Stop: cfg.Protocol.Stop, Env: env,
		})
		if ctx.Err() != nil {
			return ep, ctx.Err()
		}
		if err != nil {
			ep.Invalid, ep.Error = true, err.Error()
			break
		}
		text := strings.TrimSpace(reply.Text)
		ep.Conversations = append(ep.Conversations, Message{Assistant, text})
		next := missingAction
		action, ok := cfg.Protocol.action(text)
		if step.Action = action; ok {
			if step.Observation, err = env.Step(action); err != nil {
				return ep, err
			}
			next = cfg.Protocol.observation(step.Observation)
		}
		ep.Turns = append(ep.Turns, step)
		if !ok && cfg.Protocol.endsOnMissing() {
			ep.Invalid = true
			break
		}
		if !env.Won() && turn+1 < cfg.Protocol.MaxTurns {
			ep.Conversations = append(ep.Conversations, Message{User, next})
		}
	}
	ep.Reward = env.Score()
	return ep, nil
}

// choose asks for the replies and takes the best.
func choose(ctx context.Context, actor Actor, cfg Config, turn Turn) (Reply, Step, error) {
	turn.N = max(1, cfg.K)
	replies, err := actor.Act(ctx, turn)
	if err != nil {
		return Reply{}, Step{}, err
	}
	if len(replies) != turn.N {
		return Reply{}, Step{}, fmt.Errorf("the actor gave %d replies, want %d", len(replies), turn.N)
	}
	var s Step
	if turn.N > 1 {
		if s.Scores, err = cfg.scores(ctx, turn, replies); err != nil {
			return Reply{}, s, err
		}
		if len(s.Scores) != turn.N {
			return Reply{}, s, fmt.Errorf("the chooser gave %d scores, want %d", len(s.Scores), turn.N)
		}
		best := math.Inf(-1)
		for i, score := range s.Scores {
			if score > best {
				s.Chosen, best = i, score
			}
		}
		for i, r := range replies {
			if i != s.Chosen {
				s.Others = append(s.Others, r.Text)
			}
		}
	}
	r := replies[s.Chosen]
	s.LogProbs, s.Value = r.LogProbs, r.Value
	return r, s, nil
}

// scores rates replies.
func (c Config) scores(ctx context.Context, turn Turn, replies []Reply) ([]float64, error) {
	if c.Chooser != nil {
		return c.Chooser.Choose(ctx, turn, replies)
	}
	out := make([]float64, len(replies))
	for i, r := range replies {
		if r.Value == nil {
			return nil, fmt.Errorf("best of %d: there is no chooser, and the actor does not value its replies", len(replies))
		}
		out[i] = *r.Value
	}
	return out, nil
}

// mix derives a seed from two.
func mix(a, b uint64) uint64 {
	h := fnv.New64a()
	var raw [16]byte
	for i := range 8 {
		raw[i], raw[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	_, _ = h.Write(raw[:])
	return h.Sum64()
}
