package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
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

// run is what the methods share: models with their optimizers, the data and
// the loop over updates.
type run struct {
	Config
	method   string
	full     any // the method's whole configuration
	original bool
	ui       UI
	device   torch.Device
	dtype    torch.DType // of matrix products and of the saved model

	tok    *tokenizer.Tokenizer
	seqs   []data.Sequence // the loader's
	loader *data.Loader
	stats  data.Stats

	models      []*trained
	averages    []*average        // of some of them
	frozen      []*nn.Model       // what stays as it is
	foundation  *nn.Model         // the starting policy's base, one of frozen; nil until asked for
	coefficient *loss.Coefficient // a learned KL weight; nil without

	step    int           // updates done
	steps   int           // updates of the whole run
	last    track.Metrics // of the last update
	tracker *track.Tracker
}

// start reads the data and sets up the device. full points to the method's
// configuration, of which c is the shared part.
func start(method string, full any, c Config, ui UI, in input) (*run, error) {
	r := &run{Config: c, method: method, full: full, original: in.original, ui: ui, dtype: paramType}
	var err error
	if r.device, err = torch.OpenDevice(c.Device); err != nil {
		return nil, err
	}
	if c.DType == "bfloat16" || (c.DType == "auto" && r.device.CUDA) {
		r.dtype = torch.BFloat16
	}
	if err := r.load(in); err != nil {
		return nil, err
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

// load reads the data and counts the updates.
func (r *run) load(in input) error {
	seqs, err := r.read(in.read)
	if err != nil {
		return err
	}
	r.seqs = seqs
	whole := min(r.BatchSize, len(seqs)/max(1, in.group))
	r.loader, err = data.NewLoader(seqs, data.LoaderConfig{
		GlobalBatch: whole, MicroBatch: min(r.MicroBatch, whole), MicroTokens: r.MicroTokens, Group: in.group, DropLast: in.original, Seed: r.Seed})
	if err != nil {
		return err
	}
	r.steps = r.Epochs * r.loader.UpdatesPerEpoch()
	if r.MaxSteps > 0 {
		r.steps = min(r.steps, r.MaxSteps)
	}
	return nil
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
	for _, a := range r.averages {
		a.Free()
	}
	for _, m := range r.frozen {
		m.Free()
	}
	if r.tracker != nil {
		_ = r.tracker.Close() // every record was flushed when it was written
	}
}

// train makes all updates: backward adds an update's gradients to the models.
func (r *run) train(ctx context.Context, backward func(*update) error) error {
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
		m := track.Metrics{}
		u := &update{r.loader.Next(), r, m}
		if err := backward(u); err != nil {
			return fmt.Errorf("update %d: %w", r.step+1, err)
		}
		if err := r.optimize(m); err != nil {
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

// optimize clips the gradients and makes one step of every optimizer. A gradient
// that is not finite ends the run before it can spoil a parameter.
func (r *run) optimize(m track.Metrics) error {
	for _, t := range r.models {
		norm := 0.0
		if err := torch.Scope(func() { norm = torch.ClipGradNorm(t.Params(), r.ClipNorm) }); err != nil {
			return err
		}
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			return fmt.Errorf("grad_norm%s is %v: lower the learning rate, or look at the data of this update", t.suffix(), norm)
		}
		m["grad_norm"+t.suffix()], m["lr"+t.suffix()] = norm, r.rate(t)
	}
	err := torch.Scope(func() {
		for _, t := range r.models {
			if !r.rests(t) {
				for _, g := range t.groups {
					torch.AdamW(g.params, g.m, g.v, r.step-t.frozenFor+1, r.rate(t), 0.9, 0.95, g.decay, 1e-8)
				}
			}
			torch.ZeroGrad(t.Params())
		}
	})
	for _, a := range r.averages {
		err = errors.Join(err, a.move())
	}
	return err
}

// rests tells whether the next update leaves t as it is.
func (r *run) rests(t *trained) bool { return r.step < t.frozenFor }

// rate is t's learning rate in the next update: warm-up and cosine run over the
// updates in which it learns. The authors' code counts the epochs twice in both,
// and the updates at rest in the warm-up.
func (r *run) rate(t *trained) float64 {
	if r.rests(t) {
		return 0
	}
	steps := r.steps - t.frozenFor
	warmup := schedule.Warmup(steps, r.WarmupRatio)
	if r.original {
		steps = r.Epochs*r.steps - t.frozenFor
		warmup = schedule.Warmup(r.Epochs*r.steps, r.WarmupRatio)
	}
	return t.lr * schedule.Cosine(r.step-t.frozenFor, steps, warmup)
}

// suffix marks t's metrics: nothing for the policy, "/critic" for the critic.
func (t *trained) suffix() string {
	if t.folder == "" {
		return ""
	}
	return "/" + t.folder
}

// interrupted saves what there is and says how to go on.
func (r *run) interrupted() error {
	if err := r.checkpoint(); err != nil {
		return err
	}
	return fmt.Errorf("%w after update %d of %d; saved in %s: the same command goes on from there", ErrInterrupted, r.step, r.steps, r.checkpointDir(r.step))
}
