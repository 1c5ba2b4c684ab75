package main

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/report"
)

func (d *diagnosis) write(console io.Writer, all []followed, html, jsonPath string) error {
	fmt.Fprintf(console, "%d trajectories of %d problems; intervals are 95 %%\n", d.Trajectories, d.Problems)
	if err := writeTables(console, d.tables()); err != nil {
		return err
	}
	return writeFiles(jsonPath, d, html, func() *report.Page { return d.page(all) })
}

// tables are the figures as text.
func (d *diagnosis) tables() []reportTable {
	c := d.Calibration
	reliability := reportTable{title: fmt.Sprintf("calibration: %d states, ECE %.3f, Brier %.3f", c.States, c.ECE, c.Brier),
		header: []string{"V from", "to", "states", "mean V", "mean reward", "95 % interval"}}
	for i, b := range c.Bins {
		if b.N > 0 {
			reliability.rows = append(reliability.rows, []string{fmt.Sprintf("%.1f", float64(i)/10), fmt.Sprintf("%.1f", float64(i+1)/10), fmt.Sprint(b.N),
				fmt.Sprintf("%.3f", b.Value), fmt.Sprintf("%.3f", b.Reward), fmt.Sprintf("%.3f to %.3f", b.Lo, b.Hi)})
		}
	}
	steps := reportTable{title: "value after each step", header: []string{"step", "trajectories", "mean V if right", "if wrong", "Brier"}}
	for _, s := range c.Steps {
		steps.rows = append(steps.rows, []string{fmt.Sprint(s.Step), fmt.Sprint(s.N), fmt.Sprintf("%.3f", s.Right), fmt.Sprintf("%.3f", s.Wrong), fmt.Sprintf("%.3f", s.Brier)})
	}
	a := d.Advantages
	told := reportTable{title: fmt.Sprintf("right from wrong: %d right and %d wrong steps behind right prefixes, known by %s", a.Right, a.Wrong, a.knownBy()),
		header: []string{"what", "figure", "95 % interval", "of"}}
	row := func(name string, i interval, of string) {
		told.rows = append(told.rows, []string{name, fmt.Sprintf("%.3f", i.Mean), fmt.Sprintf("%.3f to %.3f", i.Lo, i.Hi), fmt.Sprintf("%d %s", i.N, of)})
	}
	row("pairs of trajectories of one problem, by V at the end", d.Pairwise.Problem, "problems")
	row("pairs of steps behind one prefix, by V or explicit advantage", d.Pairwise.Prefix, "problems")
	if a.Implicit != nil {
		row("pairs of steps behind one prefix, by implicit advantage", *a.ImplicitPairs, "problems")
	}
	row("AUC of the explicit advantage (Eq. 11)", a.Explicit, "steps")
	if a.Implicit != nil {
		row("AUC of the implicit advantage (Eq. 12)", *a.Implicit, "steps")
		row("explicit minus implicit", *a.Difference, "steps")
	}
	return []reportTable{reliability, steps, told}
}

func (a advantages) knownBy() string {
	if a.Labels == "exact" {
		return "their own arithmetic"
	}
	return "outcomes"
}

func (d *diagnosis) page(all []followed) *report.Page {
	page := report.New("What the critic knows")
	page.Text(fmt.Sprintf("%d graded trajectories of %d problems. `oreo-run diagnose --help` defines every figure; intervals are 95 %%.", d.Trajectories, d.Problems))
	for i, t := range d.tables() {
		page.Heading(t.title).Table(t.header, t.rows)
		if i == 0 {
			page.Plot(d.Calibration.plot())
		}
	}
	if d.KL != nil {
		page.Heading("Divergence from the reference").
			Text(fmt.Sprintf("Mean log ratio %.4f nats a token, mean KL %.4f nats a state; the outer bins take what lies beyond.", d.LogRatio.Mean, d.KL.Mean)).
			Plot(d.LogRatio.plot("log pi - log pi_ref of sampled tokens")).Plot(d.KL.plot("KL(pi || pi_ref) of states"))
	}
	page.Heading("A right and a wrong step behind the same prefix")
	if len(d.examples) == 0 {
		page.Text("No prefix is followed by a right and a wrong step.")
	}
	for _, e := range d.examples[:min(3, len(d.examples))] {
		page.HTML(exampleHTML(e, d.KL != nil))
	}
	page.Heading("Values token by token").Text("The colour is the critic's value behind a token: the stronger the green, the surer of success; the stronger the red, of failure. Point at a token for figures.")
	for i := range all[:min(6, len(all))] {
		page.HTML(colouredHTML(&all[i]))
	}
	return page
}

func (c calibration) plot() report.Plot {
	curve, ideal := report.Series{Name: "critic"}, report.Series{Name: "ideal", X: []float64{0, 1}, Y: []float64{0, 1}}
	for _, b := range c.Bins {
		if b.N > 0 {
			curve.X, curve.Y = append(curve.X, b.Value), append(curve.Y, b.Reward)
			curve.Lo, curve.Hi = append(curve.Lo, min(b.Lo, b.Reward)), append(curve.Hi, max(b.Hi, b.Reward))
		}
	}
	return report.Plot{Title: "Reliability of the value", XLabel: "mean V(s)", YLabel: "mean reward", Series: []report.Series{curve, ideal}}
}

func (h *distribution) plot(title string) report.Plot {
	s := report.Series{Name: fmt.Sprintf("%d", h.N)}
	for i, share := range h.Bins {
		s.X, s.Y = append(s.X, h.From+(float64(i)+0.5)*h.Step), append(s.Y, 100*share)
	}
	return report.Plot{Title: title, XLabel: "nats", YLabel: "share, %", Series: []report.Series{s}}
}

// exampleHTML is the paper's Fig. 1: two ways on, with both advantages.
func exampleHTML(pair [2]deciding, withPolicy bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<pre>%s</pre>\n<ul>", template.HTMLEscapeString(pair[0].before))
	for _, s := range pair {
		word := "wrong"
		if s.right {
			word = "right"
		}
		fmt.Fprintf(&b, "<li>%s: <code>%s</code>: V goes from %.3f to %.3f, explicit advantage %+.3f", word,
			template.HTMLEscapeString(strings.TrimSpace(s.text)), s.after-s.explicit, s.after, s.explicit)
		if withPolicy {
			fmt.Fprintf(&b, ", implicit %+.3f", s.implicit)
		}
		b.WriteString("</li>")
	}
	b.WriteString("</ul>")
	return b.String()
}

// colouredHTML shows a trajectory with the value behind each token as its colour.
func colouredHTML(f *followed) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<p>%s</p>", template.HTMLEscapeString(fmt.Sprintf("%s (reward %g)", f.problem, *f.Reward)))
	for _, t := range f.turns {
		b.WriteString("<pre>")
		for i, token := range t.tokens {
			v := t.values[i+1]
			title := fmt.Sprintf("V %.3f", v)
			if t.logRatio != nil {
				title += fmt.Sprintf(", log ratio %+.3f, KL %.3f", t.logRatio[i], t.kl[i])
			}
			fmt.Fprintf(&b, `<span title="%s" style="background:%s">%s</span>`, title, valueColour(v), template.HTMLEscapeString(token))
		}
		b.WriteString("</pre>")
	}
	return b.String()
}

// valueColour goes from red at 0 over nothing at 1/2 to green at 1; it shows on
// light and dark pages.
func valueColour(v float64) string {
	strength := min(1, math.Abs(2*v-1)) * 0.65
	if v < 0.5 {
		return fmt.Sprintf("rgba(196,79,60,%.2f)", strength)
	}
	return fmt.Sprintf("rgba(37,154,108,%.2f)", strength)
}
