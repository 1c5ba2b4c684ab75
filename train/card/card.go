// Package card writes the model card, README.md, of a folder that training
// saved: what the model is, how it came about and how to load it.
package card

import (
	"bytes"
	_ "embed" // the template
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/model"
)

// File is the name under which model hubs look for a card.
const File = "README.md"

// Card is what a card says. Method, Head and Model are needed, the rest is left
// out where it is empty.
type Card struct {
	Method    string // as the commands of oreo-train are called
	Head      model.Head
	Model     *model.Config
	Base      string             // folder or hub name of the model that training started from
	Data      []string           // files trained on; the card names them without their folders
	Sequences int                // in Data
	Tokens    int                // in Data, padding excluded
	Updates   int                // optimizer steps
	Metrics   map[string]float64 // at the end of training, by the names of package track
	Settings  string             // the whole configuration, as text
	Adapter   string             // folder, below the card's, of the LoRA adapter that is merged into the weights
	Version   string             // of the program
}

// methods are the ways of training, with the papers that define them.
var methods = map[string]struct{ Name, Text string }{
	"sft":       {"supervised fine-tuning", "Supervised fine-tuning: maximum likelihood of the demonstrated responses, given their prompts."},
	"rejection": {"rejection sampling", "Rejection sampling (STaR, RAFT): supervised fine-tuning on those of the model's own samples that earned their reward."},
	"dpo": {"DPO", `DPO, direct preference optimization ([arXiv 2305.18290](https://arxiv.org/abs/2305.18290)): the response preferred of a pair
is made likelier than the other, relative to the starting policy.`},
	"kto": {"KTO", `KTO, Kahneman-Tversky optimization ([arXiv 2402.01306](https://arxiv.org/abs/2402.01306)): single responses marked as good or
bad are made likelier or less likely than the starting policy has them, with a utility that saturates.`},
	"dqo": {"DQO", `DQO, direct Q-function optimization ([arXiv 2410.09302](https://arxiv.org/abs/2410.09302)): offline soft actor-critic on
sampled solutions with a reward at the end, whose Q-function is the language model itself.`},
	"oreo": {"OREO", `OREO, offline reasoning optimization ([arXiv 2412.16145](https://arxiv.org/abs/2412.16145)): offline
reinforcement learning that trains a policy and a value function together on sampled solutions with a reward at
the end, by a soft Bellman equation with a KL penalty towards the starting policy.`},
}

//go:embed card.md.tmpl
var text string

var page = template.Must(template.New(File).Funcs(template.FuncMap{"count": count}).Parse(text))

// Write writes c as dir/README.md.
func Write(dir string, c Card) error {
	method, ok := methods[c.Method]
	if !ok {
		return fmt.Errorf("model card: method %q is not one of %s", c.Method, strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	}
	files := make([]string, len(c.Data))
	for i, path := range c.Data {
		files[i] = filepath.Base(path)
	}
	base := c.Base
	if filepath.IsAbs(base) {
		base = filepath.Base(base) // where it lay on this machine helps nobody
	}
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Card": c, "Method": method, "Critic": c.Head == model.ValueHead, "Base": base, "Files": files,
		"Names": slices.Sorted(maps.Keys(c.Metrics)), "Params": c.Model.NumParams(c.Head),
		"Remote": c.Model.Arch == model.MiniCPM, "Head": model.ValueHeadName,
	})
	if err != nil {
		return fmt.Errorf("model card: %w", err)
	}
	return renameio.WriteFile(filepath.Join(dir, File), b.Bytes(), 0o644)
}

// count writes a number as people say it: 912, 1.54 B.
func count(n int) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "B"}, {1e6, "M"}, {1e3, "k"}} {
		if float64(n) >= unit.size {
			return fmt.Sprintf("%.3g %s", float64(n)/unit.size, unit.name)
		}
	}
	return fmt.Sprint(n)
}
