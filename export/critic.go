package export

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
)

// critic is a critic that shares a policy's backbone: a value head on it, or an
// adapter and a value head.
type critic struct {
	graph.Critic
	dir   string // of the files that make it
	files []string
	exact bool // its folder's own reference values are this critic's, not those of rounded weights
	open  []interface{ Close() error }
}

// Close closes the files.
func (c *critic) Close() {
	for _, f := range c.open {
		_ = f.Close()
	}
}

// openCritic reads the critic in dir: an adapter in PEFT's form, the folder of a
// merged critic with its adapter below it, or a whole critic whose backbone is
// the policy's to the last bit.
func openCritic(dir, policyDir string, policy graph.Source) (_ *critic, err error) {
	c := &critic{dir: dir}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	switch {
	case peft.IsAdapter(dir):
		return c, c.adapter(dir, policyDir, policy)
	case peft.IsAdapter(filepath.Join(dir, peft.Folder)):
		if err := c.adapter(filepath.Join(dir, peft.Folder), policyDir, policy); err != nil {
			return nil, err
		}
		c.exact, err = isFloat32(dir)
		return c, err
	}
	c.exact = true
	return c, c.whole(policy)
}

// whole takes the value head of a critic on the policy's own backbone.
func (c *critic) whole(policy graph.Source) error {
	cfg, err := model.LoadConfig(c.dir)
	if err != nil {
		return err
	}
	weights, headMissing, err := cfg.Weights(c.dir, model.ValueHead)
	if err != nil {
		return err
	}
	c.open = append(c.open, weights)
	if headMissing {
		return fmt.Errorf("%s: no tensor %s: this is not a critic", c.dir, model.ValueHeadName)
	}
	for _, p := range cfg.Params(model.ValueHead) {
		own, err := weights.Get(p.Name)
		if err != nil {
			return err
		}
		if p.Name == model.ValueHeadName {
			c.Head = own
			continue
		}
		theirs, err := policy.Weights.Get(p.Name)
		if err != nil || own.DType != theirs.DType || !bytes.Equal(own.Data, theirs.Data) {
			return fmt.Errorf("--critic %s: tensor %s is not the policy's: this critic has a backbone of its own; export it apart, with `oreo-export critic`", c.dir, p.Name)
		}
	}
	c.files, err = weightFiles(c.dir)
	return err
}

// adapter takes a critic's adapter. Where the policy is an adapter on the same
// base too, merged into what was saved of it, the critic's rows are freed of that
// one on the way.
func (c *critic) adapter(dir, policyDir string, policy graph.Source) error {
	c.dir, c.files = dir, []string{peft.WeightFile}
	plus, base, err := c.read(dir, policy.Config, model.ValueHead)
	if err != nil {
		return err
	}
	var ok bool
	if c.Head, ok = plus.Get(model.ValueHeadName); !ok {
		return plus.Errorf("no tensor %s: this is not a critic's adapter", peft.Score)
	}
	c.Change.Plus = plus
	own, err := peft.DigestOf(policy.Config, policy.Weights)
	if err != nil || own == base {
		return err
	}
	if merged := filepath.Join(policyDir, peft.Folder); peft.IsAdapter(merged) {
		minus, under, err := c.read(merged, policy.Config, model.LMHead)
		if err != nil {
			return err
		}
		if c.Change.Minus = minus; under == base {
			return nil
		}
	}
	return fmt.Errorf("--critic %s: its adapter is for another backbone than that of %s: name the policy it was trained with, or export it apart, with `oreo-export critic`", dir, policyDir)
}

// read opens an adapter and finds the digest of its base: recorded in it, or that
// of the folder it names.
func (c *critic) read(dir string, cfg *model.Config, head model.Head) (a *peft.Adapter, base string, err error) {
	if a, err = peft.Open(dir, cfg, head); err != nil {
		return nil, "", err
	}
	c.open = append(c.open, a)
	if a.Base() != "" {
		return a, a.Base(), nil
	}
	from, err := peft.BaseDir(dir)
	if err != nil {
		return nil, "", err
	}
	baseConfig, err := model.LoadConfig(from)
	if err != nil {
		return nil, "", err
	}
	weights, _, err := baseConfig.Weights(from, model.ValueHead)
	if err != nil {
		return nil, "", err
	}
	base, err = peft.DigestOf(baseConfig, weights)
	return a, base, errors.Join(err, weights.Close())
}

// isFloat32 tells whether a model's weights are stored in full.
func isFloat32(dir string) (bool, error) {
	weights, err := safetensors.OpenModel(dir)
	if err != nil {
		return false, err
	}
	for _, name := range weights.Names() {
		if t, err := weights.Get(name); err != nil || t.DType != safetensors.F32 {
			return false, errors.Join(err, weights.Close())
		}
	}
	return true, weights.Close()
}
