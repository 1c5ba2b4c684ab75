package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/alfworld/react"
	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

//go:embed alfworld_replay.gohtml
var replaySource string

var replayTemplate = template.Must(template.New("replay").Parse(replaySource))

func alfworldEvalCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "eval",
		Usage: "report what came out of rollouts",
		Description: `Reads episodes that "rollout" wrote, one file per actor, and reports success by
split and task type with 95 % confidence intervals (Wilson), turns, invalid
replies, loops. --replay writes a page that steps through episodes.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringSliceFlag{Name: "episodes", Required: true, Usage: "JSONL `FILE` of a rollout; may be given again"},
			&urfave.BoolFlag{Name: "json", Usage: "print JSON, not a table"},
			&urfave.StringFlag{Name: "out", Usage: "JSON `FILE` for the result"},
			&urfave.StringFlag{Name: "html", Usage: "HTML `FILE` for the report"},
			&urfave.StringFlag{Name: "replay", Usage: "HTML `FILE` that steps through episodes"},
			&urfave.IntFlag{Name: "replay-episodes", Value: 50, Usage: "episodes of each file on that page, lost ones first"},
		},
		Action: runAlfworldEval,
	}
}

// evaluated is the result of one file. Lo and Hi bound the success with 95 %
// confidence.
type evaluated struct {
	File   string       `json:"file"`
	Groups []groupScore `json:"groups"`
}

type groupScore struct {
	react.Summary
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

func runAlfworldEval(c *urfave.Context) error {
	var results []evaluated
	var shown []react.Episode
	for _, path := range c.StringSlice("episodes") {
		episodes, err := readEpisodes(path)
		if err != nil {
			return err
		}
		results = append(results, evaluate(path, episodes))
		shown = append(shown, lostFirst(episodes, c.Int("replay-episodes"))...)
	}
	if path := c.String("out"); path != "" {
		if err := report.WriteJSON(path, results); err != nil {
			return err
		}
	}
	if path := c.String("html"); path != "" {
		if err := alfworldPage(results).WriteFile(path); err != nil {
			return err
		}
	}
	if path := c.String("replay"); path != "" {
		if err := writeReplay(path, shown); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return writeJSON(c.App.Writer, results)
	}
	for _, r := range results {
		fmt.Fprintf(c.App.Writer, "%s\n", r.File)
		if err := report.WriteTable(c.App.Writer, evalHeader, r.rows()); err != nil {
			return err
		}
	}
	return nil
}

func readAllRecords[T any](path string, check func(*T) error) ([]T, error) {
	all, err := jsonl.ReadAll[T](path)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := check(&all[i]); err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", path, i+1, err)
		}
	}
	return all, nil
}

func evaluate(path string, episodes []react.Episode) evaluated {
	r := evaluated{File: path}
	for _, s := range react.Summarize(episodes) {
		lo, hi := report.Wilson(s.Won, s.Episodes)
		r.Groups = append(r.Groups, groupScore{s, lo, hi})
	}
	return r
}

var evalHeader = []string{"group", "episodes", "won", "success", "95 % interval", "turns", "turns if won", "invalid", "nothing happens", "out of turns", "loops"}

func (r evaluated) rows() [][]string {
	percent := func(x float64) string { return fmt.Sprintf("%.1f%%", 100*x) }
	var rows [][]string
	for _, g := range r.Groups {
		rows = append(rows, []string{
			g.Group, fmt.Sprint(g.Episodes), fmt.Sprint(g.Won), percent(g.Success),
			percent(g.Lo) + " to " + percent(g.Hi), fmt.Sprintf("%.1f", g.MeanTurns), fmt.Sprintf("%.1f", g.MeanTurnsWon),
			percent(g.Invalid), percent(g.Nothing), percent(g.OutOfTurns), percent(g.Loops),
		})
	}
	return rows
}

func alfworldPage(results []evaluated) *report.Page {
	page := report.New("ALFWorld evaluation")
	page.Text("Success is the share of episodes that reach the goal. Intervals are Wilson's, at 95 %, with episodes taken as independent.")
	plot := report.Plot{Title: "Success by group", XLabel: "group", YLabel: "success"}
	var names []string
	for _, r := range results {
		page.Heading(r.File).Table(evalHeader, r.rows())
		s := report.Series{Name: r.File}
		for _, g := range r.Groups {
			at := slices.Index(names, g.Group)
			if at < 0 {
				at = len(names)
				names = append(names, g.Group)
			}
			s.X, s.Y = append(s.X, float64(at+1)), append(s.Y, g.Success)
			s.Lo, s.Hi = append(s.Lo, g.Lo), append(s.Hi, g.Hi)
		}
		plot.Series = append(plot.Series, s)
	}
	var key []string
	for i, n := range names {
		key = append(key, fmt.Sprintf("%d %s", i+1, n))
	}
	return page.Heading("Success").Plot(plot).Text("Groups: " + strings.Join(key, ", ") + ".")
}

// lostFirst picks n episodes, those that were lost before those that were won.
func lostFirst(episodes []react.Episode, n int) []react.Episode {
	order := slices.Clone(episodes)
	slices.SortStableFunc(order, func(a, b react.Episode) int {
		switch {
		case a.Reward < b.Reward:
			return -1
		case a.Reward > b.Reward:
			return 1
		}
		return 0
	})
	return order[:min(max(n, 0), len(order))]
}

func writeReplay(path string, episodes []react.Episode) error {
	var page strings.Builder
	if err := replayTemplate.Execute(&page, episodes); err != nil {
		return fmt.Errorf("replay page: %w", err)
	}
	return renameio.WriteFile(path, []byte(page.String()), 0o644)
}
