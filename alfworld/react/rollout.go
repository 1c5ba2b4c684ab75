package react

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/oreo-go/oreo/alfworld"
)

// RolloutConfig says what to play.
type RolloutConfig struct {
	Config
	Samples int    // episodes of each game
	Workers int    // episodes in play at once
	Seed    uint64 // fixes every episode, whatever Workers is
	// Settings describes what decides the result beyond this struct, such as
	// the model: a rollout is resumed only under equal settings.
	Settings string
	// Progress is called after each finished episode, by one goroutine at a
	// time.
	Progress func(done, total int)
}

// Validate names the field that is wrong.
func (c RolloutConfig) Validate() error {
	switch {
	case c.Samples < 1:
		return fmt.Errorf("samples %d: want at least 1", c.Samples)
	case c.Workers < 1:
		return fmt.Errorf("workers %d: want at least 1", c.Workers)
	}
	return c.Config.Validate()
}

// Rollout plays cfg.Samples episodes of every game and writes them to the JSONL
// file at out, sorted by game and sample. While it runs they are collected in
// out.part, each as soon as it is over; a rollout that was stopped, at any
// moment, goes on from there and writes the same file as one that was not.
func Rollout(ctx context.Context, specs []alfworld.Spec, actor Actor, cfg RolloutConfig, out string) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	total := len(specs) * cfg.Samples
	log, err := openLog(out, cfg.fingerprint(specs), total)
	if err != nil {
		return err
	}
	defer log.close()
	if err := playAll(ctx, specs, actor, cfg, log); err != nil {
		return err
	}
	return log.finish()
}

// playAll plays every episode that the log lacks.
func playAll(ctx context.Context, specs []alfworld.Spec, actor Actor, cfg RolloutConfig, log *episodeLog) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := len(specs) * cfg.Samples
	jobs := make(chan int)
	var group sync.WaitGroup
	games := &gameCache{specs: specs}
	for range min(cfg.Workers, total) {
		group.Go(func() {
			for i := range jobs {
				if err := playOne(ctx, games, actor, cfg, log, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range total {
		if log.has(i) {
			continue
		}
		select {
		case jobs <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(jobs)
	group.Wait()
	return context.Cause(ctx)
}

func playOne(ctx context.Context, games *gameCache, actor Actor, cfg RolloutConfig, log *episodeLog, i int) error {
	game, err := games.get(i / cfg.Samples)
	if err != nil {
		return err
	}
	ep, err := Run(ctx, game, actor, cfg.Config, mix(cfg.Seed, uint64(i)))
	if err != nil {
		return fmt.Errorf("game %s: %w", game.ID, err)
	}
	ep.Sample = i % cfg.Samples
	ep.ID = game.ID + "#" + strconv.Itoa(ep.Sample)
	done, err := log.add(i, ep)
	if err == nil && cfg.Progress != nil {
		log.progress.Lock()
		cfg.Progress(done, log.total)
		log.progress.Unlock()
	}
	return err
}

// gameCache keeps the game compiled last, which the samples of one game share.
type gameCache struct {
	specs []alfworld.Spec
	mu    sync.Mutex
	last  int
	game  *alfworld.Game
}

func (c *gameCache) get(i int) (*alfworld.Game, error) {
	c.mu.Lock()
	if c.game != nil && c.last == i {
		defer c.mu.Unlock()
		return c.game, nil
	}
	c.mu.Unlock()
	g, err := c.specs[i].Compile()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.game, c.last = g, i
	return g, nil
}

// errSettings is returned for a part file of another rollout.
var errSettings = errors.New("was made under other settings; finish it with those, or remove it")
