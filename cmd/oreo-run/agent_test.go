package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
	"github.com/oreo-go/oreo/runtime/model"
)

// chatting returns a policy and a critic that have a chat template.
func chatting(t *testing.T) (policy, critic string) {
	t.Helper()
	tiny.Library(t)
	var out []string
	for i, head := range []model.Head{model.LMHead, model.ValueHead} {
		source := tiny.Model(t, model.Qwen2, head, uint64(i+1))
		const template = `{% for m in messages %}{{ m.role[0] }}:{{ m.content }}` + "\n" + `{% endfor %}{% if add_generation_prompt %}a:{% endif %}`
		if err := os.WriteFile(filepath.Join(source, "chat_template.jinja"), []byte(template), 0o644); err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(filepath.Join(source, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		longer := strings.Replace(string(config), `"max_position_embeddings": 256`, `"max_position_embeddings": 4096`, 1)
		if longer == string(config) {
			t.Fatal("max_position_embeddings is not where it was")
		}
		if err := os.WriteFile(filepath.Join(source, "config.json"), []byte(longer), 0o644); err != nil {
			t.Fatal(err)
		}
		out = append(out, tiny.Export(t, source, head))
	}
	return out[0], out[1]
}

// shellEnv is an environment: it counts steps, and an episode is won by the third.
const shellEnv = `n=0; while read -r line; do
case "$line" in
*reset*) n=0; echo '{"observation":"start","admissible":["go","take 3"],"reward":0}';;
*) n=$((n+1)); [ $n = 3 ] && done=true || done=false; echo '{"observation":"step '$n'","done":'$done',"reward":0.'$n',"admissible":["go","take 3"],"more":[1]}';;
esac; done`

func TestAgentPlays(t *testing.T) {
	policy, critic := chatting(t)
	play := func(k int, more ...string) []agentEpisode {
		out := filepath.Join(t.TempDir(), "out.jsonl")
		mustRun(t, append([]string{"agent", "--model", policy, "--critic", critic, "--env", shellEnv, "--episodes", "2", "--workers", "2",
			"--instruction", writeLines(t, "go"), "--constrain", "--best-of", fmt.Sprint(k), "--temperature", "1", "--max-new-tokens", "600", "--out", out}, more...)...)
		return readAll[agentEpisode](t, out)
	}
	for _, k := range []int{1, 3} {
		episodes := play(k)
		for i, ep := range episodes {
			if ep.Error != "" || ep.Episode != i || len(ep.Conversations) == 0 || ep.Conversations[0].Content != "go\n\nstart" {
				t.Errorf("K=%d: episode %+v", k, ep)
			}
			acted := 0
			for _, turn := range ep.Turns {
				if turn.Action != "" {
					acted++
				}
				if turn.Action != "" && turn.Action != "go" && turn.Action != "take 3" || len(turn.Others) > k-1 || len(turn.Values) != len(turn.Others) {
					t.Errorf("K=%d: turn %+v", k, turn)
				}
				for _, v := range turn.Values {
					if v > turn.Value {
						t.Errorf("K=%d: a reply of value %v was taken, one of %v left", k, turn.Value, v)
					}
				}
			}
			if ep.Done != (acted == 3) || ep.Done && ep.Reward != 0.3 {
				t.Errorf("K=%d: done %v with reward %v after %d actions", k, ep.Done, ep.Reward, acted)
			}
		}
		for i, again := range play(k, "--workers", "1") { // values may differ in their last digit
			if !slices.Equal(again.Conversations, episodes[i].Conversations) {
				t.Errorf("K=%d: one worker plays episode %d otherwise than two", k, i)
			}
		}
	}
}

// In plain lines, as alfworld step speaks.
func TestAgentPlaysALFWorld(t *testing.T) {
	policy, _ := chatting(t)
	games := filepath.Join(t.TempDir(), "games")
	mustRun(t, "alfworld", "generate", "--out", games, "--train", "2", "--seen", "0", "--unseen", "0", "--receptacles", "4", "--objects", "4")
	var files []string
	err := filepath.WalkDir(games, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tw-pddl") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	env := &agentEnv{command: "exec " + os.Args[0] + " -test.run='^TestSteps$'", lines: true, timeout: time.Minute}
	t.Setenv("OREO_TEST_STEPS", "1")
	defer env.close()
	for i, file := range files {
		o, err := env.reset(t.Context(), agentTask{Episode: i, Item: file})
		if err != nil || !strings.Contains(*o.Observation, "You are in the middle") || len(o.Admissible) == 0 {
			t.Fatalf("%+v, %v", o, err)
		}
		for range 3 {
			if o, err = env.step(t.Context(), o.Admissible[0]); err != nil || *o.Observation == "" {
				t.Fatalf("%+v, %v", o, err)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "out.jsonl")
	mustRun(t, "agent", "--model", policy, "--env", env.command, "--env-lines", "--items", writeLines(t, files...),
		"--constrain", "--max-turns", "2", "--temperature", "1", "--out", out)
	for i, ep := range readAll[agentEpisode](t, out) {
		if ep.Error != "" || ep.Item != files[i] || len(ep.Turns) != 2 || ep.Turns[0].Action == "" {
			t.Errorf("episode %d: %+v", i, ep)
		}
	}
}

// TestSteps is the environment of the test above: it is the program, as the shell
// would start it.
func TestSteps(t *testing.T) {
	if os.Getenv("OREO_TEST_STEPS") == "" {
		t.Skip("runs as a process of another test")
	}
	app := newApp()
	if err := app.Run([]string{"oreo-run", "alfworld", "step", "--game", os.Getenv("OREO_ITEM")}); err != nil {
		t.Error(err)
	}
	os.Exit(0) // before the tests' own words
}

// What an environment can do wrong costs its episode, says what it was, and
// leaves no process behind.
func TestEnvironmentsFail(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, c := range map[string]struct{ command, want string }{
		"absent":       {"/nowhere/env", "exit code 127"},
		"dies at once": {"echo went wrong >&2; exit 3", "exit code 3: went wrong"},
		"dies later":   {`read l; echo '{"observation":"a"}'; read l; exit 7`, "exit code 7"},
		"hangs":        {"sleep 1000", "no answer for 300ms"},
		"hangs later":  {`read l; echo '{"observation":"a"}'; sleep 1000 & wait`, "no answer for 300ms"},
		"malformed":    {`read l; echo '{"observation":"a"}'; read l; echo '{"obs'; sleep 9`, `line 2 of its output is not an answer: unexpected end of JSON input: "{\"obs"`},
		"wrong kind":   {`read l; echo '{"observation":7}'`, "line 1 of its output"},
		"incomplete":   {`read l; echo '{"done":true}'`, `field "observation" is missing`},
		"long line":    {"head -c 5000000 /dev/zero | tr '\\0' a; sleep 9", "has more than 4194304 bytes"},
		"says so":      {`read l; echo '{"error":"no such task"}'`, "no such task"},
		"floods":       {`yes '{"observation":"a"}' | head -c 40000000; sleep 9`, ""},
		"deaf":         {`echo '{"observation":"a"}'; sleep 9`, "no answer"},
	} {
		env := &agentEnv{command: c.command, timeout: 300 * time.Millisecond}
		start := time.Now()
		_, err := env.reset(t.Context(), agentTask{})
		if err == nil {
			_, err = env.step(t.Context(), "go")
		}
		var lost *lostError
		if c.want != "" && (!errors.As(err, &lost) || !strings.Contains(err.Error(), c.want)) || c.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		env.close()
		if spent := time.Since(start); spent > 5*time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
	big := &agentEnv{command: `echo '{"observation":"a"}'; sleep 9`, lines: true, timeout: 300 * time.Millisecond}
	if _, err := big.reset(t.Context(), agentTask{}); err != nil {
		t.Fatal(err)
	}
	if _, err := big.step(t.Context(), strings.Repeat("x", 1<<20)); err == nil || !strings.Contains(err.Error(), "did not read") {
		t.Errorf("an environment that reads nothing: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	hanging := &agentEnv{command: "sleep 1000", timeout: time.Hour}
	if _, err := hanging.reset(ctx, agentTask{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for range 50 {
		if runtime.NumGoroutine() <= before+1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// One environment that fails now and then: its episodes are recorded as lost, the
// others are played.
func TestAgentGoesOn(t *testing.T) {
	policy, _ := chatting(t)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	env := `while read -r l; do case "$l" in *'"episode":2'*) exit 1;; *) echo '{"observation":"o","done":true,"reward":1}';; esac; done`
	printed := mustRun(t, "agent", "--model", policy, "--env", env, "--episodes", "6", "--workers", "2", "--instruction", writeLines(t, "go"), "--out", out)
	for i, ep := range readAll[agentEpisode](t, out) {
		if (ep.Error != "") != (i == 2) || i != 2 && ep.Reward != 1 {
			t.Errorf("episode %d: %+v", i, ep)
		}
	}
	if !strings.Contains(printed, "0.833") {
		t.Errorf("table: %s", printed)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--env", "exit 1"}, "every episode failed"},
		{[]string{"--env", env, "--best-of", "3"}, "needs --critic"},
		{[]string{"--env", env, "--env-timeout", "-1s"}, "--env-timeout is -1s"},
		{[]string{"--env", env, "--items", os.DevNull}, "no items"},
		{[]string{"--env", `read l; echo '{"observation":"o"}'`, "--constrain", "--instruction", writeLines(t, "go")}, "admissible"},
	} {
		if _, err := run(t, append([]string{"agent", "--model", policy, "--out", filepath.Join(t.TempDir(), "o")}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestActionIn(t *testing.T) {
	for reply, want := range map[string]string{
		"Thought: a\nAction: go to desk 1": "go to desk 1",
		"Action: a\nAction:  b \nmore":     "b",
		"go":                               "",
		"Thought: Action: x":               "x",
		"Action:":                          "",
	} {
		if got := actionIn(reply); got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
}

// Closing is safe from many episodes at once.
func TestEnvironmentsInParallel(t *testing.T) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []string
	for i := range 8 {
		wg.Go(func() {
			env := &agentEnv{command: shellEnv, timeout: 10 * time.Second}
			defer env.close()
			for range 3 {
				if _, err := env.reset(t.Context(), agentTask{Episode: i}); err != nil {
					t.Error(err)
					return
				}
				o, err := env.step(t.Context(), "go")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, *o.Observation)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(all) != 24 || slices.ContainsFunc(all, func(s string) bool { return s != "step 1" }) {
		t.Errorf("%q", all)
	}
}
