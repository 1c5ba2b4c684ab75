package react

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

func ownGames(t testing.TB, n int) []alfworld.Spec {
	t.Helper()
	var specs []alfworld.Spec
	for s, err := range worldgen.Games(worldgen.DefaultConfig(), "train", n) {
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, s)
	}
	return specs
}

func ownGame(t testing.TB) *alfworld.Game {
	t.Helper()
	g, err := ownGames(t, 1)[0].Compile()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// script replies with fixed texts, then with the last one for ever.
func script(texts ...string) Actor {
	return ActorFunc(func(_ context.Context, turn Turn) ([]Reply, error) {
		n := 0
		for _, m := range turn.Messages {
			switch {
			case strings.Contains(m.Content, "Your task is to"):
				n = 0
			case m.Role == Assistant:
				n++
			}
		}
		return []Reply{{Text: texts[min(n, len(texts)-1)]}}, nil
	})
}

// The paper's protocol: layout, reading of actions, end at an invalid reply.
func TestOREOProtocol(t *testing.T) {
	game := ownGame(t)
	actor := script("  Thought: look around\nAction: look \n", "Action: look Action: inventory", "Thought: no action")
	ep, err := Run(t.Context(), game, actor, Config{Protocol: OREO()}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !ep.Invalid || ep.Reward != 0 || len(ep.Turns) != 3 || ep.OutOfTurns {
		t.Errorf("episode %+v", ep)
	}
	first := ep.Conversations[2].Content
	if ep.Conversations[0].Content != DefaultInstruction || ep.Conversations[1] != (Message{Assistant, "OK"}) ||
		!strings.HasPrefix(first, "You are in the middle of a room.") || !strings.Contains(first, "\n\nYour task is to: ") {
		t.Errorf("start %+v", ep.Conversations[:3])
	}
	if got := ep.Conversations[3].Content; got != "Thought: look around\nAction: look" {
		t.Errorf("reply is kept as %q", got)
	}
	if ep.Turns[0].Action != "look" || ep.Turns[1].Action != "look " {
		t.Errorf("actions %q, %q", ep.Turns[0].Action, ep.Turns[1].Action)
	}
	if last := ep.Conversations[len(ep.Conversations)-1]; last.Role != Assistant {
		t.Errorf("the conversation ends with %+v", last)
	}
}

// ETO's: an example, errors that go on, everything after "Action:".
func TestETOProtocol(t *testing.T) {
	game := ownGame(t)
	protocol := ETO([]Message{{User, "example task"}, {Assistant, "Action: x"}})
	protocol.MaxTurns = 3
	ep, err := Run(t.Context(), game, script("nothing", "Action:look", "Action: look\nand more"), Config{Protocol: protocol}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ep.Invalid || !ep.OutOfTurns || len(ep.Turns) != 3 {
		t.Errorf("episode %+v", ep)
	}
	if ep.Conversations[2].Content != "example task" {
		t.Errorf("example is missing: %+v", ep.Conversations[:5])
	}
	if task := ep.Conversations[4].Content; strings.Contains(task, "\n\n") || !strings.Contains(task, "\nYour task is to: ") {
		t.Errorf("task %q", task)
	}
	if got := ep.Conversations[6].Content; got != missingAction {
		t.Errorf("answer to a reply without action: %q", got)
	}
	if ep.Turns[1].Action != "look" || ep.Turns[2].Action != "look\nand more" || ep.Turns[2].Observation != alfworld.Nothing {
		t.Errorf("turns %+v", ep.Turns)
	}
}

func TestArrivalIsCut(t *testing.T) {
	p := OREO()
	for obs, want := range map[string]string{
		"You arrive at loc 12. On the desk 1, you see nothing.": "Observation: On the desk 1, you see nothing.",
		"You arrive at desk 1. On the desk 1, you see nothing.": "Observation: You arrive at desk 1. On the desk 1, you see nothing.",
		"Nothing happens.": "Observation: Nothing happens.",
	} {
		if got := p.observation(obs); got != want {
			t.Errorf("%q: %q, want %q", obs, got, want)
		}
	}
	if slip := OREO().WithSlip().Instruction; !strings.Contains(slip, "\n2. task {obj} from {recep}\n") {
		t.Error("the slip is not there")
	}
}

func TestActorFailureIsInvalid(t *testing.T) {
	broken := ActorFunc(func(context.Context, Turn) ([]Reply, error) { return nil, errors.New("context is full") })
	ep, err := Run(t.Context(), ownGame(t), broken, Config{Protocol: OREO()}, 1)
	if err != nil || !ep.Invalid || ep.Error != "context is full" {
		t.Errorf("%+v, %v", ep, err)
	}
}

// longest prefers the longest reply.
type longest struct{}

func (longest) Choose(_ context.Context, _ Turn, replies []Reply) ([]float64, error) {
	scores := make([]float64, len(replies))
	for i, r := range replies {
		scores[i] = float64(len(r.Text))
	}
	return scores, nil
}

func TestBestOfK(t *testing.T) {
	actor := ActorFunc(func(_ context.Context, turn Turn) ([]Reply, error) {
		if turn.N != 3 {
			t.Errorf("%d replies are wanted", turn.N)
		}
		return []Reply{{Text: "Action: x"}, {Text: "Action: look"}, {Text: "none"}}, nil
	})
	protocol := OREO()
	protocol.MaxTurns = 1
	ep, err := Run(t.Context(), ownGame(t), actor, Config{Protocol: protocol, K: 3, Chooser: longest{}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := ep.Turns[0]
	if s.Chosen != 1 || s.Action != "look" || !reflect.DeepEqual(s.Others, []string{"Action: x", "none"}) || len(s.Scores) != 3 {
		t.Errorf("%+v", s)
	}
	// Without a chooser the actor's own values decide, and without those nothing.
	ep, err = Run(t.Context(), ownGame(t), actor, Config{Protocol: protocol, K: 3}, 1)
	if err != nil || !ep.Invalid || !strings.Contains(ep.Error, "no chooser") {
		t.Errorf("%v, %+v", err, ep)
	}
	sessions := &valuing{}
	if ep, err = Run(t.Context(), ownGame(t), sessions, Config{Protocol: protocol, K: 3}, 1); err != nil {
		t.Fatal(err)
	}
	if s := ep.Turns[0]; s.Action != "look" || *s.Value != 2 || !reflect.DeepEqual(s.Scores, []float64{-1, 2, 1}) {
		t.Errorf("%+v", s)
	}
	if sessions.opened != 1 || sessions.closed != 1 {
		t.Errorf("%d sessions opened, %d closed", sessions.opened, sessions.closed)
	}
}

// valuing is an Opener whose sessions value their replies.
type valuing struct{ opened, closed int }

func (v *valuing) Open(context.Context) (Session, error) { v.opened++; return v, nil }
func (v *valuing) Close() error                          { v.closed++; return nil }
func (v *valuing) Act(context.Context, Turn) ([]Reply, error) {
	values := []float64{-1, 2, 1}
	return []Reply{{Text: "Action: x", Value: &values[0]}, {Text: "Action: look", Value: &values[1]}, {Text: "none", Value: &values[2]}}, nil
}

// noisy is an actor whose replies depend on the turn's seed alone: the expert,
// or anything admissible, or nonsense. It is slow at random.
var noisy = ActorFunc(func(ctx context.Context, turn Turn) ([]Reply, error) {
	rng := rand.New(rand.NewPCG(turn.Seed, 7))
	time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	switch n := rng.IntN(10); {
	case n < 6:
		return Expert{Config: expert.Config{Direct: true}}.Act(ctx, turn)
	case n < 9:
		commands := turn.Env.Admissible()
		return []Reply{{Text: "Action: " + commands[rng.IntN(len(commands))], LogProbs: []float64{-1, -0.5}}}, nil
	}
	return []Reply{{Text: "Action: dance"}}, nil
})

func rollout(t testing.TB, ctx context.Context, specs []alfworld.Spec, workers int, out string) error {
	t.Helper()
	cfg := RolloutConfig{Config: Config{Protocol: OREO()}, Samples: 3, Workers: workers, Seed: 5, Settings: "noisy"}
	return Rollout(ctx, specs, noisy, cfg, out)
}

// The same seeds give the same file, however many episodes are in play, and
// wherever a run was cut: after any byte of the part file.
func TestRolloutResumes(t *testing.T) {
	specs := ownGames(t, 4)
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.jsonl")
	if err := rollout(t, t.Context(), specs, 1, whole); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		out := filepath.Join(dir, fmt.Sprintf("cut%d.jsonl", i))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+10*i)*time.Millisecond)
		err := rollout(t, ctx, specs, 7, out)
		cancel()
		if err == nil {
			continue // done before it was cut
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		part, err := os.ReadFile(out + ".part")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(out+".part", part[:rand.IntN(len(part)+1)], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := rollout(t, t.Context(), specs, 4, out); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("cut %d: the file differs", i)
		}
		if _, err := os.Stat(out + ".part"); err == nil {
			t.Error("the part file is left")
		}
	}
}

func TestRolloutRefusesOtherSettings(t *testing.T) {
	specs := ownGames(t, 2)
	out := filepath.Join(t.TempDir(), "r.jsonl")
	cfg := RolloutConfig{Config: Config{Protocol: OREO()}, Samples: 1, Workers: 1, Settings: "a"}
	log, err := openLog(out, cfg.fingerprint(specs), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := Rollout(t.Context(), specs, noisy, cfg, out); err == nil {
		t.Error("two rollouts write one file")
	}
	log.close()
	cfg.Settings = "b"
	if err := Rollout(t.Context(), specs, noisy, cfg, out); !errors.Is(err, errSettings) {
		t.Errorf("got %v", err)
	}
}

func TestExpertActorWins(t *testing.T) {
	specs := ownGames(t, 12)
	for _, spec := range specs {
		g, err := spec.Compile()
		if err != nil {
			t.Fatal(err)
		}
		ep, err := Run(t.Context(), g, Expert{}, Config{Protocol: OREO()}, 9)
		if err != nil || ep.Reward != 1 || ep.Invalid {
			t.Errorf("%s: %+v %v", spec.ID, ep, err)
		}
		sum := Summarize([]Episode{ep})
		if sum[0].Success != 1 || sum[0].Nothing != 0 || sum[0].Loops != 0 {
			t.Errorf("%+v", sum)
		}
	}
}

func TestSummaryCounts(t *testing.T) {
	loop := Step{Action: "look", Observation: "x"}
	episodes := []Episode{
		{Game: "train/a/1", TaskType: alfworld.TaskTypes[0], Reward: 1, Turns: []Step{loop, loop}},
		{Game: "train/a/1", TaskType: alfworld.TaskTypes[0], Invalid: true, Turns: []Step{{}}},
		{Game: "valid_seen/b/2", TaskType: alfworld.TaskTypes[1], OutOfTurns: true, Turns: []Step{loop, loop, loop, {Observation: alfworld.Nothing}}},
	}
	got := Summarize(episodes)
	var names []string
	for _, s := range got {
		names = append(names, s.Group)
	}
	if want := []string{"all", "train", "valid_seen", alfworld.TaskTypes[0], alfworld.TaskTypes[1]}; !reflect.DeepEqual(names, want) {
		t.Fatalf("groups %v", names)
	}
	all := got[0]
	if all.Episodes != 3 || all.Games != 2 || all.Won != 1 || all.WonOnce != 1 || all.MeanTurnsWon != 2 ||
		all.Loops != 1./3 || all.Invalid != 1./3 || all.OutOfTurns != 1./3 || all.Nothing != 1./7 {
		t.Errorf("%+v", all)
	}
}

func TestBatcher(t *testing.T) {
	var calls, most atomic.Int64
	b := NewBatcher(4, 5*time.Millisecond, func(_ context.Context, turns []Turn) ([][]Reply, error) {
		calls.Add(1)
		most.Store(max(most.Load(), int64(len(turns))))
		out := make([][]Reply, len(turns))
		for i, turn := range turns {
			out[i] = []Reply{{Text: fmt.Sprint(turn.Seed)}}
		}
		return out, nil
	})
	errs := make(chan error, 20)
	for i := range 20 {
		go func() {
			r, err := b.Act(t.Context(), Turn{Seed: uint64(i), N: 1})
			if err == nil && r[0].Text != fmt.Sprint(i) {
				err = fmt.Errorf("turn %d got %q", i, r[0].Text)
			}
			errs <- err
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if calls.Load() >= 20 || most.Load() > 4 {
		t.Errorf("%d calls, up to %d turns each", calls.Load(), most.Load())
	}
}

func TestHTTP(t *testing.T) {
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		var q chatRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("%s %v %v", r.URL, r.Header, err)
		}
		if q.Model != "m" || q.Messages[0].Content != "hello" || q.N != 2 || q.Stop[0] != "\n---" {
			t.Errorf("request %+v", q)
		}
		fmt.Fprint(w, `{"choices":[{"message":{"role":"assistant","content":"a"},"logprobs":{"content":[{"logprob":-0.25}]}},{"message":{"content":"b"}}]}`)
	}))
	defer server.Close()
	h := &HTTP{URL: server.URL + "/v1", Model: "m", Key: "key", MaxTokens: 8}
	got, err := h.Act(t.Context(), Turn{Messages: []Message{{User, "hello"}}, N: 2, Stop: []string{"\n---"}})
	if err != nil || len(got) != 2 || got[0].Text != "a" || got[0].LogProbs[0] != -0.25 || got[1].Text != "b" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadConversations(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"eto.json":    `[{"id":"1","game_file":"g","conversations":[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]}]`,
		"share.jsonl": `{"id":7,"conversations":[{"from":"human","value":"u"},{"from":"gpt","value":"a"}]}` + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range ReadConversations(path) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if want := []Message{{User, "u"}, {Assistant, "a"}}; !reflect.DeepEqual(r.Conversations, want) {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d records", name, n)
		}
	}
	bad := filepath.Join(dir, "bad.jsonl")
	if err := os.WriteFile(bad, []byte(`{"conversations":[{"from":"bot","value":"x"}]}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, err := range ReadConversations(bad) {
		if err == nil || !strings.Contains(err.Error(), `record 1: message 1: role "bot"`) {
			t.Errorf("got %v", err)
		}
	}
}
