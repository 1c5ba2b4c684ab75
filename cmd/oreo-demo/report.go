package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// measured is what oreo-run eval wrote for one way of answering.
type measured struct {
	name     string
	width    int
	Accuracy float64 `json:"accuracy"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	N        int     `json:"n"`
	Tokens   int     `json:"tokens"`
	Seconds  float64 `json:"seconds"`

	answers []answer
}

type answer struct {
	ID       string `json:"id"`
	Question string `json:"question"`
	Text     string `json:"text"`
	Correct  bool   `json:"correct"`
}

// report prints the table and writes report.html.
func (d *demo) report(w io.Writer) error {
	rows, err := d.measurements()
	if err != nil {
		return err
	}
	header, table := d.table(rows)
	fmt.Fprintln(w)
	if err := report.WriteTable(w, header, table); err != nil {
		return err
	}
	page := report.New("OREO in Go: the demo")
	page.Text(fmt.Sprintf("A model of about a million parameters, trained from nothing on this machine (seed %d): supervised fine-tuning on %d annotated word problems, "+
		"%d graded answers to each of %d new problems, OREO on those answers, then step-level beam search with OREO's critic. "+
		"Measured on %d problems that no stage has seen; intervals are 95 %% (Wilson; the gain: paired by problem).",
		d.seed, d.annotated, d.samples, d.sampled, d.tested))
	page.Heading("Accuracy").Table(header, table).Plot(widths(rows))
	styles(page, rows)
	for _, add := range []func(*report.Page) error{d.curves, func(p *report.Page) error { return d.values(p, rows) }, d.stageTimes} {
		if err := add(page); err != nil {
			return err
		}
	}
	path := d.Path("report.html")
	if err := page.WriteFile(path); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nreport with plots: %s\n", path)
	return nil
}

func (d *demo) measurements() ([]measured, error) {
	rows := []measured{{name: "SFT, greedy"}, {name: "OREO, greedy", width: 1}}
	files := []string{"sft", "oreo"}
	for _, b := range d.beams {
		rows = append(rows, measured{name: fmt.Sprintf("OREO, beam B = %d", b), width: b})
		files = append(files, fmt.Sprintf("beam-%d", b))
	}
	for i, file := range files {
		text, err := os.ReadFile(d.Path("result/" + file + ".json"))
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &rows[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Path("result/"+file+".json"), err)
		}
		if rows[i].answers, err = jsonl.ReadAll[answer](d.Path("result/" + file + ".jsonl")); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// table compares each way with the one it must beat: OREO with SFT, beam search
// with greedy OREO.
func (d *demo) table(rows []measured) (header []string, table [][]string) {
	header = []string{"policy and search", "correct", "95 % interval", "gain, points", "tokens drawn", "seconds"}
	for i, r := range rows {
		gain := ""
		if i > 0 {
			g, half := pairedGain(rows[min(i-1, 1)].answers, r.answers)
			gain = fmt.Sprintf("%+.1f ± %.1f over %s", 100*g, 100*half, rows[min(i-1, 1)].name)
		}
		table = append(table, []string{r.name, fmt.Sprintf("%.1f %%", 100*r.Accuracy), fmt.Sprintf("%.1f to %.1f %%", 100*r.Lo, 100*r.Hi),
			gain, fmt.Sprint(r.Tokens), fmt.Sprintf("%.0f", r.Seconds)})
	}
	return header, table
}

// pairedGain is the difference in accuracy on the same problems, with half its
// 95 % interval (normal approximation of the mean of paired differences).
func pairedGain(base, other []answer) (gain, half float64) {
	n := float64(min(len(base), len(other)))
	var sum, squares float64
	for i := range int(n) {
		diff := 0.0
		if base[i].Correct != other[i].Correct {
			diff = 1
			squares++
			if base[i].Correct {
				diff = -1
			}
		}
		sum += diff
	}
	gain = sum / n
	return gain, 1.96 * math.Sqrt((squares/n-gain*gain)/n)
}

func widths(rows []measured) report.Plot {
	beam, sft := report.Series{Name: "OREO"}, report.Series{Name: "SFT, greedy"}
	for _, r := range rows[1:] {
		for _, s := range []struct {
			to *report.Series
			r  measured
		}{{&beam, r}, {&sft, rows[0]}} {
			s.to.X, s.to.Y = append(s.to.X, float64(r.width)), append(s.to.Y, 100*s.r.Accuracy)
			s.to.Lo, s.to.Hi = append(s.to.Lo, 100*s.r.Lo), append(s.to.Hi, 100*s.r.Hi)
		}
	}
	return report.Plot{Title: "Accuracy over the width of the search", XLabel: "beams B (1: greedy)", YLabel: "correct, %", Series: []report.Series{beam, sft}}
}

// styles shows what explains the gains: which way of calculating each policy
// chooses, and how well it does it.
func styles(page *report.Page, rows []measured) {
	var table [][]string
	for _, r := range rows {
		row := []string{r.name}
		for _, style := range []wordgen.Style{wordgen.ByParts, wordgen.InHead} {
			n, right := 0, 0
			for _, a := range r.answers {
				if wordgen.StyleOf(a.Text) == style {
					n++
					if a.Correct {
						right++
					}
				}
			}
			row = append(row, fmt.Sprintf("%.1f %%", 100*float64(n)/float64(len(r.answers))), fmt.Sprintf("%.1f %%", 100*float64(right)/float64(max(n, 1))))
		}
		table = append(table, row)
	}
	page.Heading("How it calculates").
		Text("The annotated solutions are all right, but some are worked by parts and some in the head. The model can do only one of the two reliably; nothing but the reward tells it which.").
		Table([]string{"policy and search", "by parts", "of these right", "in the head", "of these right"}, table)
}

// curves plots how training went, from the runs' metrics.jsonl.
func (d *demo) curves(page *report.Page) error {
	page.Heading("Learning curves")
	for _, c := range []struct{ run, metric, title string }{
		{"sft", "loss", "SFT: loss, nats per token"},
		{"oreo", "loss/value", "OREO: the critic's loss (Eq. 8)"},
		{"oreo", "kl", "OREO: KL divergence from the SFT policy, nats per token"},
	} {
		s := report.Series{Name: c.metric}
		for line, err := range jsonl.Read[map[string]float64](d.Path(c.run + "/metrics.jsonl")) {
			if err != nil {
				return err
			}
			s.X, s.Y = append(s.X, line["step"]), append(s.Y, line[c.metric])
		}
		page.Plot(report.Plot{Title: c.title, XLabel: "update", YLabel: c.metric, Series: []report.Series{smooth(s)}})
	}
	return nil
}

// smooth averages over windows so that a curve has at most 200 points.
func smooth(s report.Series) report.Series {
	window := (len(s.X) + 199) / 200
	out := report.Series{Name: s.Name}
	for from := 0; from < len(s.X); from += window {
		to := min(from+window, len(s.X))
		mean := 0.0
		for _, y := range s.Y[from:to] {
			mean += y / float64(to-from)
		}
		out.X, out.Y = append(out.X, s.X[to-1]), append(out.Y, mean)
	}
	return out
}

// values plots what the critic thinks along a wrong and a right solution of one
// problem: the first that greedy decoding misses and the widest search solves.
func (d *demo) values(page *report.Page, rows []measured) error {
	greedy, beam := rows[1].answers, rows[len(rows)-1].answers
	for i := range greedy {
		if greedy[i].Correct || !beam[i].Correct {
			continue
		}
		plot := report.Plot{Title: "The critic's value along two solutions", XLabel: "token of the solution", YLabel: "V(s)"}
		page.Heading("A wrong and a right solution").Text(greedy[i].Question)
		for _, s := range []struct{ name, text string }{{"wrong (greedy)", greedy[i].Text}, {"right (beam search)", beam[i].Text}} {
			page.HTML("<p>" + template.HTMLEscapeString(s.name) + ":</p><pre>" + template.HTMLEscapeString(s.text) + "</pre>")
			values, err := d.score(greedy[i].Question+"\n", s.text)
			if err != nil {
				return err
			}
			x := make([]float64, len(values))
			for t := range x {
				x[t] = float64(t)
			}
			plot.Series = append(plot.Series, report.Series{Name: s.name, X: x, Y: values})
		}
		page.Plot(plot)
		return nil
	}
	page.Text("No problem was missed by greedy decoding and solved by the search.")
	return nil
}

// score returns the critic's values from the last token of the prompt on.
func (d *demo) score(prompt, response string) ([]float64, error) {
	input, err := json.Marshal(map[string]string{"text": prompt + response})
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(map[string]string{"text": prompt})
	if err != nil {
		return nil, err
	}
	cmd := d.Command(context.Background(), "oreo-run", "score", "--model", d.Path("onnx/critic"), "--json")
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(before)+"\n"+string(input)+"\n"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("oreo-run score: %w", err)
	}
	var lines []struct{ Values []float64 }
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for range 2 {
		var line struct{ Values []float64 }
		if err := decoder.Decode(&line); err != nil {
			return nil, fmt.Errorf("oreo-run score: %w", err)
		}
		lines = append(lines, line)
	}
	from := max(len(lines[0].Values)-1, 0)
	if from > len(lines[1].Values) {
		return nil, fmt.Errorf("oreo-run score: %d values for prompt and response, %d for the prompt", len(lines[1].Values), len(lines[0].Values))
	}
	return lines[1].Values[from:], nil
}

func (d *demo) stageTimes(page *report.Page) error {
	seconds, err := d.Times()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range d.stages() {
		if t, ok := seconds[s.Title]; ok {
			rows = append(rows, []string{s.Title, fmt.Sprintf("%.0f", t)})
		}
	}
	page.Heading("Time").Table([]string{"stage", "seconds"}, rows)
	return nil
}
