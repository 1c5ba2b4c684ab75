package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/search"
)

// long skips what takes minutes.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("OREO_LONG") == "" {
		t.Skip("takes minutes: set OREO_LONG=1")
	}
}

// handles are the files that the process has open.
func handles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(entries)
}

func openPair(t *testing.T, rows int) (*runtime.Policy, *runtime.Value) {
	t.Helper()
	policy, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{MaxRows: rows})
	if err != nil {
		t.Fatal(err)
	}
	critic, err := runtime.OpenValue(exported(t, model.ValueHead), runtime.Options{MaxRows: rows})
	if err != nil {
		t.Fatal(err)
	}
	return policy, critic
}

// randomSearch is a search of random method and size.
func randomSearch(rng *rand.Rand) (prompt runtime.Prompt, cfg runtime.SearchConfig) {
	cfg = runtime.SearchConfig{
		Method: []search.Method{search.Beam, search.DVTS, search.BestOfN}[rng.IntN(3)], Width: 1 + rng.IntN(4),
		MaxSteps: 1 + rng.IntN(6), MaxNewTokens: 1 + rng.IntN(90), Seed: rng.Uint64(),
	}
	if rng.IntN(4) == 0 {
		cfg.Budget.Tokens = 16 + rng.IntN(200)
	}
	return runtime.Text(strings.Repeat("Tom sells 5 pens.\n", 1+rng.IntN(6))), cfg
}

// 10,000 generations and 1,000 searches of random sizes: memory stays flat, and
// nothing is left open or running.
func TestSoak(t *testing.T) {
	long(t)
	goroutines := goruntime.NumGoroutine()
	policy, critic := openPair(t, 16)
	opened := handles(t)
	rng := rand.New(rand.NewPCG(1, 1))
	generate := func() {
		cfg := runtime.GenerateConfig{MaxNewTokens: 1 + rng.IntN(60), Seed: rng.Uint64()}
		cfg.Temperature = 1
		if rng.IntN(8) == 0 {
			var err error
			if cfg.Grammar, err = policy.Regexp(`[0-9]{1,9}`); err != nil {
				t.Fatal(err)
			}
		}
		prompt := runtime.Text(strings.Repeat("3+14=17\n", 1+rng.IntN(16)))
		if _, err := policy.Sample(t.Context(), prompt, 1+rng.IntN(4), cfg); err != nil {
			t.Fatal(err)
		}
	}
	find := func() {
		prompt, cfg := randomSearch(rng)
		if _, err := runtime.Search(t.Context(), policy, critic, prompt, cfg); err != nil {
			t.Fatal(err)
		}
	}
	var resident []int
	for i := range 11_000 {
		if i%11 == 10 {
			find()
		} else {
			generate()
		}
		if i%1000 == 999 {
			resident = append(resident, residentKB(t))
		}
	}
	t.Logf("resident KiB after each thousand: %v", resident)
	if grown := resident[len(resident)-1] - resident[0]; grown > 16<<10 {
		t.Errorf("10,000 calls took %d KiB more", grown)
	}
	if now := handles(t); now > opened {
		t.Errorf("%d files open, %d before", now, opened)
	}
	policy.Close()
	critic.Close()
	settle(t, goroutines)
}

// settle waits for goroutines that are about to end.
func settle(t *testing.T, want int) {
	t.Helper()
	for range 100 {
		if goruntime.NumGoroutine() <= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", goruntime.NumGoroutine(), want)
}

// Cancelled at 1,000 random moments, four at a time: no row, goroutine or memory
// is lost, and the answers so far are what the models say of them.
func TestCancelSoak(t *testing.T) {
	long(t)
	goroutines := goruntime.NumGoroutine()
	policy, critic := openPair(t, 24)
	var mu sync.Mutex
	cancelled, whole, partial := 0, 0, 0
	check := func(r *runtime.SearchResult) {
		for _, a := range r.Answers {
			if len(a.IDs) == 0 {
				t.Error("an answer without a token")
			}
			mu.Lock()
			partial++
			mu.Unlock()
			// Bytes of a character that is not whole yet are no text.
			if got := policy.Tokenizer().Decode(a.IDs, true); strings.TrimRight(got, "\ufffd") != strings.TrimRight(a.Text, "\ufffd") {
				t.Errorf("text %q of tokens that say %q", a.Text, got)
			}
		}
	}
	var wg sync.WaitGroup
	var resident []int
	for worker := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 2))
			for i := range 250 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(400_000))*time.Microsecond)
				var err error
				if i%3 == 0 {
					cfg := runtime.GenerateConfig{MaxNewTokens: 60, Seed: rng.Uint64()}
					cfg.Temperature = 1
					_, err = policy.Sample(ctx, runtime.Text("Tom"), 1+rng.IntN(12), cfg)
				} else {
					prompt, cfg := randomSearch(rng)
					var r *runtime.SearchResult
					if r, err = runtime.Search(ctx, policy, critic, prompt, cfg); r != nil {
						check(r)
						if (r.Reason == search.Cancelled) != (err != nil) {
							t.Errorf("reason %q with error %v", r.Reason, err)
						}
					}
				}
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				mu.Lock()
				if err != nil {
					cancelled++
				} else {
					whole++
				}
				mu.Unlock()
				if worker == 0 && i%50 == 49 {
					mu.Lock()
					resident = append(resident, residentKB(t))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d cancelled, %d whole, %d answers checked, resident KiB %v", cancelled, whole, partial, resident)
	if grown := resident[len(resident)-1] - resident[0]; grown > 16<<10 {
		t.Errorf("%d KiB more", grown)
	}
	if cancelled < 100 || partial < 20 {
		t.Errorf("%d of 1,000 were cancelled, %d answers checked: the test says little", cancelled, partial)
	}
	cfg := runtime.GenerateConfig{MaxNewTokens: 4}
	if _, err := policy.Sample(t.Context(), runtime.Text("Tom"), 24, cfg); err != nil {
		t.Error(err) // all rows are free
	}
	policy.Close()
	critic.Close()
	settle(t, goroutines)
}
