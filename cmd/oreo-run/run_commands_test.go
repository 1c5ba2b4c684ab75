package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/search"
	"github.com/oreo-go/oreo/runtime/traj"
)

func problemFile(t testing.TB, n int) string {
	t.Helper()
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"question":"Ann has %d apples. How many?","answer":"%d","dataset":"gsm8k"}`, i, i%10))
	}
	return writeLines(t, lines...)
}

func readAll[T any](t testing.TB, path string) []T {
	t.Helper()
	all, err := jsonl.ReadAll[T](path)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An interrupted collect, continued, writes the file that an uninterrupted one
// writes: every sample, graded, in order.
func TestCollectResumes(t *testing.T) {
	dir := exported(t, model.LMHead)
	problems := problemFile(t, 40)
	flags := func(out string, more ...string) []string {
		return append([]string{"collect", "--model", dir, "--problems", problems, "--out", out, "--n", "3", "--max-new-tokens", "24", "--seed", "4", "--rows", "6"}, more...)
	}
	whole := filepath.Join(t.TempDir(), "whole.jsonl")
	mustRun(t, flags(whole)...)
	want, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for r, err := range traj.Read(whole, true) {
		if err != nil {
			t.Fatal(err)
		}
		graded := grade.Grade(grade.DeepSeekMath, grade.Input{Generation: r.Response, Gold: r.Answer, Problem: r.Question, Dataset: r.Dataset})
		if graded.Correct != (*r.Reward == 1) || r.Prompt != r.Question+"\n" {
			t.Errorf("record %+v", r)
		}
		records++
	}
	if records < 100 {
		t.Errorf("%d records of 120", records)
	}

	out := filepath.Join(t.TempDir(), "cut.jsonl")
	interrupted := 0
	for range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		err := newApp().RunContext(ctx, append([]string{"oreo-run"}, flags(out)...))
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		interrupted++
		tear(t, out+".part")
		if interrupted == 200 { // a machine too slow for the time limit
			mustRun(t, flags(out)...)
			break
		}
	}
	t.Logf("interrupted %d times", interrupted)
	got, err := os.ReadFile(out)
	if err != nil || string(got) != string(want) {
		t.Errorf("the resumed file differs (%d and %d bytes), %v", len(got), len(want), err)
	}
	if _, err := os.Stat(out + ".part"); err == nil {
		t.Error("the part file is left")
	}
}

// tear leaves the start of a line behind the whole ones, as a kill can.
func tear(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return // interrupted before it began
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"index":1,"rec`); err != nil {
		t.Fatal(err)
	}
}

func TestCollectRefusesOtherSettings(t *testing.T) {
	dir := exported(t, model.LMHead)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	part := `{"settings":"others"}` + "\n"
	if err := os.WriteFile(out+".part", []byte(part), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, "collect", "--model", dir, "--problems", problemFile(t, 2), "--out", out)
	if err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Error(err)
	}
	if got, _ := os.ReadFile(out + ".part"); string(got) != part {
		t.Error("the part file was touched")
	}
}

// eval counts what generate says, problem by problem, and beam search at B = 1
// is plain sampling of one answer, valued.
func TestEvalAndSearch(t *testing.T) {
	policy, critic := exported(t, model.LMHead), exported(t, model.ValueHead)
	problems := problemFile(t, 6)
	answers := filepath.Join(t.TempDir(), "answers.jsonl")
	var result evalResult
	decodeJSON(t, mustRun(t, "eval", "--model", policy, "--problems", problems, "--answers", answers, "--max-new-tokens", "20", "--json"), &result)
	if result.N != 6 || result.Method != "greedy" || result.Lo > result.Accuracy || result.Hi < result.Accuracy {
		t.Errorf("%+v", result)
	}
	found := readAll[foundAnswer](t, answers)
	tokens := 0
	for i, a := range found {
		var alone generated
		prompt := fmt.Sprintf("Ann has %d apples. How many?\n", i)
		decodeJSON(t, mustRun(t, "generate", "--model", policy, "--prompt", prompt, "--max-new-tokens", "20", "--json"), &alone)
		if alone.Text != a.Text {
			t.Errorf("problem %d: %q in eval, %q alone", i, a.Text, alone.Text)
		}
		tokens += len(alone.TokenIDs)
	}
	if tokens != result.Tokens {
		t.Errorf("%d tokens counted, want %d", result.Tokens, tokens)
	}

	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	beam := func(width string, more ...string) []foundAnswer {
		out := filepath.Join(t.TempDir(), "beam.jsonl")
		mustRun(t, append([]string{"search", "--model", policy, "--critic", critic, "--problems", problems, "--out", out,
			"--width", width, "--max-new-tokens", "60", "--max-steps", "6", "--seed", "2"}, more...)...)
		return readAll[foundAnswer](t, out)
	}
	wide := beam("3", "--trace", trace)
	alone := beam("3", "--rows", "9", "--limit", "4")
	for i := range alone {
		if alone[i].Text != wide[i].Text {
			t.Errorf("problem %d: %q beside others, %q alone", i, wide[i].Text, alone[i].Text)
		}
	}
	best := map[uint64]float64{}
	for _, n := range readAll[search.Node](t, trace) {
		if n.Finished {
			best[n.Question] = max(best[n.Question], n.Value)
		}
	}
	for i, a := range wide {
		if v, ok := best[uint64(i)]; a.Finished && ok && v != 0 && a.Value != v {
			t.Errorf("problem %d: answer valued %v, the best in the tree %v", i, a.Value, v)
		}
	}
	decodeJSON(t, mustRun(t, "eval", "--model", policy, "--critic", critic, "--width", "2", "--problems", problems, "--max-new-tokens", "20", "--json"), &result)
	if result.Method != "beam" || result.Width != 2 {
		t.Errorf("%+v", result)
	}
	if out := mustRun(t, "eval", "--model", policy, "--problems", problems, "--max-new-tokens", "5"); !strings.Contains(out, "95 % interval") {
		t.Errorf("table: %s", out)
	}
}

// What the critic says of the found answer is what score says of its text.
func TestSearchValueIsTheScore(t *testing.T) {
	policy, err := runtime.OpenPolicy(exported(t, model.LMHead), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer policy.Close()
	critic, err := runtime.OpenValue(exported(t, model.ValueHead), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer critic.Close()
	prompt := runtime.Text("Tom finds 2 pens.\n")
	result, err := runtime.Search(t.Context(), policy, critic, prompt, runtime.SearchConfig{Width: 3, MaxSteps: 5, MaxNewTokens: 50})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := policy.Tokens(prompt)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range result.Answers {
		state := slices.Concat(ids, a.IDs)
		if a.Finished {
			state = state[:len(state)-1]
		}
		text := policy.Tokenizer().Decode(state, false)
		scores, err := critic.Score(t.Context(), runtime.Text(text), "")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(scores.IDs, state) {
			continue // the text reads as other tokens than those drawn
		}
		closeTo(t, "value", []float64{a.Value}, scores.Values[len(state)-1:])
	}
}

func TestWrongUse(t *testing.T) {
	dir := exported(t, model.LMHead)
	problems := problemFile(t, 2)
	empty := writeLines(t, "")
	noQuestion := writeLines(t, `{"question":"a","answer":"1"}`, `{"answer":"1"}`)
	malformed := writeLines(t, `{"question":"a","answer":"1"}`, `{"question":`)
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.CopyFS(cut, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(cut, "model.onnx.data"), 100); err != nil {
		t.Fatal(err)
	}
	gen := func(args ...string) []string { return append([]string{"generate", "--prompt", "a"}, args...) }
	eval := func(args ...string) []string {
		return append([]string{"eval", "--model", dir, "--max-new-tokens", "4"}, args...)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{gen("--model", "nowhere"), "oreo.json"},
		{gen("--model", cut), "model.onnx.data"},
		{gen("--model", dir, "--temperature", "-1"), "temperature is -1"},
		{gen("--model", dir, "--max-new-tokens", "0"), "--max-new-tokens is 0"},
		{gen("--model", dir, "--top-p", "2"), "top-p is 2"},
		{gen("--model", dir, "--device", "tpu"), `"tpu"`},
		{gen("--model", dir, "--device", "cuda:0"), "cuda:0"},
		{gen("--model", dir, "--chat"), "no chat template"},
		{gen("--model", dir, "--system", "x"), "--chat"},
		{[]string{"generate", "--model", dir, "--prompt", strings.Repeat("17-5=12\n", 99)}, "256 positions"},
		{[]string{"score", "--model", dir}, "a critic is needed"},
		{eval("--problems", "absent.jsonl"), "absent.jsonl"},
		{eval("--problems", empty), "empty"},
		{eval("--problems", noQuestion), `record 2: field "question"`},
		{eval("--problems", malformed), ":2: malformed JSON"},
		{eval("--problems", problems, "--format", "nothing"), "{question}"},
		{eval("--problems", problems, "--system", "x"), "--system needs"},
		{eval("--problems", problems, "--grader", "x"), `"x"`},
		{eval("--problems", problems, "--critic", dir), "a critic is needed"},
		{eval("--problems", problems, "--critic", dir, "--width", "0"), "--width is 0"},
		{eval("--problems", problems, "--critic", dir, "--temperature", "0"), "--temperature 0"},
		{eval("--problems", problems, "--critic", dir, "--step", "x"), "newline or period"},
		{eval("--problems", problems, "--width", "3"), "--width needs --critic"},
		{eval("--problems", problems, "--critic", dir, "--stop", "x"), "--stop does not go"},
	} {
		if out, err := run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q; printed %q", c.args, err, c.want, out)
		}
	}
}

func TestProblemLines(t *testing.T) {
	for line, want := range map[string]problem{
		`{"id":7,"question":"q","answer":"2*9=<<2*9=18>>18\n#### 18"}`: {ID: "7", Question: "q", Answer: "18"},
		`{"id":"a","question":"q","answer":"1/2","dataset":"math"}`:    {ID: "a", Question: "q", Answer: "1/2", Dataset: "math"},
	} {
		var got problem
		decodeJSON(t, line, &got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestDoctor(t *testing.T) {
	exported(t, model.LMHead)
	if out := mustRun(t, "doctor"); !strings.Contains(out, "onnxruntime  1.") {
		t.Error(out)
	}
	t.Setenv("ORT_LIB", filepath.Join(t.TempDir(), "nowhere"))
	if _, err := run(t, "doctor"); !errors.Is(err, runtime.ErrNoLibrary) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("missing library: %v", err)
	}
}
