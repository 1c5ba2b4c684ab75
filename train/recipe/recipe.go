// Package recipe holds the settings of the paper's runs (arXiv 2412.16145,
// appendix A.3), one file for each row of its hyper-parameters, in the form of
// a configuration file. A recipe names no model, data or folder: those are the
// user's.
package recipe

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

// Recipe is one run's settings.
type Recipe struct {
	Name   string // "qwen2.5-math-1.5b-oreo"
	Method string // the command of oreo-train it is for
	Title  string // the model, the task and the method, in a line
	Text   string // YAML, with starting model, data and source as comments
}

//go:embed recipes/*.yaml
var files embed.FS

// All lists the recipes by name.
func All() []Recipe {
	entries, err := files.ReadDir("recipes")
	if err != nil {
		panic(err) // they are in the program
	}
	all := make([]Recipe, len(entries))
	for i, e := range entries {
		text, err := files.ReadFile(path.Join("recipes", e.Name()))
		if err != nil {
			panic(err)
		}
		all[i] = parse(strings.TrimSuffix(e.Name(), ".yaml"), string(text))
	}
	return all
}

// parse reads a file's first line: "# oreo-train METHOD: TITLE".
func parse(name, text string) Recipe {
	first, _, _ := strings.Cut(text, "\n")
	head, ok := strings.CutPrefix(first, "# oreo-train ")
	method, title, named := strings.Cut(head, ": ")
	if !ok || !named {
		panic(fmt.Sprintf("recipe %s: its first line is %q", name, first))
	}
	return Recipe{Name: name, Method: method, Title: title, Text: text}
}

// Find returns the recipe of that name.
func Find(name string) (Recipe, bool) {
	for _, r := range All() {
		if r.Name == name {
			return r, true
		}
	}
	return Recipe{}, false
}
