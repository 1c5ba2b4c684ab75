package react

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oreo-go/oreo/alfworld/expert"
)

// Expert acts as the expert would. Its plan for an episode depends on the seeds
// of the expert and the episode; where the episode has left the plan, it goes
// straight to what it needs from the state the game is in.
type Expert struct {
	Config expert.Config
}

// Act implements Actor.
func (e Expert) Act(_ context.Context, turn Turn) ([]Reply, error) {
	step, err := e.next(turn)
	if err != nil {
		return nil, err
	}
	replies := make([]Reply, turn.N)
	for i := range replies {
		replies[i].Text = "Thought: " + step.Thought + "\nAction: " + step.Command
	}
	return replies, nil
}

func (e Expert) next(turn Turn) (expert.Step, error) {
	done, task := 0, 0
	var said []string
	for i, m := range turn.Messages {
		if m.Role == User && strings.Contains(m.Content, "Your task is to:") {
			task, done, said = i, 0, nil
		}
		if m.Role == Assistant && i > task {
			done++
			_, command, _ := strings.Cut(m.Content, "Action: ")
			said = append(said, command)
		}
	}
	cfg := e.Config
	cfg.Seed = mix(cfg.Seed, turn.Episode)
	if done > 0 {
		// Follow the plan made at the start as long as it was followed so far.
		start := turn.Env.Game().NewEnv()
		plan, err := expert.Plan(start, cfg)
		if err == nil && done < len(plan) && follows(plan, said) {
			return plan[done], nil
		}
		cfg.Direct = true
	}
	plan, err := expert.Plan(turn.Env, cfg)
	if err != nil {
		return expert.Step{}, err
	}
	if len(plan) == 0 {
		return expert.Step{}, errors.New("the game is won already")
	}
	return plan[0], nil
}

func follows(plan []expert.Step, said []string) bool {
	for i, c := range said {
		if plan[i].Command != c {
			return false
		}
	}
	return true
}

// Human asks a person.
type Human struct {
	In  *bufio.Reader
	Out io.Writer
}

// Act prints what the user said last and reads one line. "?" lists what can be
// done.
func (h *Human) Act(ctx context.Context, turn Turn) ([]Reply, error) {
	last := turn.Messages[len(turn.Messages)-1].Content
	fmt.Fprintf(h.Out, "\n%s\n", strings.TrimPrefix(last, "Observation: "))
	for {
		fmt.Fprint(h.Out, "> ")
		line, err := h.In.ReadString('\n')
		if err != nil && line == "" {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "?" {
			fmt.Fprintln(h.Out, strings.Join(turn.Env.Admissible(), "\n"))
			continue
		}
		replies := make([]Reply, turn.N)
		for i := range replies {
			replies[i].Text = "Action: " + line
		}
		return replies, nil
	}
}

// Batcher turns a function over many turns into an Actor: turns that wait at
// the same time go together.
type Batcher struct {
	size int
	wait time.Duration
	act  func(ctx context.Context, turns []Turn) ([][]Reply, error)

	mu      sync.Mutex
	waiting []*request
	timer   *time.Timer
}

type request struct {
	ctx     context.Context
	turn    Turn
	replies []Reply
	err     error
	done    chan struct{}
}

// NewBatcher calls act for at most size turns, no later than wait after the
// first of them arrived. act must answer every turn by itself: which turns come
// together differs from run to run.
func NewBatcher(size int, wait time.Duration, act func(ctx context.Context, turns []Turn) ([][]Reply, error)) *Batcher {
	return &Batcher{size: max(1, size), wait: wait, act: act}
}

// Act implements Actor.
func (b *Batcher) Act(ctx context.Context, turn Turn) ([]Reply, error) {
	r := &request{ctx: ctx, turn: turn, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	var full []*request
	switch len(b.waiting) {
	case b.size:
		full = b.take()
	case 1:
		b.timer = time.AfterFunc(b.wait, func() {
			b.mu.Lock()
			late := b.take()
			b.mu.Unlock()
			b.run(late)
		})
	}
	b.mu.Unlock()
	if full != nil {
		b.run(full)
	}
	select {
	case <-r.done:
		return r.replies, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *Batcher) take() []*request {
	batch := b.waiting
	b.waiting = nil
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	return batch
}

func (b *Batcher) run(batch []*request) {
	if len(batch) == 0 {
		return
	}
	turns := make([]Turn, len(batch))
	for i, r := range batch {
		turns[i] = r.turn
	}
	replies, err := b.act(batch[0].ctx, turns)
	if err == nil && len(replies) != len(batch) {
		err = fmt.Errorf("the batch gave %d answers, want %d", len(replies), len(batch))
	}
	for i, r := range batch {
		if r.err = err; err == nil {
			r.replies = replies[i]
		}
		close(r.done)
	}
}
