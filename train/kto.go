package train

import (
	"context"

	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/torch"
)

// KTO is Kahneman-Tversky optimisation (arXiv 2402.01306, Eq. 8) on single
// responses y that are desirable or not. With d(y) as in DPO:
//
//	L = weight (1 - sigmoid(beta (d(y) - z)))    desirable
//	L = weight (1 - sigmoid(beta (z - d(y))))    undesirable
//	z = max(0, mean over the update of d(y'))    no gradient
//
// y' is the response of another record, set behind this record's prompt when the
// data is read, so that z exists for any batch size, one included. z is taken
// over the whole update before its first gradient, so that micro-batches change
// nothing.
func KTO(ctx context.Context, cfg KTOConfig, ui UI) error {
	read := func(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
		return e.ReadLabels(files, cfg.Seed)
	}
	r, err := start("kto", &cfg, cfg.Config, ui, input{read: read, group: data.GroupSize})
	if err != nil {
		return err
	}
	defer r.close()
	policy, err := r.policy()
	if err != nil {
		return err
	}
	if err := r.recall(ctx, &cfg.ReferenceConfig, policy.Model); err != nil {
		return err
	}
	ratios := func(b *batch) *torch.Tensor { // d [B]
		return loss.SumOverStates(b.logProbs(policy.Model).Sub(b.reference()), b.mask)
	}
	return r.train(ctx, func(u *update) error {
		var mismatched []float64
		err := u.eachHalf(true, func(b *batch) {
			torch.NoGrad(func() { mismatched = append(mismatched, ratios(b).Float64s()...) })
		})
		if err != nil {
			return err
		}
		z := loss.KTOReference(mismatched)
		u.metrics["kl"] = z
		good, bad := &meanOf{}, &meanOf{}
		err = u.eachHalf(false, func(b *batch) {
			d := ratios(b)
			each := loss.KTO(d, b.reward, z, cfg.Beta, cfg.Desirable, cfg.Undesirable) // [B]
			each.Sum().Times(b.share).Backward()
			b.report("loss", each)
			for i, x := range d.Detach().Float64s() {
				if b.source.Reward[i] == 1 {
					good.add(cfg.Beta * x)
				} else {
					bad.add(cfg.Beta * x)
				}
			}
		})
		good.report(u, "reward/chosen")
		bad.report(u, "reward/rejected")
		return err
	})
}

// meanOf collects numbers of which an update may have none.
type meanOf struct {
	sum float64
	n   int
}

func (m *meanOf) add(x float64) { m.sum, m.n = m.sum+x, m.n+1 }

func (m *meanOf) report(u *update, name string) {
	if m.n > 0 {
		u.metrics[name] = m.sum / float64(m.n)
	}
}
