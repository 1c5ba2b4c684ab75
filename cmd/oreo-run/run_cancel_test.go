package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/search"
)

// Cancelled at 1,000 random moments, four calls at a time: no row, goroutine or
// memory is lost, and what was reached lies on the way of the same call left alone.
func TestCancelSoak(t *testing.T) {
	long(t)
	goroutines := goruntime.NumGoroutine()
	policy, critic := openPair(t, 24)
	var workers [4]canceller
	var resident []int
	var wg sync.WaitGroup
	for i := range workers {
		c := &workers[i]
		*c = canceller{t: t, policy: policy, critic: critic, rng: rand.New(rand.NewPCG(uint64(i), 2))}
		wg.Go(func() {
			for c.cancelled < 250 && !t.Failed() {
				if c.rng.IntN(3) == 0 {
					c.sample()
				} else {
					c.search()
				}
				if i == 0 && c.cancelled/25 > len(resident) {
					resident = append(resident, residentKB(t))
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	cancelled, begun, tokens := 0, 0, 0
	for _, c := range workers {
		cancelled, begun, tokens = cancelled+c.cancelled, begun+c.begun, tokens+c.tokens
	}
	t.Logf("%d calls cancelled; %d answers of %d tokens compared", cancelled, begun, tokens)
	flat(t, resident)
	if cancelled < 1000 || begun < 1000 {
		t.Error("the test says little")
	}
	cfg := runtime.GenerateConfig{MaxNewTokens: 4}
	if _, err := policy.Sample(t.Context(), runtime.Text("Tom"), 24, cfg); err != nil {
		t.Error(err) // all rows are free
	}
	policy.Close()
	critic.Close()
	settle(t, goroutines)
}

// canceller runs calls twice: to their end, and to a random moment before it.
type canceller struct {
	t      *testing.T
	policy *runtime.Policy
	critic *runtime.Value
	rng    *rand.Rand

	cancelled     int // calls
	begun, tokens int // answers that they left, and their tokens
}

// twice runs call whole, and again with a context that ends at a random moment of
// the time that took. It tells whether the second was cancelled.
func (c *canceller) twice(call func(ctx context.Context, whole bool) error) bool {
	start := time.Now()
	if err := call(c.t.Context(), true); err != nil {
		c.t.Error(err)
		return false
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Duration(c.rng.Int64N(int64(time.Since(start)))))
	defer cancel()
	err := call(ctx, false)
	if err == nil {
		return false // it was faster this time
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		c.t.Error(err)
	}
	c.cancelled++
	return true
}

func (c *canceller) sample() {
	n := 1 + c.rng.IntN(12)
	cfg := runtime.GenerateConfig{MaxNewTokens: 1 + c.rng.IntN(80), Seed: c.rng.Uint64()}
	cfg.Temperature = 1
	var whole, part []runtime.Completion
	cancelled := c.twice(func(ctx context.Context, first bool) (err error) {
		to := &part
		if first {
			to = &whole
		}
		*to, err = c.policy.Sample(ctx, runtime.Text("Tom"), n, cfg)
		return err
	})
	if !cancelled {
		return
	}
	for i, p := range part {
		w := whole[i]
		if len(p.IDs) == 0 {
			continue
		}
		c.begun++
		c.tokens += len(p.IDs)
		if len(p.IDs) > len(w.IDs) || !slices.Equal(p.IDs, w.IDs[:len(p.IDs)]) || !strings.HasPrefix(w.Text, p.Text) {
			c.t.Errorf("sample %d: cancelled at %q %v, whole %q %v", i, p.Text, p.IDs, w.Text, w.IDs)
			return
		}
		for k, logProb := range p.LogProbs {
			if math.Abs(logProb-w.LogProbs[k]) > 1e-3 {
				c.t.Errorf("sample %d token %d: log-probability %v, whole %v", i, k, logProb, w.LogProbs[k])
			}
		}
		if complete := len(p.IDs) == len(w.IDs); complete != (p.Finish == w.Finish) || !complete && p.Finish != "" {
			c.t.Errorf("sample %d: %d tokens end by %q, %d by %q", i, len(p.IDs), p.Finish, len(w.IDs), w.Finish)
		}
	}
}

func (c *canceller) search() {
	prompt, cfg := randomSearch(c.rng)
	nodes := map[int]search.Node{}
	paths := map[int]string{}
	var part *runtime.SearchResult
	cancelled := c.twice(func(ctx context.Context, first bool) error {
		if first {
			cfg.Trace = func(n search.Node) {
				nodes[n.ID], paths[n.ID] = n, paths[n.Parent]+n.Text
			}
			_, err := runtime.Search(ctx, c.policy, c.critic, prompt, cfg)
			return err
		}
		cfg.Trace = nil
		r, err := runtime.Search(ctx, c.policy, c.critic, prompt, cfg)
		part = r
		return err
	})
	if !cancelled || part == nil { // it had to wait for rows
		return
	}
	if part.Reason != search.Cancelled {
		c.t.Errorf("reason %q", part.Reason)
	}
	for _, a := range part.Answers {
		if len(a.IDs) == 0 {
			c.t.Error("an answer without a token")
		}
		c.begun++
		c.tokens += len(a.IDs)
		// Bytes of a character that is not whole yet are no text.
		text := strings.TrimRight(a.Text, "\ufffd")
		if got := c.policy.Tokenizer().Decode(a.IDs, true); strings.TrimRight(got, "\ufffd") != text {
			c.t.Errorf("text %q of tokens that say %q", a.Text, got)
		}
		found := false
		for _, path := range paths {
			found = found || strings.HasPrefix(path, text)
		}
		if !found {
			c.t.Errorf("%s of width %d: %q is on no path of the whole search", cfg.Method, cfg.Width, a.Text)
		}
		if n := nodes[a.Node]; cfg.Method != search.BestOfN && a.Node > 0 && (n.Step != a.Steps || math.Abs(n.Value-a.Value) > 1e-3) {
			c.t.Errorf("node %d: step %d of value %v, whole: step %d of value %v", a.Node, a.Steps, a.Value, n.Step, n.Value)
		}
	}
}
