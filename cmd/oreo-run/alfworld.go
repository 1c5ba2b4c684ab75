package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/react"
	"github.com/oreo-go/oreo/alfworld/worldgen"
	"github.com/oreo-go/oreo/cmd/internal/cli"
)

func alfworldCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "alfworld",
		Usage: "household games: play, roll out, evaluate, generate, verify",
		Description: `Games are *.tw-pddl files, directory trees of them as ALFWORLD_DATA holds
them, or compact .jsonl[.gz] collections; "generate" makes new ones.`,
		Subcommands: []*urfave.Command{
			alfworldStepCommand(),
			alfworldPlayCommand(),
			alfworldRolloutCommand(),
			alfworldEvalCommand(),
			alfworldGenerateCommand(),
			alfworldVerifyCommand(),
			alfworldImportCommand(),
		},
	}
}

func gameFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "game", Required: true, Usage: "game `FILE`, *.tw-pddl"}
}

// gamesFlags choose a collection of games.
func gamesFlags(required bool) []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "games", Required: required, Usage: "`PATH` of games: a file, a directory tree, or a compact .jsonl[.gz] collection"},
		&urfave.StringFlag{Name: "edition", Value: alfworld.Edition211, Usage: "text edition for compact collections, 2.1.1 or 2.1.3"},
		&urfave.IntFlag{Name: "limit", Usage: "take `N` games, evenly spread; 0: all"},
	}
}

func readGames(c *urfave.Context) ([]alfworld.Spec, error) {
	specs, err := alfworld.AllSpecs(c.String("games"), c.String("edition"))
	if err != nil {
		return nil, err
	}
	n := c.Int("limit")
	if n < 0 {
		return nil, cli.Usagef("--limit is %d, want 0 or more", n)
	}
	if n == 0 || n >= len(specs) {
		return specs, nil
	}
	few := make([]alfworld.Spec, n)
	for i := range few {
		few[i] = specs[i*len(specs)/n]
	}
	return few, nil
}

func alfworldStepCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "step",
		Usage: "play a game command by command, for programs",
		Description: `Reads a command a line, taken as it is, and writes a JSON line for the start
and for each command: observation, admissible, won, done, score.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			gameFlag(),
			&urfave.StringFlag{Name: "grammar", Value: "auto", Usage: "twl2 `FILE` instead of the game's own texts (auto)"},
			&urfave.BoolFlag{Name: "interpret", Usage: "use the interpreter instead of the compiled engine"},
			&urfave.BoolFlag{Name: "facts", Usage: "add the facts of the state"},
		},
		Action: func(c *urfave.Context) error {
			game, err := loadGame(c.String("game"), c.String("grammar"))
			if err != nil {
				return err
			}
			env := game.NewEnv()
			if c.Bool("interpret") {
				env = game.Interpret()
			}
			return alfworldStep(env, c.Bool("facts"), c.App.Reader, c.App.Writer)
		},
	}
}

func loadGame(path, grammar string) (*alfworld.Game, error) {
	if grammar == "auto" {
		return alfworld.Load(path)
	}
	text, err := os.ReadFile(grammar)
	if err != nil {
		return nil, err
	}
	for spec, err := range alfworld.Specs(path, "") {
		if err != nil {
			return nil, err
		}
		spec.Grammar = string(text)
		return spec.Compile()
	}
	return nil, fmt.Errorf("%s: no game", path)
}

// stepResult is a line of "alfworld step".
type stepResult struct {
	Observation string   `json:"observation"`
	Admissible  []string `json:"admissible"`
	Won         bool     `json:"won"`
	Done        bool     `json:"done"`
	Score       float64  `json:"score"`
	Facts       []string `json:"facts,omitempty"`
}

// maxCommand bounds a line of input, in bytes.
const maxCommand = 1 << 20

func alfworldStep(env *alfworld.Env, facts bool, in io.Reader, out io.Writer) error {
	w := bufio.NewWriter(out)
	put := func(obs string) error {
		r := stepResult{Observation: obs, Admissible: env.AppendAdmissible([]string{}), Won: env.Won(), Done: env.Won(), Score: env.Score()}
		if facts {
			for _, f := range env.Facts() {
				r.Facts = append(r.Facts, f.String())
			}
		}
		if err := writeJSON(w, r); err != nil {
			return err
		}
		return w.Flush() // a caller may wait for it
	}
	obs, err := env.Reset()
	if err != nil {
		return err
	}
	if err := put(obs); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(in, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("command %d: %w", n, err)
		}
		if obs, err = env.Step(line); err != nil {
			return err
		}
		if err := put(obs); err != nil {
			return err
		}
	}
}

func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxCommand {
			return "", fmt.Errorf("the line has more than %d bytes", maxCommand)
		}
		switch {
		case err == bufio.ErrBufferFull:
		case err == nil || err == io.EOF && len(line) > 0:
			return strings.TrimSuffix(string(line), "\n"), nil
		default:
			return "", err
		}
	}
}

func alfworldPlayCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "play",
		Usage:  "play a game at the keyboard",
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "game", Usage: "game `FILE`, *.tw-pddl; without it a new game is made"},
			&urfave.Uint64Flag{Name: "seed", Value: 1, Usage: "of the new game"},
		},
		Action: func(c *urfave.Context) error {
			game, err := gameToPlay(c)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.App.Writer, `A command a line; "?" lists what can be done; end of input stops.`)
			protocol := react.OREO()
			protocol.MaxTurns = 1 << 30
			player := &react.Human{In: bufio.NewReader(c.App.Reader), Out: c.App.Writer}
			ep, err := react.Run(c.Context, game, player, react.Config{Protocol: protocol}, 0)
			if err != nil {
				return err
			}
			if ep.Reward > 0 {
				fmt.Fprintf(c.App.Writer, "\n%s\nWon after %d commands.\n", ep.Turns[len(ep.Turns)-1].Observation, len(ep.Turns))
			}
			return nil
		},
	}
}

func gameToPlay(c *urfave.Context) (*alfworld.Game, error) {
	if path := c.String("game"); path != "" {
		return alfworld.Load(path)
	}
	cfg := worldgen.DefaultConfig()
	cfg.Seed = c.Uint64("seed")
	for spec, err := range worldgen.Games(cfg, "train", 1) {
		if err != nil {
			return nil, err
		}
		return spec.Compile()
	}
	return nil, fmt.Errorf("no game was made")
}
