package traj

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oreo-go/oreo/runtime/chat"
)

func write(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	plain = `{"prompt":"p","response":"r","reward":1}`
	talk  = `{"conversations":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"reward":1}`
)

// Each mistake is an error that names file, record, field and what is wanted.
func TestBadRecords(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{plain + "\n" + `{"prompt":"p","response":"r"}`, `d.jsonl: record 2: field "reward" is missing`},
		{`{"prompt":"p","response":"r","reward":null}`, `field "reward" is missing`},
		{`{"prompt":"p","response":"r","reward":"1"}`, `d.jsonl:1: field "reward": want a number, have string`},
		{`{"prompt":"p","response":"r","reward":true}`, `d.jsonl:1: field "reward": want a number, have bool`},
		{`{"prompt":"p","response":"r","reward":NaN}`, `d.jsonl:1: malformed JSON at byte 39: NaN is not a value in JSON`},
		{`{"prompt":"p","response":"r","reward":1e999}`, `d.jsonl:1: field "reward": want a number, have number 1e999`},
		{`{"prompt":"p","response":"","reward":1}`, `record 1: field "response" is missing or empty`},
		{`{"response":"r","reward":1}`, `record 1: field "prompt" is missing or empty`},
		{`{"prompt":"p","response":["r"],"reward":1}`, `field "response": want a string, have array`},
		{`{"prompt":"p","response":"r","reward":1,"label":1}`, `field "label": want true or false, have number`},
		{`{"prompt":"p","conversations":[{"role":"user","content":"x"}],"reward":1}`, `has both conversations and prompt/response`},
		{`{"conversations":[{"from":"human","value":"x"}],"reward":1}`, `record 1: field "conversations": message 1 has no role; a message is`},
		{plain + "\n\n" + talk, `d.jsonl: record 2 is conversations, the records before it are plain text; put them into two files`},
		{talk + "\n" + plain, `d.jsonl: record 2 is plain text, the records before it are conversations`},
	} {
		var last error
		for _, err := range Read(write(t, c.lines), true) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s:\nhave %v\nwant %s", c.lines, last, c.want)
		}
	}
}

func TestDesirable(t *testing.T) {
	yes, no := true, false
	one, half := 1.0, 0.5
	for _, c := range []struct {
		label  *bool
		reward *float64
		want   bool
		err    string
	}{
		{&yes, nil, true, ""}, {&no, nil, false, ""}, {nil, &one, true, ""}, {nil, &half, false, ""}, {&yes, &one, true, ""},
		{&no, &one, false, `"label" is false, but field "reward" is 1`},
		{nil, nil, false, `"label" and "reward" are missing`},
	} {
		r := Record{Label: c.label, Reward: c.reward}
		got, err := r.Desirable()
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

// The three layouts of a pair, the last two being those of other libraries too.
func TestPairLayouts(t *testing.T) {
	path := write(t, `{"id":"7","prompt":"p","chosen":"good","rejected":"bad","rejected_truncated":true}`)
	pair := onlyPair(t, path)
	chosen, rejected := pair.Records()
	one, zero := 1.0, 0.0
	diff(t, chosen, Record{ID: "7", Prompt: "p", Response: "good", Reward: &one})
	diff(t, rejected, Record{ID: "7", Prompt: "p", Response: "bad", Reward: &zero, Truncated: true})

	msg := func(role, content string) chat.Message { return chat.Message{Role: role, Content: content} }
	whole := []chat.Message{msg("user", "x"), msg("assistant", "y"), msg("user", "z"), msg("assistant", "w")}
	for _, line := range []string{
		`{"chosen":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"},{"role":"assistant","content":"w"}],
		  "rejected":[{"role":"user","content":"x"},{"role":"assistant","content":"v"}]}`,
		`{"prompt":[{"role":"user","content":"x"}],"chosen":[{"role":"assistant","content":"y"},{"role":"user","content":"z"},{"role":"assistant","content":"w"}],
		  "rejected":[{"role":"assistant","content":"v"}]}`,
	} {
		pair := onlyPair(t, write(t, strings.ReplaceAll(line, "\n", "")))
		chosen, rejected := pair.Records()
		diff(t, chosen.Conversations, whole)
		diff(t, rejected.Conversations, []chat.Message{msg("user", "x"), msg("assistant", "v")})
		text, err := json.Marshal(pair)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, onlyPair(t, write(t, string(text))), pair)
	}
}

func onlyPair(t *testing.T, path string) Pair {
	t.Helper()
	var all []Pair
	for p, err := range ReadPairs(path) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) != 1 {
		t.Fatalf("%d pairs", len(all))
	}
	return all[0]
}

func diff[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Text{})); d != "" {
		t.Error(d)
	}
}

func TestBadPairs(t *testing.T) {
	const user = `{"role":"user","content":"x"}`
	const says = `{"role":"assistant","content":"y"}`
	for _, c := range []struct{ lines, want string }{
		{`{"prompt":"p","chosen":"a"}`, `d.jsonl: record 1: field "rejected" is missing or empty: a pair has a better trajectory`},
		{`{"prompt":"p","chosen":"a","rejected":""}`, `field "rejected" is missing or empty`},
		{`{"prompt":"p","chosen":null,"rejected":"b"}`, `field "chosen" is missing or empty`},
		{`{"prompt":"p","chosen":[],"rejected":"b"}`, `field "chosen" is missing or empty`},
		{`{"chosen":"a","rejected":"b"}`, `field "prompt" is missing or empty`},
		{`{"prompt":"p","chosen":5,"rejected":"b"}`, `field "chosen": want a string or a list of messages, have 5`},
		{`{"prompt":"p","chosen":["a"],"rejected":"b"}`, `field "chosen": want a string or a list of messages, have ["a"]`},
		{`{"prompt":[` + user + `],"chosen":[{"from":"gpt"}],"rejected":[` + says + `]}`, `field "chosen": message 1 has no role`},
		{`{"prompt":{"q":1},"chosen":"a","rejected":"b"}`, `field "prompt": want a string or a list of messages, have {"q":1}`},
		{`{"prompt":"p","chosen":"a","rejected":[` + says + `]}`, `one is text and one a list of messages`},
		{`{"prompt":"p","chosen":[` + says + `],"rejected":[` + says + `]}`, `"prompt" is text, but "chosen" a list`},
		{`{"prompt":[` + user + `],"chosen":"a","rejected":"b"}`, `"prompt" is a list of messages, but "chosen" is text`},
		{`{"chosen":[` + user + `,` + says + `],"rejected":[{"role":"user","content":"other"},` + says + `]}`, `they belong to different tasks`},
		{`{"prompt":"p","chosen":"a","rejected":"b"}` + "\n" + `{"chosen":[` + user + `,` + says + `],"rejected":[` + user + `,` + says + `]}`, `record 2 is conversations`},
	} {
		var last error
		for _, err := range ReadPairs(write(t, c.lines)) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s:\nhave %v\nwant %s", c.lines, last, c.want)
		}
	}
}

func TestFormOf(t *testing.T) {
	for line, want := range map[string]Form{
		plain: Trajectories, talk: Trajectories, "": Trajectories,
		`{"prompt":"p","response":"r","label":false}`: Labels,
		`{"prompt":"p","chosen":"c","rejected":"r"}`:  Pairs,
		`{"prompt":"p","rejected":"r"}`:               Pairs,
	} {
		if got, err := FormOf(write(t, line)); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", line, got, err, want)
		}
	}
	if _, err := FormOf("absent.jsonl"); err == nil {
		t.Error("a missing file has a form")
	}
}
