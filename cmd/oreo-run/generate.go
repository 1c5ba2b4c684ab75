package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
)

func generateCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "generate",
		Usage: "continue one prompt",
		Description: `--schema, --regexp and --one-of restrict the answer: token by token, what could
not become an answer of that form is not drawn. A schema may use type, enum,
const, anyOf, properties, required, items, counts and lengths, and $ref; the
rest is an error that names it.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			&urfave.StringFlag{Name: "prompt", Required: true, Usage: "the prompt, raw text unless --chat"},
			&urfave.BoolFlag{Name: "chat", Usage: "take the prompt as a user's message, through the model's chat template"},
			&urfave.StringFlag{Name: "system", Usage: "system message, with --chat"},
			&urfave.BoolFlag{Name: "json", Usage: "print {text, token_ids, logprobs, finish} of the new tokens when done"},
			&urfave.IntFlag{Name: "n", Value: 1, Usage: "answers, numbered samples of one run of the prompt; with --json a line each"},
		}, samplingFlags(0, 256), []urfave.Flag{stopFlag()}, grammarFlags(), deviceFlags()),
		Action: func(c *urfave.Context) error {
			cfg, err := generateConfig(c)
			if err != nil {
				return err
			}
			if err := positive(c, "n"); err != nil {
				return err
			}
			if c.Int("n") > 1 && !c.Bool("json") {
				return cli.Usagef("--n %d needs --json", c.Int("n"))
			}
			prompt := runtime.Text(c.String("prompt"))
			if c.Bool("chat") {
				prompt = chatPrompt(c.String("system"), c.String("prompt"))
			} else if c.String("system") != "" {
				return cli.Usagef("--system needs --chat")
			}
			policy, err := runtime.OpenPolicy(c.String("model"), deviceOptions(c))
			if err != nil {
				return err
			}
			defer policy.Close()
			if cfg.Grammar, err = chosenGrammar(c, policy); err != nil {
				return err
			}
			if c.Bool("json") {
				return generateJSON(c.Context, c.App.Writer, policy, prompt, c.Int("n"), cfg)
			}
			return generateText(c.Context, c.App.Writer, policy, prompt, cfg)
		},
	}
}

func generateJSON(ctx context.Context, w io.Writer, policy *runtime.Policy, prompt runtime.Prompt, n int, cfg runtime.GenerateConfig) error {
	answers, err := policy.Sample(ctx, prompt, n, cfg)
	if err != nil {
		return err
	}
	for _, a := range answers {
		err := writeJSON(w, struct {
			Text     string         `json:"text"`
			TokenIDs []int          `json:"token_ids"`
			LogProbs []float64      `json:"logprobs"`
			Finish   runtime.Finish `json:"finish"`
		}{a.Text, a.IDs, a.LogProbs, a.Finish})
		if err != nil {
			return err
		}
	}
	return nil
}

func generateText(ctx context.Context, w io.Writer, policy *runtime.Policy, prompt runtime.Prompt, cfg runtime.GenerateConfig) error {
	for token, err := range policy.Generate(ctx, prompt, cfg) {
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, token.Text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func grammarFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "schema", Usage: "JSON schema `FILE`: the answer is JSON that follows it"},
		&urfave.StringFlag{Name: "regexp", Usage: "the answer matches `EXPR` as a whole"},
		&urfave.StringSliceFlag{Name: "one-of", Usage: "the answer is this `TEXT`; given again, one of them"},
	}
}

// chosenGrammar is what --schema, --regexp or --one-of ask for; nil for none.
func chosenGrammar(c *urfave.Context, policy *runtime.Policy) (g runtime.Grammar, err error) {
	chosen := 0
	for _, name := range []string{"schema", "regexp", "one-of"} {
		if c.IsSet(name) {
			chosen++
		}
	}
	switch {
	case chosen == 0:
		return nil, nil
	case chosen > 1:
		return nil, cli.Usagef("want one of --schema, --regexp and --one-of, got %d", chosen)
	case c.IsSet("one-of"):
		g, err = policy.Choices(c.StringSlice("one-of"))
	case c.IsSet("regexp"):
		g, err = policy.Regexp(c.String("regexp"))
	default:
		schema, err := os.ReadFile(c.String("schema"))
		if err != nil {
			return nil, err
		}
		if g, err = policy.JSONSchema(schema); err != nil {
			return nil, fmt.Errorf("%s: %w", c.String("schema"), err)
		}
		return g, nil
	}
	return g, cli.Usage(err)
}

// writeJSON writes v as one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
