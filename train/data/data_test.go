package data

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/runtime/traj"
)

// bytesTokenizer has a token per byte, "<e>" as its end token 256 and "##" as
// one token 257, which can lie across the boundary of a step.
type bytesTokenizer struct{}

func (bytesTokenizer) EncodeOffsets(text string) (ids []int, offsets [][2]int) {
	for i := 0; i < len(text); {
		id, n := int(text[i]), 1
		if strings.HasPrefix(text[i:], "<e>") {
			id, n = 256, 3
		} else if strings.HasPrefix(text[i:], "##") {
			id, n = 257, 2
		}
		ids, offsets = append(ids, id), append(offsets, [2]int{i, i + n})
		i += n
	}
	return ids, offsets
}

func (bytesTokenizer) Decode(ids []int, _ bool) string {
	var b strings.Builder
	for _, id := range ids {
		switch id {
		case 256:
			b.WriteString("<e>")
		case 257:
			b.WriteString("##")
		default:
			b.WriteByte(byte(id))
		}
	}
	return b.String()
}

func (bytesTokenizer) IsSpecial(id int) bool { return id == 256 }

// renderer writes "u:text\n" and "a:text<e>\n" as ChatML does, or without end
// token, or a text that later turns change, or in capitals.
type renderer struct{ end, rewrite, upper bool }

func (r renderer) Render(msgs []chat.Message, prompt bool) (string, error) {
	var b strings.Builder
	if r.rewrite {
		fmt.Fprintf(&b, "%d turns\n", len(msgs))
	}
	for _, m := range msgs {
		if m.Role == "fail" {
			return "", errors.New("role fail")
		}
		end := ""
		if r.upper {
			m.Content = strings.ToUpper(m.Content)
		}
		if r.end && m.Role == "assistant" {
			end = "<e>"
		}
		fmt.Fprintf(&b, "%c:%s%s\n", m.Role[0], m.Content, end)
	}
	if prompt {
		b.WriteString("a:")
	}
	return b.String(), nil
}

// marked writes a sequence as text: given (action|action), a bar before each
// step but at the beginning of a run of actions.
func marked(s Sequence) string {
	var b strings.Builder
	step := 0
	for i, id := range s.Tokens {
		prev := i > 0 && s.Action[i-1]
		starts := step < len(s.Steps) && s.Steps[step] == i
		switch {
		case s.Action[i] && !prev:
			b.WriteString("(")
		case !s.Action[i] && prev:
			b.WriteString(")")
		case starts:
			b.WriteString("|")
		}
		if starts {
			step++
		}
		b.WriteString(bytesTokenizer{}.Decode([]int{int(id)}, false))
	}
	if n := len(s.Tokens); n > 0 && s.Action[n-1] {
		b.WriteString(")")
	}
	return b.String()
}

// splitAt ends a step after each "#".
func splitAt(text string) (ends []int) {
	for i := range text {
		if text[i] == '#' || i == len(text)-1 {
			ends = append(ends, i+1)
		}
	}
	return ends
}

func turns(texts ...string) (msgs []chat.Message) {
	for _, t := range texts {
		role, content, _ := strings.Cut(t, ":")
		msgs = append(msgs, chat.Message{Role: role, Content: content})
	}
	return msgs
}

func TestEncode(t *testing.T) {
	plain, chatML := renderer{}, renderer{end: true}
	for _, c := range []struct {
		name string
		rec  traj.Record
		chat Renderer
		want string // marked, or the error
	}{
		{"response", traj.Record{Prompt: "q:", Response: "a#b#c"}, nil, "q:(a#|b#|c<e>)"},
		{"ends with a delimiter", traj.Record{Prompt: "q:", Response: "a#"}, nil, "q:(a#<e>)"},
		{"truncated", traj.Record{Prompt: "q:", Response: "a#b", Truncated: true}, nil, "q:(a#|b)"},
		{"end token in the text", traj.Record{Prompt: "q:", Response: "a<e>"}, nil, "q:(a<e>)"},
		{"token across a boundary", traj.Record{Prompt: "q:", Response: "a##b"}, nil, "q:(a##|b<e>)"},
		{"chat", traj.Record{Conversations: turns("user:x", "assistant:y#z", "user:v", "assistant:w")}, chatML, "u:x\na:(y#|z<e>)\nu:v\na:(w<e>)"},
		{"chat cut in the last turn", traj.Record{Conversations: turns("user:x", "assistant:y", "user:v", "assistant:w"), Truncated: true}, chatML, "u:x\na:(y<e>)\nu:v\na:(w)"},
		{"chat without end token", traj.Record{Conversations: turns("user:x", "assistant:y", "user:v", "assistant:w")}, plain, "u:x\na:(y)\nu:v\na:(w<e>)"},
		{"chat without end token, cut", traj.Record{Conversations: turns("user:x", "assistant:y"), Truncated: true}, plain, "u:x\na:(y)"},
		{"observation at the end", traj.Record{Conversations: turns("user:x", "assistant:y", "user:v")}, chatML, "u:x\na:(y<e>)"},
		{"two assistant turns in a row", traj.Record{Conversations: turns("user:x", "assistant:y", "assistant:z")}, chatML, "u:x\na:(y<e>)\na:(z<e>)"},

		{"no template", traj.Record{Conversations: turns("user:x", "assistant:y")}, nil, "no chat template"},
		{"no assistant", traj.Record{Conversations: turns("user:x")}, chatML, "no assistant turn"},
		{"unstable template", traj.Record{Conversations: turns("user:x", "assistant:y")}, renderer{rewrite: true}, "turn 2: the chat template rewrites"},
		{"template fails", traj.Record{Conversations: turns("fail:x", "assistant:y")}, chatML, "turn 2: role fail"},
		{"empty turn with end token", traj.Record{Conversations: turns("user:x", "assistant:")}, chatML, "u:x\na:(<e>)"},
		{"changed content", traj.Record{Conversations: turns("user:x", "assistant:y\x00")}, renderer{upper: true}, "turn 2: the chat template does not write the content"},
		{"empty turn", traj.Record{Conversations: turns("user:x", "assistant:")}, plain, "turn 2: the assistant's content is empty"},
	} {
		e := Encoder{Tokenizer: bytesTokenizer{}, Chat: c.chat, Split: splitAt, EOS: []int{256}}
		seq, err := e.Encode(&c.rec)
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && marked(seq) != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, marked(seq), err, c.want)
		}
	}
}

// The trained tokenizer must mark the same text as the byte tokenizer does.
func TestEncodeWithBPE(t *testing.T) {
	text := "Ann has 3 apples.\nShe buys 4 more.\nNow she has 3 + 4 = 7.\n#### 7"
	tok, err := tokenizer.Train(func(yield func(string) bool) {
		for range 20 {
			if !yield(text) {
				return
			}
		}
	}, 320, []string{"<e>"})
	if err != nil {
		t.Fatal(err)
	}
	eos, ok := tok.TokenID("<e>")
	if !ok {
		t.Fatal("no end token")
	}
	e := Encoder{Tokenizer: tok, EOS: []int{eos}, Chat: renderer{end: true}, Split: func(s string) (ends []int) {
		for i := range s {
			if s[i] == '\n' || i == len(s)-1 {
				ends = append(ends, i+1)
			}
		}
		return ends
	}}
	seq, err := e.Encode(&traj.Record{Prompt: "Question\n", Response: text})
	if err != nil {
		t.Fatal(err)
	}
	steps := append(seq.Steps[1:len(seq.Steps):len(seq.Steps)], len(seq.Tokens))
	var got []string
	for k, end := range steps {
		got = append(got, decode(tok, seq.Tokens[seq.Steps[k]:end]))
	}
	want := []string{"Ann has 3 apples.\n", "She buys 4 more.\n", "Now she has 3 + 4 = 7.\n", "#### 7<e>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(seq.Tokens) >= len("Question\n"+text) {
		t.Errorf("%d tokens: nothing was merged", len(seq.Tokens))
	}
	seq, err = e.Encode(&traj.Record{Conversations: turns("user:Ann", "assistant:She has 3", "user:more", "assistant:7")})
	if err != nil {
		t.Fatal(err)
	}
	var acts []int32
	for i, id := range seq.Tokens {
		if seq.Action[i] {
			acts = append(acts, id)
		}
	}
	if got := decode(tok, seq.Tokens); got != "u:Ann\na:She has 3<e>\nu:more\na:7<e>" || decode(tok, acts) != "She has 3<e>7<e>" {
		t.Errorf("text %q, actions %q", got, decode(tok, acts))
	}
}

func TestRead(t *testing.T) {
	lines := []string{
		`{"id":"one","prompt":"12","response":"345","reward":1}`,
		`{"prompt":"1234567","response":"8","reward":0}`,
		`{"prompt":"12","response":"3#4567890","reward":0.5}`,
	}
	path := filepath.Join(t.TempDir(), "d.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		max      int
		overlong Overlong
		want     string // the sequences, or the error
		stats    Stats
	}{
		{0, "", "12(345<e>) 1234567(8<e>) 12(3#|4567890<e>)", Stats{Records: 3, Sequences: 3, Tokens: 27, ActionTokens: 16, Steps: 4, Longest: 12}},
		{6, Drop, "12(345<e>)", Stats{Records: 3, Sequences: 1, Dropped: 2, Tokens: 6, ActionTokens: 4, Steps: 1, Longest: 12}},
		{6, Truncate, "12(345<e>) 12(3#|45)", Stats{Records: 3, Sequences: 2, Truncated: 1, NoAction: 1, Tokens: 12, ActionTokens: 8, Steps: 3, Longest: 12}},
		{4, Truncate, "12(34) 12(3#)", Stats{Records: 3, Sequences: 2, Truncated: 2, NoAction: 1, Tokens: 8, ActionTokens: 4, Steps: 2, Longest: 12}},
		{6, "", "d.jsonl: record 2: 9 tokens, over the limit of 6", Stats{}},
		{2, Truncate, "no sequence to train on", Stats{}},
	} {
		e := Encoder{Tokenizer: bytesTokenizer{}, Split: splitAt, EOS: []int{256}, MaxLen: c.max, Overlong: c.overlong}
		seqs, stats, err := e.Read([]string{path}, true)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("limit %d %s: %v, want %s", c.max, c.overlong, err, c.want)
			}
			continue
		}
		var texts []string
		for _, s := range seqs {
			texts = append(texts, marked(s))
		}
		if got := strings.Join(texts, " "); got != c.want || stats != c.stats {
			t.Errorf("limit %d %s:\nhave %s %+v\nwant %s %+v", c.max, c.overlong, got, stats, c.want, c.stats)
		}
		if seqs[0].ID != "one" || seqs[0].Reward != 1 || c.max == 0 && seqs[1].ID != path+":2" {
			t.Errorf("first sequence %+v, second %q", seqs[0], seqs[1].ID)
		}
	}
}

func TestCollate(t *testing.T) {
	a := &Sequence{ID: "a", Tokens: []int32{5, 6, 7, 8, 9}, Action: []bool{false, false, true, true, true}, Steps: []int{2, 4}, Reward: 1}
	b := &Sequence{ID: "b", Tokens: []int32{3, 4}, Action: []bool{false, true}, Steps: []int{1}, Reward: 0.5}
	c := &Sequence{ID: "c", Tokens: []int32{1, 2, 3, 4}, Action: []bool{false, true, false, true}, Steps: []int{1, 3}, Reference: []float32{-1, -2}} // two turns
	want := &Batch{
		B: 3, T: 5, S: 2,
		Tokens:    []int64{5, 6, 7, 8, 9, 3, 4, 0, 0, 0, 1, 2, 3, 4, 0},
		Targets:   []int64{6, 7, 8, 9, 0, 4, 0, 0, 0, 0, 2, 3, 4, 0, 0},
		StateMask: []float32{0, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0},
		Reference: []float32{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, -2, 0, 0},
		StepOf:    []int64{2, 0, 0, 1, 2, 0, 2, 2, 2, 2, 0, 2, 1, 2, 2},
		StepState: []int64{1, 3, 0, 0, 0, 2},
		StepMask:  []float32{1, 1, 1, 0, 1, 1},
		Length:    []int64{5, 2, 4}, Reward: []float32{1, 0.5, 0}, ID: []string{"a", "b", "c"},
		States: 6, ValidTokens: 11,
	}
	got := Collate([]*Sequence{a, b, c})
	if diff := cmp.Diff(want, got, unseen); diff != "" {
		t.Error(diff)
	}
	if ids := got.Half(false).ID; !slices.Equal(ids, []string{"a", "c"}) {
		t.Errorf("the first halves are of %v", ids)
	}
	if half := got.Half(true); half.T != 2 || half.Reward[0] != 0.5 || half.B != 1 {
		t.Errorf("the second halves: %+v", half)
	}
	if empty := Collate(nil); empty.B != 0 || len(empty.Tokens) != 0 {
		t.Errorf("empty batch %+v", empty)
	}
}

// unseen lets cmp look past a batch's own fields.
var unseen = cmpopts.IgnoreUnexported(Batch{})

// randomSequences makes n sequences of different lengths, told apart by ID.
func randomSequences(n int) []Sequence {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]Sequence, n)
	for i := range all {
		length := 4 + rng.IntN(60)
		s := Sequence{ID: fmt.Sprint(i), Reward: rng.Float64(), Steps: []int{2}}
		for t := range length {
			s.Tokens = append(s.Tokens, int32(rng.IntN(1000)))
			s.Action = append(s.Action, t >= 2)
		}
		all[i] = s
	}
	return all
}

func loader(t *testing.T, seqs []Sequence, cfg LoaderConfig) *Loader {
	t.Helper()
	l, err := NewLoader(seqs, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Groups stay whole, in order and in neighbouring rows, in one batch of one
// rank; each is dealt once an epoch.
func TestGroupsStayTogether(t *testing.T) {
	seqs := randomSequences(3 * 41)
	for _, cfg := range []LoaderConfig{{}, {MicroBatch: 1}, {MicroBatch: 4}, {MicroTokens: 300}, {World: 3, MicroBatch: 2}, {World: 4, MicroTokens: 1}} {
		cfg.GlobalBatch, cfg.Group, cfg.Seed = 9, 3, 5
		seen := map[string]int{}
		for cfg.Rank = range max(cfg.World, 1) {
			l := loader(t, seqs, cfg)
			if got := l.UpdatesPerEpoch(); got != 5 {
				t.Fatalf("%d updates of 9 groups for 41 groups", got)
			}
			for i := range 5 {
				u := l.Next()
				if want := min(9, 41-9*i); u.Sequences != want {
					t.Errorf("%+v: update %d counts %d groups, want %d", cfg, i, u.Sequences, want)
				}
				for _, b := range u.Micro {
					if b.B%3 != 0 || cfg.MicroBatch > 0 && b.B > 3*cfg.MicroBatch || cfg.MicroTokens > 0 && b.B > 3 && b.B*b.T > cfg.MicroTokens {
						t.Fatalf("%+v: a batch of %d x %d", cfg, b.B, b.T)
					}
					for row := 0; row < b.B; row += 3 {
						var first int
						_, err := fmt.Sscan(b.ID[row], &first)
						if err != nil || first%3 != 0 || b.ID[row+1] != fmt.Sprint(first+1) || b.ID[row+2] != fmt.Sprint(first+2) {
							t.Fatalf("%+v: rows %v are no group", cfg, b.ID[row:row+3])
						}
						seen[b.ID[row]]++
					}
				}
			}
		}
		if len(seen) != 41 {
			t.Errorf("%+v: %d of 41 groups were dealt", cfg, len(seen))
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%+v: group %s was dealt %d times", cfg, id, n)
			}
		}
	}
}

func ids(updates ...*Update) (all []string) {
	for _, u := range updates {
		for _, b := range u.Micro {
			all = append(all, b.ID...)
		}
	}
	return all
}

func TestLoaderCoversEachEpoch(t *testing.T) {
	seqs := randomSequences(103)
	l := loader(t, seqs, LoaderConfig{GlobalBatch: 10, MicroBatch: 4, Seed: 7})
	var epochs [2][]string
	for e := range epochs {
		for i := range l.UpdatesPerEpoch() {
			u := l.Next()
			if u.Epoch != e || u.Index != i {
				t.Fatalf("update %d of epoch %d calls itself %d of %d", i, e, u.Index, u.Epoch)
			}
			if want := min(10, 103-10*i); u.Sequences != want {
				t.Errorf("update %d has %d sequences, want %d", i, u.Sequences, want)
			}
			epochs[e] = append(epochs[e], ids(u)...)
		}
		seen := map[string]bool{}
		for _, id := range epochs[e] {
			seen[id] = true
		}
		if len(seen) != 103 || len(epochs[e]) != 103 {
			t.Errorf("epoch %d: %d sequences, %d distinct, want 103", e, len(epochs[e]), len(seen))
		}
	}
	if reflect.DeepEqual(epochs[0], epochs[1]) {
		t.Error("both epochs have the same order")
	}
}

func TestLoaderResumes(t *testing.T) {
	seqs := randomSequences(50)
	cfg := LoaderConfig{GlobalBatch: 8, MicroBatch: 3, Seed: 3}
	l := loader(t, seqs, cfg)
	var positions []Position
	var updates []*Update
	for range 3 * l.UpdatesPerEpoch() {
		positions = append(positions, l.Position())
		updates = append(updates, l.Next())
	}
	for i, p := range positions {
		again := loader(t, seqs, cfg)
		if err := again.Seek(p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(updates[i], again.Next(), unseen); diff != "" {
			t.Fatalf("update %d differs after Seek:\n%s", i, diff)
		}
	}
	for name, other := range map[string]*Loader{
		"seed":  loader(t, seqs, LoaderConfig{GlobalBatch: 8, Seed: 4}),
		"batch": loader(t, seqs, LoaderConfig{GlobalBatch: 4, Seed: 3}),
		"group": loader(t, seqs, LoaderConfig{GlobalBatch: 8, Seed: 3, Group: 2}),
		"data":  loader(t, seqs[1:], cfg),
	} {
		if err := other.Seek(positions[2]); err == nil {
			t.Errorf("Seek accepts a position of another %s", name)
		}
	}
	if err := loader(t, seqs, LoaderConfig{GlobalBatch: 8, MicroTokens: 100, Seed: 3, World: 4}).Seek(positions[2]); err != nil {
		t.Errorf("Seek with other ranks and micro batches: %v", err)
	}
	bad := positions[0]
	bad.Index = 7
	if err := l.Seek(bad); err == nil {
		t.Error("Seek accepts an update that no epoch has")
	}
}

// Accumulation over micro batches and ranks must give the big batch's mean, per
// sequence first and per state.
func TestPiecesEqualTheBigBatch(t *testing.T) {
	seqs := randomSequences(61)
	value := func(id int64) float64 { return math.Sin(float64(id)) } // stands in for a loss per state
	for _, cfg := range []LoaderConfig{
		{MicroBatch: 1}, {MicroBatch: 5}, {MicroTokens: 128}, {MicroTokens: 1}, {World: 3, MicroBatch: 4}, {World: 4, MicroTokens: 200}, {World: 7}, {World: 40, MicroBatch: 2},
	} {
		cfg.GlobalBatch, cfg.Seed = 16, 11
		big := loader(t, seqs, LoaderConfig{GlobalBatch: 16, Seed: 11})
		ranks := make([]*Loader, max(cfg.World, 1))
		for r := range ranks {
			cfg.Rank = r
			ranks[r] = loader(t, seqs, cfg)
		}
		for range big.UpdatesPerEpoch() {
			whole := big.Next()
			want := means(whole.Micro[0], value)
			var perSequence, perState float64
			sequences, states, tokens, pieces := 0, 0, 0, -1
			for _, l := range ranks {
				u := l.Next()
				if u.Sequences != whole.Sequences || u.States != whole.States || u.Tokens != whole.Tokens {
					t.Fatalf("%+v: counts %d, %d, %d; want %d, %d, %d", cfg, u.Sequences, u.States, u.Tokens, whole.Sequences, whole.States, whole.Tokens)
				}
				if pieces >= 0 && len(u.Micro) != pieces {
					t.Errorf("%+v: ranks have %d and %d micro batches", cfg, pieces, len(u.Micro))
				}
				pieces = len(u.Micro)
				for i, b := range u.Micro {
					if b.B == 0 && i < len(u.Micro)-1 || cfg.MicroBatch > 0 && b.B > cfg.MicroBatch || cfg.MicroTokens > 0 && b.B > 1 && b.B*b.T > cfg.MicroTokens {
						t.Errorf("%+v: batch %d of %d is %d x %d", cfg, i, len(u.Micro), b.B, b.T)
					}
					m := means(b, value)
					perSequence += m[0] * float64(b.B) / float64(u.Sequences)
					perState += m[1] * float64(b.States) / float64(u.States)
					sequences, states, tokens = sequences+b.B, states+b.States, tokens+b.ValidTokens
				}
			}
			if math.Abs(perSequence-want[0]) > 1e-12 || math.Abs(perState-want[1]) > 1e-12 {
				t.Errorf("%+v: means %v and %v, want %v", cfg, perSequence, perState, want)
			}
			if sequences != whole.Sequences || states != whole.States || tokens != whole.Tokens {
				t.Errorf("%+v: pieces hold %d sequences, %d states, %d tokens", cfg, sequences, states, tokens)
			}
		}
	}
}

// means returns the mean of value over states, per sequence first and plain.
func means(b *Batch, value func(int64) float64) [2]float64 {
	var m [2]float64
	for i := range b.B {
		sum, n := 0.0, 0.0
		for t := range b.T {
			if b.StateMask[i*b.T+t] == 1 {
				sum += value(b.Targets[i*b.T+t])
				n++
			}
		}
		m[0] += sum / n / float64(b.B)
		m[1] += sum / float64(b.States)
	}
	return m
}

// Within an update, sequences of like length share a batch.
func TestMicroBatchesSavePadding(t *testing.T) {
	seqs := randomSequences(512)
	padding := func(micro int) float64 {
		l := loader(t, seqs, LoaderConfig{GlobalBatch: 64, MicroBatch: micro})
		cells, valid := 0, 0
		for range l.UpdatesPerEpoch() {
			for _, b := range l.Next().Micro {
				cells, valid = cells+b.B*b.T, valid+b.ValidTokens
			}
		}
		return 1 - float64(valid)/float64(cells)
	}
	whole, cut := padding(0), padding(8)
	if whole < 0.3 || cut > 0.12 {
		t.Errorf("padding %.2f in one piece and %.2f in batches of 8", whole, cut)
	}
}

func TestLoaderRefuses(t *testing.T) {
	one := randomSequences(1)
	for _, c := range []struct {
		seqs []Sequence
		cfg  LoaderConfig
	}{{nil, LoaderConfig{GlobalBatch: 1}}, {one, LoaderConfig{}}, {one, LoaderConfig{GlobalBatch: 1, MicroBatch: -1}}, {one, LoaderConfig{GlobalBatch: 1, Rank: 1}}, {one, LoaderConfig{GlobalBatch: 1, Group: 2}}} {
		if _, err := NewLoader(c.seqs, c.cfg); err == nil {
			t.Errorf("NewLoader accepts %d sequences, %+v", len(c.seqs), c.cfg)
		}
	}
}

func TestShow(t *testing.T) {
	e := Encoder{Tokenizer: bytesTokenizer{}, Split: splitAt, EOS: []int{256}}
	reward := 1.0
	seq, err := e.Encode(&traj.Record{ID: "r1", Prompt: "Q\nA: ", Response: "1\x1b#\n2", Reward: &reward})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Show(&out, &seq, bytesTokenizer{}, false); err != nil {
		t.Fatal(err)
	}
	want := "r1: 11 tokens, 6 of them actions in 2 steps, reward 1\n" +
		"    given | Q⏎\n          | A: \n   step 1 | 1\uFFFD#\n   step 2 | ⏎\n          | 2<e>\n"
	if out.String() != want {
		t.Errorf("have:\n%s\nwant:\n%s", out.String(), want)
	}
	out.Reset()
	if err := Show(&out, &seq, bytesTokenizer{}, true); err != nil || !strings.Contains(out.String(), "\x1b[32m2<e>\x1b[0m\n") {
		t.Errorf("in colour: %q, %v", out.String(), err)
	}
}
