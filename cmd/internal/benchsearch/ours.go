package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/oreo-go/oreo/export"
	"github.com/oreo-go/oreo/export/graph"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/manifest"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/runtime/search"
)

// ours is this project's search on artifacts of its exporter.
type ours struct {
	policy       *runtime.Policy
	critic       *runtime.Value
	newline, eos []int
	program      string // what identifies it
}

// exportAll exports the model as policy, and as critic with a head of random
// numbers: which answers win counts for nothing here, but they must differ. What
// this very program has exported of this model before, it leaves.
func exportAll(ctx context.Context, c config, work, program string) error {
	mark := filepath.Join(work, "exported")
	files, err := filepath.Glob(filepath.Join(c.model, "*.safetensors"))
	if err != nil {
		return err
	}
	from, err := hashes(ctx, append(files, program, filepath.Join(c.model, "config.json"), filepath.Join(c.model, "tokenizer.json"))...)
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(mark); err == nil && string(text) == from {
		return nil
	}
	if err := os.Remove(mark); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // what it vouches for is about to be overwritten
	}
	source := filepath.Join(work, "critic-source")
	if err := makeCritic(c.model, source); err != nil {
		return err
	}
	for _, x := range []export.Config{
		{Kind: manifest.Policy, Model: c.model, Out: filepath.Join(work, "policy")},
		{Kind: manifest.Critic, Model: source, Out: filepath.Join(work, "critic")},
		{Kind: manifest.Policy, Model: c.model, Out: filepath.Join(work, "peer-policy"), Attention: graph.Standard},
		{Kind: manifest.Critic, Model: source, Out: filepath.Join(work, "peer-critic"), Attention: graph.Standard},
	} {
		x.Precision = graph.FP32
		if err := export.Run(ctx, x); err != nil {
			return err
		}
	}
	debug.FreeOSMemory() // the exporter's
	return os.WriteFile(mark, []byte(from), 0o644)
}

// openOurs exports what is to be compared and opens this project's part of it.
func openOurs(ctx context.Context, c config, work string) (*ours, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := exportAll(ctx, c, work, program); err != nil {
		return nil, err
	}
	opt := runtime.Options{Threads: c.threads}
	for _, width := range c.widths {
		opt.MaxRows = max(opt.MaxRows, 3*search.Rows(search.Beam, width)) // three questions at once and more
	}
	o := &ours{}
	files, err := hashes(ctx, program, filepath.Join(work, "policy", manifest.Name), filepath.Join(work, "critic", manifest.Name))
	if err != nil {
		return nil, err
	}
	o.program = fmt.Sprint(c.threads, opt.MaxRows, files)
	if o.policy, err = runtime.OpenPolicy(filepath.Join(work, "policy"), opt); err != nil {
		return nil, err
	}
	if o.critic, err = runtime.OpenValue(filepath.Join(work, "critic"), opt); err != nil {
		return nil, errors.Join(err, o.policy.Close())
	}
	config, err := model.LoadConfig(c.model)
	if err != nil {
		return nil, errors.Join(err, o.policy.Close(), o.critic.Close())
	}
	o.eos = config.EOS
	tok := o.policy.Tokenizer()
	for id := range tok.VocabSize() {
		if text, ok := tok.Bytes(id, false); ok && strings.Contains(text, "\n") {
			o.newline = append(o.newline, id)
		}
	}
	return o, nil
}

// makeCritic writes the model with a value head.
func makeCritic(from, to string) (err error) {
	config, err := model.LoadConfig(from)
	if err != nil {
		return err
	}
	weights, err := safetensors.OpenModel(from)
	if err != nil {
		return err
	}
	defer weights.Close()
	var tensors []safetensors.Tensor
	for _, p := range config.Params(model.ValueHead) {
		if p.Name == model.ValueHeadName {
			rng := rand.New(rand.NewPCG(1, 1))
			head := make([]float32, config.Hidden)
			for i := range head {
				head[i] = float32(rng.NormFloat64() / math.Sqrt(float64(config.Hidden)))
			}
			tensors = append(tensors, safetensors.Float32Tensor(p.Name, p.Shape, head))
			continue
		}
		t, err := weights.Get(p.Name)
		if err != nil {
			return err
		}
		tensors = append(tensors, t)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := safetensors.WriteModel(to, tensors); err != nil {
		return err
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("critic of %s: %w", from, err)
		}
	}
	return nil
}

func (o *ours) close() { _ = errors.Join(o.policy.Close(), o.critic.Close()) }

// tasks are the questions for a beam search of this width.
func (o *ours) tasks(questions []string, width int, c config) ([]task, error) {
	var tasks []task
	for q, text := range questions {
		ids, err := o.policy.Tokens(runtime.Chat(chat.Message{Role: "user", Content: text}))
		if err != nil {
			return nil, fmt.Errorf("question %d: %w", q+1, err)
		}
		tasks = append(tasks, task{
			Prompt: ids, Width: width, MaxSteps: c.steps, MaxNewTokens: c.tokens, Seed: 1, Question: uint64(q), Newline: o.newline, EOS: o.eos,
		})
	}
	return tasks, nil
}

// oneByOne and allAtOnce are the two ways ours takes questions.
type (
	oneByOne  struct{ *ours }
	allAtOnce struct{ *ours }
)

func (oneByOne) name() string  { return "oreo" }
func (allAtOnce) name() string { return "oreo, all at once" }

func (p oneByOne) identity() string  { return p.program }
func (p allAtOnce) identity() string { return p.program + " at once" }

func (oneByOne) atOnce() bool  { return false }
func (allAtOnce) atOnce() bool { return true }

// run answers tasks, those at once that have room.
func (o *ours) run(ctx context.Context, tasks []task) ([]answer, error) {
	start := cpuTime()
	answers := make([]answer, len(tasks))
	g, ctx := errgroup.WithContext(ctx)
	for i, t := range tasks {
		g.Go(func() error {
			text := o.policy.Tokenizer().Decode(t.Prompt, false)
			found, err := runtime.Search(ctx, o.policy, o.critic, runtime.Text(text), runtime.SearchConfig{
				Width: t.Width, MaxSteps: t.MaxSteps, MaxNewTokens: t.MaxNewTokens, Seed: t.Seed, Question: t.Question,
			})
			if err != nil {
				return err
			}
			best := found.Best()
			answers[i] = answer{IDs: best.IDs, Value: best.Value, Tokens: found.Tokens, Steps: found.Steps}
			return nil
		})
	}
	err := g.Wait()
	spent := (cpuTime() - start) / float64(len(tasks))
	for i := range answers {
		answers[i].CPU = spent
	}
	return answers, err
}

// cpuTime is what this process has used on all its threads, in seconds.
func cpuTime() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for a wrong pointer alone
	return float64(u.Utime.Nano()+u.Stime.Nano()) / float64(time.Second)
}
