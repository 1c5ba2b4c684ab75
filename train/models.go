package train

import (
	"fmt"
	"os"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// paramType is the type of parameters, moments and losses; tests of exactness
// raise it to float64.
var paramType = torch.Float32

// trained is a model with AdamW's moments.
type trained struct {
	*nn.Model
	kind      kind
	base      *nn.Model // under an adapter or a value head
	baseDir   string    // of an adapter
	folder    string    // below the run's folder; "" for the policy
	lr        float64
	frozenFor int // updates at the start that leave it as it is
	groups    []group
}

// kind says how much of a model is trained.
type kind string

const (
	full    kind = "full"
	lora    kind = "lora"
	onlyTop kind = "head"
)

// group is a set of parameters with one weight decay, and their moments.
type group struct {
	params, m, v []*torch.Tensor
	decay        float64
}

// average is a model that follows another: after each of its updates
// p = decay p + (1 - decay) p'.
type average struct {
	*nn.Model
	name  string // of its file in a checkpoint
	of    *trained
	decay float64
}

// policy opens the model that learns: all of it, or an adapter on a frozen base.
// Where cfg.Model is an adapter itself, that one is trained on.
func (r *run) policy() (*trained, error) {
	if r.LoRARank == 0 {
		m, err := r.open(r.Model, model.LMHead)
		if err != nil {
			return nil, err
		}
		return r.learns(&trained{Model: m, kind: full, lr: r.LR})
	}
	base, dir, err := r.bare()
	if err != nil {
		return nil, err
	}
	var m *nn.Model
	if peft.IsAdapter(r.Model) {
		m, err = nn.LoadAdapter(base, r.Model, model.LMHead)
		if err == nil && m.LoRA.Rank != r.LoRARank {
			m.Free()
			err = fmt.Errorf("lora_rank: %d, but the adapter in %s, which is trained on, has rank %d; set it to that, or to 0 to train all parameters", r.LoRARank, r.Model, m.LoRA.Rank)
		}
	} else {
		m, err = base.Adapted(model.LMHead, peft.LoRA{Rank: r.LoRARank, Alpha: r.LoRAAlpha, Targets: r.LoRATargets}, r.Seed)
	}
	if err != nil {
		return nil, err
	}
	return r.learns(&trained{Model: m, kind: lora, base: base, baseDir: dir, lr: r.LR})
}

// bare is the starting policy's frozen base, without the adapter it may have,
// and its folder.
func (r *run) bare() (*nn.Model, string, error) {
	dir, err := peft.BaseDir(r.Model)
	if err != nil {
		return nil, "", err
	}
	if r.foundation == nil {
		r.foundation, err = r.openFrozen(dir, model.LMHead)
	}
	return r.foundation, dir, err
}

// initial is the starting policy, frozen.
func (r *run) initial() (*nn.Model, error) {
	base, _, err := r.bare()
	if err != nil || !peft.IsAdapter(r.Model) {
		return base, err
	}
	m, err := nn.LoadAdapter(base, r.Model, model.LMHead)
	if err != nil {
		return nil, err
	}
	r.frozen = append(r.frozen, m)
	return m, nil
}

// critic opens the critic of a policy, which is nil where the critic learns
// alone.
func (r *run) critic(c *CriticConfig, policy *trained) (*trained, error) {
	dir := c.Critic
	if dir == "" {
		dir = r.Model
	}
	t := &trained{kind: kind(c.Kind), folder: "critic", lr: c.CriticLR}
	var err error
	switch t.kind {
	case full:
		t.Model, err = r.open(dir, model.ValueHead)
	case lora:
		t.Model, t.base, t.baseDir, err = r.adaptedCritic(c, dir)
	case onlyTop:
		t.base = policy.Model
		t.Model, err = nn.NewValueHead(policy.Model)
		if err == nil && c.Critic != "" {
			err = loadHead(t.Model, c.Critic)
		}
	}
	if err != nil {
		return nil, err
	}
	return r.learns(t)
}

// adaptedCritic returns a critic that is an adapter, with its base and that
// one's folder: the policy's base, if the critic starts from the same one.
func (r *run) adaptedCritic(c *CriticConfig, dir string) (m, base *nn.Model, baseDir string, err error) {
	own, err := peft.BaseDir(dir)
	if err != nil {
		return nil, nil, "", err
	}
	base, baseDir, err = r.bare()
	if err == nil && !sameFile(own, baseDir) {
		baseDir = own
		base, err = r.openFrozen(own, model.ValueHead)
	}
	if err != nil {
		return nil, nil, "", err
	}
	if peft.IsAdapter(dir) {
		m, err = nn.LoadAdapter(base, dir, model.ValueHead)
	} else {
		m, err = base.Adapted(model.ValueHead, peft.LoRA{Rank: c.CriticRank, Alpha: c.CriticAlpha, Targets: c.CriticOn}, r.Seed+1)
	}
	return m, base, baseDir, err
}

// loadHead takes m's value head from a critic's folder.
func loadHead(m *nn.Model, dir string) error {
	config, err := model.LoadConfig(dir)
	if err != nil {
		return err
	}
	file, missing, err := config.Weights(dir, model.ValueHead)
	if err != nil {
		return err
	}
	defer file.Close()
	if missing {
		return fmt.Errorf("critic: %s has no %s", dir, model.ValueHeadName)
	}
	return torch.Scope(func() { torch.NoGrad(func() { err = copyFrom(file, model.ValueHeadName, m.Params()[0]) }) })
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// learns makes m's parameters collect gradients, with moments beside them.
func (r *run) learns(t *trained) (*trained, error) {
	t.Train()
	r.models = append(r.models, t)
	return t, torch.Scope(func() { t.groups = groups(t.Model, r.WeightDecay) })
}

// follow starts an average of t.
func (r *run) follow(t *trained, name string, decay float64) (*nn.Model, error) {
	m, err := t.Copy()
	if err != nil {
		return nil, err
	}
	r.averages = append(r.averages, &average{m, name, t, decay})
	return m, nil
}

// move makes one step of the average.
func (a *average) move() error {
	return torch.Scope(func() {
		torch.NoGrad(func() {
			for i, p := range a.of.Params() {
				slow := a.Params()[i]
				slow.CopyFrom(slow.Times(a.decay).Add(p.Detach().Times(1 - a.decay)))
			}
		})
	})
}

// openFrozen reads a model that stays as it is.
func (r *run) openFrozen(dir string, head model.Head) (*nn.Model, error) {
	m, err := r.open(dir, head)
	if err != nil {
		return nil, err
	}
	r.frozen = append(r.frozen, m)
	return m, nil
}

// open reads a whole model; an adapter is merged into the base it names.
func (r *run) open(dir string, head model.Head) (*nn.Model, error) {
	m, err := nn.Open(dir, head, r.device, paramType)
	if err == nil && m.LoRA != nil {
		adapted := m
		m, err = adapted.Whole()
		adapted.Free()
	}
	if err != nil {
		return nil, err
	}
	m.Autocast = r.dtype == torch.BFloat16
	return m, nil
}

// groups splits the parameters into matrices, which decay, and the rest.
func groups(m *nn.Model, decay float64) []group {
	gs := []group{{decay: decay}, {}}
	for _, p := range m.Params() {
		g := &gs[0]
		if len(p.Shape()) < 2 {
			g = &gs[1]
		}
		m, v := p.Detach().Times(0), p.Detach().Times(0)
		torch.Keep(m, v)
		g.params, g.m, g.v = append(g.params, p), append(g.m, m), append(g.v, v)
	}
	return gs
}
