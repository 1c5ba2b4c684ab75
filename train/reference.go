package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/safetensors"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// pi_ref is needed in one of two forms. Where a regulariser compares whole
// distributions, the model runs along (reference). Where the log-probabilities
// of the data's own actions are enough, they are computed once, before the first
// update, and kept on disk for the next run on the same data (recall): a sweep
// over beta, or a resumed run, pays nothing for pi_ref, in time or memory. They
// come from batches of another shape than training's, which may change the last
// bits (more of them in bfloat16): log-ratios begin close to 0, not at it.

// referenceTokens is the size of a batch when log-probabilities are computed for
// keeping. It is no setting: equal inputs must give equal bits.
const referenceTokens = 4096

// reference opens pi_ref as a model.
func (r *run) reference(c *ReferenceConfig) (*nn.Model, error) {
	if c.Reference == "" {
		return r.initial()
	}
	return r.openFrozen(c.Reference, model.LMHead)
}

// recall gives every sequence pi_ref's log-probabilities of its actions, from
// the cache or computed and put there. policy has not been trained yet: unless
// another folder is named, it is pi_ref.
func (r *run) recall(ctx context.Context, c *ReferenceConfig, policy *nn.Model) error {
	key, err := r.referenceKey(c)
	if err != nil {
		return err
	}
	path := filepath.Join(cacheDir(c.CacheDir), key+".safetensors")
	kept, err := readLogProbs(path, key, r.actions())
	if err == nil {
		r.ui.Notef("pi_ref: log-probabilities read from %s", path)
		r.assign(kept)
		return nil
	}
	if !os.IsNotExist(err) {
		r.ui.Notef("pi_ref: %v: computed anew", err)
	}
	if c.Reference != "" {
		m, err := r.open(c.Reference, model.LMHead)
		if err != nil {
			return err
		}
		defer m.Free()
		policy = m
	}
	if kept, err = r.logProbs(ctx, policy); err != nil {
		return err
	}
	r.assign(kept)
	if err := writeLogProbs(path, key, kept); err != nil {
		r.ui.Notef("pi_ref: its log-probabilities are not kept for the next run: %v", err)
		return nil
	}
	r.ui.Notef("pi_ref: log-probabilities of %d sequences computed and kept in %s", len(r.seqs), path)
	return nil
}

// cacheDir is where log-probabilities are kept.
func cacheDir(configured string) string {
	if configured != "" {
		return configured
	}
	if dir := os.Getenv("OREO_CACHE"); dir != "" {
		return filepath.Join(dir, "reference")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "oreo", "reference")
}

// logProbs computes log pi_ref of all actions of all sequences, in order.
func (r *run) logProbs(ctx context.Context, m *nn.Model) ([]float32, error) {
	starts := make([]int, len(r.seqs)+1) // of each sequence's actions among all
	order := make([]int, len(r.seqs))
	for i := range r.seqs {
		order[i], starts[i+1] = i, starts[i]+r.seqs[i].Actions()
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(r.seqs[b].Tokens) - len(r.seqs[a].Tokens) })
	all := make([]float32, starts[len(r.seqs)])
	for done := 0; done < len(order); {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w before the first update, while pi_ref was computed; the same command begins again", ErrInterrupted)
		}
		rows := min(max(1, referenceTokens/len(r.seqs[order[done]].Tokens)), len(order)-done)
		members := order[done : done+rows]
		done += rows
		batch := make([]*data.Sequence, rows)
		for k, i := range members {
			batch[k] = &r.seqs[i]
		}
		var values []float32 // [N]
		err := torch.Scope(func() {
			torch.NoGrad(func() {
				in := (&update{Update: &data.Update{Sequences: 1}, run: r}).load(data.Collate(batch))
				values = m.LogProbs(in.gather(m.Hidden(in.tokens)), in.actions).Float32s()
			})
		})
		if err != nil {
			return nil, fmt.Errorf("log-probabilities of pi_ref: %w", err)
		}
		for _, i := range members { // row after row, as the batch has its states
			n := copy(all[starts[i]:starts[i+1]], values)
			for _, v := range values[:n] {
				if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
					return nil, fmt.Errorf("pi_ref gives the actions of record %s a log-probability of %v: look at its weights", r.seqs[i].ID, v)
				}
			}
			values = values[n:]
		}
	}
	return all, nil
}

// actions counts the actions of all sequences.
func (r *run) actions() int {
	n := 0
	for i := range r.seqs {
		n += r.seqs[i].Actions()
	}
	return n
}

// assign deals out the log-probabilities of all actions to their sequences.
func (r *run) assign(all []float32) {
	for i := range r.seqs {
		n := r.seqs[i].Actions()
		r.seqs[i].Reference, all = all[:n:n], all[n:]
	}
}

// referenceKey hashes all that the log-probabilities depend on: weights, tokens
// (and so the tokenizer), number format and kind of device.
func (r *run) referenceKey(c *ReferenceConfig) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, "log-probabilities 1", paramType, r.dtype, r.device.CUDA, referenceTokens)
	dir := r.Model
	if c.Reference != "" {
		dir = c.Reference
	}
	base, err := peft.BaseDir(dir)
	if err != nil {
		return "", err
	}
	for _, dir := range slices.Compact([]string{dir, base}) {
		if err := hashModel(h, dir); err != nil {
			return "", err
		}
	}
	var buf []byte
	for i := range r.seqs {
		s := &r.seqs[i]
		buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(len(s.Tokens)))
		for t, id := range s.Tokens {
			action := byte(0)
			if s.Action[t] {
				action = 1
			}
			buf = append(binary.LittleEndian.AppendUint32(buf, uint32(id)), action)
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// hashModel hashes the weights and the configuration in a folder.
func hashModel(h hash.Hash, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return err
	}
	configs, err := filepath.Glob(filepath.Join(dir, "*config.json"))
	if err != nil {
		return err
	}
	for _, path := range append(files, configs...) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(h, filepath.Base(path))
		_, err = io.Copy(h, f)
		_ = f.Close() // only read
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// The file of kept log-probabilities: one tensor, and in its metadata the key it
// was made for and the hash of its bytes.
const logProbsName = "log_probs"

func writeLogProbs(path, key string, all []float32) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	t := safetensors.Float32Tensor(logProbsName, []int{len(all)}, all)
	sum := sha256.Sum256(t.Data)
	return safetensors.Write(path, []safetensors.Tensor{t}, map[string]string{
		"key": key, "sha256": hex.EncodeToString(sum[:]), "actions": strconv.Itoa(len(all))})
}

func readLogProbs(path, key string, actions int) ([]float32, error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := f.Get(logProbsName)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(t.Data)
	meta := f.Metadata()
	switch {
	case meta["key"] != key:
		return nil, fmt.Errorf("%s was made for other data or another model", path)
	case t.DType != safetensors.F32 || !slices.Equal(t.Shape, []int{actions}):
		return nil, fmt.Errorf("%s has %s%v where F32[%d] was kept", path, t.DType, t.Shape, actions)
	case meta["sha256"] != hex.EncodeToString(sum[:]):
		return nil, fmt.Errorf("%s is damaged: its bytes do not have the hash that was kept with them", path)
	}
	return t.Float32()
}
