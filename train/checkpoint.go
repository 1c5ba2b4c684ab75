package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/card"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// A checkpoint is a folder out/checkpoint-N that holds the run after update N:
// every trained model as a Hugging Face folder (float32), the optimizers'
// moments, and this state. With it a run goes on bit for bit as if it had not
// stopped. The folder appears by one rename, whole.
const (
	stateFile     = "trainer_state.json"
	optimizerFile = "optimizer.safetensors"
)

type state struct {
	Method   string          `json:"method"`
	Step     int             `json:"step"` // updates done
	Steps    int             `json:"steps"`
	Finished bool            `json:"finished"`
	Position data.Position   `json:"position"`
	Config   json.RawMessage `json:"config"`
}

func (r *run) checkpointDir(step int) string {
	return filepath.Join(r.Out, fmt.Sprintf("checkpoint-%06d", step))
}

func (r *run) state(finished bool) (*state, error) {
	config, err := json.Marshal(r.full)
	if err != nil {
		return nil, err
	}
	return &state{r.method, r.step, r.steps, finished, r.loader.Position(), config}, nil
}

// checkpoint saves the run as it is and drops all but the last KeepLast.
func (r *run) checkpoint() error {
	dir := r.checkpointDir(r.step)
	partial := dir + ".partial"
	err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o755))
	if err == nil {
		err = r.writeCheckpoint(partial)
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(dir), os.Rename(partial, dir))
	}
	if err != nil {
		_ = os.RemoveAll(partial) // the checkpoints before it are untouched
		return fmt.Errorf("save checkpoint of update %d: %w", r.step, err)
	}
	all, err := r.checkpoints()
	if err != nil {
		return err
	}
	for _, old := range all[:max(0, len(all)-r.KeepLast)] {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) writeCheckpoint(dir string) error {
	var moments []safetensors.Tensor
	for _, t := range r.models {
		if err := r.save(t, filepath.Join(dir, t.folder), torch.Float32); err != nil {
			return err
		}
		err := t.eachMoment(func(name string, x *torch.Tensor) error {
			shape := make([]int, len(x.Shape()))
			for i, d := range x.Shape() {
				shape[i] = int(d)
			}
			moments = append(moments, safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: shape, Data: x.Bytes()})
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := safetensors.Write(filepath.Join(dir, optimizerFile), moments, nil); err != nil {
		return err
	}
	s, err := r.state(false)
	if err != nil {
		return err
	}
	return s.write(dir)
}

func (s *state) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(dir, stateFile), append(text, '\n'), 0o644)
}

// eachMoment visits AdamW's moments under stable names.
func (t *trained) eachMoment(visit func(name string, x *torch.Tensor) error) error {
	var fail error
	err := torch.Scope(func() {
		for i, g := range t.groups {
			for j := range g.params {
				prefix := fmt.Sprintf("%s.%d.%d", t.folder, i, j)
				fail = errors.Join(fail, visit(prefix+".m", g.m[j]), visit(prefix+".v", g.v[j]))
			}
		}
	})
	return errors.Join(err, fail)
}

// checkpoints lists the complete checkpoints in Out, oldest first.
func (r *run) checkpoints() ([]string, error) {
	all, err := filepath.Glob(filepath.Join(r.Out, "checkpoint-*"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(path string) bool { return strings.HasSuffix(path, ".partial") }), nil
}

// resume looks into Out: a finished run is left as it is, an unfinished one is
// taken up, and an empty or missing folder is begun. The run found must be this
// run: another configuration is an error, so that nothing is overwritten.
func (r *run) resume() (finished bool, err error) {
	if err := os.MkdirAll(r.Out, 0o755); err != nil {
		return false, err
	}
	done, err := r.readState(r.Out)
	if err != nil {
		return false, err
	}
	if done != nil && done.Finished {
		r.ui.Notef("%s is finished (%d updates); remove it to train again", r.Out, done.Step)
		return true, nil
	}
	all, err := r.checkpoints()
	if err != nil || len(all) == 0 {
		return false, err
	}
	dir := all[len(all)-1]
	s, err := r.readState(dir)
	if err != nil {
		return false, err
	}
	if s == nil {
		return false, fmt.Errorf("%s has no %s: not a checkpoint; remove it", dir, stateFile)
	}
	if err := r.restore(dir, s); err != nil {
		return false, fmt.Errorf("resume from %s: %w", dir, err)
	}
	r.ui.Notef("resuming %s after update %d of %d", r.Out, r.step, r.steps)
	return false, nil
}

// readState reads dir's state, nil if there is none, and checks that it is of
// this run.
func (r *run) readState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	now, err := r.state(false)
	if err != nil {
		return nil, err
	}
	if s.Method != r.method || s.Steps != r.steps {
		return nil, fmt.Errorf("%s is of another run: %s with %d updates, now %s with %d; choose another out or remove it", dir, s.Method, s.Steps, r.method, r.steps)
	}
	if key := firstDifference(s.Config, now.Config); key != "" {
		return nil, fmt.Errorf("%s is of a run with another %s; choose another out or remove it", dir, key)
	}
	return &s, nil
}

// firstDifference names a key in which two configurations differ, except those
// that change no result, or "".
func firstDifference(a, b json.RawMessage) string {
	var x, y map[string]any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return "configuration"
	}
	var keys []string
	for k := range y {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !slices.Contains([]string{"Out", "MicroBatch", "MicroTokens", "Threads", "Device", "SaveEvery", "KeepLast"}, k) && !reflect.DeepEqual(x[k], y[k]) {
			return fmt.Sprintf("%s (%v, now %v)", k, x[k], y[k])
		}
	}
	return ""
}

// restore overwrites parameters, moments and data position with dir's.
func (r *run) restore(dir string, s *state) error {
	if err := r.loader.Seek(s.Position); err != nil {
		return err
	}
	file, err := safetensors.Open(filepath.Join(dir, optimizerFile))
	if err != nil {
		return err
	}
	defer file.Close()
	for _, t := range r.models {
		saved, err := nn.Load(filepath.Join(dir, t.folder), t.Head, r.device, torch.Float32)
		if err != nil {
			return err
		}
		err = torch.Scope(func() {
			for i, p := range t.Params() {
				p.CopyFrom(saved.Params()[i])
			}
		})
		saved.Free()
		if err != nil {
			return err
		}
		err = t.eachMoment(func(name string, x *torch.Tensor) error {
			stored, err := file.Get(name)
			if err != nil {
				return err
			}
			moment, err := nn.FromSafetensors(stored, torch.Float32)
			if err == nil {
				x.CopyFrom(moment)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", optimizerFile, err)
		}
	}
	r.step = s.Step
	return nil
}

// finish saves the trained models in Out, with their cards.
func (r *run) finish() error {
	for _, t := range r.models {
		dir := filepath.Join(r.Out, t.folder)
		if err := r.save(t, dir, r.dtype); err != nil {
			return fmt.Errorf("save %s: %w", dir, err)
		}
		if err := r.recordReference(dir, t.Head); err != nil {
			return fmt.Errorf("save %s: %w", dir, err)
		}
		if err := card.Write(dir, r.card(t)); err != nil {
			return fmt.Errorf("save %s: %w", dir, err)
		}
	}
	s, err := r.state(true)
	if err != nil {
		return err
	}
	return s.write(r.Out)
}

// card describes a model that the run has trained.
func (r *run) card(t *trained) card.Card {
	settings, err := json.MarshalIndent(r.full, "", "  ")
	if err != nil {
		settings = nil // the state that was just written holds them too
	}
	return card.Card{Method: r.method, Head: t.Head, Model: t.Config, Base: r.Model, Data: r.Data, Sequences: r.stats.Sequences,
		Tokens: r.stats.Tokens, Updates: r.step, Metrics: r.last, Settings: string(settings)}
}

// save writes a Hugging Face folder: weights, config.json, tokenizer and
// generation settings.
func (r *run) save(t *trained, dir string, dtype torch.DType) error {
	if err := r.tok.Save(dir); err != nil {
		return err
	}
	tensors, err := t.Tensors(dtype)
	if err != nil {
		return err
	}
	if err := safetensors.WriteModel(dir, tensors); err != nil {
		return err
	}
	const generation = "generation_config.json"
	text, err := os.ReadFile(filepath.Join(r.Model, generation))
	if err == nil {
		err = renameio.WriteFile(filepath.Join(dir, generation), text, 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.Config.Save(dir, t.Head, dtype.String())
}
