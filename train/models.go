package train

import (
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// paramType is the type of parameters, moments and losses; tests of exactness
// raise it to float64.
var paramType = torch.Float32

// trained is a model with AdamW's moments.
type trained struct {
	*nn.Model
	folder    string // below the run's folder; "" for the policy
	lr        float64
	frozenFor int // updates at the start that leave it as it is
	groups    []group
}

// group is a set of parameters with one weight decay, and their moments.
type group struct {
	params, m, v []*torch.Tensor
	decay        float64
}

// load reads a model that the run trains; folder is where it is saved below Out.
func (r *run) load(folder, dir string, head model.Head, lr float64) (*trained, error) {
	m, err := r.open(dir, head)
	if err != nil {
		return nil, err
	}
	m.Train()
	t := &trained{Model: m, folder: folder, lr: lr}
	r.models = append(r.models, t)
	return t, torch.Scope(func() { t.groups = groups(m, r.WeightDecay) })
}

// loadFrozen reads a policy that stays as it is.
func (r *run) loadFrozen(dir string) (*nn.Model, error) {
	m, err := r.open(dir, model.LMHead)
	if err != nil {
		return nil, err
	}
	r.frozen = append(r.frozen, m)
	return m, nil
}

func (r *run) open(dir string, head model.Head) (*nn.Model, error) {
	m, err := nn.Load(dir, head, r.device, paramType)
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
