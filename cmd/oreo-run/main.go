// Command oreo-run uses exported models: it generates, scores, searches,
// collects samples, evaluates, grades, and plays ALFWorld. It links onnxruntime
// alone; libtorch is not needed.
package main

import (
	"github.com/oreo-go/oreo/cmd/internal/cli"
	urfave "github.com/urfave/cli/v2"
)

func main() { cli.Main(newApp()) }

// newApp lists the commands; each lives in the file of its name.
func newApp() *urfave.App {
	return &urfave.App{
		Name:    "oreo-run",
		Usage:   "run exported policies and critics on onnxruntime",
		Version: cli.Version(),
		Commands: []*urfave.Command{
			// models
			generateCommand(),
			scoreCommand(),
			searchCommand(),
			collectCommand(),
			evalCommand(),
			agentCommand(),
			diagnoseCommand(),
			doctorCommand(),
			// text in, text out
			datasetCommand(),
			gradeCommand(),
			stepsCommand(),
			reportCommand(),
			selectCommand(),
			alfworldCommand(),
		},
	}
}
