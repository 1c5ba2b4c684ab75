package react

import (
	"strings"

	"github.com/oreo-go/oreo/alfworld"
)

// Summary counts what came of a group of episodes.
type Summary struct {
	Group    string  `json:"group"` // split, task type, or "all"
	Episodes int     `json:"episodes"`
	Games    int     `json:"games"`
	Won      int     `json:"won"`
	WonOnce  int     `json:"won_once"` // games won in at least one episode
	Success  float64 `json:"success"`  // Won / Episodes
	// MeanTurns is over all episodes, MeanTurnsWon over the won ones.
	MeanTurns    float64 `json:"mean_turns"`
	MeanTurnsWon float64 `json:"mean_turns_won"`
	// Invalid is the share of episodes that a reply without an action ended,
	// OutOfTurns of those that were cut, Loops of those that repeated an action
	// with the same outcome three times or more.
	Invalid    float64 `json:"invalid"`
	OutOfTurns float64 `json:"out_of_turns"`
	Loops      float64 `json:"loops"`
	// Nothing is the share of actions that were not possible.
	Nothing float64 `json:"nothing"`
}

type tally struct {
	Summary
	games               map[string]bool
	turns, turnsWon     int
	invalid, cut, loops int
	nothing             int
}

// Summarize groups episodes: all of them, each split, each task type.
func Summarize(episodes []Episode) []Summary {
	groups := map[string]*tally{}
	add := func(name string, ep *Episode) {
		t := groups[name]
		if t == nil {
			t = &tally{Summary: Summary{Group: name}, games: map[string]bool{}}
			groups[name] = t
		}
		t.add(ep)
	}
	var splits []string
	for i := range episodes {
		ep := &episodes[i]
		add("all", ep)
		if ep.TaskType != "" {
			add(ep.TaskType, ep)
		}
		if split, _, found := strings.Cut(ep.Game, "/"); found {
			if groups[split] == nil {
				splits = append(splits, split)
			}
			add(split, ep)
		}
	}
	var out []Summary
	for _, name := range append(append([]string{"all"}, splits...), alfworld.TaskTypes...) {
		if t := groups[name]; t != nil {
			out = append(out, t.finish())
		}
	}
	return out
}

func (t *tally) add(ep *Episode) {
	t.Episodes++
	won := ep.Reward > 0
	t.games[ep.Game] = t.games[ep.Game] || won
	t.turns += len(ep.Turns)
	if won {
		t.Won++
		t.turnsWon += len(ep.Turns)
	}
	if ep.Invalid {
		t.invalid++
	}
	if ep.OutOfTurns {
		t.cut++
	}
	if ep.Loops() {
		t.loops++
	}
	for _, s := range ep.Turns {
		if s.Observation == alfworld.Nothing {
			t.nothing++
		}
	}
}

func (t *tally) finish() Summary {
	s := t.Summary
	s.Games = len(t.games)
	for _, once := range t.games {
		if once {
			s.WonOnce++
		}
	}
	share := func(n, of int) float64 {
		if of == 0 {
			return 0
		}
		return float64(n) / float64(of)
	}
	s.Success = share(s.Won, s.Episodes)
	s.MeanTurns = share(t.turns, s.Episodes)
	s.MeanTurnsWon = share(t.turnsWon, s.Won)
	s.Invalid = share(t.invalid, s.Episodes)
	s.OutOfTurns = share(t.cut, s.Episodes)
	s.Loops = share(t.loops, s.Episodes)
	s.Nothing = share(t.nothing, t.turns)
	return s
}

// Loops reports whether some action came with the same observation three times
// or more.
func (ep *Episode) Loops() bool {
	seen := map[[2]string]int{}
	for _, s := range ep.Turns {
		key := [2]string{s.Action, s.Observation}
		if seen[key]++; seen[key] == 3 {
			return true
		}
	}
	return false
}
