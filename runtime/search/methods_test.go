package search

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime/enginetest"
	"github.com/oreo-go/oreo/runtime/sample"
)

func mustRun(t *testing.T, m Models, prompt []int, cfg Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), m, prompt, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// plainDVTS grows each tree by itself: a beam search of one beam that draws B
// steps, its random numbers numbered by the tree.
func plainDVTS(prompt []int, cfg Config) (done []plain) {
	for tree := range cfg.Width {
		live, best := plain{}, math.Inf(-1)
		var mine *plain
		for step := 1; step <= cfg.MaxSteps && live.value < math.Inf(1); step++ {
			if mine != nil && best >= live.value {
				break
			}
			var next []plain
			for j := range cfg.Width {
				next = append(next, plainStep(live, prompt, cfg, sample.Rand(cfg.Seed, cfg.Question, uint64(tree*cfg.Width+j), uint64(step))))
			}
			live.value = math.Inf(1)
			for _, n := range next {
				switch {
				case n.finished && n.value > best:
					mine, best = &n, n.value
				case !n.finished && !n.cut && (live.value == math.Inf(1) || n.value > live.value):
					live = n
				}
			}
		}
		if mine != nil {
			done = append(done, *mine)
		}
	}
	slices.SortStableFunc(done, func(a, b plain) int { return -cmpFloat(a.value, b.value) })
	return done
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func TestDVTSEqualsPlainTrees(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		found := 0
		for width := 1; width <= 4; width++ {
			for question := range uint64(6) {
				cfg := Config{Method: DVTS, Width: width, MaxSteps: 6, MaxNewTokens: 30, Seed: 5, Question: question, Rule: Delimiters{"\n"}}
				cfg.Sample.Temperature = 1
				prompt := promptIDs[question:]
				got, want := mustRun(t, m, prompt, cfg), plainDVTS(prompt, cfg)
				var done []Answer
				for _, a := range got.Answers {
					if a.Finished {
						done = append(done, a)
					}
				}
				if len(done) != len(want) {
					t.Errorf("B=%d question %d: %d answers, want %d", width, question, len(done), len(want))
					continue
				}
				for i, w := range want {
					if !slices.Equal(done[i].IDs, w.ids) || done[i].Value != w.value {
						t.Errorf("B=%d question %d answer %d: %+v, want %+v", width, question, i, done[i], w)
					}
					found++
				}
			}
		}
		if found < 20 {
			t.Errorf("only %d answers compared", found)
		}
	})
}

// plainAnswers draws whole answers one by one and values each at its step ends.
func plainAnswers(prompt []int, cfg Config) (answers []Answer) {
	for i := range cfg.Width {
		s := sample.New(cfg.Sample, sample.Rand(cfg.Seed, cfg.Question, uint64(i), 1))
		var a Answer
		value := func() {
			a.Values = append(a.Values, float64(criticAnswer(slices.Concat(prompt, a.IDs))[0]))
		}
		for len(a.IDs) < cfg.MaxNewTokens {
			id, _, err := s.Pick(policyAnswer(slices.Concat(prompt, a.IDs)))
			if err != nil {
				panic(err)
			}
			if id == end {
				a.Finished = true
				break
			}
			a.IDs = append(a.IDs, id)
			if words[id] == "\n" {
				value()
			}
		}
		if len(a.IDs) == 0 || words[a.IDs[len(a.IDs)-1]] != "\n" {
			value()
		}
		a.Text = text(a.IDs)
		if a.Finished {
			a.IDs = append(a.IDs, end)
		}
		switch cfg.Aggregate {
		case Min:
			a.Value = slices.Min(a.Values)
		case Mean:
			for _, v := range a.Values {
				a.Value += v / float64(len(a.Values))
			}
		default:
			a.Value = a.Values[len(a.Values)-1]
		}
		answers = append(answers, a)
	}
	return answers
}

// Best-of-N with more answers than rows, by each aggregate.
func TestBestOfNEqualsPlain(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		for _, by := range []Aggregate{Last, Min, Mean} {
			for question := range uint64(4) {
				cfg := Config{Method: BestOfN, Width: 70, MaxNewTokens: 40, Seed: 3, Question: question, Aggregate: by, Rule: Delimiters{"\n"}}
				cfg.Sample.Temperature = 1
				got := mustRun(t, m, promptIDs, cfg)
				want := map[string]Answer{}
				draws := 0
				for _, a := range plainAnswers(promptIDs, cfg) {
					want[string(toBytes(a.IDs))] = a
					draws++
				}
				last := math.Inf(1)
				for i, a := range got.Answers {
					w, ok := want[string(toBytes(a.IDs))]
					if !ok || math.Abs(a.Value-w.Value) > 1e-12 || !slices.Equal(a.Values, w.Values) || a.Text != w.Text || a.Finished != w.Finished {
						t.Fatalf("%s: answer %d is %+v, want %+v", by, i, a, w)
					}
					if a.Finished {
						if a.Value > last {
							t.Errorf("%s: answer %d is better than the one before", by, i)
						}
						last = a.Value
					}
					draws -= a.Copies
				}
				if draws != 0 || len(got.Answers) != len(want) || got.Reason != Complete {
					t.Errorf("%s: %d answers (%s), want %d; %d draws are missing", by, len(got.Answers), got.Reason, len(want), draws)
				}
			}
		}
	})
}

func toBytes(ids []int) []byte {
	out := make([]byte, len(ids))
	for i, id := range ids {
		out[i] = byte(id)
	}
	return out
}

// first is what an answer says in the tests of votes: its first digit.
func first(text string) string {
	if text == "" {
		return ""
	}
	return text[:1]
}

func TestVotes(t *testing.T) {
	m, _ := models(t, policyAnswer, criticAnswer)
	for _, choice := range []Choice{Majority, Weighted} {
		cfg := Config{Method: BestOfN, Width: 40, MaxNewTokens: 60, Choice: choice, Says: first, Rule: Delimiters{"\n"}}
		cfg.Sample.Temperature = 1
		got := mustRun(t, m, promptIDs, cfg)
		weights := map[string]float64{}
		for _, a := range plainAnswers(promptIDs, cfg) {
			if a.Finished && a.Text != "" {
				if choice == Majority {
					weights[first(a.Text)]++
				} else {
					weights[first(a.Text)] += a.Value
				}
			}
		}
		if len(got.Votes) != len(weights) || len(weights) < 2 {
			t.Fatalf("%s: votes %+v, want %v", choice, got.Votes, weights)
		}
		last := math.Inf(1)
		for _, v := range got.Votes {
			if math.Abs(v.Weight-weights[v.Says]) > 1e-9 || v.Weight > last {
				t.Errorf("%s: %+v, want weight %v and order", choice, got.Votes, weights)
			}
			last = v.Weight
		}
		best := got.Best()
		if best.Says != got.Votes[0].Says {
			t.Errorf("%s: the first answer says %q, the vote %q", choice, best.Says, got.Votes[0].Says)
		}
		for _, a := range got.Answers {
			if a.Says == best.Says && a.Value > best.Value {
				t.Errorf("%s: %+v is better than %+v", choice, a, best)
			}
		}
	}
	// A majority needs no critic.
	alone := m
	alone.Critic = nil
	cfg := Config{Method: BestOfN, Width: 40, MaxNewTokens: 60, Choice: Majority, Says: first}
	cfg.Sample.Temperature = 1
	with, without := mustRun(t, m, promptIDs, cfg), mustRun(t, alone, promptIDs, cfg)
	byName := func(v []Vote) map[string]int {
		out := map[string]int{}
		for _, x := range v {
			out[x.Says] = x.Copies
		}
		return out
	}
	if !reflect.DeepEqual(byName(with.Votes), byName(without.Votes)) || !without.Best().Unvalued {
		t.Errorf("without critic %+v, with one %+v", without.Votes, with.Votes)
	}
}

func TestTokenBudget(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		for _, method := range []Method{Beam, DVTS, BestOfN} {
			for budget := 1; budget < 400; budget += 13 {
				cfg := Config{Method: method, Width: 3, MaxNewTokens: 60, Budget: Budget{Tokens: budget}, Rule: Delimiters{"\n"}}
				got := mustRun(t, m, promptIDs, cfg)
				if got.Tokens > budget {
					t.Errorf("%s: %d tokens drawn of %d", method, got.Tokens, budget)
				}
				if got.Reason == Tokens && got.Tokens < budget-3*3*60 || got.Reason == "" {
					t.Errorf("%s: stopped (%s) at %d tokens of %d", method, got.Reason, got.Tokens, budget)
				}
				if budget >= 9 && len(got.Answers) == 0 {
					t.Errorf("%s: no answer from %d tokens", method, budget)
				}
				if again := mustRun(t, m, promptIDs, cfg); !reflect.DeepEqual(got, again) {
					t.Errorf("%s: a budget of %d tokens gives different results", method, budget)
				}
			}
			whole := mustRun(t, m, promptIDs, Config{Method: method, Width: 3, MaxNewTokens: 60, Rule: Delimiters{"\n"}})
			ample := mustRun(t, m, promptIDs, Config{Method: method, Width: 3, MaxNewTokens: 60, Rule: Delimiters{"\n"}, Budget: Budget{Tokens: 1 << 20, Time: time.Hour}})
			if !reflect.DeepEqual(whole, ample) || whole.Reason == Tokens {
				t.Errorf("%s: an ample budget changes the result: %+v, want %+v", method, ample, whole)
			}
		}
	})
}

// valid checks what every result promises, whenever it was stopped.
func valid(t *testing.T, r *Result) {
	t.Helper()
	unfinished := false
	last := math.Inf(1)
	for i, a := range r.Answers {
		ids := a.IDs
		if n := len(ids); n > 0 && ids[n-1] == end {
			ids = ids[:n-1]
		}
		if a.Text != text(ids) || len(a.IDs) == 0 {
			t.Errorf("answer %d: text %q of tokens %v", i, a.Text, a.IDs)
		}
		if a.Unvalued {
			continue
		}
		if want := float64(criticAnswer(slices.Concat(promptIDs, ids))[0]); a.Value != want {
			t.Errorf("answer %d: value %v, want %v", i, a.Value, want)
		}
		if a.Finished && unfinished {
			t.Errorf("answer %d is finished, behind one that is not", i)
		}
		if a.Finished != !unfinished {
			unfinished, last = true, math.Inf(1)
		}
		if a.Value > last {
			t.Errorf("answer %d has more value than the one before", i)
		}
		last = a.Value
	}
}

func TestAnytime(t *testing.T) {
	slow := func(prefix []int) []float32 { time.Sleep(10 * time.Microsecond); return policyAnswer(prefix) }
	bothWays(t, slow, criticAnswer, func(t *testing.T, m Models, fake *enginetest.Fake) {
		rng := rand.New(rand.NewPCG(1, 1))
		reasons := map[Reason]int{}
		empty := 0
		times := 150
		if os.Getenv("OREO_LONG") != "" {
			times = 1000
		}
		for i := range times {
			cfg := Config{Method: []Method{Beam, DVTS, BestOfN}[i%3], Width: 3, MaxSteps: 8, MaxNewTokens: 60, Rule: Delimiters{"\n"}, Question: uint64(i)}
			ctx, cancel := context.WithCancel(context.Background())
			limit := time.Duration(rng.IntN(5000)) * time.Microsecond
			if i%2 == 0 {
				cfg.Budget.Time = limit + 1
			} else {
				time.AfterFunc(limit, cancel)
			}
			got, err := Run(ctx, m, promptIDs, cfg)
			cancel()
			if got == nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				continue // it was still waiting for room
			}
			if (got.Reason == Cancelled) != errors.Is(err, context.Canceled) || got.Reason != Cancelled && err != nil {
				t.Errorf("reason %q with error %v", got.Reason, err)
			}
			valid(t, got)
			reasons[got.Reason]++
			if len(got.Answers) == 0 {
				empty++
			}
		}
		m.Policy.Stats() // behind the last Free
		if fake.Held() != 0 {
			t.Error("rows are still held")
		}
		t.Logf("%v, %d without any token", reasons, empty)
		if reasons[Time] == 0 || reasons[Cancelled] == 0 {
			t.Errorf("the test says little: %v", reasons)
		}
	})
}

func TestStopTextsEndAnswers(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		for _, method := range []Method{Beam, BestOfN} {
			stopped := 0
			for q := range uint64(20) {
				cfg := Config{Method: method, Width: 3, MaxSteps: 20, MaxNewTokens: 40, Question: q, Rule: Delimiters{"\n"}, Stop: []string{"\n7", "x9", ""}}
				for _, a := range mustRun(t, m, promptIDs, cfg).Answers {
					if strings.Contains(a.Text, "\n7") || strings.Contains(a.Text, "x9") {
						t.Errorf("%s: %q goes on behind a stop text", method, a.Text)
					}
					all := text(a.IDs)
					if all == a.Text {
						continue
					}
					stopped++
					rest := strings.TrimPrefix(all, a.Text)
					if !a.Finished || rest != "\n7" && rest != "x9" {
						t.Errorf("%s: %q of %q", method, a.Text, all)
					}
				}
			}
			if stopped == 0 {
				t.Errorf("%s: nothing was stopped", method)
			}
		}
	})
}

// evens allows tokens whose place and name are both even, and ends after ten.
type evens struct{ n int }

func (e *evens) Allowed() []uint64 { return []uint64{1<<0 | 1<<2 | 1<<4 | 1<<6 | 1<<8 | 1<<10} }
func (e *evens) Accept(int)        { e.n++ }
func (e *evens) Complete() bool    { return e.n >= 10 }

func TestConstraintHoldsAcrossSteps(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		for _, method := range []Method{Beam, DVTS, BestOfN} {
			cfg := Config{Method: method, Width: 3, Rule: Delimiters{"\n"}, Constraint: func() sample.Constraint { return &evens{} }}
			for _, a := range mustRun(t, m, promptIDs, cfg).Answers {
				if strings.ContainsAny(a.Text, "13579x") || a.Finished != (len(a.IDs) == 10) || len(a.IDs) > 10 {
					t.Errorf("%s: %+v", method, a)
				}
			}
		}
	})
}

// A root that is asked again runs what is new alone, and answers as a fresh one.
func TestRootIsReused(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		lease, err := m.Reserve(context.Background(), 4)
		if err != nil {
			t.Fatal(err)
		}
		defer lease.Close()
		root := NewRoot(m)
		defer root.Close()
		prompt := slices.Clone(promptIDs)
		cfg := Config{Method: BestOfN, Width: 4, MaxNewTokens: 12}
		for turn := range uint64(5) {
			cfg.Question = turn
			before := m.Policy.Stats().Tokens
			got, err := root.Search(context.Background(), prompt, cfg, 4)
			if err != nil {
				t.Fatal(err)
			}
			ran := m.Policy.Stats().Tokens - before
			if want := mustRun(t, m, prompt, cfg); !reflect.DeepEqual(got, want) {
				t.Errorf("turn %d: %+v, want %+v", turn, got, want)
			}
			if turn > 0 && ran > got.Tokens+4+6 {
				t.Errorf("turn %d: %d tokens run for %d drawn and 4 new ones", turn, ran, got.Tokens)
			}
			prompt = slices.Concat(prompt, got.Best().IDs, []int{1, 10, 2, 10})
			if n := len(prompt); n > 150 {
				t.Fatalf("%d tokens", n)
			}
		}
		if _, err := root.Search(context.Background(), prompt, Config{Width: 3, Rule: Delimiters{"\n"}}, 4); err == nil {
			t.Error("a beam search of 9 rows ran in 4")
		}
	})
}

// Many searches of all methods at once, in more rows than there are.
func TestMethodsShareEngines(t *testing.T) {
	bothWays(t, policyAnswer, criticAnswer, func(t *testing.T, m Models, _ *enginetest.Fake) {
		var wg sync.WaitGroup
		for i := range 30 {
			cfg := Config{Method: []Method{Beam, DVTS, BestOfN}[i%3], Width: 2 + i%4, MaxNewTokens: 30, Question: uint64(i), Rule: Delimiters{"\n"}}
			wg.Go(func() {
				got, err := Run(context.Background(), m, promptIDs, cfg)
				if err != nil {
					t.Error(err)
					return
				}
				alone, err := Run(context.Background(), m, promptIDs, cfg)
				if err != nil || !reflect.DeepEqual(got, alone) {
					t.Errorf("%s: %+v, then %+v, %v", cfg.Method, got, alone, err)
				}
			})
		}
		wg.Wait()
	})
}
