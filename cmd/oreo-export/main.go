// Command oreo-export makes ONNX artifacts from trained models and checks them.
package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime/manifest"
)

func main() { cli.Main(newApp()) }

func newApp() *urfave.App {
	return &urfave.App{
		Name:    "oreo-export",
		Usage:   "turn a trained model into an ONNX artifact, and check it",
		Version: cli.Version(),
		Commands: []*urfave.Command{
			exportCommand(manifest.Policy, "export a language model: logits for the next token"),
			exportCommand(manifest.Critic, "export a critic: one value per token"),
			verifyCommand(),
			inspectCommand(),
		},
	}
}
