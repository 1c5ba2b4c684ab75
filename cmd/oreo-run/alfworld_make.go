package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
	"github.com/oreo-go/oreo/alfworld/react"
	"github.com/oreo-go/oreo/alfworld/worldgen"
	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func alfworldGenerateCommand() *urfave.Command {
	d := worldgen.DefaultConfig()
	return &urfave.Command{
		Name:  "generate",
		Usage: "make new games, each solved by the expert",
		Description: `Writes DIR/SPLIT/TASK/TRIAL/game.tw-pddl, which Python TextWorld loads too.
Layouts of rooms are shared by train and valid_seen; those of valid_unseen occur
nowhere else. Fewer receptacles and objects make shorter texts and episodes, for
small models: --room kitchen --receptacles 4 --objects 4.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "out", Required: true, Usage: "`DIR` for the games"},
			&urfave.IntFlag{Name: "train", Value: 500, Usage: "games of train"},
			&urfave.IntFlag{Name: "seen", Value: 140, Usage: "games of valid_seen"},
			&urfave.IntFlag{Name: "unseen", Value: 134, Usage: "games of valid_unseen"},
			&urfave.IntFlag{Name: "train-layouts", Value: d.TrainLayouts, Usage: "rooms of train and valid_seen"},
			&urfave.IntFlag{Name: "unseen-layouts", Value: d.UnseenLayouts, Usage: "rooms of valid_unseen"},
			&urfave.IntFlag{Name: "receptacles", Usage: "at most `N` receptacles in a room; 0: a full room"},
			&urfave.IntFlag{Name: "objects", Usage: "at most `N` objects in a game; 0: a full room"},
			&urfave.IntFlag{Name: "kinds", Usage: "at most `N` kinds of objects, the first of each room's list; 0: all"},
			&urfave.BoolFlag{Name: "single", Usage: "no two objects of a kind in a game"},
			&urfave.BoolFlag{Name: "apart", Usage: "no two receptacles are within reach from one spot"},
			&urfave.StringSliceFlag{Name: "room", Usage: "only rooms of this `KIND`; may be given again: " + strings.Join(worldgen.RoomKinds(), ", ")},
			&urfave.StringSliceFlag{Name: "task", Usage: "only tasks of this `TYPE`; may be given again: " + strings.Join(alfworld.TaskTypes, ", ")},
			&urfave.StringFlag{Name: "edition", Value: d.Edition, Usage: "wording of commands, 2.1.1 or 2.1.3"},
			&urfave.Uint64Flag{Name: "seed", Value: d.Seed, Usage: "fixes everything"},
			&urfave.Uint64Flag{Name: "layout-seed", Usage: "fixes the rooms, so that other seeds make other games in them; 0: --seed"},
		},
		Action: func(c *urfave.Context) error {
			cfg := worldgen.Config{
				Seed: c.Uint64("seed"), LayoutSeed: c.Uint64("layout-seed"), Edition: c.String("edition"),
				TrainLayouts: c.Int("train-layouts"), UnseenLayouts: c.Int("unseen-layouts"),
				Rooms: c.StringSlice("room"), Tasks: c.StringSlice("task"),
				Receptacles: c.Int("receptacles"), Objects: c.Int("objects"), Kinds: c.Int("kinds"), Single: c.Bool("single"), Apart: c.Bool("apart"),
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			counts := map[string]int{"train": c.Int("train"), "valid_seen": c.Int("seen"), "valid_unseen": c.Int("unseen")}
			for _, split := range worldgen.Splits {
				if counts[split] < 0 {
					return cli.Usagef("%d games of %s: want 0 or more", counts[split], split)
				}
				for spec, err := range worldgen.Games(cfg, split, counts[split]) {
					if err != nil {
						return err
					}
					if err := writeGame(c.String("out"), spec); err != nil {
						return err
					}
					if c.Context.Err() != nil {
						return c.Context.Err()
					}
				}
				fmt.Fprintf(c.App.Writer, "%s: %d games\n", split, counts[split])
			}
			return nil
		},
	}
}

func writeGame(root string, spec alfworld.Spec) error {
	dir := filepath.Join(root, filepath.FromSlash(spec.ID))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, alfworld.GameFile), spec.JSON(), 0o644)
}

func alfworldVerifyCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "verify",
		Usage: "check games: they load, both engines agree, they can be won",
		Description: `Plays every game on random walks with the interpreter and the compiled engine
side by side, then its own walkthrough and the expert's.`,
		Before: cli.NoArgs,
		Flags: append(gamesFlags(true),
			&urfave.IntFlag{Name: "steps", Value: 20, Usage: "random steps a game, of both engines"},
			&urfave.Uint64Flag{Name: "seed", Usage: "of the walks"},
		),
		Action: func(c *urfave.Context) error {
			specs, err := readGames(c)
			if err != nil {
				return err
			}
			v := verifier{steps: c.Int("steps"), seed: c.Uint64("seed")}
			progress := cli.NewProgress("verify", 0, int64(len(specs)))
			for i, spec := range specs {
				if c.Context.Err() != nil {
					break
				}
				if err := v.game(spec, i); err != nil {
					v.failed++
					progress.Printf("%s: %v", spec.ID, err)
				}
				progress.Add(1)
			}
			progress.Close()
			if err := c.Context.Err(); err != nil {
				return err
			}
			return v.print(c, len(specs))
		},
	}
}

// verifier counts what it checked.
type verifier struct {
	steps                                    int
	seed                                     uint64
	walked, interpreted                      int
	walkthroughs, solved, expertSteps, tried int
	failed                                   int
}

func (v *verifier) game(spec alfworld.Spec, i int) error {
	g, err := spec.Compile()
	if err != nil {
		return err
	}
	if ok, _ := g.Compiled(); !ok {
		v.interpreted++
	} else if err := v.walk(g, i); err != nil {
		return err
	}
	if len(spec.Walkthrough) > 0 {
		env := g.NewEnv()
		for _, cmd := range spec.Walkthrough {
			if _, err := env.Step(cmd); err != nil {
				return err
			}
		}
		if !env.Won() {
			return errors.New("its walkthrough does not win")
		}
		v.walkthroughs++
	}
	v.tried++
	env := g.NewEnv()
	plan, err := expert.Plan(env, expert.Config{Seed: v.seed})
	if err != nil {
		return fmt.Errorf("expert: %w", err)
	}
	for _, s := range plan {
		if _, err := env.Step(s.Command); err != nil {
			return err
		}
	}
	if !env.Won() || len(plan) > 40 {
		return fmt.Errorf("the expert does not win within 40 steps (%d taken)", len(plan))
	}
	v.solved++
	v.expertSteps += len(plan)
	return nil
}

// walk compares the engines on a random walk that now and then tries what is
// not possible.
func (v *verifier) walk(g *alfworld.Game, i int) error {
	rng := rand.New(rand.NewPCG(v.seed, uint64(i)))
	fast, slow := g.NewEnv(), g.Interpret()
	a, err := fast.Reset()
	if err != nil {
		return err
	}
	b, err := slow.Reset()
	if err != nil {
		return err
	}
	var path []string
	for n := 0; ; n++ {
		commands := fast.Admissible()
		if a != b || !slices.Equal(commands, slow.Admissible()) || fast.Won() != slow.Won() {
			return fmt.Errorf("the engines differ after %q:\ncompiled    %q\ninterpreted %q", path, a, b)
		}
		if n == v.steps || len(commands) == 0 {
			v.walked += n
			return nil
		}
		cmd := commands[rng.IntN(len(commands))]
		if rng.IntN(20) == 0 {
			cmd = strings.ToUpper(cmd)
		}
		path = append(path, cmd)
		if a, err = fast.Step(cmd); err != nil {
			return err
		}
		if b, err = slow.Step(cmd); err != nil {
			return err
		}
	}
}

func (v *verifier) print(c *urfave.Context, games int) error {
	rows := [][]string{
		{"games", fmt.Sprint(games)},
		{"left to the interpreter", fmt.Sprint(v.interpreted)},
		{"steps on which both engines agree", fmt.Sprint(v.walked)},
		{"walkthroughs that win", fmt.Sprint(v.walkthroughs)},
		{"won by the expert within 40 steps", fmt.Sprintf("%d of %d", v.solved, v.tried)},
		{"games with an error", fmt.Sprint(v.failed)},
	}
	if err := report.WriteTable(c.App.Writer, []string{"check", "result"}, rows); err != nil {
		return err
	}
	if v.failed > 0 {
		return fmt.Errorf("%d of %d games failed", v.failed, games)
	}
	return nil
}

func alfworldImportCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "import",
		Usage: "turn conversations of others into training records",
		Description: `Reads annotated trajectories such as ETO's (a JSON array, role and content) or
plain conversations (JSON lines, from and value) and writes records for oreo-train.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "in", Required: true, Usage: "`FILE`, .json or .jsonl[.gz]"},
			&urfave.StringFlag{Name: "out", Required: true, Usage: "JSONL `FILE`"},
		},
		Action: func(c *urfave.Context) (err error) {
			w, err := jsonl.Create(c.String("out"))
			if err != nil {
				return err
			}
			defer func() { err = finish(w, err) }()
			n := 0
			for r, err := range react.ReadConversations(c.String("in")) {
				if err != nil {
					return err
				}
				if err := w.Write(r); err != nil {
					return err
				}
				n++
			}
			if n == 0 {
				return fmt.Errorf("%s: no conversations", c.String("in"))
			}
			fmt.Fprintf(c.App.Writer, "%d conversations\n", n)
			return nil
		},
	}
}
