package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func scoreCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "score",
		Usage: "value every token of given texts with a critic",
		Description: `Reads {"text"} a line, or {"prompt", "response"} where the two are to be
tokenised on their own as in training, and writes {"values", "token_ids"} a
line: the critic's estimate of the reward after each token.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			&urfave.StringFlag{Name: "model", Required: true, Usage: "critic `DIR` made by oreo-export critic, or pair by oreo-export policy --critic"},
			&urfave.StringFlag{Name: "in", Value: "-", Usage: "JSONL `FILE`; - is standard input"},
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE`; - is standard output"},
			&urfave.BoolFlag{Name: "json", Usage: "JSON lines: the only form there is"},
		}, deviceFlags()),
		Action: func(c *urfave.Context) error {
			critic, err := runtime.OpenValue(c.String("model"), deviceOptions(c))
			if err != nil {
				return err
			}
			defer critic.Close()
			return score(c, critic)
		},
	}
}

func score(c *urfave.Context, critic *runtime.Value) (err error) {
	write := func(v any) error { return writeJSON(c.App.Writer, v) } // at once: a caller may wait for it
	if out := c.String("out"); out != "-" {
		var w *jsonl.Writer
		if w, err = jsonl.Create(out); err != nil {
			return err
		}
		defer func() { err = finish(w, err) }()
		write = w.Write
	}
	type text struct {
		Text     string `json:"text"`
		Prompt   string `json:"prompt"`
		Response string `json:"response"`
	}
	n := 0
	for t, err := range jsonl.Read[text](c.String("in")) {
		n++
		if err != nil {
			return err
		}
		if t.Text == "" {
			t.Text = t.Prompt
		} else if t.Prompt != "" || t.Response != "" {
			return fmt.Errorf(`%s: record %d: has both "text" and "prompt" or "response"`, c.String("in"), n)
		}
		scores, err := critic.Score(c.Context, runtime.Text(t.Text), t.Response)
		if err != nil {
			return fmt.Errorf("%s: record %d: %w", c.String("in"), n, err)
		}
		err = write(struct {
			Values   []float64 `json:"values"`
			TokenIDs []int     `json:"token_ids"`
		}{scores.Values, scores.IDs})
		if err != nil {
			return err
		}
	}
	return nil
}

// finish closes a writer, or drops what was written if the work failed.
func finish(w *jsonl.Writer, err error) error {
	if err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// writeRecords writes nothing where no path is given.
func writeRecords[T any](path string, records []T) (err error) {
	if path == "" {
		return nil
	}
	w, err := jsonl.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = finish(w, err) }()
	for _, r := range records {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	return nil
}
