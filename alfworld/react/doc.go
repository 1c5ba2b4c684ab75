// Package react is the agent's side of the household games: how a conversation
// with an actor is laid out and read (Protocol), who may act (Actor), single
// episodes (Run), thousands of them at once (Rollout), and what came out
// (Summarize).
//
// It knows text only. An Actor may be a language model behind a function or an
// HTTP endpoint, a person at the keyboard, or the expert.
package react

import (
	"context"

	"github.com/oreo-go/oreo/alfworld"
)

// Roles of messages.
const (
	User      = "user"
	Assistant = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Turn is what an actor is asked.
type Turn struct {
	// Messages end with what the user said last. The slice is the caller's.
	Messages []Message
	// N is how many independent replies are wanted, at least 1.
	N int
	// Seed fixes everything random about the replies; Episode is the seed of
	// the episode as a whole.
	Seed, Episode uint64
	// Stop holds texts that end a reply; they are not part of it.
	Stop []string
	// Env is the game as it stands. Models leave it alone; the expert reads it
	// and people may ask it for the admissible commands. It must not be
	// stepped.
	Env *alfworld.Env
}

// Reply is what an actor says.
type Reply struct {
	Text string
	// LogProbs holds the log-probabilities of the reply's tokens, if known.
	LogProbs []float64
	// Value is the actor's own estimate of the final reward, if it has one: what
	// is to be expected after this reply.
	Value *float64
}

// Actor answers a turn with Turn.N replies. Rollout calls it from many
// goroutines at once. Equal turns get equal replies.
type Actor interface {
	Act(ctx context.Context, turn Turn) ([]Reply, error)
}

// Opener is an Actor that keeps something from turn to turn of an episode, such
// as the conversation in a model's cache. Run opens a session for each episode.
type Opener interface {
	Actor
	Open(ctx context.Context) (Session, error)
}

// Session acts in one episode, until Close.
type Session interface {
	Actor
	Close() error
}

// ActorFunc is a function as an Actor.
type ActorFunc func(ctx context.Context, turn Turn) ([]Reply, error)

// Act calls f.
func (f ActorFunc) Act(ctx context.Context, turn Turn) ([]Reply, error) { return f(ctx, turn) }

// Chooser picks the best of several replies, by a critic or otherwise. Without
// one, the replies' own values decide.
type Chooser interface {
	// Choose returns a score for each reply; the highest wins, the first of
	// equal ones.
	Choose(ctx context.Context, turn Turn, replies []Reply) ([]float64, error)
}
