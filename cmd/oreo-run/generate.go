package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
)

func generateCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "generate",
		Usage:  "continue one prompt",
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			&urfave.StringFlag{Name: "prompt", Required: true, Usage: "the prompt, raw text unless --chat"},
			&urfave.BoolFlag{Name: "chat", Usage: "take the prompt as a user's message, through the model's chat template"},
			&urfave.StringFlag{Name: "system", Usage: "system message, with --chat"},
			&urfave.BoolFlag{Name: "json", Usage: "print {text, token_ids, logprobs} of the new tokens when done"},
		}, samplingFlags(0, 256), []urfave.Flag{stopFlag()}, deviceFlags()),
		Action: func(c *urfave.Context) error {
			cfg, err := generateConfig(c)
			if err != nil {
				return err
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
			if c.Bool("json") {
				return generateJSON(c.Context, c.App.Writer, policy, prompt, cfg)
			}
			return generateText(c.Context, c.App.Writer, policy, prompt, cfg)
		},
	}
}

func generateJSON(ctx context.Context, w io.Writer, policy *runtime.Policy, prompt runtime.Prompt, cfg runtime.GenerateConfig) error {
	answers, err := policy.Sample(ctx, prompt, 1, cfg)
	if err != nil {
		return err
	}
	return writeJSON(w, struct {
		Text     string         `json:"text"`
		TokenIDs []int          `json:"token_ids"`
		LogProbs []float64      `json:"logprobs"`
		Finish   runtime.Finish `json:"finish"`
	}{answers[0].Text, answers[0].IDs, answers[0].LogProbs, answers[0].Finish})
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

// writeJSON writes v as one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
