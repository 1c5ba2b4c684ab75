package data

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oreo-go/oreo/runtime/traj"
)

func write(t *testing.T, lines ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

func markedAll(seqs []Sequence) string {
	var texts []string
	for _, s := range seqs {
		texts = append(texts, marked(s))
	}
	return strings.Join(texts, " ")
}

func TestReadPairs(t *testing.T) {
	lines := []string{
		`{"id":"one","prompt":"12","chosen":"345","rejected":"67","rejected_truncated":true}`,
		`{"prompt":"1","chosen":"8","rejected":"8"}`,
		`{"prompt":"1","chosen":"23456","rejected":"7"}`,
		`{"prompt":"1","chosen":"234567","rejected":"234568"}`,
	}
	for _, c := range []struct {
		max      int
		overlong Overlong
		want     string // the sequences, or the error
		stats    Stats
	}{
		{0, "", "12(345<e>) 12(67) 1(23456<e>) 1(7<e>) 1(234567<e>) 1(234568<e>)", Stats{Records: 4, Sequences: 6, Tokens: 36, ActionTokens: 28, Steps: 6, Longest: 8, Pairs: 3, Same: 1}},
		{7, Drop, "12(345<e>) 12(67) 1(23456<e>) 1(7<e>)", Stats{Records: 4, Sequences: 4, Dropped: 1, Tokens: 20, ActionTokens: 14, Steps: 4, Longest: 8, Pairs: 2, Same: 1}},
		{6, Truncate, "12(345<e>) 12(67) 1(23456) 1(7<e>)", Stats{Records: 4, Sequences: 4, Truncated: 1, Tokens: 19, ActionTokens: 13, Steps: 4, Longest: 8, Pairs: 2, Same: 2}},
		{2, Truncate, "1(2) 1(7)", Stats{Records: 4, Sequences: 2, Truncated: 1, NoAction: 1, Tokens: 4, ActionTokens: 2, Steps: 2, Longest: 8, Pairs: 1, Same: 2}},
		{7, "", "record 4: 8 tokens, over the limit of 7", Stats{}},
	} {
		e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, MaxLen: c.max, Overlong: c.overlong}
		seqs, stats, err := e.ReadPairs(write(t, lines...))
		if err != nil {
			if c.stats != (Stats{}) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("limit %d %s: %v, want %s", c.max, c.overlong, err, c.want)
			}
			continue
		}
		if got := markedAll(seqs); got != c.want || stats != c.stats {
			t.Errorf("limit %d %s:\nhave %s %+v\nwant %s %+v", c.max, c.overlong, got, stats, c.want, c.stats)
		}
		for i, s := range seqs {
			if s.Reward != float64(1-i%2) || i == 1 && c.max == 0 && s.ID != "one/rejected" {
				t.Errorf("sequence %d is %s with reward %g", i, s.ID, s.Reward)
			}
		}
	}
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}}
	if _, _, err := e.ReadPairs(write(t, lines[1])); err == nil || !strings.Contains(err.Error(), "1 pairs of equals") {
		t.Errorf("nothing but equals: %v", err)
	}
}

func TestReadChatPairs(t *testing.T) {
	const says = `{"role":"user","content":"x"},{"role":"assistant","content":`
	path := write(t, `{"chosen":[`+says+`"y"},{"role":"user","content":"v"},{"role":"assistant","content":"w"}],"rejected":[`+says+`"z"}],"rejected_truncated":true}`)
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, Chat: renderer{end: true}}
	seqs, _, err := e.ReadPairs(path)
	if want := "u:x\na:(y<e>)\nu:v\na:(w<e>) u:x\na:(z)"; err != nil || markedAll(seqs) != want {
		t.Errorf("%q, %v, want %q", markedAll(seqs), err, want)
	}
	e.Chat = nil
	if _, _, err := e.ReadPairs(path); err == nil || !strings.Contains(err.Error(), "record 1: chosen: has conversations, but the model has no chat template") {
		t.Errorf("no template: %v", err)
	}
}

func TestReadLabels(t *testing.T) {
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}}
	seqs, stats, err := e.ReadLabels(write(t,
		`{"prompt":"p","response":"a","label":true}`,
		`{"prompt":"q","response":"b","reward":0.2}`), 1)
	if want := "p(a<e>) p(b<e>) q(b<e>) q(a<e>)"; err != nil || markedAll(seqs) != want || seqs[0].Reward != 1 || seqs[2].Reward != 0 {
		t.Errorf("%v, %v, want %s", seqs, err, want)
	}
	if want := (Stats{Records: 2, Sequences: 2, Tokens: 6, ActionTokens: 4, Steps: 2, Longest: 3, Desirable: 1, Undesirable: 1}); stats != want {
		t.Errorf("stats %+v, want %+v", stats, want)
	}
	for want, lines := range map[string][]string{
		"is the only record":                           {`{"prompt":"p","response":"a","label":true}`},
		`record 1: fields "label" and "reward" are mi`: {`{"prompt":"p","response":"a"}`},
		`"label": want true or false, have string`:     {`{"prompt":"p","response":"a","label":"true"}`},
		`record 2: field "label" is true, but`:         {`{"prompt":"p","response":"a","label":true}`, `{"prompt":"p","response":"a","label":true,"reward":0}`},
	} {
		if _, _, err := e.ReadLabels(write(t, lines...), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", lines, err, want)
		}
	}
}

// A mismatched sequence is what encoding one prompt with the other response
// gives, is cut to the limit, and depends on the seed alone.
func TestMismatchedEqualsEncoding(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var lines []string
	prompts, responses := map[string]string{}, map[string]string{}
	for i := range 40 {
		id, p, r := fmt.Sprint(i), fmt.Sprintf("prompt %d:", rng.IntN(9)), fmt.Sprintf("%*d#%d", 1+rng.IntN(9), i, i)
		prompts[id], responses[id] = p, r
		lines = append(lines, fmt.Sprintf(`{"id":%q,"prompt":%q,"response":%q,"label":%v,"truncated":%v}`, id, p, r, i%2 == 0, i%5 == 0))
	}
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, Split: splitAt, MaxLen: 22, Overlong: Fail}
	seqs, stats, err := e.ReadLabels(write(t, lines...), 3)
	if err != nil || len(seqs) != 80 || stats.SamePrompt != 0 {
		t.Fatalf("%d sequences, %+v, %v", len(seqs), stats, err)
	}
	lent := map[string]int{}
	for i := 0; i < len(seqs); i += 2 {
		sample, other := seqs[i], seqs[i+1]
		if other.ID != sample.ID+"/mismatched" {
			t.Errorf("%s stands behind %s", other.ID, sample.ID)
		}
		found := false
		for j := range 40 {
			id := fmt.Sprint(j)
			want, err := e.Encode(&traj.Record{Prompt: prompts[sample.ID], Response: responses[id], Truncated: j%5 == 0})
			if err != nil {
				t.Fatal(err)
			}
			want.cut(e.MaxLen)
			if slices.Equal(want.Tokens, other.Tokens) && slices.Equal(want.Action, other.Action) && slices.Equal(want.Steps, other.Steps) {
				found = true
				lent[id]++
				if prompts[id] == prompts[sample.ID] {
					t.Errorf("%s has the response of %s, which has the same prompt", sample.ID, id)
				}
			}
		}
		if !found {
			t.Errorf("%s: %s is no prompt with another response", sample.ID, marked(other))
		}
	}
	for id, n := range lent {
		if n != 1 {
			t.Errorf("response %s is lent %d times", id, n)
		}
	}
	again, _, _ := e.ReadLabels(write(t, lines...), 3)
	other, _, _ := e.ReadLabels(write(t, lines...), 4)
	if !cmp.Equal(seqs, again) || cmp.Equal(seqs, other) {
		t.Error("the mismatched responses do not follow the seed")
	}
}

// In conversations with a common opening the prompt reaches to the task, and
// the rest of the other conversation follows.
func TestMismatchedConversations(t *testing.T) {
	talk := func(task, act string, won bool) string {
		return fmt.Sprintf(`{"conversations":[{"role":"user","content":"rules"},{"role":"assistant","content":"OK"},{"role":"user","content":%q},`+
			`{"role":"assistant","content":%q},{"role":"user","content":"seen"},{"role":"assistant","content":"end"}],"reward":%d}`, task, act, map[bool]int{true: 1}[won])
	}
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, Chat: renderer{end: true}}
	seqs, stats, err := e.ReadLabels(write(t, talk("A", "go", true), talk("A", "no", false), talk("B", "up", true), talk("B", "at", true)), 1)
	if err != nil || stats.SamePrompt != 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	for i := 1; i < len(seqs); i += 2 {
		own, other := marked(seqs[i-1]), marked(seqs[i])
		head := own[:len("u:rules\na:(OK<e>)\nu:A\na:(")]
		acts := map[bool]string{true: "up|at", false: "go|no"}[strings.Contains(head, "u:A")]
		rest, ok := strings.CutPrefix(other, head)
		act, tail, _ := strings.Cut(rest, "<e>")
		if !ok || !strings.Contains(acts, act) || tail != ")\nu:seen\na:(end<e>)" || !slices.Equal(seqs[i].Steps, seqs[i-1].Steps) {
			t.Errorf("behind %q stands %q", own, other)
		}
	}
	// Of one task alone: the opening is not all there is.
	seqs, stats, err = e.ReadLabels(write(t, talk("A", "go", true), talk("A", "go", true), talk("A", "go", true)), 1)
	if err != nil || stats.SamePrompt != 3 || len(seqs) != 6 {
		t.Errorf("%d sequences, %+v, %v", len(seqs), stats, err)
	}
}

// A derangement lends every index once, to another one, with equal keys meeting
// only as often as they must.
func TestDerangement(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 3000 {
		n := 2 + rng.IntN(30)
		keys := make([]string, n)
		kinds := 1 + rng.IntN(n)
		count := map[string]int{}
		largest := 0
		for i := range keys {
			keys[i] = fmt.Sprint(rng.IntN(kinds))
			count[keys[i]]++
			largest = max(largest, count[keys[i]])
		}
		partner := derangement(keys, rng)
		meet := 0
		for i, j := range partner {
			if i == j {
				t.Fatalf("%v: %d is lent to itself", keys, i)
			}
			if keys[i] == keys[j] {
				meet++
			}
		}
		if must := max(0, 2*largest-n); meet != must {
			t.Fatalf("%v: %d equal keys meet, want %d", keys, meet, must)
		}
		slices.Sort(partner)
		for i := range partner {
			if partner[i] != i {
				t.Fatalf("%v: %d is not lent once", keys, i)
			}
		}
	}
}

func TestReadAny(t *testing.T) {
	e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}}
	for line, want := range map[string]string{
		`{"prompt":"p","chosen":"a","rejected":"b"}`:                                                        "1 pairs: 2 sequences, 6 tokens, 4 of them actions in 2 steps; longest 3",
		`{"prompt":"p","response":"a","label":true}` + "\n" + `{"prompt":"p","response":"b","label":false}`: "1 desirable and 1 undesirable: 2 sequences, 6 tokens, 4 of them actions in 2 steps; longest 3; 2 of 2 mismatched with a response to the same prompt",
		`{"prompt":"p","response":"a"}`:                                                                     "1 sequences, 3 tokens, 2 of them actions in 1 steps; longest 3",
	} {
		if _, stats, err := e.ReadAny(write(t, line), 1); err != nil || stats.String() != want {
			t.Errorf("%s: %v, %v", line, stats, err)
		}
	}
}

// The four kinds of steps, in a plain record and in a conversation.
func TestSteps(t *testing.T) {
	plain := traj.Record{Prompt: "q:", Response: "a. b\nc"}
	talk := traj.Record{Conversations: turns("user:x", "assistant:a. b\nc", "user:y", "assistant:d\n e")}
	for _, c := range []struct{ steps, plain, talk string }{
		{"newline", "q:(a. b\n|c<e>)", "u:x\na:(a. b\n|c<e>)\nu:y\na:(d\n| e<e>)"},
		{"period", "q:(a. |b\n|c<e>)", "u:x\na:(a. |b\n|c<e>)\nu:y\na:(d\n| e<e>)"},
		{"turn", "q:(a. b\nc<e>)", "u:x\na:(a. b\nc<e>)\nu:y\na:(d\n e<e>)"},
		{"response", "q:(a. b\nc<e>)", "u:x\na:(a. b\nc<e>)\nu:y\na:(d\n e<e>)"},
	} {
		e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, Chat: renderer{end: true}}
		if err := e.SetSteps(c.steps); err != nil {
			t.Fatal(err)
		}
		for rec, want := range map[*traj.Record]string{&plain: c.plain, &talk: c.talk} {
			seq, err := e.Encode(rec)
			if err != nil || marked(seq) != want {
				t.Errorf("%s: %q, %v, want %q", c.steps, marked(seq), err, want)
			}
			if first := slices.Index(seq.Action, true); seq.Steps[0] != first || c.steps == "response" && len(seq.Steps) != 1 {
				t.Errorf("%s: steps %v, the first action is at %d", c.steps, seq.Steps, first)
			}
			b := Collate([]*Sequence{&seq})
			for k := range b.S { // the state of a step is the token before its first one, and all its actions are its own
				if state := b.StepState[k]; int(state) != seq.Steps[k]-1 || b.StepOf[state] != int64(k) {
					t.Errorf("%s: step %d has the state %d and the action of step %d there", c.steps, k, state, b.StepOf[state])
				}
			}
			n := 0
			for _, k := range b.StepOf {
				if k < int64(b.S) {
					n++
				}
			}
			if n != b.States {
				t.Errorf("%s: %d of %d actions are in steps", c.steps, n, b.States)
			}
		}
	}
	if err := new(Encoder).SetSteps("word"); err == nil || !strings.Contains(err.Error(), `steps "word": want newline, period, turn or response`) {
		t.Errorf("unknown steps: %v", err)
	}
}

// Whatever a file holds, reading it gives an error or sequences that training
// can rely on.
func FuzzReadAny(f *testing.F) {
	for _, seed := range []string{
		`{"prompt":"p","response":"a. b\nc","reward":1}`,
		`{"prompt":"p","response":"a","label":true}` + "\n" + `{"prompt":"q","response":"b","label":false}`,
		`{"prompt":"p","chosen":"a","rejected":"b"}`,
		`{"chosen":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}],"rejected":[{"role":"user","content":"x"},{"role":"assistant","content":"z"}]}`,
		`{"conversations":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"assistant","content":"z"}],"reward":0}`,
	} {
		for mode := range byte(4) {
			f.Add([]byte(seed), mode, byte(9))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, mode, limit byte) {
		path := filepath.Join(t.TempDir(), "d.jsonl")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		e := Encoder{Tokenizer: bytesTokenizer{}, EOS: []int{256}, Chat: renderer{end: mode%2 == 0}, MaxLen: int(limit), Overlong: Truncate}
		if err := e.SetSteps([]string{"newline", "period", "turn", "response"}[mode%4]); err != nil {
			t.Fatal(err)
		}
		seqs, stats, err := e.ReadAny([]string{path}, 1)
		if err != nil {
			return
		}
		if stats.Pairs+stats.Desirable+stats.Undesirable > 0 && len(seqs)%GroupSize != 0 {
			t.Errorf("%d sequences are no groups", len(seqs))
		}
		for i := range seqs {
			checkSequence(t, &seqs[i], int(limit))
		}
	})
}

// checkSequence tests what Sequence's comments promise.
func checkSequence(t *testing.T, s *Sequence, limit int) {
	t.Helper()
	n := len(s.Tokens)
	if n == 0 || n != len(s.Action) || s.Action[0] || !s.Action[n-1] || limit > 0 && n > limit {
		t.Fatalf("%d tokens, limit %d, actions %v", n, limit, s.Action)
	}
	if len(s.Steps) == 0 || s.Steps[0] != slices.Index(s.Action, true) || !slices.IsSorted(s.Steps) {
		t.Fatalf("steps %v of actions %v", s.Steps, s.Action)
	}
	for k, start := range s.Steps {
		if !s.Action[start] || k > 0 && start == s.Steps[k-1] {
			t.Fatalf("steps %v of actions %v", s.Steps, s.Action)
		}
	}
}
