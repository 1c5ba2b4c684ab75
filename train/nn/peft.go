package nn

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/torch"
)

// Open reads what dir holds: a whole model as Load does, or an adapter with the
// base it names, for which the LoRA of the result is set. Whole turns the latter
// into the former; LoadAdapter shares a base that is in memory already.
func Open(dir string, head model.Head, device torch.Device, dtype torch.DType) (*Model, error) {
	if !peft.IsAdapter(dir) {
		return Load(dir, head, device, dtype)
	}
	from, err := peft.BaseDir(dir)
	if err != nil {
		return nil, err
	}
	base, err := Load(from, model.LMHead, device, dtype)
	if err != nil {
		return nil, err
	}
	defer base.Free() // its tensors live on in the view
	return LoadAdapter(base, dir, head)
}

// LoadAdapter puts the PEFT adapter in dir on base (see Adapted), as peft.Open
// reads it; an adapter for other weights than base's is an error. The value head
// of a critic that starts from a policy's adapter is zero.
func LoadAdapter(base *Model, dir string, head model.Head) (*Model, error) {
	a, err := peft.Open(dir, base.Config, head)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if a.Base() != "" {
		have, err := base.digest()
		if err != nil {
			return nil, err
		}
		if err := a.CheckBase(have); err != nil {
			return nil, err
		}
	}
	m, err := base.adapt(head, a.LoRA, func(name string, shape []int, dtype torch.DType) (*torch.Tensor, error) {
		t, ok := a.Get(name)
		if !ok { // a value head: the rest has been checked
			return zeros(dtype, shape...), nil
		}
		return FromSafetensors(t, dtype)
	})
	if err != nil {
		return nil, a.Errorf("%w", err)
	}
	return m, nil
}

// SaveAdapter writes the adapter of m, and a critic's value head, to dir in
// PEFT's layout, float32. base is the folder its base was loaded from, or the
// base's name on a model hub; a folder is recorded relative to dir, so that both
// may move together.
func (m *Model) SaveAdapter(dir, base string) error {
	if m.LoRA == nil {
		return errors.New("the model has no adapter to save")
	}
	config, err := m.adapterConfig(dir, base)
	if err != nil {
		return err
	}
	own, err := m.Tensors(torch.Float32)
	if err != nil {
		return err
	}
	for i := range own {
		if own[i].Name == model.ValueHeadName {
			own[i].Name = peft.Score
		} else {
			own[i].Name = peft.Prefix + own[i].Name
		}
	}
	if m.Head == model.ValueHead {
		own = append(own, safetensors.Float32Tensor(peft.ScoreBias, []int{1}, []float32{0}))
	}
	digest, err := m.digest()
	if err != nil {
		return err
	}
	if err := safetensors.Write(filepath.Join(dir, peft.WeightFile), own, map[string]string{"format": "pt", peft.BaseDigest: digest}); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, peft.ConfigFile), config, 0o644)
}

// adapterConfig is the text of adapter_config.json.
func (m *Model) adapterConfig(dir, base string) ([]byte, error) {
	if info, err := os.Stat(base); err == nil && info.IsDir() {
		from, err1 := filepath.Abs(dir)
		to, err2 := filepath.Abs(base)
		rel, err3 := filepath.Rel(from, to)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		base = rel
	}
	c := peft.Config{PEFTType: "LORA", TaskType: peft.PolicyTask, Base: base, Rank: m.LoRA.Rank, Alpha: m.LoRA.Alpha, RSLoRA: m.LoRA.RSLoRA,
		Targets: m.LoRA.Words(), Bias: "none", Inference: true}
	if m.Head == model.ValueHead {
		c.TaskType, c.Saved = peft.CriticTask, []string{"score"}
	}
	text, err := json.MarshalIndent(c, "", "  ")
	return append(text, '\n'), err
}

// digest is peft.Digest of the model's backbone.
func (m *Model) digest() (digest string, err error) {
	scope := torch.Scope(func() {
		digest, err = peft.Digest(m.Config, func(name string, at []int64) ([]byte, error) {
			index := torch.FromInt64(at, int64(len(at))).On(m.Device)
			return m.at(name).Detach().View(-1).IndexSelect(0, index).To(torch.BFloat16).Bytes(), nil
		})
	})
	return digest, errors.Join(err, scope)
}
