// Package worldgen makes household games of our own, in the file format of the
// official ones: four kinds of room, their furniture, things in it, the six
// types of task. A seed determines everything. Every game is solved by the
// expert before it is handed out.
//
// A layout is a room: its furniture and where it stands. Splits follow the
// paper's: "train" and "valid_seen" share layouts, with things in other places
// and other tasks; the layouts of "valid_unseen" occur nowhere else.
package worldgen

import (
	_ "embed"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
)

//go:embed household.pddl
var domainText string

//go:embed household.twl2
var grammarText string

// Config says what to make.
type Config struct {
	Seed          uint64
	LayoutSeed    uint64 // of the rooms; 0: Seed. Collections with one of them share their rooms
	Edition       string // alfworld.Edition211 or Edition213: the wording of commands
	TrainLayouts  int    // shared by train and valid_seen
	UnseenLayouts int    // of valid_unseen

	// Smaller worlds have shorter observations and episodes. Zero values ask
	// for the full size.
	Rooms       []string // kinds of room, of RoomKinds
	Receptacles int      // at most, in a room
	Objects     int      // at most, in a game
	Kinds       int      // of objects, at most: the first of a room's list
	Single      bool     // no two objects of a kind
	Apart       bool     // no two receptacles within reach from one spot, which nothing tells the agent beforehand
	Tasks       []string // of alfworld.TaskTypes
}

// DefaultConfig has 40 rooms for training, ten of each kind, and 12 unseen.
func DefaultConfig() Config {
	return Config{Seed: 1, Edition: alfworld.Edition211, TrainLayouts: 40, UnseenLayouts: 12}
}

// Validate names the field and the value that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Edition != alfworld.Edition211 && c.Edition != alfworld.Edition213:
		return fmt.Errorf("edition %q: want %s or %s", c.Edition, alfworld.Edition211, alfworld.Edition213)
	case c.TrainLayouts < 1:
		return fmt.Errorf("train layouts %d: want at least 1", c.TrainLayouts)
	case c.UnseenLayouts < 1:
		return fmt.Errorf("unseen layouts %d: want at least 1", c.UnseenLayouts)
	case c.Receptacles < 0 || c.Receptacles == 1:
		return fmt.Errorf("receptacles %d: want at least 2, or 0 for a full room", c.Receptacles)
	case c.Objects < 0:
		return fmt.Errorf("objects %d: want at least 1, or 0 for a full room", c.Objects)
	}
	if c.Kinds < 0 {
		return fmt.Errorf("kinds of objects %d: want at least 1, or 0 for all", c.Kinds)
	}
	for _, t := range c.Tasks {
		if !slices.Contains(alfworld.TaskTypes, t) {
			return fmt.Errorf("task %q: want one of %s", t, strings.Join(alfworld.TaskTypes, ", "))
		}
	}
	for _, r := range c.Rooms {
		if !slices.Contains(RoomKinds(), r) {
			return fmt.Errorf("room %q: want one of %s", r, strings.Join(RoomKinds(), ", "))
		}
	}
	return nil
}

// RoomKinds are the names of the kinds of room.
func RoomKinds() []string {
	var names []string
	for _, r := range rooms {
		names = append(names, r.name)
	}
	return names
}

func (c Config) tasks() []string {
	if len(c.Tasks) == 0 {
		return alfworld.TaskTypes
	}
	return c.Tasks
}

// room is the kind of room that layout number has.
func (c Config) room(number int) room {
	if len(c.Rooms) == 0 {
		return rooms[number%len(rooms)]
	}
	name := c.Rooms[number%len(c.Rooms)]
	return rooms[slices.IndexFunc(rooms, func(r room) bool { return r.name == name })]
}

// Splits are the names of the splits.
var Splits = []string{"train", "valid_seen", "valid_unseen"}

// Games yields n games of a split. The i-th game is the same whatever n is.
func Games(cfg Config, split string, n int) iter.Seq2[alfworld.Spec, error] {
	return func(yield func(alfworld.Spec, error) bool) {
		err := cfg.Validate()
		if err == nil && !slices.Contains(Splits, split) {
			err = fmt.Errorf("split %q: want one of %s", split, strings.Join(Splits, ", "))
		}
		if err != nil {
			yield(alfworld.Spec{}, err)
			return
		}
		for i := range n {
			spec, err := cfg.game(split, i)
			if !yield(spec, err) || err != nil {
				return
			}
		}
	}
}

// attempts bounds how often a game that came out trivial is drawn again.
const attempts = 200

func (c Config) game(split string, i int) (alfworld.Spec, error) {
	splitIndex := uint64(slices.Index(Splits, split))
	for try := range uint64(attempts) {
		rng := rand.New(rand.NewPCG(c.Seed<<8^splitIndex, uint64(i)<<16^try))
		number := rng.IntN(c.TrainLayouts)
		if split == "valid_unseen" {
			number = c.TrainLayouts + rng.IntN(c.UnseenLayouts)
		}
		w := c.newLayout(number)
		w.rng = rng
		w.scatter(c)
		tasks := c.tasks()
		if !w.chooseTask(tasks[(i+int(try)/50)%len(tasks)]) { // a type that no room takes gives way to the next
			continue
		}
		spec := w.spec(c.Edition)
		spec.ID = fmt.Sprintf("%s/%s-%s-None-%s-%d/trial_%06d", split, w.task, w.object.name, w.target, number+1, i)
		if solve(&spec) {
			return spec, nil
		}
	}
	return alfworld.Spec{}, fmt.Errorf("game %d of %s: no solvable task in %d attempts; allow more receptacles, objects, layouts, rooms or tasks", i, split, attempts)
}

// solve adds the expert's shortest way as the walkthrough. Games that are won
// at the start, or not at all, are refused.
func solve(spec *alfworld.Spec) bool {
	g, err := spec.Compile()
	if err != nil {
		return false
	}
	env := g.NewEnv()
	plan, err := expert.Plan(env, expert.Config{Direct: true})
	if err != nil || len(plan) == 0 {
		return false
	}
	for _, s := range plan {
		if env.Won() {
			return false
		}
		if _, err := env.Step(s.Command); err != nil {
			return false
		}
		spec.Walkthrough = append(spec.Walkthrough, s.Command)
	}
	return env.Won()
}
