package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/math/dataset"
	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/math/metrics"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func reportCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "report",
		Usage: "accuracy, pass@k and votes of solutions, by all three graders",
		Description: `Reads solutions as grade does, or trajectories as collect writes them; samples
of one problem share the question. Level and subject come from the records or
from --problems, the data set itself.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "in", Required: true, Usage: "JSONL `FILE` (.gz too) of solutions; - is standard input"},
			&urfave.StringFlag{Name: "problems", Usage: "data set, a `FILE` or folder, to take level and subject from"},
			&urfave.StringFlag{Name: "style", Value: grade.DeepSeekMath.String(), Usage: "grader for pass@k and the votes: deepseekmath, qwen or strict"},
			&urfave.Uint64Flag{Name: "seed", Usage: "for the subsets that votes are averaged over"},
			&urfave.StringFlag{Name: "out", Usage: "HTML `FILE` with plots"},
			&urfave.StringFlag{Name: "json", Usage: "JSON `FILE` with all figures"},
		},
		Action: func(c *urfave.Context) error {
			style, err := grade.ParseStyle(c.String("style"))
			if err != nil {
				return cli.Usage(err)
			}
			problems, err := readSolutions(c.String("in"), c.String("problems"))
			if err != nil {
				return err
			}
			r := summarise(problems, style, c.Uint64("seed"))
			return r.write(c.App.Writer, c.String("out"), c.String("json"))
		},
	}
}

var gradeStyles = []grade.Style{grade.DeepSeekMath, grade.Qwen, grade.Strict}

// solution is a line of the input, in the words of grade or of collect.
type solution struct {
	Generation *string         `json:"generation"`
	Response   *string         `json:"response"`
	Gold       *string         `json:"gold"`
	Answer     *string         `json:"answer"`
	Problem    string          `json:"problem"`
	Question   string          `json:"question"`
	ProblemID  string          `json:"problem_id"`
	Dataset    string          `json:"dataset"`
	GoldBoxed  []string        `json:"gold_boxed"`
	Level      json.RawMessage `json:"level"`
	Subject    string          `json:"subject"`
	Value      *float64        `json:"value"`
}

// input is the solution as the graders take it.
func (s solution) input() (grade.Input, error) {
	if s.Generation == nil {
		s.Generation = s.Response
	}
	if s.Gold == nil {
		s.Gold = s.Answer
	}
	if s.Problem == "" {
		s.Problem = s.Question
	}
	switch {
	case s.Generation == nil:
		return grade.Input{}, fmt.Errorf(`no field "generation" or "response"`)
	case s.Gold == nil:
		return grade.Input{}, fmt.Errorf(`no field "gold" or "answer": nothing to grade by`)
	case s.Problem == "" && s.ProblemID == "":
		return grade.Input{}, fmt.Errorf(`no field "problem", "question" or "problem_id": samples cannot be told apart by problem`)
	}
	return grade.Input{Generation: *s.Generation, Gold: *s.Gold, Problem: s.Problem, Dataset: s.Dataset, GoldBoxed: s.GoldBoxed}, nil
}

// solvedProblem is a problem with its samples as each style grades them.
type solvedProblem struct {
	Level, Subject string
	HasValues      bool
	Samples        map[grade.Style]metrics.Problem
}

func readSolutions(in, problemsPath string) ([]*solvedProblem, error) {
	known, err := knownProblems(problemsPath)
	if err != nil {
		return nil, err
	}
	byKey := map[string]*solvedProblem{}
	var problems []*solvedProblem
	n := 0
	for s, err := range jsonl.Read[solution](in) {
		if n++; err != nil {
			return nil, err
		}
		input, err := s.input()
		if err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", in, n, err)
		}
		key := s.ProblemID
		if key == "" {
			key = input.Problem
		}
		p := byKey[key]
		if p == nil {
			p = &solvedProblem{HasValues: true, Samples: map[grade.Style]metrics.Problem{}}
			set, ok := known[s.ProblemID]
			if !ok {
				set = known[input.Problem]
			}
			p.describe(s, set)
			byKey[key] = p
			problems = append(problems, p)
		}
		p.add(input, s.Value)
	}
	if len(problems) == 0 {
		return nil, fmt.Errorf("%s: no records: the file is empty", in)
	}
	return problems, nil
}

// knownProblems indexes a data set by identifier and by question.
func knownProblems(path string) (map[string]dataset.Problem, error) {
	known := map[string]dataset.Problem{}
	if path == "" {
		return known, nil
	}
	for p, err := range dataset.Read(path) {
		if err != nil {
			return nil, err
		}
		known[p.ID], known[p.Question] = p, p
	}
	return known, nil
}

func (p *solvedProblem) describe(s solution, known dataset.Problem) {
	p.Level = strings.TrimPrefix(strings.Trim(string(s.Level), `"`), "Level ")
	p.Subject = s.Subject
	if known.Level > 0 {
		p.Level = strconv.Itoa(known.Level)
	}
	if known.Subject != "" {
		p.Subject = known.Subject
	}
}

func (p *solvedProblem) add(in grade.Input, value *float64) {
	sample := metrics.Sample{}
	if value == nil {
		p.HasValues = false
	} else {
		sample.Value = *value
	}
	for _, style := range gradeStyles {
		v := grade.Grade(style, in)
		sample.Correct, sample.Answer = v.Correct, strings.Join(v.Extracted, "\x00")
		p.Samples[style] = append(p.Samples[style], sample)
	}
}

// summary is everything the command reports.
type summary struct {
	Problems int                         `json:"problems"`
	Samples  int                         `json:"samples"`
	Style    string                      `json:"style"` // of the curves
	Accuracy map[string]metrics.Estimate `json:"accuracy"`
	Level    map[string]groupAccuracy    `json:"by_level,omitempty"`
	Subject  map[string]groupAccuracy    `json:"by_subject,omitempty"`
	Curves   []curve                     `json:"curves"`
}

// groupAccuracy is the accuracy by style.
type groupAccuracy map[string]metrics.Estimate

// curve is a figure for growing numbers of samples.
type curve struct {
	Name   string             `json:"name"`
	K      []int              `json:"k"`
	Points []metrics.Estimate `json:"points"`
}

func summarise(problems []*solvedProblem, style grade.Style, seed uint64) *summary {
	s := &summary{Problems: len(problems), Style: style.String(), Accuracy: accuracy(problems)}
	least, values := len(problems[0].Samples[style]), true
	for _, p := range problems {
		n := len(p.Samples[style])
		s.Samples += n
		least, values = min(least, n), values && p.HasValues
	}
	s.Level = grouped(problems, func(p *solvedProblem) string { return p.Level })
	s.Subject = grouped(problems, func(p *solvedProblem) string { return p.Subject })
	samples := ofStyle(problems, style)
	s.curve("pass@k", least, func(k int) metrics.Estimate { return metrics.PassAtK(samples, k) })
	vote := func(choose metrics.Choice) func(int) metrics.Estimate {
		return func(k int) metrics.Estimate { return metrics.AtK(samples, k, choose, seed) }
	}
	s.curve("maj@k", least, vote(metrics.Majority))
	if values {
		s.curve("value-weighted vote", least, vote(metrics.WeightedVote))
		s.curve("best value", least, vote(metrics.Best))
	}
	return s
}

func ofStyle(problems []*solvedProblem, style grade.Style) []metrics.Problem {
	samples := make([]metrics.Problem, len(problems))
	for i, p := range problems {
		samples[i] = p.Samples[style]
	}
	return samples
}

func accuracy(problems []*solvedProblem) groupAccuracy {
	a := groupAccuracy{}
	for _, style := range gradeStyles {
		a[style.String()] = metrics.Accuracy(ofStyle(problems, style))
	}
	return a
}

func grouped(problems []*solvedProblem, key func(*solvedProblem) string) map[string]groupAccuracy {
	groups := map[string][]*solvedProblem{}
	for _, p := range problems {
		if k := key(p); k != "" {
			groups[k] = append(groups[k], p)
		}
	}
	result := map[string]groupAccuracy{}
	for k, group := range groups {
		result[k] = accuracy(group)
	}
	return result
}

// curve adds a figure at 1, 2, 4, ... and the largest k all problems have.
func (s *summary) curve(name string, largest int, at func(k int) metrics.Estimate) {
	c := curve{Name: name}
	for k := 1; k < largest; k *= 2 {
		c.K = append(c.K, k)
	}
	c.K = append(c.K, largest)
	for _, k := range c.K {
		c.Points = append(c.Points, at(k))
	}
	s.Curves = append(s.Curves, c)
}

// tables are the figures as text.
func (s *summary) tables() []reportTable {
	tables := []reportTable{accuracyTable("accuracy", "", map[string]groupAccuracy{"all": s.Accuracy})}
	if len(s.Level) > 0 {
		tables = append(tables, accuracyTable("accuracy by level", "level", s.Level))
	}
	if len(s.Subject) > 0 {
		tables = append(tables, accuracyTable("accuracy by subject", "subject", s.Subject))
	}
	t := reportTable{title: "choices among k samples, style " + s.Style, header: []string{"k"}}
	for _, c := range s.Curves {
		t.header = append(t.header, c.Name)
	}
	for i, k := range s.Curves[0].K {
		row := []string{strconv.Itoa(k)}
		for _, c := range s.Curves {
			row = append(row, percent(c.Points[i]))
		}
		t.rows = append(t.rows, row)
	}
	return append(tables, t)
}

type reportTable struct {
	title  string
	header []string
	rows   [][]string
}

func accuracyTable(title, key string, groups map[string]groupAccuracy) reportTable {
	t := reportTable{title: title, header: []string{key, "problems"}}
	for _, style := range gradeStyles {
		t.header = append(t.header, style.String())
	}
	var names []string
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		row := []string{name, strconv.Itoa(groups[name][grade.Strict.String()].N)}
		for _, style := range gradeStyles {
			row = append(row, percent(groups[name][style.String()]))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// percent prints a mean and its standard error in percent.
func percent(e metrics.Estimate) string { return fmt.Sprintf("%.2f ± %.2f", 100*e.Mean, 100*e.StdErr) }

func (s *summary) write(console io.Writer, html, jsonPath string) error {
	fmt.Fprintf(console, "%d problems, %d samples; percent ± standard error\n", s.Problems, s.Samples)
	if err := writeTables(console, s.tables()); err != nil {
		return err
	}
	return writeFiles(jsonPath, s, html, s.page)
}

// writeTables prints tables with their titles.
func writeTables(console io.Writer, tables []reportTable) error {
	for _, t := range tables {
		fmt.Fprintf(console, "\n%s\n", t.title)
		if err := report.WriteTable(console, t.header, t.rows); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes v as JSON and its page as HTML, each if it has a path.
func writeFiles(jsonPath string, v any, html string, page func() *report.Page) error {
	if jsonPath != "" {
		if err := report.WriteJSON(jsonPath, v); err != nil {
			return err
		}
	}
	if html == "" {
		return nil
	}
	return page().WriteFile(html)
}

func (s *summary) page() *report.Page {
	page := report.New("Mathematical reasoning: " + strconv.Itoa(s.Problems) + " problems, " + strconv.Itoa(s.Samples) + " samples")
	page.Text("Figures are percentages with the standard error of the mean over problems.")
	for _, t := range s.tables() {
		page.Heading(t.title).Table(t.header, t.rows)
	}
	if len(s.Curves[0].K) > 1 {
		plot := report.Plot{Title: "choices among k samples", XLabel: "k", YLabel: "correct (%)"}
		for _, c := range s.Curves {
			plot.Series = append(plot.Series, c.series())
		}
		page.Plot(plot)
	}
	if len(s.Level) > 1 {
		plot := report.Plot{Title: "accuracy by level", XLabel: "level", YLabel: "correct (%)"}
		for _, style := range gradeStyles {
			plot.Series = append(plot.Series, levelSeries(s.Level, style.String()))
		}
		page.Plot(plot)
	}
	return page
}

func (c curve) series() report.Series {
	line := report.Series{Name: c.Name}
	for i, p := range c.Points {
		addPoint(&line, float64(c.K[i]), p)
	}
	return line
}

func addPoint(line *report.Series, x float64, e metrics.Estimate) {
	line.X = append(line.X, x)
	line.Y = append(line.Y, 100*e.Mean)
	line.Lo = append(line.Lo, 100*(e.Mean-e.StdErr))
	line.Hi = append(line.Hi, 100*(e.Mean+e.StdErr))
}

func levelSeries(levels map[string]groupAccuracy, style string) report.Series {
	line := report.Series{Name: style}
	for level := 1; level <= 5; level++ {
		if e, ok := levels[strconv.Itoa(level)][style]; ok {
			addPoint(&line, float64(level), e)
		}
	}
	return line
}
