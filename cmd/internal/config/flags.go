package config

import (
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
)

// Flags are the flags that FromContext reads.
func Flags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "config", Usage: "read the configuration from `FILE.yaml`"},
		&urfave.StringSliceFlag{Name: "set", Usage: "override one key: `key=value`; may be repeated, further pairs may follow"},
	}
}

// FromContext loads --config and --set into dst, and the key=value pairs that
// stand after the flags: "--set lr=1e-5 beta=0.03 --set seed=2" is three pairs,
// though flag parsing ends at the second. A mistake is a usage error.
func FromContext(c *urfave.Context, dst any) error {
	set := c.StringSlice("set")
	for _, arg := range c.Args().Slice() {
		arg = strings.TrimPrefix(arg, "--set=")
		switch {
		case arg == "--set":
		case strings.HasPrefix(arg, "-"):
			return cli.Usagef("flag %s stands after an argument; put it before the key=value pairs", arg)
		case strings.Contains(arg, "="):
			set = append(set, arg)
		default:
			return cli.Usagef("unexpected argument %q", arg)
		}
	}
	return cli.Usage(Load(dst, c.String("config"), set))
}
