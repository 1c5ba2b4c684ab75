package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/schedule"
	"github.com/oreo-go/oreo/train/torch"
	"github.com/oreo-go/oreo/train/track"
)

// UI is how a run shows itself to whoever started it.
type UI interface {
	Progress(step, total int, note string)
	Notef(format string, args ...any)
}

// ErrInterrupted is returned, wrapped, when the context ended a run after its
// state was saved: the same call goes on from there.
var ErrInterrupted = errors.New("interrupted")

// addSum adds share times the sum of x to a metric.
func addSum(m track.Metrics, name string, x *torch.Tensor, share float64) {
	m[name] += x.Detach().Sum().Item() * share
}

// run is what the methods share: models with their optimizers, the data and
// the loop over updates.
type run struct {
	Config
	method string
	full   any // the method's whole configuration
	ui     UI
	device torch.Device
	dtype  torch.DType // of matrix products and of the saved model

	tok     *tokenizer.Tokenizer
	loader  *data.Loader
	samples [][]int32 // tokens of two sequences, for recordReference
	stats   data.Stats
	last    track.Metrics // of the last update
	models  []*trained
	frozen  []*nn.Model
	step    int // updates done
	steps   int // updates of the whole run
	tracker *track.Tracker
}

// trained is a model with AdamW's moments.
type trained struct {
	*nn.Model
	folder    string // below the run's folder; "" for the policy
	lr        float64
	frozenFor int // updates at the start that leave it as it is
	groups    []group
}

// group is a set of parameters with one weight decay, and their moments.
type group struct {
	params, m, v []*torch.Tensor
	decay        float64
}

// start reads the data and sets up the device. full points to the method's
// configuration, of which c is the shared part.
func start(method string, full any, c Config, ui UI, needReward bool) (*run, error) {
	r := &run{Config: c, method: method, full: full, ui: ui, dtype: torch.Float32}
	var err error
	if r.device, err = torch.OpenDevice(c.Device); err != nil {
		return nil, err
	}
	if c.DType == "bfloat16" || (c.DType == "auto" && r.device.CUDA) {
		r.dtype = torch.BFloat16
	}
	seqs, err := r.read(needReward)
	if err != nil {
		return nil, err
	}
	r.loader, err = data.NewLoader(seqs, data.LoaderConfig{
		GlobalBatch: min(c.BatchSize, len(seqs)), MicroBatch: min(c.MicroBatch, c.BatchSize, len(seqs)), MicroTokens: c.MicroTokens, Seed: c.Seed})
	if err != nil {
		return nil, err
	}
	r.steps = c.Epochs * r.loader.UpdatesPerEpoch()
	if c.MaxSteps > 0 {
		r.steps = min(r.steps, c.MaxSteps)
	}
	// libtorch's allocator and its team of cores belong to a thread: a run that
	// wandered between threads would leave memory and idle teams behind on each.
	runtime.LockOSThread()
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
	}
	torch.SetThreads(c.Threads)
	return r, nil
}

// read turns the records into sequences with the model's own tokenizer.
func (r *run) read(needReward bool) ([]data.Sequence, error) {
	config, err := model.LoadConfig(r.Model)
	if err != nil {
		return nil, err
	}
	enc, tok, err := encoder(r.Model, config, r.MaxLen)
	if err != nil {
		return nil, err
	}
	r.tok, enc.Overlong = tok, data.Overlong(r.Overlong)
	seqs, stats, err := enc.Read(r.Data, needReward)
	if err != nil {
		return nil, err
	}
	r.stats = stats
	r.ui.Notef("data: %s", stats)
	for i := range seqs[:min(2, len(seqs))] {
		r.samples = append(r.samples, seqs[i].Tokens)
	}
	for i := range seqs {
		if top := slices.Max(seqs[i].Tokens); int(top) >= config.Vocab {
			return nil, fmt.Errorf("%s: token id %d of record %s lies outside the model's vocabulary of %d: tokenizer and model do not belong together",
				r.Model, top, seqs[i].ID, config.Vocab)
		}
	}
	return seqs, nil
}

// encoder reads what turns records into tokens from a model's folder.
func encoder(dir string, config *model.Config, maxLen int) (*data.Encoder, *tokenizer.Tokenizer, error) {
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	enc := &data.Encoder{Tokenizer: tok, EOS: config.EOS, MaxLen: min(maxLen, config.MaxPositions),
		Split: func(response string) []int { return step.Split(response, step.Newline) }}
	template, err := chat.Load(dir)
	switch {
	case err == nil:
		enc.Chat = template
	case !errors.Is(err, chat.ErrNoTemplate):
		return nil, nil, err
	}
	return enc, tok, nil
}

// CheckData reads the files as training would, prints the first show records
// decoded, with what is learnt from them marked, and the counts.
func CheckData(w io.Writer, dir string, files []string, show int, colour bool) error {
	config, err := model.LoadConfig(dir)
	if err != nil {
		return err
	}
	enc, tok, err := encoder(dir, config, math.MaxInt)
	if err != nil {
		return err
	}
	seqs, stats, err := enc.Read(files, false)
	if err != nil {
		return err
	}
	for i := range seqs[:min(show, len(seqs))] {
		if err := data.Show(w, &seqs[i], tok, colour); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w, stats)
	return err
}

// load reads a model that the run trains; folder is where it is saved below Out.
func (r *run) load(folder, dir string, head model.Head, lr float64) (*trained, error) {
	m, err := r.open(dir, head)
	if err != nil {
		return nil, err
	}
	m.Train()
	t := &trained{Model: m, folder: folder, lr: lr}
	r.models = append(r.models, t)
	return t, torch.Scope(func() { t.groups = groups(m, r.WeightDecay) })
}

// loadFrozen reads a policy that stays as it is.
func (r *run) loadFrozen(dir string) (*nn.Model, error) {
	m, err := r.open(dir, model.LMHead)
	if err != nil {
		return nil, err
	}
	r.frozen = append(r.frozen, m)
	return m, nil
}

func (r *run) open(dir string, head model.Head) (*nn.Model, error) {
	m, err := nn.Load(dir, head, r.device, torch.Float32)
	if err != nil {
		return nil, err
	}
	m.Autocast = r.dtype == torch.BFloat16
	return m, nil
}

// groups splits the parameters into matrices, which decay, and the rest.
func groups(m *nn.Model, decay float64) []group {
	gs := []group{{decay: decay}, {}}
	for _, p := range m.Params() {
		g := &gs[0]
		if len(p.Shape()) < 2 {
			g = &gs[1]
		}
		m, v := p.Detach().Times(0), p.Detach().Times(0)
		torch.Keep(m, v)
		g.params, g.m, g.v = append(g.params, p), append(g.m, m), append(g.v, v)
	}
	return gs
}

func (r *run) close() {
	runtime.UnlockOSThread()
	for _, t := range r.models {
		for _, g := range t.groups {
			torch.Free(g.m...)
			torch.Free(g.v...)
		}
		t.Free()
	}
	for _, m := range r.frozen {
		m.Free()
	}
	if r.tracker != nil {
		_ = r.tracker.Close() // every record was flushed when it was written
	}
}

// inputs are a batch's arrays on the device.
type inputs struct {
	tokens, actions *torch.Tensor // [B, T] ids; actions[t] is the token at t+1
	mask            *torch.Tensor // [B, T] 1 where that token is the policy's own
	reward          *torch.Tensor // [B]
}

func (r *run) inputs(b *data.Batch) inputs {
	B, T := int64(b.B), int64(b.T)
	return inputs{
		tokens:  torch.FromInt64(b.Tokens, B, T).On(r.device),
		actions: torch.FromInt64(b.Targets, B, T).On(r.device),
		mask:    torch.FromFloat32(b.StateMask, B, T).On(r.device),
		reward:  torch.FromFloat32(b.Reward, B).On(r.device),
	}
}

// train makes all updates: backward adds an update's gradients to the models.
func (r *run) train(ctx context.Context, backward func(*data.Update) (track.Metrics, error)) error {
	finished, err := r.resume()
	if err != nil || finished {
		return err
	}
	if r.tracker, err = track.Open(r.Out, r.step); err != nil {
		return err
	}
	for r.step < r.steps {
		if ctx.Err() != nil {
			return r.interrupted()
		}
		began := time.Now()
		u := r.loader.Next()
		m, err := backward(u)
		if err != nil {
			return fmt.Errorf("update %d: %w", r.step+1, err)
		}
		if err := r.update(m); err != nil {
			return fmt.Errorf("update %d: %w", r.step+1, err)
		}
		r.step, r.last = r.step+1, m
		m["epoch"] = float64(u.Epoch) + float64(u.Index+1)/float64(r.loader.UpdatesPerEpoch())
		m["tokens_per_s"] = float64(u.Tokens) / time.Since(began).Seconds()
		if err := r.tracker.Log(r.step, m); err != nil {
			return err
		}
		r.ui.Progress(r.step, r.steps, track.Console(m))
		if r.SaveEvery > 0 && r.step%r.SaveEvery == 0 && r.step < r.steps {
			if err := r.checkpoint(); err != nil {
				return err
			}
		}
	}
	return r.finish()
}

// update clips the gradients and makes one step of every optimizer. A gradient
// that is not finite ends the run before it can spoil a parameter.
func (r *run) update(m track.Metrics) error {
	rate := schedule.Cosine(r.step, r.steps, schedule.Warmup(r.steps, r.WarmupRatio))
	for _, t := range r.models {
		suffix := ""
		if t.folder != "" {
			suffix = "/" + t.folder
		}
		norm := 0.0
		if err := torch.Scope(func() { norm = torch.ClipGradNorm(t.Params(), r.ClipNorm) }); err != nil {
			return err
		}
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			return fmt.Errorf("grad_norm%s is %v: lower the learning rate, or look at the data of this update", suffix, norm)
		}
		m["grad_norm"+suffix], m["lr"+suffix] = norm, t.lr*rate
	}
	return torch.Scope(func() {
		for _, t := range r.models {
			if r.step >= t.frozenFor {
				for _, g := range t.groups {
					torch.AdamW(g.params, g.m, g.v, r.step-t.frozenFor+1, t.lr*rate, 0.9, 0.95, g.decay, 1e-8)
				}
			}
			torch.ZeroGrad(t.Params())
		}
	})
}

// interrupted saves what there is and says how to go on.
func (r *run) interrupted() error {
	if err := r.checkpoint(); err != nil {
		return err
	}
	return fmt.Errorf("%w after update %d of %d; saved in %s: the same command goes on from there", ErrInterrupted, r.step, r.steps, r.checkpointDir(r.step))
}
