package main

import (
	"fmt"
	"os"
	"runtime"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime/kernel"
	"github.com/oreo-go/oreo/runtime/ort"
)

func doctorCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "doctor",
		Usage:  "say which libraries and devices were found, and what to do about what is missing",
		Before: cli.NoArgs,
		Action: func(c *urfave.Context) error {
			w := c.App.Writer
			fmt.Fprintf(w, "oreo-run     %s\n", c.App.Version)
			fmt.Fprintf(w, "CPUs         %d, of which Go uses %d\n", runtime.NumCPU(), runtime.GOMAXPROCS(0))
			if path := os.Getenv("ORT_LIB"); path != "" {
				fmt.Fprintf(w, "ORT_LIB      %s\n", path)
			}
			info, err := ort.Probe("")
			if err != nil {
				fmt.Fprintln(w, "onnxruntime  not usable")
				return err
			}
			fmt.Fprintf(w, "onnxruntime  %s (%s or newer is needed): %s\n", info.Version, ort.MinVersion, info.Path)
			if have := kernel.Have(); have != "" {
				fmt.Fprintf(w, "own kernels  %s\n", have)
			} else {
				fmt.Fprintln(w, "own kernels  none for this processor (they want AVX-512): onnxruntime computes all")
			}
			if info.CUDA != nil {
				fmt.Fprintf(w, "CUDA         no: %v\n", info.CUDA)
			} else {
				fmt.Fprintln(w, "CUDA         usable: --device cuda")
			}
			return nil
		},
	}
}
