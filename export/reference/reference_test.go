package reference

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/oreo-go/oreo/runtime/model"
)

// TestForward compares with transformers: see testdata/gen/tiny.py.
func TestForward(t *testing.T) {
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for kind, head := range map[string]model.Head{"policy": model.LMHead, "critic": model.ValueHead} {
			t.Run(arch+"-"+kind, func(t *testing.T) {
				dir := filepath.Join("..", "testdata", "tiny-"+arch+"-"+kind)
				c, err := model.LoadConfig(dir)
				if err != nil {
					t.Fatal(err)
				}
				weights, missing, err := c.Weights(dir, head)
				if err != nil || missing {
					t.Fatal(missing, err)
				}
				defer weights.Close()
				r, err := Load(filepath.Join(dir, "reference.safetensors"), head, c.Vocab)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.IDs) != 2 || len(r.IDs[0]) != 13 || len(r.IDs[1]) != 7 {
					t.Fatal(r.IDs)
				}
				worst := 0.0
				for i, ids := range r.IDs {
					got, err := Forward(t.Context(), c, head, weights, ids)
					if err != nil {
						t.Fatal(err)
					}
					for pos := range ids {
						for j, want := range r.Want[i][pos] {
							worst = max(worst, math.Abs(float64(got[pos][j]-want)))
						}
					}
				}
				t.Logf("max |difference| %.2g", worst)
				if !(worst <= 1e-5) {
					t.Errorf("max |difference| from transformers %g, want at most 1e-5", worst)
				}
			})
		}
	}
}
