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
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/loss"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// A checkpoint is a folder out/checkpoint-N that holds the run after update N:
// every trained model as a Hugging Face folder (float32), or its adapter in
// PEFT's layout, or its head; averages of models; the optimizers' moments; and
// this state. With it a run goes on bit for bit as if it had not
// stopped. The folder appears by one rename, whole.
const (
	stateFile     = "trainer_state.json"
	optimizerFile = "optimizer.safetensors"
	averageFile   = "average-%s.safetensors"
	headFile      = "value_head.safetensors"
)

type state struct {
	Method   string          `json:"method"`
	Step     int             `json:"step"` // updates done
	Steps    int             `json:"steps"`
	Finished bool            `json:"finished"`
	Position data.Position   `json:"position"`
	Config   json.RawMessage `json:"config"`

	Coefficient *loss.Coefficient `json:"coefficient,omitempty"` // a learned KL weight
}

func (r *run) checkpointDir(step int) string {
	return filepath.Join(r.Out, fmt.Sprintf("checkpoint-%06d", step))
}

func (r *run) state(finished bool) (*state, error) {
	config, err := json.Marshal(r.full)
	if err != nil {
		return nil, err
	}
	return &state{r.method, r.step, r.steps, finished, r.loader.Position(), config, r.coefficient}, nil
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
		if err := r.saveTrained(t, filepath.Join(dir, t.folder)); err != nil {
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
	for _, a := range r.averages {
		tensors, err := a.Tensors(torch.Float32)
		if err != nil {
			return err
		}
		if err := safetensors.Write(filepath.Join(dir, fmt.Sprintf(averageFile, a.name)), tensors, nil); err != nil {
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

// saveTrained writes what is trained of a model.
func (r *run) saveTrained(t *trained, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch t.kind {
	case lora:
		return t.SaveAdapter(dir, t.baseDir)
	case onlyTop:
		tensors, err := t.Tensors(torch.Float32)
		if err != nil {
			return err
		}
		return safetensors.Write(filepath.Join(dir, headFile), tensors, nil)
	}
	return r.save(t, dir, torch.Float32)
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

// free are the settings that change no result.
var free = []string{"Out", "MicroBatch", "MicroTokens", "Threads", "Device", "SaveEvery", "KeepLast", "CacheDir"}

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
		if !slices.Contains(free, k) && !reflect.DeepEqual(x[k], y[k]) {
			return fmt.Sprintf("%s (%v, now %v)", k, x[k], y[k])
		}
	}
	return ""
}

// restore overwrites parameters, averages, moments and data position with dir's.
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
		if err := r.restoreTrained(t, filepath.Join(dir, t.folder)); err != nil {
			return err
		}
		err = t.eachMoment(func(name string, x *torch.Tensor) error { return copyFrom(file, name, x) })
		if err != nil {
			return fmt.Errorf("%s: %w", optimizerFile, err)
		}
	}
	for _, a := range r.averages {
		if err := restoreFrom(filepath.Join(dir, fmt.Sprintf(averageFile, a.name)), a.Model); err != nil {
			return err
		}
	}
	if r.coefficient != nil && s.Coefficient == nil {
		return fmt.Errorf("%s has no KL coefficient", stateFile)
	}
	r.step, r.coefficient = s.Step, s.Coefficient
	return nil
}

// restoreTrained reads what saveTrained wrote.
func (r *run) restoreTrained(t *trained, dir string) error {
	var saved *nn.Model
	var err error
	switch t.kind {
	case lora:
		saved, err = nn.LoadAdapter(t.base, dir, t.Head)
	case onlyTop:
		return restoreFrom(filepath.Join(dir, headFile), t.Model)
	default:
		saved, err = nn.Load(dir, t.Head, r.device, paramType)
	}
	if err != nil {
		return err
	}
	defer saved.Free()
	return torch.Scope(func() {
		torch.NoGrad(func() {
			for i, p := range t.Params() {
				p.CopyFrom(saved.Params()[i])
			}
		})
	})
}

// restoreFrom overwrites all of m's own parameters with those in a file.
func restoreFrom(path string, m *nn.Model) error {
	file, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var fail error
	err = torch.Scope(func() {
		torch.NoGrad(func() {
			for i, p := range m.Params() {
				fail = errors.Join(fail, copyFrom(file, m.Names()[i], p))
			}
		})
	})
	if err = errors.Join(err, fail); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// copyFrom overwrites x with a tensor of the file.
func copyFrom(file *safetensors.File, name string, x *torch.Tensor) error {
	stored, err := file.Get(name)
	if err != nil {
		return err
	}
	t, err := nn.FromSafetensors(stored, paramType)
	if err != nil {
		return err
	}
	if !slices.Equal(t.Shape(), x.Shape()) {
		return fmt.Errorf("tensor %s has shape %v, want %v", name, t.Shape(), x.Shape())
	}
	x.CopyFrom(t)
	return nil
}
