package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/alfworld/react"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/traj"
)

// runAlfworld runs "alfworld" with arguments on input.
func runAlfworld(t testing.TB, input string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := &urfave.App{Name: "oreo-run", Commands: []*urfave.Command{alfworldCommand()}, Reader: strings.NewReader(input), Writer: &out, ErrWriter: &out}
	err := app.RunContext(t.Context(), append([]string{"oreo-run", "alfworld"}, args...))
	return out.String(), err
}

func mustAlfworld(t testing.TB, input string, args ...string) string {
	t.Helper()
	out, err := runAlfworld(t, input, args...)
	if err != nil {
		t.Fatalf("alfworld %v: %v", args, err)
	}
	return out
}

// generatedGames makes a few games in a tree.
func generatedGames(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	mustAlfworld(t, "", "generate", "--out", dir, "--train", "6", "--seen", "2", "--unseen", "2")
	return dir
}

// The contract of "alfworld step": one JSON line for the start and for each
// line of input, taken as it is, the last one even without a newline.
func TestAlfworldStep(t *testing.T) {
	games, err := filepath.Glob(filepath.Join(generatedGames(t), "train", "*", "*", "game.tw-pddl"))
	if err != nil || len(games) != 6 {
		t.Fatal(games, err)
	}
	for _, more := range [][]string{nil, {"--interpret"}, {"--facts"}} {
		out := mustAlfworld(t, "look\n\n  inventory \nnope", append([]string{"step", "--game", games[0], "--grammar", "auto"}, more...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 5 {
			t.Fatalf("%d lines: %s", len(lines), out)
		}
		want := []string{"-= Welcome", "You are in the middle", "Nothing happens.", "You are not carrying anything.", "Nothing happens."}
		for i, line := range lines {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(r["observation"].(string), want[i]) || r["score"] != 0.0 || r["won"] != false || r["done"] != false || len(r["admissible"].([]any)) == 0 {
				t.Errorf("line %d: %s", i, line)
			}
			if _, has := r["facts"]; has != (len(more) > 0 && more[0] == "--facts") {
				t.Errorf("line %d: facts %v", i, has)
			}
		}
	}
}

// Expert episodes are records to train on; eval counts them; the pages are
// written.
func TestAlfworldRolloutAndEval(t *testing.T) {
	games := generatedGames(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "expert.jsonl")
	mustAlfworld(t, "", "rollout", "--games", games, "--expert", "--samples", "2", "--out", out)
	n := 0
	for r, err := range traj.Read(out, true) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; *r.Reward != 1 || len(r.Conversations) < 5 || r.Question == "" {
			t.Errorf("%+v", r)
		}
	}
	if n != 20 {
		t.Errorf("%d records", n)
	}
	html, replay, result := filepath.Join(dir, "e.html"), filepath.Join(dir, "r.html"), filepath.Join(dir, "e.json")
	table := mustAlfworld(t, "", "eval", "--episodes", out, "--html", html, "--replay", replay, "--out", result)
	if !strings.Contains(table, "100.0%") || !strings.Contains(table, "valid_unseen") {
		t.Error(table)
	}
	var parsed []evaluated
	text, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(text, &parsed)
	}
	if err != nil || parsed[0].Groups[0].Episodes != 20 || parsed[0].Groups[0].Lo < 0.8 || parsed[0].Groups[0].Hi != 1 {
		t.Errorf("%+v %v", parsed, err)
	}
	for _, page := range []string{html, replay} {
		text, err := os.ReadFile(page)
		if err != nil || !bytes.Contains(text, []byte("</html>")) {
			t.Errorf("%s: %v", page, err)
		}
	}
}

// A server that answers like a model plays through --url.
func TestAlfworldRolloutHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"choices":[{"message":{"content":"Thought: hm\nAction: look"}}]}`)
	}))
	defer server.Close()
	out := filepath.Join(t.TempDir(), "r.jsonl")
	mustAlfworld(t, "", "rollout", "--games", generatedGames(t), "--limit", "3", "--url", server.URL, "--served-model", "m",
		"--max-turns", "4", "--protocol", "eto", "--out", out)
	episodes, err := readEpisodes(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, ep := range episodes {
		if len(ep.Turns) != 4 || !ep.OutOfTurns || ep.Reward != 0 || !ep.Loops() {
			t.Errorf("%+v", ep)
		}
		if ep.Conversations[2].Role != react.User || ep.Conversations[3].Role != react.Assistant || len(ep.Conversations) < 12 {
			t.Errorf("no example: %d messages", len(ep.Conversations))
		}
	}
}

// Best of K: what the critic says of each reply is its value of the state behind
// that reply, the highest is taken, and nothing depends on how many episodes are
// in play. With K = 1 the values are recorded.
func TestAlfworldBestOf(t *testing.T) {
	policy, critic := chatting(t)
	games := t.TempDir()
	mustAlfworld(t, "", "generate", "--out", games, "--train", "4", "--seen", "0", "--unseen", "0", "--receptacles", "3", "--objects", "3")
	play := func(more ...string) []react.Episode {
		out := filepath.Join(t.TempDir(), "r.jsonl")
		mustAlfworld(t, "", append([]string{"rollout", "--games", games, "--model", policy, "--critic", critic, "--protocol", "eto",
			"--max-turns", "3", "--max-new-tokens", "1", "--temperature", "1", "--seed", "5", "--out", out}, more...)...)
		episodes, err := readEpisodes(out)
		if err != nil {
			t.Fatal(err)
		}
		return episodes
	}
	episodes := play("--best-of", "3", "--workers", "4")
	for i, other := range play("--best-of", "3", "--workers", "1") {
		if !reflect.DeepEqual(other.Conversations, episodes[i].Conversations) {
			t.Errorf("%s depends on the number of workers", other.ID)
		}
	}
	v, err := runtime.OpenValue(critic, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	value := func(ep react.Episode, turn int, reply string) float64 {
		said := 0
		for i, m := range ep.Conversations {
			if m.Role != react.Assistant {
				continue
			}
			// The last len(Turns) replies are the episode's own.
			if said++; said == countReplies(ep)-len(ep.Turns)+turn+1 {
				s, err := v.Score(t.Context(), runtime.Chat(chatMessages(ep.Conversations[:i])...), reply)
				if err != nil {
					t.Fatal(err)
				}
				return s.Values[len(s.Values)-1]
			}
		}
		t.Fatal("no such turn")
		return 0
	}
	compared := 0
	for _, ep := range episodes {
		if len(ep.Turns) != 3 {
			t.Fatalf("%s: %d turns", ep.ID, len(ep.Turns))
		}
		for i, turn := range ep.Turns {
			if len(turn.Scores) != 3 || len(turn.Others) != 2 || len(turn.LogProbs) == 0 || *turn.Value != slices.Max(turn.Scores) || turn.Scores[turn.Chosen] != *turn.Value {
				t.Errorf("%s: turn %d: %+v", ep.ID, i, turn)
			}
			for j, other := range turn.Others {
				if len(v.Tokenizer().Encode(other)) != 1 {
					continue // the text reads as other tokens than those drawn
				}
				compared++
				if want := value(ep, i, other); math.Abs(want-turn.Scores[j+1]) > 1e-4 {
					t.Errorf("%s: turn %d: a reply left is valued %v, its state %v", ep.ID, i, turn.Scores[j+1], want)
				}
			}
		}
	}
	if compared < 5 {
		t.Errorf("only %d values compared", compared)
	}
	for _, ep := range play() {
		for i, turn := range ep.Turns {
			if turn.Value == nil || turn.Scores != nil {
				t.Errorf("%s: turn %d: %+v", ep.ID, i, turn)
			}
		}
	}
}

func countReplies(ep react.Episode) (n int) {
	for _, m := range ep.Conversations {
		if m.Role == react.Assistant {
			n++
		}
	}
	return n
}

func TestAlfworldVerifyAndPlay(t *testing.T) {
	games := generatedGames(t)
	if out := mustAlfworld(t, "", "verify", "--games", games); !strings.Contains(out, "10 of 10") {
		t.Error(out)
	}
	if out := mustAlfworld(t, "?\nlook\n", "play", "--seed", "3"); !strings.Contains(out, "inventory\nlook\n") || !strings.Contains(out, "Your task is to") {
		t.Error(out)
	}
}

func TestAlfworldImport(t *testing.T) {
	in := writeLines(t, `{"id":"a","conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}]}`)
	out := filepath.Join(t.TempDir(), "o.jsonl")
	mustAlfworld(t, "", "import", "--in", in, "--out", out)
	for r, err := range traj.Read(out, false) {
		if err != nil || len(r.Conversations) != 2 || r.Conversations[1].Role != "assistant" {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestAlfworldWrongUse(t *testing.T) {
	games := generatedGames(t)
	for _, test := range []struct {
		want string
		args []string
	}{
		{"want one of --model, --url and --expert", []string{"rollout", "--games", games, "--out", "x"}},
		{"--best-of 3 needs --critic", []string{"rollout", "--games", games, "--out", "x", "--url", "u", "--best-of", "3"}},
		{`protocol "x"`, []string{"rollout", "--games", games, "--out", "x", "--expert", "--protocol", "x"}},
		{"--example goes with", []string{"rollout", "--games", games, "--out", "x", "--expert", "--example", "x"}},
		{"--samples is 0", []string{"rollout", "--games", games, "--out", "x", "--expert", "--samples", "0"}},
		{"no such file", []string{"rollout", "--games", "missing", "--out", "x", "--expert"}},
		{"no games", []string{"verify", "--games", t.TempDir()}},
		{"not an episode", []string{"eval", "--episodes", writeLines(t, "{}")}},
		{`task "dance"`, []string{"generate", "--out", t.TempDir(), "--task", "dance"}},
		{"allow more receptacles", []string{"generate", "--out", t.TempDir(), "--room", "bathroom", "--task", "pick_heat_then_place_in_recep"}},
		{`edition "7"`, []string{"generate", "--out", t.TempDir(), "--edition", "7"}},
		{"no such file", []string{"step", "--game", "missing.tw-pddl"}},
	} {
		if _, err := runAlfworld(t, "", test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %q", test.args, err, test.want)
		}
	}
}
