package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/train/recipe"
)

func recipesCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "recipes",
		Usage:     "list the settings of the paper's runs, or print one of them",
		UsageText: "oreo-train recipes\noreo-train recipes NAME > run.yaml",
		Description: "A method takes a recipe with --recipe NAME; --config and --set override it, in this order:\n" +
			"  oreo-train oreo --recipe qwen2.5-math-1.5b-oreo --set model=runs/sft data=samples.jsonl out=runs/oreo",
		Action: func(c *urfave.Context) error {
			if c.NArg() > 1 {
				return cli.Usagef("unexpected argument %q", c.Args().Get(1))
			}
			if c.NArg() == 1 {
				r, err := findRecipe(c.Args().First())
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(c.App.Writer, r.Text)
				return err
			}
			w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			for _, r := range recipe.All() {
				fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Method, r.Title)
			}
			return w.Flush()
		},
	}
}

// recipeFlag is the flag that applyRecipe reads.
func recipeFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "recipe", Usage: "start from the paper's settings of `NAME`, which --config and --set override; see oreo-train recipes"}
}

// applyRecipe sets what the recipe of --recipe says in the configuration that
// cfg points to, a method's.
func applyRecipe(c *urfave.Context, method string, cfg any) error {
	name := c.String("recipe")
	if name == "" {
		return nil
	}
	r, err := findRecipe(name)
	if err != nil {
		return err
	}
	if r.Method != method {
		return cli.Usagef("recipe %s is for oreo-train %s", name, r.Method)
	}
	return cli.Usage(config.Apply(cfg, "recipe "+name, []byte(r.Text)))
}

func findRecipe(name string) (recipe.Recipe, error) {
	if r, ok := recipe.Find(name); ok {
		return r, nil
	}
	var names []string
	for _, r := range recipe.All() {
		names = append(names, r.Name)
	}
	if near := cli.Nearest(name, names); near != "" {
		return recipe.Recipe{}, cli.Usagef("unknown recipe %q; did you mean %q?", name, near)
	}
	return recipe.Recipe{}, cli.Usagef("unknown recipe %q; there are %s", name, strings.Join(names, ", "))
}
