package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/cmd/internal/stage"
	"github.com/oreo-go/oreo/math/wordgen"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// TestIterate runs two rounds in small and, where OREO_KILLS says how often, the
// same again in processes that are killed at arbitrary moments: both end with the
// same models, samples and answers.
func TestIterate(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-o", bin+"/", "../oreo-train", "../oreo-export", "../oreo-run")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cfg := startingPoint(t, bin)
	cfg.Out = filepath.Join(t.TempDir(), "whole")
	whole := &iteration{iterateConfig: cfg, Runner: stage.Runner{Dir: cfg.Out, Bin: bin}}
	var console bytes.Buffer
	if err := whole.all(context.Background(), &console); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(whole.Path("report.html"))
	if rows := strings.Count(console.String(), "\n"); rows < 5 || err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("table of %d lines:\n%s\nreport: %v", rows, &console, err)
	}
	if left, err := filepath.Glob(whole.file(2, "model/checkpoint-*")); err != nil || len(left) > 0 {
		t.Errorf("checkpoints left behind: %v, %v", left, err)
	}
	for k := 1; k <= 2; k++ { // pi_ref is the policy before, the critic goes on
		text, err := os.ReadFile(whole.file(k, "model/train.yaml"))
		if err != nil || !bytes.Contains(text, []byte(fmt.Sprintf("model: %q", whole.policy(k-1)))) {
			t.Errorf("round %d starts from another model: %v\n%s", k, err, text)
		}
		if goesOn := bytes.Contains(text, []byte(fmt.Sprintf("critic: %q", whole.policy(1)+"/critic"))); goesOn != (k == 2) {
			t.Errorf("round %d: the critic of round 1 goes on: %v", k, goesOn)
		}
	}

	another := *whole
	another.Samples++
	if err := another.all(context.Background(), io.Discard); err == nil || !strings.Contains(err.Error(), "another samples (3, now 4)") {
		t.Errorf("other settings in the same folder: %v", err)
	}
	kills, err := strconv.Atoi(os.Getenv("OREO_KILLS"))
	if err != nil {
		t.Skip("the killed run takes as long again: set OREO_KILLS to how often to kill")
	}
	cfg.Out = filepath.Join(t.TempDir(), "killed")
	killed := &iteration{iterateConfig: cfg, Runner: stage.Runner{Dir: cfg.Out, Bin: bin}}
	yaml := filepath.Join(t.TempDir(), "iterate.yaml")
	if err := config.Write(&cfg, yaml); err != nil {
		t.Fatal(err)
	}
	killOften(t, kills, filepath.Join(bin, "oreo-train"), "iterate", "--config", yaml)
	if err := killed.all(context.Background(), io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"samples.jsonl", "data.jsonl", "model/model.safetensors", "model/critic/model.safetensors"} {
		a, err := os.ReadFile(whole.file(2, name))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(killed.file(2, name)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("round 2, %s: another content after the kills: %v", name, err)
		}
	}
	// Log-probabilities beside the texts may differ in the last bit: it depends on
	// what shares a batch, and that on the moment.
	type answer struct {
		ID, Text string
		Correct  bool
	}
	for _, name := range []string{"result/test-greedy.jsonl", "result/test-beam-2.jsonl"} {
		a, err1 := jsonl.ReadAll[answer](whole.file(2, name))
		b, err2 := jsonl.ReadAll[answer](killed.file(2, name))
		if diff := cmp.Diff(a, b); diff != "" || err1 != nil || err2 != nil {
			t.Errorf("round 2, %s: other answers after the kills: %v, %v\n%s", name, err1, err2, diff)
		}
	}
}

// startingPoint makes problems and a first policy, which has learnt a little.
func startingPoint(t *testing.T, bin string) iterateConfig {
	t.Helper()
	dir := t.TempDir()
	generator, err := wordgen.New(wordgen.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, n int) string {
		problems, err := generator.Next(n)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		w, err := jsonl.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			r := traj.Record{ID: p.ID, Question: p.Question, Answer: p.Answer, Dataset: "gsm8k"}
			if name == "annotated.jsonl" {
				r = traj.Record{ID: p.ID, Prompt: p.Question + "\n", Response: p.Solution}
			}
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	annotated := write("annotated.jsonl", 64)
	cfg := defaultIterate()
	cfg.Model, cfg.Problems, cfg.Test = filepath.Join(dir, "sft"), write("problems.jsonl", 12), []string{write("test.jsonl", 8)}
	cfg.Rounds, cfg.Samples, cfg.Beams, cfg.Threads, cfg.Seed = 2, 3, []int{2}, 1, 5
	cfg.Set = []string{"batch_size=8", "save_every=1", "lr=1e-3", "device=cpu"}
	cfg.Generate = []string{"--max-new-tokens", "24"}
	for _, args := range [][]string{
		{"init", "--set", "data=" + annotated, "out=" + filepath.Join(dir, "new"), "vocab=300", "hidden=32", "intermediate=48", "layers=2", "heads=2", "kv_heads=2", "max_positions=256"},
		{"sft", "--set", "model=" + filepath.Join(dir, "new"), "data=" + annotated, "out=" + cfg.Model, "batch_size=16", "epochs=2", "lr=2e-3", "threads=1", "device=cpu"},
	} {
		if text, err := exec.Command(filepath.Join(bin, "oreo-train"), args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	return cfg
}

// killOften starts the command again and again and kills it at another moment
// each time.
func killOften(t *testing.T, kills int, name string, args ...string) {
	t.Helper()
	for i := range kills {
		cmd := exec.Command(name, args...)
		shown, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := make(chan string, 1)
		begun := make(chan bool, 1)
		go func() {
			title := ""
			for line := bufio.NewScanner(shown); line.Scan(); {
				if strings.Contains(line.Text(), "] round ") {
					title = line.Text()
				} else if strings.HasPrefix(line.Text(), "$") && len(begun) == 0 { // no stage that was done before
					begun <- true
				}
			}
			last <- title
		}()
		select {
		case <-begun:
		case <-last:
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("finished after %d kills", i)
			return
		}
		time.Sleep(time.Duration(50+i*317%1200) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed in %s", <-last)
		_ = cmd.Wait() // it was killed
	}
}

func TestIterateExample(t *testing.T) {
	cfg := defaultIterate()
	if err := config.Load(&cfg, "iterate.yaml", nil); err != nil {
		t.Fatal(err)
	}
	it := &iteration{iterateConfig: cfg, Runner: stage.Runner{Dir: "out"}}
	got := strings.Join(it.train(2), " ")
	want := "oreo-train oreo --set lr=5e-6 critic_lr=5e-6 beta=0.03 alpha=0.01 model=out/round-1/model data=out/round-2/data.jsonl out=out/round-2/model seed=3 threads=0 critic=out/round-1/model/critic"
	if got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	it.Task, it.Test = "alfworld", []string{"games/seen", "games/unseen"}
	var asked []string
	for _, s := range append(it.stages(1)[:1], it.measure(1)...) {
		asked = append(asked, strings.Join(s.Commands[len(s.Commands)-1], " "))
	}
	common := " --format qwen-gsm8k --max-new-tokens 512 --model out/round-1/onnx/policy --seed 1 --threads 0 --out out/round-1/result/"
	diff := cmp.Diff([]string{
		"oreo-run alfworld rollout --temperature 1 --format qwen-gsm8k --max-new-tokens 512 --model out/round-0/onnx/policy --games data/gsm8k-train.jsonl --samples 10 --seed 2 --threads 0 --out out/round-1/samples.jsonl",
		"oreo-run alfworld rollout --games games/seen" + common + "seen-greedy.jsonl",
		"oreo-run alfworld rollout --games games/seen --temperature 1 --critic out/round-1/onnx/critic --best-of 3" + common + "seen-best-of-3.jsonl",
		"oreo-run alfworld rollout --games games/unseen" + common + "unseen-greedy.jsonl",
		"oreo-run alfworld rollout --games games/unseen --temperature 1 --critic out/round-1/onnx/critic --best-of 3" + common + "unseen-best-of-3.jsonl",
	}, asked)
	if diff != "" {
		t.Error(diff)
	}
	for want, set := range map[string][]string{
		"beams: a beam search needs a critic":  {"method=dpo"},
		`recipe "9b": want 1.5b`:               {"select=9b"},
		`unknown key "round"`:                  {"round=2"},
		`unknown key "learning_rate"`:          {"set=[learning_rate=1]"},
		"recipe qwen2.5-math-1.5b-oreo is for": {"method=kto", "beams=[]", "recipe=qwen2.5-math-1.5b-oreo"},
		"would have the same name":             {"test=[a/test.jsonl, b/test.jsonl]"},
	} {
		cfg := defaultIterate()
		if err := config.Load(&cfg, "iterate.yaml", set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", set, err)
		}
	}
	for method, flag := range map[string]string{"oreo": "--out", "rejection": "--out", "dpo": "--pairs", "kto": "--labels"} {
		it.Method = method
		if got := it.form(); got != flag {
			t.Errorf("%s learns from %s, want %s", method, got, flag)
		}
	}
}
