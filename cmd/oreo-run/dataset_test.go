package main

import (
	"path/filepath"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// A data set becomes problems that collect reads, answers and boxes included,
// and demonstrations that training accepts, in chat and in plain form.
func TestDataset(t *testing.T) {
	in := writeLines(t, `{"problem":"2x=4?","solution":"So $x=\\boxed{2}$.","level":"Level 1","type":"Algebra","unique_id":"a/1"}`, `{"problem":"x^2=1?","solution":"\\boxed{1} and \\boxed{-1}"}`)
	dir := t.TempDir()
	problems, demos := filepath.Join(dir, "problems.jsonl"), filepath.Join(dir, "demos.jsonl")
	if _, err := run(t, "dataset", "--in", in, "--problems", problems, "--demonstrations", demos, "--format", "chat", "--system", "Think."); err != nil {
		t.Fatal(err)
	}
	got, err := jsonl.ReadAll[problem](problems)
	if err != nil || len(got) != 2 || got[0].ID != "a/1" || got[0].Answer != "2" || got[0].Dataset != "math" || len(got[1].Boxed) != 2 {
		t.Errorf("problems %+v, %v", got, err)
	}
	n := 0
	for rec, err := range traj.Read(demos, false) {
		if err != nil {
			t.Fatal(err)
		}
		if c := rec.Conversations; len(c) != 3 || c[0].Content != "Think." || c[2].Role != "assistant" {
			t.Errorf("demonstration %+v", rec)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d demonstrations", n)
	}
	if _, err := run(t, "dataset", "--in", in); err == nil {
		t.Error("nothing to write was accepted")
	}
	if _, err := run(t, "dataset", "--in", in, "--demonstrations", demos, "--format", "qwen-gsm8k", "--limit", "1"); err != nil {
		t.Fatal(err)
	}
	for rec, err := range traj.Read(demos, false) {
		if err != nil || rec.Response != "So $x=\\boxed{2}$." || rec.Prompt[:12] != "<|im_start|>" {
			t.Errorf("demonstration %+v, %v", rec, err)
		}
	}
}
