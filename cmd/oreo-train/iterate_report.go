package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"strconv"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime/traj"
)

// measured is what oreo-run eval wrote of one way of answering.
type measured struct {
	Accuracy float64 `json:"accuracy"`
	Lo       float64 `json:"lo"` // 95 %, Wilson
	Hi       float64 `json:"hi"`
	N        int     `json:"n"`
	Tokens   int     `json:"tokens"`
}

// round is what one round did.
type round struct {
	samples, right int                 // graded answers it learnt from
	results        map[string]measured // by way: greedy, beam-3, …
}

// ways are the ways of answering, in the order of the report.
func (it *iteration) ways() (names, titles []string) {
	names, titles = []string{"greedy"}, []string{"greedy"}
	for _, b := range it.Beams {
		names, titles = append(names, fmt.Sprintf("beam-%d", b)), append(titles, fmt.Sprintf("beam B = %d", b))
	}
	return names, titles
}

// rounds reads what the rounds up to last left.
func (it *iteration) rounds(last int) ([]round, error) {
	all := make([]round, last+1)
	names, _ := it.ways()
	for k := range all {
		all[k].results = map[string]measured{}
		for i, name := range names {
			if k == 0 && i > 0 {
				continue // no critic yet
			}
			path := it.file(k, "result/"+name+".json")
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			var m measured
			if err := json.Unmarshal(text, &m); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			all[k].results[name] = m
		}
		if k == 0 {
			continue
		}
		for r, err := range traj.Read(it.file(k, "samples.jsonl"), true) {
			if err != nil {
				return nil, err
			}
			all[k].samples++
			if *r.Reward > 0.5 {
				all[k].right++
			}
		}
	}
	return all, nil
}

func (it *iteration) table(rounds []round) (header []string, rows [][]string) {
	names, titles := it.ways()
	header = []string{"round", "samples", "of these right"}
	for _, title := range titles {
		header = append(header, title, "95 % interval")
	}
	for k, r := range rounds {
		row := []string{strconv.Itoa(k), "", ""}
		if k > 0 {
			row[1], row[2] = strconv.Itoa(r.samples), fmt.Sprintf("%.1f %%", 100*float64(r.right)/float64(max(1, r.samples)))
		}
		for _, name := range names {
			m, ok := r.results[name]
			if !ok {
				row = append(row, "", "")
				continue
			}
			row = append(row, fmt.Sprintf("%.1f %%", 100*m.Accuracy), fmt.Sprintf("%.1f to %.1f %%", 100*m.Lo, 100*m.Hi))
		}
		rows = append(rows, row)
	}
	return header, rows
}

// summary prints the table of all rounds.
func (it *iteration) summary(w io.Writer) error {
	rounds, err := it.rounds(it.Rounds)
	if err != nil {
		return err
	}
	header, rows := it.table(rounds)
	if err := report.WriteTable(w, header, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nreport with plots: %s\n", it.Path("report.html"))
	return err
}

// report writes report.html for the rounds up to last.
func (it *iteration) report(last int) error {
	rounds, err := it.rounds(last)
	if err != nil {
		return err
	}
	header, rows := it.table(rounds)
	page := report.New("Rounds of " + it.Method)
	page.Text(fmt.Sprintf("%d of %d rounds. In each, the policy of the round before answered every problem %d times; the graded answers trained the next policy by %s, "+
		"with the policy of the round before as pi_ref. Measured on %d problems that no round trained on; intervals are 95 %% (Wilson).",
		last, it.Rounds, it.Samples, it.Method, rounds[0].results["greedy"].N))
	page.Heading("Accuracy by round").Table(header, rows).Plot(it.accuracy(rounds))
	if err := it.times(page); err != nil {
		return err
	}
	page.Heading("Settings").HTML("<pre>" + template.HTMLEscapeString(string(config.Marshal(&it.iterateConfig))) + "</pre>")
	return page.WriteFile(it.Path("report.html"))
}

func (it *iteration) accuracy(rounds []round) report.Plot {
	plot := report.Plot{Title: "Accuracy by round", XLabel: "round (0: the first policy)", YLabel: "correct, %"}
	names, titles := it.ways()
	for i, name := range names {
		s := report.Series{Name: titles[i]}
		for k, r := range rounds {
			if m, ok := r.results[name]; ok {
				s.X, s.Y = append(s.X, float64(k)), append(s.Y, 100*m.Accuracy)
				s.Lo, s.Hi = append(s.Lo, 100*m.Lo), append(s.Hi, 100*m.Hi)
			}
		}
		if len(s.X) > 0 {
			plot.Series = append(plot.Series, s)
		}
	}
	return plot
}

// times tells how long each stage took.
func (it *iteration) times(page *report.Page) error {
	seconds, err := it.Times()
	if err != nil {
		return err
	}
	var rows [][]string
	for k := range it.Rounds + 1 {
		for _, s := range it.stages(k) {
			if took, ok := seconds[s.Title]; ok {
				rows = append(rows, []string{s.Title, fmt.Sprintf("%.0f s", took)})
			}
		}
	}
	page.Heading("Time").Table([]string{"stage", "took"}, rows)
	return nil
}
