package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/traj"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/torch"
)

// TestMethodsPreferRightAnswers: from right and wrong answers every method makes
// the right ones likelier against the wrong ones than the start has them, with
// the critic and the averages in place.
func TestMethodsPreferRightAnswers(t *testing.T) {
	rewards, preferences := goodAndBad(t, 28)
	start := tiny(t, rewards)
	before := margin(t, start, preferences)
	for _, c := range trials(t) {
		switch c.name {
		case "rejection", "dpo sigmoid", "kto full", "dqo full", "oreo token", "oreo step lora critic", "oreo response head critic",
			"oreo one step, forward KL, frozen at first", "oreo averages, learned KL weight":
		default:
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			cfg := small(t, start, rewards, filepath.Join(t.TempDir(), "out")).Config
			if c.pairs {
				cfg.Data = []string{preferences}
			}
			cfg.BatchSize, cfg.MicroBatch, cfg.Epochs, cfg.LR = 14, 14, 10, 1e-2
			if err := c.train(context.Background(), cfg, &quiet{}); err != nil {
				t.Fatal(err)
			}
			after := margin(t, cfg.Out, preferences)
			t.Logf("margin %.4f, at the start %.4f", after, before)
			if after <= before {
				t.Errorf("right answers lost against wrong ones: margin %.4f, at the start %.4f", after, before)
			}
		})
	}
}

// goodAndBad writes n answers to n/2 questions, "yes", which earns the reward,
// and "no", and the same answers as pairs.
func goodAndBad(t *testing.T, n int) (rewards, preferences string) {
	t.Helper()
	dir := t.TempDir()
	rewards, preferences = filepath.Join(dir, "rewards.jsonl"), filepath.Join(dir, "pairs.jsonl")
	w1, err1 := jsonl.Create(rewards)
	w2, err2 := jsonl.Create(preferences)
	err := errors.Join(err1, err2)
	if err != nil {
		t.Fatal(err)
	}
	reward := []float64{1, 0}
	for i := range n / 2 {
		prompt, good, bad := fmt.Sprintf("%d?\n", i%7), "so\nyes\n4", "so\nno\n4"
		err = errors.Join(err,
			w1.Write(traj.Record{Prompt: prompt, Response: good, Reward: &reward[0]}),
			w1.Write(traj.Record{Prompt: prompt, Response: bad, Reward: &reward[1]}),
			w2.Write(traj.Pair{Prompt: traj.Text{Plain: prompt}, Chosen: traj.Text{Plain: good}, Rejected: traj.Text{Plain: bad}}))
	}
	if err := errors.Join(err, w1.Close(), w2.Close()); err != nil {
		t.Fatal(err)
	}
	return rewards, preferences
}

// margin is the mean of log pi(chosen) - log pi(rejected) over pairs.
func margin(t *testing.T, dir, file string) float64 {
	t.Helper()
	config, err := model.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	enc, _, err := encoder(dir, config, 64)
	if err != nil {
		t.Fatal(err)
	}
	seqs, _, err := enc.ReadPairs([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	m, err := nn.Load(dir, model.LMHead, torch.CPU, torch.Float32)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	rows := make([]*data.Sequence, len(seqs))
	for i := range seqs {
		rows[i] = &seqs[i]
	}
	sum := 0.0
	err = torch.Scope(func() {
		u := &update{Update: &data.Update{Sequences: len(rows) / 2}, run: &run{device: torch.CPU}}
		b := u.load(data.Collate(rows))
		d := b.logProbs(m).Mul(b.mask).SumDim(1) // [2P]
		sum = half(d, 0).Sub(half(d, 1)).Sum().Item()
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum / float64(len(rows)/2)
}
