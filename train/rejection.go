package train

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/train/data"
)

// Rejection is rejection sampling, also known as STaR (arXiv 2203.14465) and
// RAFT (arXiv 2304.06767): the sampled responses that earned their reward are
// demonstrations, the others are left out, and the rest is SFT.
//
//	L = - 1/N sum_{b: R_b >= min_reward} sum_t mask log pi(a_t|s_t)
//
// How many responses of one problem are kept decides how much easy problems
// count; choose them before (oreo-run select).
func Rejection(ctx context.Context, cfg RejectionConfig, ui UI) error {
	r, err := start("rejection", &cfg, cfg.Config, ui, input{read: cfg.accepted(ui)})
	if err != nil {
		return err
	}
	defer r.close()
	return r.imitate(ctx)
}

// accepted reads the trajectories whose reward is high enough.
func (c *RejectionConfig) accepted(ui UI) reader {
	return func(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
		all, stats, err := e.Read(files, true)
		if err != nil {
			return nil, stats, err
		}
		kept := slices.DeleteFunc(slices.Clone(all), func(s data.Sequence) bool { return s.Reward < c.MinReward })
		if len(kept) == 0 {
			return nil, stats, fmt.Errorf("%s: none of %d records has a reward of min_reward (%v) or more, so nothing is left to imitate",
				strings.Join(files, ", "), len(all), c.MinReward)
		}
		ui.Notef("rejection sampling keeps %d of %d responses: those with a reward of %v or more", len(kept), len(all), c.MinReward)
		stats.Sequences, stats.Tokens, stats.ActionTokens, stats.Steps = len(kept), 0, 0, 0
		for i := range kept {
			stats.Tokens += len(kept[i].Tokens)
			stats.ActionTokens += kept[i].Actions()
			stats.Steps += len(kept[i].Steps)
		}
		return kept, stats, nil
	}
}
