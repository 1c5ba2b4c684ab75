package loss

import (
	"testing"

	"github.com/oreo-go/oreo/train/torch"
)

// TestAgainstTRL compares DPO, conservative DPO, IPO and KTO, its reference point
// included, with TRL's own loss functions (testdata/gen/trl_reference.py writes which version), in
// values and gradients.
func TestAgainstTRL(t *testing.T) {
	ref := open(t, "testdata/trl.safetensors")
	t.Logf("TRL %s", ref.file.Metadata()["trl"])
	for _, name := range []string{"pairs", "pair"} {
		preference := func(f func(chosen, rejected *torch.Tensor) *torch.Tensor, reduce func(x, mask *torch.Tensor) *torch.Tensor) func(x batch) *torch.Tensor {
			return func(x batch) *torch.Tensor {
				r := reduce(x.d, x.mask)
				pairs := r.Len() / 2
				return f(r.Narrow(0, 0, pairs), r.Narrow(0, pairs, pairs))
			}
		}
		check(t, ref, name, "dpo", preference(func(c, r *torch.Tensor) *torch.Tensor { return DPO(c, r, beta, 0) }, SumOverStates))
		check(t, ref, name, "cdpo", preference(func(c, r *torch.Tensor) *torch.Tensor { return DPO(c, r, beta, smoothing) }, SumOverStates))
		check(t, ref, name, "ipo", preference(func(c, r *torch.Tensor) *torch.Tensor { return IPO(c, r, beta) }, MeanOverStates))
	}
	for _, name := range []string{"odd", "good", "bad"} {
		check(t, ref, name, "kto", func(x batch) *torch.Tensor {
			kl := batch{logits: ref.get(name + ".kl_logits"), actions: ref.get(name + ".kl_actions"), mask: ref.get(name + ".kl_mask")}
			kl = kl.forward(ref.get(name + ".kl_ref_logits"))
			z := KTOReference(kl.sum().Float64s())
			compare(t, name+".kl", torch.FromFloat64([]float64{z}, 1), ref.get(name+".kl"), 1e-12)
			label := ref.get(name + ".label")
			return KTO(x.sum(), label, z, beta, goodWt, badWt).Sum().View(1).Times(1 / float64(label.Len()))
		})
	}
}

func check(t *testing.T, ref reference, name, kind string, f func(x batch) *torch.Tensor) {
	t.Helper()
	err := torch.Scope(func() {
		x := batch{logits: ref.get(name + ".logits"), actions: ref.get(name + ".actions"), mask: ref.get(name + ".mask")}
		x.logits.SetRequiresGrad(true)
		got := f(x.forward(ref.get(name + ".ref_logits")))
		got.Mul(oneToB(got)).Sum().Backward()
		prefix := name + "." + kind
		worst := max(compare(t, prefix+".loss", got, ref.get(prefix+".loss"), 1e-12),
			compare(t, prefix+".logits", x.logits.Grad(), ref.get(prefix+".logits"), 1e-12))
		t.Logf("%-11s differs by at most %.1g", prefix, worst)
	})
	if err != nil {
		t.Fatalf("%s.%s: %v", name, kind, err)
	}
}
