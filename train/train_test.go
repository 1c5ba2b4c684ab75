package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
	"github.com/oreo-go/oreo/train/torch"
)

// quiet is a UI that says nothing and may cancel the run after some updates.
type quiet struct {
	cancel context.CancelFunc
	after  int
}

func (q *quiet) Progress(step, _ int, _ string) {
	if q.cancel != nil && step == q.after {
		q.cancel()
	}
}
func (q *quiet) Notef(string, ...any) {}

// records writes n small sums as records, right ones and wrong ones.
func records(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records.jsonl")
	w, err := jsonl.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		reward := float64(i % 2)
		answer := i%7 + i%5 + 1 - i%2
		text := fmt.Sprintf("%d and %d\n", i%7, i%5)
		if i%3 == 0 {
			text += "make\n"
		}
		if err := w.Write(traj.Record{Prompt: fmt.Sprintf("sum of %d and %d?\n", i%7, i%5), Response: fmt.Sprintf("%s%d", text, answer), Reward: &reward}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// tiny makes a small model for the records.
func tiny(t *testing.T, data string) string {
	t.Helper()
	return tinySeed(t, data, 0)
}

func tinySeed(t *testing.T, data string, seed uint64) string {
	t.Helper()
	cfg := DefaultInit()
	cfg.Out, cfg.Data = filepath.Join(t.TempDir(), "tiny"), []string{data}
	cfg.Vocab, cfg.Hidden, cfg.Intermediate, cfg.Layers, cfg.Heads, cfg.KVHeads, cfg.MaxPositions = 300, 16, 24, 2, 2, 1, 64
	cfg.Seed = seed
	if _, err := Init(cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Out
}

func small(t *testing.T, model, data, out string) OREOConfig {
	cfg := DefaultOREO()
	cfg.Model, cfg.Data, cfg.Out = model, []string{data}, out
	cfg.BatchSize, cfg.Epochs, cfg.LR, cfg.CriticLR, cfg.Device, cfg.Threads, cfg.SaveEvery = 8, 2, 1e-3, 1e-3, "cpu", 1, 0
	cfg.WeightDecay = 0.1
	return cfg
}

// TestMemoryIsFlat: no tensor handle stays behind an update, and the resident
// set does not grow over 500 of them.
func TestMemoryIsFlat(t *testing.T) {
	data := records(t, 40)
	model := tiny(t, data)
	before := torch.Live()
	cfg := small(t, model, data, filepath.Join(t.TempDir(), "flat"))
	cfg.Epochs = 100
	probe := &memoryProbe{}
	if err := OREO(context.Background(), cfg, probe); err != nil {
		t.Fatal(err)
	}
	if torch.Live() != before {
		t.Errorf("%d tensor handles left after the run", torch.Live()-before)
	}
	first, last := probe.at[100], probe.at[500]
	if first.live != last.live {
		t.Errorf("%d tensor handles at update 100, %d at 500", first.live, last.live)
	}
	if grown := last.rss - first.rss; grown > 16<<20 {
		t.Errorf("the resident set grew by %d MiB from update 100 to 500", grown>>20)
	}
	t.Logf("update 100: %+v, update 500: %+v", first, last)
}

type memoryProbe struct {
	quiet
	at map[int]memory
}

type memory struct {
	live int
	rss  int64
}

func (p *memoryProbe) Progress(step, _ int, _ string) {
	if step%100 == 0 {
		if p.at == nil {
			p.at = map[int]memory{}
		}
		runtime.GC()
		p.at[step] = memory{torch.Live(), residentSet()}
	}
}

func residentSet() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	_, _ = fmt.Sscan(string(text), &size, &resident) // 0 where the file has another form
	return resident * int64(os.Getpagesize())
}

// TestAnotherRunInTheFolder: a folder with a run of another configuration is an
// error that names the difference; a finished run is left alone.
func TestAnotherRunInTheFolder(t *testing.T) {
	data := records(t, 16)
	cfg := small(t, tiny(t, data), data, filepath.Join(t.TempDir(), "run"))
	if err := OREO(context.Background(), cfg, &quiet{}); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(cfg.Out, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := OREO(context.Background(), cfg, &quiet{}); err != nil {
		t.Errorf("a finished run: %v", err)
	}
	if after, _ := os.Stat(filepath.Join(cfg.Out, "model.safetensors")); !after.ModTime().Equal(before.ModTime()) {
		t.Error("the finished run was written again")
	}
	cfg.Beta = 0.5
	if err := OREO(context.Background(), cfg, &quiet{}); err == nil || !strings.Contains(err.Error(), "Beta (0.03, now 0.5)") {
		t.Errorf("another beta: %v", err)
	}
}

func TestSFTLearns(t *testing.T) {
	data := records(t, 40)
	cfg := DefaultSFT()
	cfg.Model, cfg.Data, cfg.Out = tiny(t, data), []string{data}, filepath.Join(t.TempDir(), "sft")
	cfg.BatchSize, cfg.Epochs, cfg.LR, cfg.Device, cfg.Threads = 8, 20, 1e-2, "cpu", 1
	if err := SFT(context.Background(), cfg, &quiet{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(cfg.Out, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var first, last struct{ Loss float64 }
	if err := errors.Join(json.Unmarshal([]byte(lines[0]), &first), json.Unmarshal([]byte(lines[len(lines)-1]), &last)); err != nil {
		t.Fatal(err)
	}
	if last.Loss > first.Loss/3 {
		t.Errorf("loss went from %v to %v", first.Loss, last.Loss)
	}
}

// TestBadInput: each mistake of a user is an error that names the file and what is wrong.
func TestBadInput(t *testing.T) {
	data := records(t, 8)
	model := tiny(t, data)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.CopyFS(cut, os.DirFS(model)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(cut, "model.safetensors"), 5000); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*OREOConfig)
		want   string
	}{
		"empty data":     {func(c *OREOConfig) { c.Data = []string{write("")} }, "bad.jsonl"},
		"malformed line": {func(c *OREOConfig) { c.Data = []string{write("{\"prompt\":\"a\"\n")} }, "bad.jsonl:1: malformed JSON"},
		"no reward":      {func(c *OREOConfig) { c.Data = []string{write(`{"prompt":"a","response":"b"}`)} }, `"reward" is missing`},
		"empty response": {func(c *OREOConfig) { c.Data = []string{write(`{"prompt":"a","response":"","reward":1}`)} }, `"response" is missing or empty`},
		"too long": {func(c *OREOConfig) {
			c.Data = []string{write(fmt.Sprintf(`{"prompt":"a","response":%q,"reward":1}`, strings.Repeat("long ", 200)))}
		}, "over the limit"},
		"missing model": {func(c *OREOConfig) { c.Model = "no/such/folder" }, "no/such/folder/config.json"},
		"cut weights":   {func(c *OREOConfig) { c.Model = cut }, "cut short"},
		"device":        {func(c *OREOConfig) { c.Device = "cuda:77" }, `device "cuda:77"`},
	} {
		cfg := small(t, model, data, filepath.Join(t.TempDir(), "out"))
		c.change(&cfg)
		if err := OREO(context.Background(), cfg, &quiet{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestBadRecords: what each method cannot learn from is an error that names the
// record, the field and the way out.
func TestBadRecords(t *testing.T) {
	model := tiny(t, records(t, 8))
	const right, wrong = `{"prompt":"1 and 1","response":"2","reward":1}`, `{"prompt":"1 and 1","response":"3","reward":0}`
	for _, c := range []struct{ method, lines, want string }{
		{"dpo", `{"prompt":"1 and 1","chosen":"2"}`, `record 1: field "rejected" is missing or empty`},
		{"dpo", right, `field "chosen" is missing or empty`},
		{"dpo", `{"prompt":"1 and 1","chosen":"2","rejected":"2"}`, "no sequence to train on"},
		{"kto", `{"prompt":"1 and 1","response":"2"}`, `record 1: `},
		{"kto", right, "the only record"},
		{"rejection", wrong + "\n" + wrong, "none of 2 records has a reward of min_reward (1) or more"},
		{"rejection", `{"prompt":"1 and 1","response":"2"}`, `"reward" is missing`},
		{"oreo", right + "\n" + `{"conversations":[{"role":"user","content":"1"},{"role":"assistant","content":"2"}],"reward":1}`, "put them into two files"},
		{"oreo", `{"prompt":"1 and 1","response":"2","reward":"good"}`, "reward"},
		{"dqo", `{"prompt":"1 and 1","response":"2"}`, `"reward" is missing`},
	} {
		path := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(path, []byte(c.lines+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		shared := small(t, model, path, filepath.Join(t.TempDir(), "out")).Config
		dpo, kto, rejection, dqo, oreo := DefaultDPO(), DefaultKTO(), DefaultRejection(), DefaultDQO(), DefaultOREO()
		dpo.Config, kto.Config, rejection.Config, dqo.Config, oreo.Config = shared, shared, shared, shared, shared
		err := map[string]func() error{
			"dpo":       func() error { return DPO(context.Background(), dpo, &quiet{}) },
			"kto":       func() error { return KTO(context.Background(), kto, &quiet{}) },
			"rejection": func() error { return Rejection(context.Background(), rejection, &quiet{}) },
			"dqo":       func() error { return DQO(context.Background(), dqo, &quiet{}) },
			"oreo":      func() error { return OREO(context.Background(), oreo, &quiet{}) },
		}[c.method]()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "bad.jsonl") {
			t.Errorf("%s on %s: %v, want %q", c.method, c.lines, err, c.want)
		}
	}
}

// TestInitWithConversations: a model made from conversations has a chat template
// whose end token ends the model's turns.
func TestInitWithConversations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "talk.jsonl")
	const record = `{"conversations":[{"role":"user","content":"go"},{"role":"assistant","content":"I go"}],"reward":1}`
	if err := os.WriteFile(file, []byte(record+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := CheckData(&shown, tiny(t, file), []string{file}, 1, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"given | <|im_start|>user⏎", "step 1 | I go<|im_end|>"} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &shown)
		}
	}
}
