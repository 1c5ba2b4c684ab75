// Package track writes down how a training run goes: metrics.jsonl, one record
// a logged step, and TensorBoard events, which `wandb sync --sync-tensorboard`
// reads too.
//
// A record is {"step": 12, "time": seconds since 1970, "loss/policy": 0.31, …};
// a value that is not finite is null. The names are an interface: scripts and
// dashboards rely on them. Log refuses others.
//
//	epoch              epochs of data seen, with fraction
//	loss               SFT, DPO, KTO: the loss
//	loss/policy        OREO, DQO: the policy's loss without the KL term
//	loss/value         OREO, DQO: the critic's loss
//	kl                 KL divergence from the reference, nats a token; KTO: its z, nats a response
//	kl_coef            OREO with a KL target: the learned weight of the regulariser
//	log_ratio          mean of log pi - log pi_ref over actions, nats
//	entropy            mean entropy of the policy over states, nats
//	accuracy           share of actions that the policy ranks first
//	value/mean         mean, least and greatest V over states
//	value/min
//	value/max
//	value/first        mean V before the first action
//	value/last         mean V before the last action
//	advantage/mean     mean of V(s') - V(s) over actions
//	reward/mean        mean reward of the sequences
//	reward/chosen      DPO, KTO: beta * log ratio of chosen and rejected responses,
//	reward/rejected    the difference, and how often it is positive
//	reward/margin
//	reward/accuracy
//	eval/loss          on the held-out set: loss,
//	eval/loss/value    critic's loss,
//	eval/kl            KL divergence
//	eval/accuracy      and share of actions ranked first
//	lr                 learning rate of the policy
//	lr/critic          and of the critic
//	grad_norm          norm of the gradient before clipping
//	grad_norm/critic
//	tokens             tokens trained on since the run began, padding excluded
//	tokens_per_s       over the steps since the last record
//	seconds_per_step
//	padding            share of padding among the tokens computed
//	memory/rss         bytes: resident set of the process
//	memory/device      bytes in use on the accelerator
//	memory/tensors     live tensors
package track

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MetricsFile is the name of the records' file in a run's folder; the
// TensorBoard events are in EventsDir beside it.
const (
	MetricsFile = "metrics.jsonl"
	EventsDir   = "tensorboard"
)

// Metrics are the values of one step by name.
type Metrics map[string]float64

// names are the metrics of the package's table. Console shows those with a
// label, in this order.
var names = []struct{ name, label string }{
	{"epoch", ""},
	{"loss", "loss"}, {"loss/policy", "policy"}, {"loss/value", "value"},
	{"kl", "kl"}, {"kl_coef", ""}, {"log_ratio", ""}, {"entropy", ""}, {"accuracy", "acc"},
	{"value/mean", "V"}, {"value/min", ""}, {"value/max", ""}, {"value/first", ""}, {"value/last", ""}, {"advantage/mean", ""},
	{"reward/mean", ""}, {"reward/chosen", ""}, {"reward/rejected", ""}, {"reward/margin", "margin"}, {"reward/accuracy", ""},
	{"eval/loss", ""}, {"eval/loss/value", ""}, {"eval/kl", ""}, {"eval/accuracy", ""},
	{"lr", "lr"}, {"lr/critic", ""}, {"grad_norm", "grad"}, {"grad_norm/critic", ""},
	{"tokens", ""}, {"tokens_per_s", "tok/s"}, {"seconds_per_step", ""}, {"padding", ""},
	{"memory/rss", ""}, {"memory/device", ""}, {"memory/tensors", ""},
}

// Console is one line of the metrics a person watches: "policy 0.31 kl 0.002 lr 5e-06".
func Console(m Metrics) string {
	var parts []string
	for _, n := range names {
		if v, ok := m[n.name]; ok && n.label != "" {
			format := "%s %.3g"
			if math.Abs(v) >= 1000 {
				format = "%s %.0f"
			}
			parts = append(parts, fmt.Sprintf(format, n.label, v))
		}
	}
	return strings.Join(parts, " ")
}

// Tracker appends to the files of one run. It is not safe for concurrent use.
type Tracker struct {
	records *os.File
	events  *eventWriter
	now     func() time.Time
}

// Open starts tracking in dir, which it makes. A run that resumes after step
// continues the files without the records behind it; 0 starts anew.
func Open(dir string, step int) (*Tracker, error) {
	if err := os.MkdirAll(filepath.Join(dir, EventsDir), 0o755); err != nil {
		return nil, err
	}
	records, err := os.OpenFile(filepath.Join(dir, MetricsFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := rewind(records, step); err != nil {
		return nil, errors.Join(err, records.Close())
	}
	events, err := createEvents(filepath.Join(dir, EventsDir), step, time.Now())
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	return &Tracker{records: records, events: events, now: time.Now}, nil
}

// Log writes the metrics of a step, counted from 1. When it returns nil they
// are with the operating system.
func (t *Tracker) Log(step int, m Metrics) error {
	now := t.now()
	sorted := slices.Sorted(maps.Keys(m))
	line := fmt.Appendf(nil, `{"step":%d,"time":%.3f`, step, float64(now.UnixMilli())/1000)
	for _, name := range sorted {
		if !slices.ContainsFunc(names, func(n struct{ name, label string }) bool { return n.name == name }) {
			return fmt.Errorf("metric %q is not in the table of package track", name)
		}
		value := []byte("null")
		if v := m[name]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			value, _ = json.Marshal(v) // finite numbers always encode
		}
		line = fmt.Appendf(line, `,"%s":%s`, name, value)
	}
	if _, err := t.records.Write(append(line, "}\n"...)); err != nil {
		return err
	}
	return t.events.write(event(now, step, scalars(sorted, m)))
}

// Close closes the files.
func (t *Tracker) Close() error {
	return errors.Join(t.records.Close(), t.events.f.Close())
}

// rewind cuts f behind the last record of a step up to step and leaves its
// offset there. A record cut short by a crash goes too; a malformed one before
// others is not ours to drop.
func rewind(f *os.File, step int) error {
	r := bufio.NewReaderSize(f, 1<<16)
	var keep int64
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break // what stands without a line end was being written
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.Name(), n, err)
		}
		var rec struct {
			Step *int `json:"step"`
		}
		if err := json.Unmarshal(bytes.TrimSpace(line), &rec); err != nil || rec.Step == nil {
			return fmt.Errorf("%s:%d: not a record of metrics: remove the line or move the file away", f.Name(), n)
		}
		if *rec.Step > step {
			break
		}
		keep += int64(len(line))
	}
	if err := f.Truncate(keep); err != nil {
		return err
	}
	_, err := f.Seek(keep, io.SeekStart)
	return err
}
