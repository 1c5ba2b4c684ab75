package main

import (
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/ort"
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
	goroutines, before := goruntime.NumGoroutine(), handles(t)
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
	flat(t, resident)
	if now := handles(t); now > opened {
		t.Errorf("%d files open, %d before", now, opened)
	}
	policy.Close()
	critic.Close()
	if now := handles(t); now > before {
		t.Errorf("%d files open after Close, %d before the models were opened", now, before)
	}
	settle(t, goroutines)
}

// What is done to rows in a device's memory leaves nothing behind there.
func TestDeviceCacheSoak(t *testing.T) {
	long(t)
	tiny.Library(t)
	source := tiny.Model(t, model.Qwen2, model.LMHead, 1)
	s := openSession(t, exportStandard(t, source, graph.FP32), ort.Options{DeviceCache: true})
	var resident []int
	for i := range 100 {
		wander(t, s)
		if i%10 == 9 {
			resident = append(resident, residentKB(t))
		}
	}
	flat(t, resident)
}

// flat checks that memory, in KiB along the way, stays what it was. With the race
// detector it does not, for the detector's own records.
func flat(t *testing.T, resident []int) {
	t.Helper()
	t.Logf("resident KiB: %v", resident)
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return
	}
	if grown := resident[len(resident)-1] - resident[0]; grown > 16<<10 {
		t.Errorf("%d KiB more at the end", grown)
	}
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
