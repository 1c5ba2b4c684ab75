// Command oreo-train makes and trains models on libtorch, on a GPU or a CPU.
package main

import (
	"fmt"
	"runtime"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/train/torch"
)

func main() { cli.Main(newApp()) }

func newApp() *urfave.App {
	return &urfave.App{
		Name:     "oreo-train",
		Usage:    "train language models to reason, offline (arXiv 2412.16145)",
		Version:  cli.Version("libtorch " + torch.Version()),
		Commands: append(append([]*urfave.Command{initCommand()}, methods()...), iterateCommand(), mergeCommand(), recipesCommand(), checkDataCommand(), doctorCommand()),
	}
}

func doctorCommand() *urfave.Command {
	return &urfave.Command{
		Name:   "doctor",
		Usage:  "say which libtorch and which devices were found, and what to do about what is missing",
		Before: cli.NoArgs,
		Action: func(c *urfave.Context) error {
			w := c.App.Writer
			fmt.Fprintf(w, "oreo-train   %s\n", c.App.Version)
			fmt.Fprintf(w, "libtorch     %s in %s\n", torch.Version(), torch.LibraryDir())
			fmt.Fprintf(w, "cpu          %d cores, %s/%s; float32 (bfloat16 is emulated on most CPUs)\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
			n, err := torch.CUDADevices()
			switch {
			case err != nil:
				fmt.Fprintf(w, "cuda         none: %v\n", err)
			case n == 0:
				fmt.Fprintln(w, "cuda         libtorch's CUDA parts are here, but no device is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES")
			default:
				fmt.Fprintf(w, "cuda         %d devices; device: auto takes cuda:0, with bfloat16\n", n)
			}
			return torch.SelfTest()
		},
	}
}
