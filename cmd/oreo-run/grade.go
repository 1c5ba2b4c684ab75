package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func gradeCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "grade",
		Usage: "grade solutions against reference answers",
		Description: `Reads {"generation", "gold"} a line, with "dataset" ("gsm8k" or "math"), "id",
"problem" and "gold_boxed" where known, and writes
{"id", "extracted", "correct", "rule"} a line in the same order.`,
		Before: cli.NoArgs,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "style", Value: grade.DeepSeekMath.String(), Usage: "deepseekmath, qwen or strict"},
			&urfave.StringFlag{Name: "in", Value: "-", Usage: "JSONL `FILE` (.gz too); - is standard input"},
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE`; - is standard output"},
			&urfave.BoolFlag{Name: "explain", Usage: "print to standard error why each verdict fell: the rule and both normal forms"},
		},
		Action: func(c *urfave.Context) error {
			style, err := grade.ParseStyle(c.String("style"))
			if err != nil {
				return cli.Usage(err)
			}
			var explain io.Writer
			if c.Bool("explain") {
				explain = c.App.ErrWriter
			}
			return gradeFile(style, c.String("in"), c.String("out"), explain)
		},
	}
}

// gradeRecord is a line to grade. Text fields are pointers to tell an empty
// generation, which is a wrong answer, from a missing one, which is an error.
type gradeRecord struct {
	ID         json.RawMessage `json:"id"`
	Generation *string         `json:"generation"`
	Gold       *string         `json:"gold"`
	Problem    string          `json:"problem"`
	Dataset    string          `json:"dataset"`
	GoldBoxed  []string        `json:"gold_boxed"`
}

type gradeVerdict struct {
	ID        json.RawMessage `json:"id"`
	Extracted []string        `json:"extracted"`
	Correct   bool            `json:"correct"`
	Rule      string          `json:"rule"`
}

func gradeFile(style grade.Style, in, out string, explain io.Writer) (err error) {
	w, err := jsonl.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = finish(w, err) }()
	n := 0
	for r, err := range jsonl.Read[gradeRecord](in) {
		n++
		switch {
		case err != nil:
			return err
		case r.Generation == nil:
			return fmt.Errorf(`%s: record %d: field "generation" is missing`, in, n)
		case r.Gold == nil:
			return fmt.Errorf(`%s: record %d: field "gold" is missing: nothing to grade by`, in, n)
		}
		v := grade.Grade(style, grade.Input{
			Generation: *r.Generation, Gold: *r.Gold, Problem: r.Problem, Dataset: r.Dataset, GoldBoxed: r.GoldBoxed,
		})
		if len(r.ID) == 0 {
			r.ID = json.RawMessage(`""`)
		}
		if v.Extracted == nil {
			v.Extracted = []string{}
		}
		if explain != nil {
			explainVerdict(explain, style, n, r.ID, v)
		}
		if err := w.Write(gradeVerdict{r.ID, v.Extracted, v.Correct, v.Rule}); err != nil {
			return err
		}
	}
	if n == 0 {
		return fmt.Errorf("%s: no records: the file is empty", in)
	}
	return nil
}

func explainVerdict(w io.Writer, style grade.Style, n int, id json.RawMessage, v grade.Verdict) {
	verdict := "wrong"
	if v.Correct {
		verdict = "correct"
	}
	fmt.Fprintf(w, "record %d %s: %s by rule %s\n", n, id, verdict, v.Rule)
	for _, side := range []struct {
		name  string
		forms []string
	}{{"answer", v.Extracted}, {"gold", v.Gold}} {
		for _, s := range side.forms {
			fmt.Fprintf(w, "  %-7s %q%s\n", side.name, s, strings.TrimRight("  read as "+grade.Form(style, s), " "))
		}
	}
}
