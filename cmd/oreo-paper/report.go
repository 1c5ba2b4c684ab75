package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
)

// summary is report.json.
type summary struct {
	Findings []finding                      `json:"findings"`
	Accuracy map[string]map[string]estimate `json:"accuracy"` // by source, by level or split
	Tuning   tuning                         `json:"tuning"`
	Seconds  map[string]map[string]float64  `json:"seconds"` // by experiment, by stage
}

// report writes report.html and report.json of what is measured so far, and prints the
// findings.
func (p *paper) report(w io.Writer) error {
	s := &summary{Accuracy: map[string]map[string]estimate{}, Tuning: p.tuned, Seconds: map[string]map[string]float64{}}
	page := report.New("The paper in miniature")
	page.Text("Every figure of Offline Reinforcement Learning for LLM Multi-Step Reasoning (arXiv 2412.16145), with models made from nothing and small enough for two CPU cores. " +
		"Accuracies are means over seeds; ± is half a 95 % interval, the wider of that over problems and that over seeds (Student's t). " +
		"A finding holds when its whole interval lies above its bar.")
	var tables []func() error
	for _, part := range p.parts {
		runs, err := p.begun(part)
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			fmt.Fprintf(os.Stderr, "%s: nothing is measured yet\n", part)
			continue
		}
		fill, found := p.mathPage, p.mathFindings
		if part == alfworldPart {
			fill, found = p.alfworldPage, p.alfworldFindings
		}
		some, err := found(runs)
		if err != nil {
			return err
		}
		s.Findings = append(s.Findings, some...)
		tables = append(tables, func() error { return fill(page, s, runs) })
		for _, e := range runs {
			if s.Seconds[fmt.Sprintf("%s seed %d", part, e.seed)], err = e.Times(); err != nil {
				return err
			}
		}
	}
	page.Heading("Findings").Table(findingTable(s.Findings))
	for _, fill := range tables {
		if err := fill(); err != nil {
			return err
		}
	}
	p.tuningTables(page)
	page.Heading("Time").Table(timeTable(s.Seconds))
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	if err := report.WriteJSON(p.out+"/report.json", s); err != nil {
		return err
	}
	if err := page.WriteFile(p.out + "/report.html"); err != nil {
		return err
	}
	fmt.Fprintf(w, "report: %s/report.html\n", p.out)
	for _, f := range s.Findings {
		fmt.Fprintln(w, f)
	}
	return nil
}

func findingTable(all []finding) (header []string, rows [][]string) {
	for _, f := range all {
		verdict := "fails"
		if f.Holds {
			verdict = "holds"
		}
		var runs []string
		for _, m := range f.PerRun {
			runs = append(runs, fmt.Sprintf("%+.3f", m))
		}
		rows = append(rows, []string{f.Claim, verdict, fmt.Sprintf("%+.3f", f.Mean), fmt.Sprintf("%+.3f to %+.3f", f.Lo, f.Hi), fmt.Sprintf("%g", f.Bar), f.Unit, strings.Join(runs, ", ")})
	}
	return []string{"claim", "here it", "effect", "95 % interval", "bar", "in", "by seed"}, rows
}

// row measures a source on every group and on all together; it is nil where no
// seed has measured it.
func (s *summary) row(runs []*experiment, name string, from source, groups []string) ([]string, error) {
	row := []string{name}
	key := runs[0].part + " " + name
	if e, err := accuracy(runs, from, groups); err != nil || e.Seeds == 0 {
		return nil, err
	}
	s.Accuracy[key] = map[string]estimate{}
	for _, group := range groups {
		e, err := accuracy(runs, from, []string{group})
		if err != nil {
			return nil, err
		}
		s.Accuracy[key][group] = e
		row = append(row, percent(e))
	}
	e, err := accuracy(runs, from, groups)
	if err != nil {
		return nil, err
	}
	s.Accuracy[key]["both"] = e
	return append(row, percent(e), fmt.Sprint(e.Seeds)), nil
}

func percent(e estimate) string { return fmt.Sprintf("%.1f ± %.1f", 100*e.Mean, 100*(e.Hi-e.Lo)/2) }

// label is a policy's name for readers.
func label(policy string) string {
	return map[string]string{"sft": "SFT", "rejection": "rejection sampling", "dpo": "DPO", "kto": "KTO", "dqo": "DQO", "oreo": "OREO",
		"oreo-step": "OREO, step level", "oreo-response": "OREO, response level"}[policy]
}

// plain are the greedy results of policies.
func plain(policies ...string) []source {
	sources := make([]source, len(policies))
	for i, policy := range policies {
		sources[i] = source{policy: policy}
	}
	return sources
}

// table adds a table of sources and returns nothing but errors.
func (s *summary) table(page *report.Page, title string, runs []*experiment, sources []source, groups []string) error {
	var rows [][]string
	for _, from := range sources {
		name := label(from.policy)
		if from.sound {
			name += ", every line right"
		}
		row, err := s.row(runs, name, from, groups)
		if err != nil {
			return err
		}
		if row != nil {
			rows = append(rows, row)
		}
	}
	page.Heading(title).Table(slices.Concat([]string{"correct, %"}, groups, []string{"both", "seeds"}), rows)
	return nil
}

// curve is a line of a plot: sources over x, one line for each group.
type curve struct {
	name    string
	x       []int
	sources []source
}

// plot adds curves, a table of them below.
func (s *summary) plot(page *report.Page, plot report.Plot, runs []*experiment, curves []curve, groups []string) error {
	var rows [][]string
	for _, c := range curves {
		lines := make([]report.Series, len(groups))
		for i, from := range c.sources {
			row, err := s.row(runs, fmt.Sprintf("%s, %s %d", c.name, plot.XLabel, c.x[i]), from, groups)
			if err != nil {
				return err
			}
			if row == nil {
				continue
			}
			rows = append(rows, row)
			for g, group := range groups {
				e := s.Accuracy[runs[0].part+" "+row[0]][group]
				l := &lines[g]
				l.Name = strings.TrimPrefix(c.name+", "+group, ", ")
				l.X, l.Y = append(l.X, float64(c.x[i])), append(l.Y, 100*e.Mean)
				l.Lo, l.Hi = append(l.Lo, 100*e.Lo), append(l.Hi, 100*e.Hi)
			}
		}
		if len(lines[0].X) > 0 {
			plot.Series = append(plot.Series, lines...)
		}
	}
	page.Heading(plot.Title).Plot(plot).Table(slices.Concat([]string{"correct, %"}, groups, []string{"both", "seeds"}), rows)
	return nil
}

func (p *paper) mathPage(page *report.Page, s *summary, runs []*experiment) error {
	m, levels := p.math, p.levelNames()
	page.Heading("Mathematics").Text(fmt.Sprintf("Problems of %d steps (easy) and %d steps (hard) from the program's own generator: in each step one of two rules is right, which depends on the animal on a card and is nowhere stated. "+
		"Annotators use the right rule in %.0f to %.0f %% of the cases, depending on the animal; on %.0f %% of the cards a wrong rule does no harm, on most of the others it leads into water, where the right way never goes; the reward at the end alone tells which rules are right. "+
		"A base model learns to follow both rules on %d problems of each level; SFT then sees %d annotated problems of each level; every other method then sees the same %d answers to each of %d new problems of each level. "+
		"Measured on %d problems of each level with math/grade; on %d of them with beam search.", m.levels[0].cards, m.levels[len(m.levels)-1].cards,
		100*slices.Min(m.problems.Knowledge), 100*slices.Max(m.problems.Knowledge), 100*m.problems.Agree,
		m.school, m.annotated, m.samples, m.sampled, m.tested, m.searched))
	methods := plain(slices.Concat([]string{"sft"}, mathMethods)...)
	if err := s.table(page, "Table 1: methods", runs, methods, levels); err != nil {
		return err
	}
	for i := range methods {
		methods[i].sound = true
	}
	if err := s.table(page, "Table 1 again: solutions whose every line is right", runs, methods, levels); err != nil {
		return err
	}
	var rounds []curve
	for _, method := range []string{"oreo", "rejection"} {
		c := curve{name: label(method), x: []int{0}, sources: []source{{policy: "sft"}}}
		for k := 1; k <= m.rounds; k++ {
			c.x, c.sources = append(c.x, k), append(c.sources, source{policy: inRound(method, k)})
		}
		rounds = append(rounds, c)
	}
	plot := report.Plot{Title: "Fig. 2: rounds of sampling and training", XLabel: "round", YLabel: "correct, %"}
	if err := s.plot(page, plot, runs, rounds, levels); err != nil {
		return err
	}
	beams := curve{name: "beam search", x: []int{1}, sources: []source{{policy: "oreo", limit: m.searched}}}
	for _, b := range m.beams {
		beams.x, beams.sources = append(beams.x, b), append(beams.sources, source{policy: "oreo", width: b, limit: m.searched})
	}
	plot = report.Plot{Title: "Fig. 3: beam search with OREO's critic", XLabel: "B", YLabel: "correct, %"}
	if err := s.plot(page, plot, runs, []curve{beams}, levels); err != nil {
		return err
	}
	if err := s.table(page, "Fig. 5: levels of OREO's objective", runs, plain("oreo", "oreo-step", "oreo-response"), levels); err != nil {
		return err
	}
	return advantagesPage(page, runs)
}

// advantagesPage is Fig. 1 in numbers; each seed's diagnose.html shows cases.
func advantagesPage(page *report.Page, runs []*experiment) error {
	var rows [][]string
	for _, e := range runs {
		d, err := e.diagnosed()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		figure := func(i interval) string { return fmt.Sprintf("%.3f (%.3f to %.3f)", i.Mean, i.Lo, i.Hi) }
		a := d.Advantages
		rows = append(rows, []string{fmt.Sprint(e.seed), fmt.Sprintf("%d, %d", a.Right, a.Wrong), figure(a.Explicit), figure(a.Implicit), figure(a.Difference),
			figure(d.Pairwise.Prefix), figure(a.Pairs), figure(d.Pairwise.Problem), fmt.Sprintf("%.3f", d.Calibration.ECE)})
	}
	page.Heading("Fig. 1: explicit and implicit advantages").
		Text("Of steps behind a right prefix, right or wrong by their own arithmetic, in samples of the SFT policy on problems that no training has seen. "+
			"Cases with values token by token: seed-N/math/diagnose.html. oreo-run diagnose --help defines the figures.").
		Table([]string{"seed", "right, wrong steps", "AUC explicit", "AUC implicit", "difference", "same prefix, explicit", "same prefix, implicit", "trajectories of one problem", "ECE"}, rows)
	return nil
}

func (p *paper) alfworldPage(page *report.Page, s *summary, runs []*experiment) error {
	a := p.alfworld
	page.Heading("Households").Text(fmt.Sprintf("ALFWorld tasks in generated kitchens of %d receptacles: %d rooms to train in, which the seen split shares and the unseen split does not. "+
		"SFT, one for all seeds, saw an expert's ReAct episodes in %d games. The expert wins, but wastes turns: in some kinds of place more often than not it looks twice. "+
		"Every other method then sees the same %d episodes of SFT in each of %d games, drawn at temperature %g. At most %d turns; measured on %d unseen and %d seen games, new ones for each seed.",
		a.receptacles, a.layouts, a.demonstrated, a.samples, a.sampled, a.temperature, a.turns, a.unseen, a.seen))
	if err := s.table(page, "Table 2: methods", runs, plain(slices.Concat([]string{"sft"}, alfworldMethods)...), splits); err != nil {
		return err
	}
	best := curve{name: "best of K"}
	for _, k := range a.bestOf {
		best.x, best.sources = append(best.x, k), append(best.sources, source{policy: "oreo", width: k})
	}
	return s.plot(page, report.Plot{Title: "Fig. 4: the best of K sampled actions by OREO's critic", XLabel: "K", YLabel: "correct, %"}, runs, []curve{best}, splits)
}

// tuningTables show every grid.
func (p *paper) tuningTables(page *report.Page) {
	for _, part := range p.parts {
		var rows [][]string
		for _, method := range slices.Sorted(maps.Keys(p.tuned[part])) {
			best := p.tuned.best(part, method)
			for _, t := range p.tuned[part][method] {
				var set []string
				for _, key := range slices.Sorted(maps.Keys(t.Set)) {
					set = append(set, key+"="+t.Set[key])
				}
				chosen := ""
				if maps.Equal(t.Set, best) {
					chosen = "chosen"
				}
				correct := "not measured"
				for i, c := range t.Correct {
					if i == 0 {
						correct = fmt.Sprintf("%.1f", 100*c)
					} else {
						correct += fmt.Sprintf(", %.1f", 100*c)
					}
				}
				rows = append(rows, []string{label(method), strings.Join(set, " "), correct, chosen})
			}
		}
		page.Heading("Tuning: "+part).Text("Settings of each method, as many for one as for another, trained and measured on seeds of their own, with problems of their own: all on the first of these seeds, the better half on the others. "+
			"Of these the one with the smallest learning rate serves all reported seeds, among those that come within two standard errors of the best. "+
			"Where nothing is measured it is the smallest of all: nobody has run oreo-paper --tune yet.").
			Table([]string{"method", "settings", "correct, %, by seed", ""}, rows)
	}
}

func timeTable(seconds map[string]map[string]float64) (header []string, rows [][]string) {
	for _, name := range slices.Sorted(maps.Keys(seconds)) {
		total := 0.0
		for _, t := range seconds[name] {
			total += t
		}
		rows = append(rows, []string{name, fmt.Sprintf("%.0f", total)})
	}
	return []string{"experiment", "seconds"}, rows
}
