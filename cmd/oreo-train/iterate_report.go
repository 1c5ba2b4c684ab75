package main

import (
	"fmt"
	"html/template"
	"io"
	"strconv"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// round is what one round did.
type round struct {
	samples rate            // graded answers it learnt from
	results map[string]rate // by a way's name
}

// rate is how many of n were right.
type rate struct{ right, n int }

func (r rate) String() string { return fmt.Sprintf("%.1f %%", r.percent()) }

func (r rate) percent() float64 { return 100 * float64(r.right) / float64(max(1, r.n)) }

// interval is 95 % (Wilson), in per cent.
func (r rate) interval() (lo, hi float64) {
	lo, hi = report.Wilson(r.right, r.n)
	return 100 * lo, 100 * hi
}

// readRate counts the records that are right, by verdict or by reward.
func readRate(path string) (r rate, err error) {
	type graded struct {
		Correct bool
		Reward  float64
	}
	for g, err := range jsonl.Read[graded](path) {
		if err != nil {
			return r, err
		}
		r.n++
		if g.Correct || g.Reward > 0.5 {
			r.right++
		}
	}
	return r, nil
}

// rounds reads what the rounds up to last left.
func (it *iteration) rounds(last int) ([]round, error) {
	all := make([]round, last+1)
	for k := range all {
		all[k].results = map[string]rate{}
		var err error
		for _, w := range it.ways(k) {
			if all[k].results[w.name], err = readRate(it.file(k, w.answers())); err != nil {
				return nil, err
			}
		}
		if k == 0 {
			continue
		}
		if all[k].samples, err = readRate(it.file(k, "samples.jsonl")); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (it *iteration) table(rounds []round) (header []string, rows [][]string) {
	ways := it.ways(len(rounds) - 1)
	header = []string{"round", "samples", "of these right"}
	for _, w := range ways {
		header = append(header, w.title, "95 % interval")
	}
	for k, r := range rounds {
		row := []string{strconv.Itoa(k), "", ""}
		if k > 0 {
			row[1], row[2] = strconv.Itoa(r.samples.n), r.samples.String()
		}
		for _, w := range ways {
			if m, ok := r.results[w.name]; ok {
				lo, hi := m.interval()
				row = append(row, m.String(), fmt.Sprintf("%.1f to %.1f %%", lo, hi))
			} else {
				row = append(row, "", "")
			}
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
		"with the policy of the round before as pi_ref. Round 0 is the first policy; intervals are 95 %% (Wilson).",
		last, it.Rounds, it.Samples, it.Method))
	page.Heading("Accuracy by round").Table(header, rows).Plot(it.accuracy(rounds))
	if err := it.times(page); err != nil {
		return err
	}
	page.Heading("Settings").HTML("<pre>" + template.HTMLEscapeString(string(config.Marshal(&it.iterateConfig))) + "</pre>")
	return page.WriteFile(it.Path("report.html"))
}

func (it *iteration) accuracy(rounds []round) report.Plot {
	plot := report.Plot{Title: "Accuracy by round", XLabel: "round (0: the first policy)", YLabel: "correct, %"}
	for _, w := range it.ways(len(rounds) - 1) {
		s := report.Series{Name: w.title}
		for k, r := range rounds {
			if m, ok := r.results[w.name]; ok {
				lo, hi := m.interval()
				s.X, s.Y, s.Lo, s.Hi = append(s.X, float64(k)), append(s.Y, m.percent()), append(s.Lo, lo), append(s.Hi, hi)
			}
		}
		plot.Series = append(plot.Series, s)
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
