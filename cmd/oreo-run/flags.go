package main

import (
	"fmt"
	"math"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/sample"
)

// Flags that several commands share, and what they stand for.

func join(groups ...[]urfave.Flag) []urfave.Flag {
	var all []urfave.Flag
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func modelFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "model", Required: true, Usage: "policy `DIR` made by oreo-export policy"}
}

func deviceFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "device", Value: "cpu", Usage: "cpu, cuda, cuda:N, or auto: the GPU if there is one"},
		&urfave.Float64Flag{Name: "gpu-memory", Usage: "most `GIB` to take of a GPU's memory; 0 takes what is needed"},
		&urfave.BoolFlag{Name: "gpu-partly", Usage: "let what the GPU cannot compute run on the CPU, which is slow; else it is an error"},
		&urfave.IntFlag{Name: "threads", Usage: "CPU threads; 0 uses all"},
		&urfave.IntFlag{Name: "rows", Value: 64, Usage: "sequences in the batch at once"},
	}
}

func deviceOptions(c *urfave.Context) runtime.Options {
	return runtime.Options{
		Device: c.String("device"), Threads: c.Int("threads"), MaxRows: c.Int("rows"),
		GPU: runtime.GPU{MemoryLimit: int64(c.Float64("gpu-memory") * (1 << 30)), PartlyCPU: c.Bool("gpu-partly")},
		OnFallback: func(reason error) {
			fmt.Fprintf(c.App.ErrWriter, "device auto: on the CPU, for the GPU cannot be used: %v\n", reason)
		},
	}
}

// samplingFlags has the temperature's default as parameter: commands differ in it.
func samplingFlags(temperature float64, maxNewTokens int) []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Name: "max-new-tokens", Value: maxNewTokens, Usage: "longest answer"},
		&urfave.Float64Flag{Name: "temperature", Value: temperature, Usage: "0 takes the likeliest token"},
		&urfave.IntFlag{Name: "top-k", Usage: "draw from the K likeliest tokens; 0: from all"},
		&urfave.Float64Flag{Name: "top-p", Value: 1, Usage: "draw from the fewest tokens that reach probability P"},
		&urfave.Float64Flag{Name: "min-p", Usage: "draw from tokens with at least this share of the likeliest's probability"},
		&urfave.Float64Flag{Name: "repetition-penalty", Usage: "makes tokens that stood before less likely; 1 is off, 1.1 is mild"},
		&urfave.Uint64Flag{Name: "seed", Usage: "fixes all draws"},
	}
}

func samplingConfig(c *urfave.Context) sample.Config {
	return sample.Config{
		Temperature: c.Float64("temperature"), TopK: c.Int("top-k"), TopP: c.Float64("top-p"), MinP: c.Float64("min-p"),
		RepetitionPenalty: c.Float64("repetition-penalty"),
	}
}

func generateConfig(c *urfave.Context) (runtime.GenerateConfig, error) {
	cfg := runtime.GenerateConfig{
		Config: samplingConfig(c), MaxNewTokens: c.Int("max-new-tokens"), Stop: c.StringSlice("stop"), Seed: c.Uint64("seed"),
	}
	if err := positive(c, "max-new-tokens"); err != nil {
		return cfg, err
	}
	return cfg, cli.Usage(cfg.Validate())
}

func stopFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "stop", Usage: "`TEXT` that ends an answer; may be given again"}
}

// positive checks that integer flags are 1 or more.
func positive(c *urfave.Context, names ...string) error {
	for _, name := range names {
		if n := c.Int(name); n < 1 || n > math.MaxInt32 {
			return cli.Usagef("--%s is %d, want 1 or more", name, n)
		}
	}
	return nil
}
