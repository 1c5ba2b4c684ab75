package search

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/enginetest"
	"github.com/oreo-go/oreo/runtime/sample"
)

// The toy language: tokens 0-9 are digits, then a newline, ". x" (a step ends
// inside it in period mode) and the end token.
var words = []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "\n", ". x", "<end>"}

const end = 12

func isEnd(id int) bool { return id == end }

func text(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		if id != end {
			b.WriteString(words[id])
		}
	}
	return b.String()
}

// hash is an arbitrary number in [0, 1) fixed by a prefix.
func hash(prefix []int, salt byte) float64 {
	h := fnv.New64a()
	h.Write([]byte{salt})
	for _, id := range prefix {
		h.Write([]byte{byte(id)})
	}
	return float64(h.Sum64()>>11) / (1 << 53)
}

// policyAnswer has few likely tokens, so that draws coincide, and ends answers
// more and more often.
func policyAnswer(prefix []int) []float32 {
	out := make([]float32, len(words))
	for i := range out {
		out[i] = float32(4 * hash(append(slices.Clone(prefix), i), 1))
	}
	out[10] += 2
	out[end] += float32(len(prefix)) / 12
	return out
}

func criticAnswer(prefix []int) []float32 { return []float32{float32(hash(prefix, 2))} }

func models(t *testing.T, policy, critic func([]int) []float32) (Models, *enginetest.Fake) {
	t.Helper()
	fake := enginetest.NewFake(engine.Spec{Width: len(words), Vocab: len(words), MaxPositions: 200}, policy)
	m := modelsOf(t, fake)
	m.Critic = start(t, enginetest.NewFake(engine.Spec{Width: 1, Vocab: len(words), MaxPositions: 200}, critic))
	return m, fake
}

// alike is models in one.
func alike(t *testing.T, policy, critic func([]int) []float32) (Models, *enginetest.Fake) {
	t.Helper()
	fake := enginetest.NewFake(engine.Spec{Width: len(words), Vocab: len(words), MaxPositions: 200, TreeSlots: 150, Valued: true}, policy)
	fake.Value = func(prefix []int) float32 { return critic(prefix)[0] }
	m := modelsOf(t, fake)
	m.Critic = m.Policy
	return m, fake
}

// bothWays runs a test on two models, and on two in one.
func bothWays(t *testing.T, policy, critic func([]int) []float32, test func(*testing.T, Models, *enginetest.Fake)) {
	t.Helper()
	t.Run("apart", func(t *testing.T) {
		m, fake := models(t, policy, critic)
		test(t, m, fake)
	})
	t.Run("alike", func(t *testing.T) {
		m, fake := alike(t, policy, critic)
		test(t, m, fake)
	})
}

func start(t *testing.T, model engine.Model) *engine.Engine {
	t.Helper()
	e, err := engine.New(model, engine.Options{MaxRows: 60, Chunk: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func modelsOf(t *testing.T, policy engine.Model) Models {
	t.Helper()
	return Models{
		Policy: start(t, policy), EOS: isEnd,
		NewDecoder: func() func(int) string { return func(id int) string { return words[id] } },
	}
}

// plain is the same search written down without engines, caches or batches.
type plain struct {
	ids      []int
	steps    int
	from     int
	value    float64
	finished bool
	cut      bool
}

func plainStep(p plain, prompt []int, cfg Config, rng *rand.Rand) plain {
	s := sample.New(cfg.Sample, rng)
	n := plain{ids: slices.Clone(p.ids), steps: p.steps + 1, from: p.from}
	for {
		id, _, err := s.Pick(policyAnswer(slices.Concat(prompt, n.ids)))
		if err != nil {
			panic(err)
		}
		n.ids = append(n.ids, id)
		if id == end {
			n.finished = true
			break
		}
		n.cut = len(n.ids) >= cfg.MaxNewTokens
		if e := cfg.Rule.StepEnd(text(n.ids), n.from); e > 0 {
			n.from = e
			break
		}
		if n.cut {
			break
		}
	}
	state := slices.Concat(prompt, n.ids)
	if n.finished {
		state = state[:len(state)-1]
	}
	n.value = float64(criticAnswer(state)[0])
	return n
}

func plainBeam(prompt []int, cfg Config) []plain {
	live := []plain{{}}
	var done, cut []plain
	best := func(list []plain) []plain {
		slices.SortStableFunc(list, func(a, b plain) int { return cmp.Compare(b.value, a.value) })
		return list[:min(len(list), cfg.Width)]
	}
	for step := 1; step <= cfg.MaxSteps && len(live) > 0; step++ {
		if len(done) >= cfg.Width && done[0].value >= live[0].value {
			break
		}
		var next []plain
		for i, p := range live {
			var mine []plain
			for j := range cfg.Width {
				n := plainStep(p, prompt, cfg, sample.Rand(cfg.Seed, cfg.Question, uint64(i*cfg.Width+j), uint64(step)))
				if !slices.ContainsFunc(mine, func(o plain) bool { return slices.Equal(o.ids, n.ids) }) {
					mine = append(mine, n)
				}
			}
			next = append(next, mine...)
		}
		live = nil
		for _, n := range next {
			switch {
			case n.finished:
				done = append(done, n)
			case n.cut:
				cut = append(cut, n)
			default:
				live = append(live, n)
			}
		}
		live, done, cut = best(live), best(done), best(cut)
	}
	rest := append(slices.Clone(live), cut...)
	slices.SortStableFunc(rest, func(a, b plain) int { return cmp.Compare(b.value, a.value) })
	return append(done, rest...)
}

var promptIDs = []int{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4}

// The search on engines finds what the plain one finds, answer by answer, alone
// and beside others.
func TestBeamEqualsPlainSearch(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		rules := map[string]StepRule{"newline": Delimiters{"\n"}, "period": Delimiters{"\n", ". "}}
		var wg sync.WaitGroup
		for name, rule := range rules {
			for width := 1; width <= 4; width++ {
				for question := range uint64(6) {
					cfg := Config{Width: width, MaxSteps: 6, MaxNewTokens: 20, Seed: 5, Question: question, Rule: rule}
					cfg.Sample.Temperature = 1
					prompt := promptIDs[question:]
					wg.Go(func() {
						got, err := Run(context.Background(), m, prompt, cfg)
						if err != nil {
							t.Error(err)
							return
						}
						want := plainBeam(prompt, cfg)
						if len(got.Answers) != len(want) {
							t.Errorf("%s B=%d question %d: %d answers, want %d", name, width, question, len(got.Answers), len(want))
							return
						}
						for i, a := range got.Answers {
							w := want[i]
							if !slices.Equal(a.IDs, w.ids) || a.Value != w.value || a.Finished != w.finished || a.Steps != w.steps || a.Text != text(w.ids) {
								t.Errorf("%s B=%d question %d answer %d: %+v, want %+v", name, width, question, i, a, w)
							}
						}
					})
				}
			}
		}
		wg.Wait()
	})
}

func TestTraceIsTheTree(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		var nodes []Node
		cfg := Config{Width: 3, MaxSteps: 5, MaxNewTokens: 40, Rule: Delimiters{"\n"}, Trace: func(n Node) { nodes = append(nodes, n) }}
		got, err := Run(context.Background(), m, promptIDs, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes) != got.Nodes {
			t.Fatalf("%d nodes traced of %d", len(nodes), got.Nodes)
		}
		byID := map[int]Node{0: {Kept: true}}
		copies := map[int]int{}
		tokens := 0
		for _, n := range nodes {
			parent, ok := byID[n.Parent]
			if !ok || n.Step != parent.Step+1 || !parent.Kept || parent.Finished {
				t.Errorf("node %+v has parent %+v", n, parent)
			}
			byID[n.ID] = n
			copies[n.Parent] += n.Copies
			tokens += n.Tokens * n.Copies
		}
		for parent, n := range copies {
			if n != 3 {
				t.Errorf("node %d has %d draws, want 3", parent, n)
			}
		}
		if tokens != got.Tokens {
			t.Errorf("%d tokens traced of %d", tokens, got.Tokens)
		}
	})
}

// A critic that knows leads a policy that does not: digits are drawn evenly, and
// the value is the share of sevens.
func TestCriticLeads(t *testing.T) {
	even := func(prefix []int) []float32 {
		out := make([]float32, len(words))
		switch n := len(prefix) - 1; {
		case n%2 == 1:
			for i := range out {
				out[i] = -100
			}
			out[10] = 0
		case n < 8:
			out[10], out[11], out[end] = -100, -100, -100
		default:
			for i := range end {
				out[i] = -100
			}
		}
		return out
	}
	sevens := func(prefix []int) []float32 {
		n := 0
		for _, id := range prefix {
			if id == 7 {
				n++
			}
		}
		return []float32{float32(n) / 4}
	}
	m, _ := models(t, even, sevens)
	total := map[int]float64{}
	for _, width := range []int{1, 5} {
		for q := range uint64(20) {
			got, err := Run(context.Background(), m, []int{0}, Config{Width: width, Question: q, Rule: Delimiters{"\n"}})
			if err != nil {
				t.Fatal(err)
			}
			if best := got.Best(); !best.Finished || best.Steps != 5 || float64(strings.Count(best.Text, "7"))/4 != best.Value {
				t.Fatalf("best answer %+v", best)
			}
			total[width] += got.Best().Value / 20
		}
	}
	if total[1] > 0.25 || total[5] < 0.45 {
		t.Errorf("share of sevens: %.2f with B = 1, %.2f with B = 5", total[1], total[5])
	}
}

func TestDelimiters(t *testing.T) {
	d := Delimiters{"\n", ". ", ".$ "}
	for _, c := range []struct {
		text string
		from int
		want int
	}{
		{"", 0, 0}, {"a", 0, 0}, {"a\n", 0, 2}, {"a\n", 2, 0}, {"a\nb", 2, 0}, {"a. b", 0, 3}, {"a. b", 3, 0},
		{"x.$ y. z", 0, 7}, {"3.5", 0, 0}, {"a\n\n", 2, 3},
	} {
		if got := d.StepEnd(c.text, c.from); got != c.want {
			t.Errorf("%q from %d: %d, want %d", c.text, c.from, got, c.want)
		}
	}
}

func TestNothingIsLeft(t *testing.T) {
	slow := func(prefix []int) []float32 { time.Sleep(20 * time.Microsecond); return policyAnswer(prefix) }
	bothWays(t, slow, criticAnswer, func(t *testing.T, m Models, fake *enginetest.Fake) {
		rng := rand.New(rand.NewPCG(1, 1))
		cancelled := 0
		for range 60 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(6000))*time.Microsecond)
			_, err := Run(ctx, m, promptIDs, Config{Width: 3, MaxSteps: 8, MaxNewTokens: 60, Rule: Delimiters{"\n"}})
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				cancelled++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		m.Policy.Stats() // behind the last Free
		m.Critic.Stats()
		if fake.Held() != 0 {
			t.Error("rows are still held")
		}
		if cancelled == 0 || cancelled == 60 {
			t.Logf("%d of 60 searches were cancelled: the test says little", cancelled)
		}
		if _, err := m.Policy.Reserve(context.Background(), 60); err != nil {
			t.Error(err)
		}
	})
}

func TestErrors(t *testing.T) {
	nan := func([]int) []float32 { return []float32{float32(math.NaN())} }
	rule := Delimiters{"\n"}
	for name, c := range map[string]struct {
		critic func([]int) []float32
		prompt []int
		cfg    Config
		want   string
	}{
		"no rule":      {criticAnswer, promptIDs, Config{}, "no rule"},
		"width":        {criticAnswer, promptIDs, Config{Width: -1, Rule: rule}, "width is -1"},
		"steps":        {criticAnswer, promptIDs, Config{MaxSteps: -1, Rule: rule}, "step limit is -1"},
		"sampling":     {criticAnswer, promptIDs, Config{Sample: sample.Config{Temperature: -1}, Rule: rule}, "temperature"},
		"empty prompt": {criticAnswer, nil, Config{Rule: rule}, "empty prompt"},
		"long prompt":  {criticAnswer, make([]int, 200), Config{Rule: rule}, "200 tokens"},
		"rows":         {criticAnswer, promptIDs, Config{Width: 9, Rule: rule}, "81 needed"},
		"NaN":          {nan, promptIDs, Config{Rule: rule}, "NaN"},
	} {
		m, _ := models(t, policyAnswer, c.critic)
		if _, err := Run(context.Background(), m, c.prompt, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Results do not depend on what else is searched at the same time.
func TestLayoutDoesNotMatter(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		search := func(q uint64) *Result {
			r, err := Run(context.Background(), m, promptIDs[q:], Config{Width: 3, MaxNewTokens: 40, Question: q, Rule: Delimiters{"\n"}})
			if err != nil {
				t.Error(err)
			}
			return r
		}
		together := make([]*Result, 10)
		var wg sync.WaitGroup
		for q := range together {
			wg.Go(func() { together[q] = search(uint64(q)) })
		}
		wg.Wait()
		for q := range together {
			if alone := search(uint64(q)); !reflect.DeepEqual(alone, together[q]) {
				t.Errorf("question %d: %+v alone, %+v together", q, alone, together[q])
			}
		}
	})
}
