package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/ort"
)

// continuation is a line of what export/testdata/gen/greedy.py writes.
type continuation struct {
	Prompt []int `json:"prompt"`
	Tokens []int `json:"tokens"`
}

// TestGreedyTokensAreTransformers: 200 prompts of unequal lengths, 25 rows at a
// time, give every token that transformers gave. OREO_GREEDY_MODEL may name one
// more model folder, with a greedy.jsonl.gz in it.
func TestGreedyTokensAreTransformers(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for _, form := range []string{"grouped", "standard"} {
			t.Run(arch+" "+form, func(t *testing.T) {
				greedily(t, filepath.Join("..", "..", "export", "testdata", "tiny-"+arch+"-policy"), form)
			})
		}
	}
	if dir := os.Getenv("OREO_GREEDY_MODEL"); dir != "" {
		t.Run(filepath.Base(dir), func(t *testing.T) { greedily(t, dir, "grouped") })
	}
}

func greedily(t *testing.T, model, form string) {
	var wanted []continuation
	for c, err := range jsonl.Read[continuation](filepath.Join(model, "greedy.jsonl.gz")) {
		if err != nil {
			t.Fatalf("%v: export/testdata/gen/greedy.py makes it", err)
		}
		wanted = append(wanted, c)
	}
	if len(wanted) < 200 {
		t.Fatalf("%d prompts, want 200", len(wanted))
	}
	e := openExported(t, model, form, engine.Options{})
	const together = 25
	for first := range len(wanted) / together { // each with prompts of all lengths
		var group []continuation
		for i := first; i < len(wanted); i += len(wanted) / together {
			group = append(group, wanted[i])
		}
		for i, row := range decode(t, e, group) {
			if !slices.Equal(row.tokens, group[i].Tokens) {
				t.Errorf("prompt %v: %v, want %v", group[i].Prompt, row.tokens, group[i].Tokens)
			}
		}
	}
}

// greedyModels are the tiny model and OREO_GREEDY_MODEL.
func greedyModels() []string {
	models := []string{filepath.Join("..", "..", "export", "testdata", "tiny-qwen2-policy")}
	if dir := os.Getenv("OREO_GREEDY_MODEL"); dir != "" {
		models = append(models, dir)
	}
	return models
}

// TestRaggedRowsAreOneByOne: in a batch of 25 rows every row's logits are those
// of the row alone.
func TestRaggedRowsAreOneByOne(t *testing.T) {
	tiny.Library(t)
	for _, model := range greedyModels() {
		t.Run(filepath.Base(model), func(t *testing.T) {
			e := openExported(t, model, "grouped", engine.Options{})
			var rows []continuation
			for i := range 25 {
				c := continuation{Tokens: make([]int, 12)}
				for k := range 1 + i*i%37 {
					c.Prompt = append(c.Prompt, 3+(i*31+k*17)%90)
				}
				rows = append(rows, c)
			}
			var worst float64
			for i, together := range decode(t, e, rows) {
				worst = max(worst, distance(together.last, decode(t, e, rows[i:i+1])[0].last))
			}
			agree(t, worst)
		})
	}
}

// TestChunkedPromptIsWhole: a prompt that runs in chunks of 7 tokens has the logits
// of one that runs whole.
func TestChunkedPromptIsWhole(t *testing.T) {
	tiny.Library(t)
	for _, model := range greedyModels() {
		t.Run(filepath.Base(model), func(t *testing.T) {
			c := continuation{Tokens: make([]int, 12)}
			for k := range 200 {
				c.Prompt = append(c.Prompt, 3+k*k%90)
			}
			whole := decode(t, openExported(t, model, "grouped", engine.Options{}), []continuation{c})[0]
			chunked := decode(t, openExported(t, model, "grouped", engine.Options{Chunk: 7}), []continuation{c})[0]
			agree(t, distance(whole.last, chunked.last))
		})
	}
}

func agree(t *testing.T, worst float64) {
	t.Helper()
	t.Logf("largest difference of a logit: %.2g", worst)
	if !(worst <= 1e-4) {
		t.Error("want at most 1e-4")
	}
}

// distance is the largest difference of two numbers that belong together.
func distance(a, b []float32) (worst float64) {
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i]-b[i])))
	}
	return worst
}

// decoded is a row's new tokens and the logits of the last one.
type decoded struct {
	tokens []int
	last   []float32
}

// decode continues all prompts greedily at once, each as far as it is wanted.
func decode(t *testing.T, e *engine.Engine, rows []continuation) []decoded {
	t.Helper()
	out := make([]decoded, len(rows))
	var seqs []*engine.Seq
	var jobs []engine.Job
	for i, c := range rows {
		s := e.NewSeq()
		s.Append(c.Prompt...)
		seqs = append(seqs, s)
		jobs = append(jobs, engine.Job{Seq: s, Step: func(_ int, logits []float32) (int, bool) {
			best := slices.Index(logits, slices.Max(logits))
			out[i].tokens = append(out[i].tokens, best)
			out[i].last = append(out[i].last[:0], logits...)
			return best, len(out[i].tokens) < len(c.Tokens)
		}})
	}
	if err := e.Run(t.Context(), jobs...); err != nil {
		t.Fatal(err)
	}
	e.Free(seqs...)
	return out
}

// openExported exports a policy in float32 and puts an engine over it.
func openExported(t *testing.T, model, form string, opt engine.Options) *engine.Engine {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if text, err := run(t, "policy", "--model", model, "--out", dir, "--attention", form); err != nil {
		t.Fatal(err, text)
	}
	m, err := manifest.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.Open(filepath.Join(dir, manifest.GraphFile), engine.Spec{Width: m.Dims.Vocab, Vocab: m.Dims.Vocab, MaxPositions: m.Dims.MaxPositions}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e, err := engine.New(s, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
