package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/model"
)

// exported returns artifacts for the test; the model is the same every time.
func exported(t testing.TB, head model.Head) string {
	t.Helper()
	tiny.Library(t)
	dir, _ := tiny.Artifact(t, model.Qwen2, head, 1)
	return dir
}

// run runs the program with arguments and returns what it printed.
func run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	app := newApp()
	var out bytes.Buffer
	app.Writer, app.ErrWriter = &out, &out
	err := app.RunContext(t.Context(), append([]string{"oreo-run"}, args...))
	return out.String(), err
}

func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	out, err := run(t, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

func writeLines(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

type generated struct {
	Text     string    `json:"text"`
	TokenIDs []int     `json:"token_ids"`
	LogProbs []float64 `json:"logprobs"`
}

// Greedy tokens, their log-probabilities and the critic's values against the
// exporter's plain forward pass in float64 over the whole text.
func TestGenerateAndScoreAgainstReference(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []model.Arch{model.Qwen2, model.Llama, model.MiniCPM} {
		policy, source := tiny.Artifact(t, arch, model.LMHead, 1)
		for _, prompt := range []string{"3", "Ann has 3 apples", "été 你好\n", strings.Repeat("17-5=12\n", 8)} {
			var got generated
			decodeJSON(t, mustRun(t, "generate", "--model", policy, "--prompt", prompt, "--max-new-tokens", "12", "--temperature", "0", "--json"), &got)
			want, logProbs := referenceGreedy(t, source, prompt, 12)
			if !slices.Equal(got.TokenIDs, want) {
				t.Errorf("%s %q: tokens %v, want %v", arch, prompt, got.TokenIDs, want)
				continue
			}
			closeTo(t, fmt.Sprintf("%s %q log-probabilities", arch, prompt), got.LogProbs, logProbs)
		}
		critic, source := tiny.Artifact(t, arch, model.ValueHead, 2)
		in := writeLines(t, `{"text":"3+14=17\n"}`, `{"prompt":"Ann has 3","response":" apples"}`)
		lines := strings.Split(strings.TrimSpace(mustRun(t, "score", "--model", critic, "--json", "--in", in)), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines scored, want 2", len(lines))
		}
		for _, line := range lines {
			var got struct {
				Values   []float64 `json:"values"`
				TokenIDs []int     `json:"token_ids"`
			}
			decodeJSON(t, line, &got)
			closeTo(t, string(arch)+" values", got.Values, referenceValues(t, source, got.TokenIDs))
		}
	}
}

func decodeJSON(t testing.TB, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

func closeTo(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-4) {
			t.Errorf("%s: number %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// Samples do not depend on what else is in the batch, nor on its size.
func TestSamplesDoNotDependOnTheBatch(t *testing.T) {
	dir := exported(t, model.LMHead)
	cfg := runtime.GenerateConfig{MaxNewTokens: 30, Seed: 7, Question: 3}
	cfg.Temperature = 1
	prompt := runtime.Text("Tom sells 5 pens")
	var want []runtime.Completion
	for _, opt := range []runtime.Options{{}, {MaxRows: 3}, {MaxRows: 1}, {Chunk: 2}} {
		p, err := runtime.OpenPolicy(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		if opt.MaxRows == 0 {
			wg.Go(func() { // company in the batch
				for i := uint64(0); ; i++ {
					select {
					case <-stop:
						return
					default:
						other := cfg
						other.Question = 100 + i
						if _, err := p.Sample(context.Background(), runtime.Text("Ann"), 1+int(i%3), other); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		got, err := p.Sample(context.Background(), prompt, 8, cfg)
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		for i := range want {
			if !slices.Equal(got[i].IDs, want[i].IDs) || got[i].Text != want[i].Text {
				t.Errorf("%+v: sample %d is %q, want %q", opt, i, got[i].Text, want[i].Text)
			}
		}
		if slices.Equal(want[0].IDs, want[1].IDs) {
			t.Error("two samples are the same")
		}
		short := cfg
		short.MaxNewTokens = 1
		if one, err := p.Sample(context.Background(), prompt, 4, short); err != nil || one[3].IDs[0] != want[3].IDs[0] {
			t.Errorf("%+v: samples of one token: %+v, %v", opt, one, err)
		}
		if _, err := p.Sample(context.Background(), prompt, -1, cfg); err == nil {
			t.Error("-1 samples were drawn")
		}
		p.Close()
	}
}

func TestGenerateStreams(t *testing.T) {
	p, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cfg := runtime.GenerateConfig{MaxNewTokens: 20, Seed: 1}
	cfg.Temperature = 1.5
	whole, err := p.Sample(context.Background(), runtime.Text("Ann"), 1, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var last runtime.Token
	n := 0
	for token, err := range p.Generate(context.Background(), runtime.Text("Ann"), cfg) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(token.Text)
		last = token
		n++
	}
	if text.String() != whole[0].Text || n != len(whole[0].IDs) || last.Finish != whole[0].Finish {
		t.Errorf("streamed %q (%d tokens, %q), want %q", text.String(), n, last.Finish, whole[0].Text)
	}
	stop := cfg
	stop.Stop = []string{whole[0].Text[2:5]}
	cut, err := p.Sample(context.Background(), runtime.Text("Ann"), 1, stop)
	if err != nil || cut[0].Finish != runtime.FinishStop || cut[0].Text != whole[0].Text[:strings.Index(whole[0].Text, stop.Stop[0])] {
		t.Errorf("stopped at %q: %+v, %v", stop.Stop[0], cut, err)
	}
	for range p.Generate(context.Background(), runtime.Text("Ann"), cfg) {
		break // leaving early must not hang or leak a row
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range p.Generate(ctx, runtime.Text("Ann"), cfg) {
		if err == nil {
			t.Error("a cancelled context generates")
		}
	}
}

// Models are opened and closed in any order, several at once; the library comes
// and goes with the first and the last.
func TestOpenAndClose(t *testing.T) {
	policy, critic := exported(t, model.LMHead), exported(t, model.ValueHead)
	cycle := func() {
		p, err := runtime.OpenPolicy(policy, runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := runtime.OpenValue(critic, runtime.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := v.Score(t.Context(), runtime.Text("1+1"), ""); err != nil {
			t.Error(err)
		}
		if _, err := p.Sample(t.Context(), runtime.Text("1+1"), 1, runtime.GenerateConfig{}); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("a closed model answers: %v", err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(cycle)
	}
	wg.Wait()
	before := residentKB(t)
	for range 30 {
		cycle()
	}
	if grown := residentKB(t) - before; grown > 16<<10 {
		t.Errorf("30 times open and close took %d KiB more", grown)
	}
}

// Calls that are cancelled at random moments leave no row behind, and those
// beside them are not disturbed.
func TestCancelAnywhere(t *testing.T) {
	policy, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{MaxRows: 12})
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	critic, err := runtime.OpenValue(exported(t, model.ValueHead), runtime.Options{MaxRows: 12})
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Close()
	cfg := runtime.GenerateConfig{MaxNewTokens: 60}
	cfg.Temperature = 1
	search := runtime.SearchConfig{Width: 3, MaxSteps: 4, MaxNewTokens: 60}
	want, err := runtime.Search(t.Context(), policy, critic, runtime.Text("Ann"), search)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20000))*time.Microsecond)
				var err error
				if rng.IntN(2) == 0 {
					_, err = policy.Sample(ctx, runtime.Text("Tom"), 1+rng.IntN(12), cfg)
				} else {
					_, err = runtime.Search(ctx, policy, critic, runtime.Text("Tom"), search)
				}
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			}
		})
	}
	beside, err := runtime.Search(t.Context(), policy, critic, runtime.Text("Ann"), search)
	if err != nil || beside.Best().Text != want.Best().Text {
		t.Errorf("beside others %+v, want %+v, %v", beside, want, err)
	}
	wg.Wait()
	if _, err := policy.Sample(t.Context(), runtime.Text("Tom"), 12, cfg); err != nil {
		t.Error(err)
	}
}

// Memory stays flat over many generations of many lengths.
func TestMemoryIsFlat(t *testing.T) {
	p, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	generate := func(from, to int) {
		for i := from; i < to; i++ {
			cfg := runtime.GenerateConfig{MaxNewTokens: 1 + i*37%90, Seed: uint64(i)}
			cfg.Temperature = 1
			prompt := strings.Repeat("3+14=17\n", 1+i%7)
			if _, err := p.Sample(context.Background(), runtime.Text(prompt), 1+i%4, cfg); err != nil {
				t.Fatal(err)
			}
		}
	}
	generate(0, 100)
	before := residentKB(t)
	generate(100, 600)
	if grown := residentKB(t) - before; grown > 16<<10 {
		t.Errorf("500 generations took %d KiB more", grown)
	}
}

// residentKB is the process's resident memory after a collection.
func residentKB(t *testing.T) int {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("needs /proc")
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("no VmRSS")
	return 0
}
