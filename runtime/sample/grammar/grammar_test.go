package grammar

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/oreo-go/oreo/runtime/sample"
)

// vocabulary has every byte, some longer tokens, two end tokens and one that is
// never text. A first token loses its space, as with sentencepiece.
func vocabulary(more ...string) (*Vocabulary, []string) {
	tokens := []string{"<end>", "<special>"}
	for b := range 256 {
		tokens = append(tokens, string([]byte{byte(b)}))
	}
	tokens = append(tokens, " go", " to", "go to", "take", " desk", `"a`, `":`, `, "`, "tr", "ue", "null", "12", "3.5", "é", "\xc3", "世界", "}")
	tokens = append(tokens, more...)
	tokens = append(tokens, "<end2>")
	ends := []int{0, len(tokens) - 1}
	return NewVocabulary(len(tokens), ends, func(id int, first bool) (string, bool) {
		if id == 1 || slices.Contains(ends, id) {
			return "", false
		}
		if first {
			return strings.TrimPrefix(tokens[id], " "), true
		}
		return tokens[id], true
	}), tokens
}

func has(set []uint64, id int) bool { return id/64 < len(set) && set[id/64]>>(id%64)&1 == 1 }

// At every prefix of every text of a finite language, exactly those tokens are
// allowed that lead on to a text, found by comparing texts.
func TestAllowsExactlyWhatLeadsOn(t *testing.T) {
	v, tokens := vocabulary()
	texts := []string{"go to desk 1", "go to desk 12", "take mug", "go", "é世界", "a+b (c)?"}
	var quoted []string
	for _, s := range texts {
		quoted = append(quoted, quote(s))
	}
	g, err := Regexp(v, strings.Join(quoted, "|"))
	if err != nil {
		t.Fatal(err)
	}
	leads := func(prefix string) bool {
		return slices.ContainsFunc(texts, func(s string) bool { return strings.HasPrefix(s, prefix) })
	}
	states := 0
	var visit func(said string, w sample.Constraint, path []int)
	visit = func(said string, w sample.Constraint, path []int) {
		states++
		allowed := w.Allowed()
		for id, tok := range tokens {
			end := id == 0 || id == len(tokens)-1
			if len(path) == 0 {
				tok = strings.TrimPrefix(tok, " ")
			}
			want := !end && id != 1 && tok != "" && leads(said+tok)
			if end {
				want = slices.Contains(texts, said)
			}
			if has(allowed, id) != want {
				t.Fatalf("behind %q token %q is allowed: %v, want %v", said, tok, !want, want)
			}
			if want && !end {
				next := g.New()
				for _, p := range append(path, id) {
					next.Accept(p)
				}
				visit(said+tok, next, append(slices.Clone(path), id))
			}
		}
		more := slices.ContainsFunc(texts, func(s string) bool { return s != said && strings.HasPrefix(s, said) })
		if w.Complete() != (slices.Contains(texts, said) && !more) {
			t.Errorf("behind %q complete is %v", said, w.Complete())
		}
	}
	visit("", g.New(), nil)
	if states < 50 {
		t.Errorf("only %d states", states)
	}
	for _, s := range texts {
		if !g.Matches(s) || g.Matches(s+"!") || g.Matches(s[:len(s)-1]) && s != "go to desk 12" {
			t.Errorf("Matches is wrong about %q", s)
		}
	}
	left := g.New()
	left.Accept(1)
	if left.Allowed() != nil || left.Complete() {
		t.Error("a walk goes on outside the language")
	}
}

// draw takes allowed tokens at random until the text is complete.
func draw(t *testing.T, g *Language, tokens []string, rng *rand.Rand, limit int) (text string, whole bool) {
	t.Helper()
	w := g.New()
	var b strings.Builder
	for range limit {
		var ids []int
		set := w.Allowed()
		for id := range tokens {
			if has(set, id) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			t.Fatalf("nothing may follow %q", b.String())
		}
		id := ids[rng.IntN(len(ids))]
		if id == 0 || id == len(tokens)-1 {
			return b.String(), true
		}
		w.Accept(id)
		tok := tokens[id]
		if b.Len() == 0 {
			tok = strings.TrimPrefix(tok, " ")
		}
		b.WriteString(tok)
		if w.Complete() {
			return b.String(), true
		}
	}
	return b.String(), false
}

// Whatever is drawn under an expression matches it by Go's own engine.
func TestRegexpAgainstGo(t *testing.T) {
	v, tokens := vocabulary()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, expr := range []string{
		`[a-z]{2,5}`, `(?i)take`, `Thought: [^\n]{0,8}\nAction: (go to|take) [a-z]+ \d{1,2}`, `a*b+c?`, `[^a-z]{3}`, `.é?`, `(?s).{2}`,
		`(ab|a)(c|bcd)`, `\x{10000}-[\x{800}-\x{10FFFF}]`, `\w+@\w+`, `(?:a|b){3,}c`, `[à-ÿ]{2}`,
	} {
		g, err := Regexp(v, expr)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(`^(?:` + expr + `)$`)
		whole := 0
		for range 200 {
			text, ended := draw(t, g, tokens, rng, 60)
			if !ended {
				continue
			}
			whole++
			if !re.MatchString(text) || !utf8.ValidString(text) || !g.Matches(text) {
				t.Errorf("%s: drew %q", expr, text)
			}
		}
		if whole < 20 {
			t.Errorf("%s: only %d texts were complete", expr, whole)
		}
	}
}

// The byte ranges of a range of characters hold those characters and no others.
func TestUTF8Ranges(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	edges := []rune{0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF}
	for i := range 60 {
		lo, hi := edges[rng.IntN(len(edges))], edges[rng.IntN(len(edges))]
		if i%2 == 1 {
			lo, hi = rune(rng.IntN(0x110000)), rune(rng.IntN(0x110000))
		}
		lo, hi = min(lo, hi), max(lo, hi)
		seqs := utf8Ranges(lo, hi)
		for k := range 4000 {
			r := rune(rng.IntN(0x110000))
			if k < 40 {
				r = min(max(lo-20+rune(k), 0), 0x10FFFF)
			} else if k < 80 {
				r = min(max(hi-20+rune(k-40), 0), 0x10FFFF)
			}
			if !utf8.ValidRune(r) {
				continue
			}
			b := []byte(string(r))
			in := slices.ContainsFunc(seqs, func(s [][2]byte) bool {
				if len(s) != len(b) {
					return false
				}
				for j := range b {
					if b[j] < s[j][0] || b[j] > s[j][1] {
						return false
					}
				}
				return true
			})
			if in != (r >= lo && r <= hi) {
				t.Fatalf("[%U, %U]: %U is in: %v", lo, hi, r, in)
			}
		}
	}
}

// Each text is drawn in its own tokens, and no other.
func TestChoices(t *testing.T) {
	words := []string{"<end>", "go", " to", " desk", " 1", "2", "take", " mug"}
	encode := func(s string) (ids []int) {
		for s != "" {
			for id := len(words) - 1; ; id-- {
				if rest, ok := strings.CutPrefix(s, words[id]); ok {
					ids, s = append(ids, id), rest
					break
				}
			}
		}
		return ids
	}
	texts := []string{"go to desk 1", "go to desk 12", "take mug", "go"}
	c, err := Choices(texts, len(words), []int{0}, encode)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var visit func(path []int)
	visit = func(path []int) {
		w := c.New()
		said := ""
		for _, id := range path {
			w.Accept(id)
			said += words[id]
		}
		if w.Complete() {
			found = append(found, said)
			if !has(w.Allowed(), 0) {
				t.Errorf("%q may not end", said)
			}
			return
		}
		for id := range words {
			if !has(w.Allowed(), id) {
				continue
			}
			if id == 0 {
				found = append(found, said)
			} else {
				visit(append(slices.Clone(path), id))
			}
		}
	}
	visit(nil)
	slices.Sort(found)
	slices.Sort(texts)
	if !slices.Equal(found, texts) {
		t.Errorf("%q can be drawn, want %q", found, texts)
	}
	left := c.New()
	left.Accept(5)
	if left.Allowed() != nil || left.Complete() {
		t.Error("a choice goes on outside the list")
	}
}

const agentSchema = `{
	"type": "object",
	"properties": {
		"thought": {"type": "string", "maxLength": 5},
		"action": {"enum": ["go", "take \"it\"", 7, null]},
		"args": {"type": "array", "items": {"$ref": "#/$defs/arg"}, "minItems": 1, "maxItems": 3},
		"sure": {"type": ["boolean", "null"]},
		"weight": {"type": "number"},
		"inner": {"anyOf": [{"const": {"a": [1, "x"]}}, {"type": "object", "properties": {"n": {"type": "integer"}}}]}
	},
	"required": ["action", "sure"], "additionalProperties": false,
	"$defs": {"arg": {"type": "string", "minLength": 1, "maxLength": 2}}
}`

// follows checks a value against agentSchema, written out by hand.
func follows(v map[string]any) error {
	for key, x := range v {
		ok := false
		switch key {
		case "thought":
			s, is := x.(string)
			ok = is && utf8.RuneCountInString(s) <= 5
		case "action":
			ok = x == "go" || x == `take "it"` || x == 7.0 || x == nil
		case "args":
			list, is := x.([]any)
			ok = is && len(list) >= 1 && len(list) <= 3
			for _, a := range list {
				s, is := a.(string)
				n := utf8.RuneCountInString(s)
				ok = ok && is && n >= 1 && n <= 2
			}
		case "sure":
			ok = x == true || x == false || x == nil
		case "weight":
			_, ok = x.(float64)
		case "inner":
			m, is := x.(map[string]any)
			ok = is && (len(m) == 0 || len(m) == 1)
			if a, there := m["a"]; there {
				ok = ok && fmt.Sprint(a) == "[1 x]"
			} else if n, there := m["n"]; there {
				f, is := n.(float64)
				ok = ok && is && f == float64(int64(f))
			} else {
				ok = ok && len(m) == 0
			}
		}
		if !ok {
			return fmt.Errorf("%s is %v", key, x)
		}
	}
	_, action := v["action"]
	_, sure := v["sure"]
	if !action || !sure {
		return errors.New("a required property is missing")
	}
	return nil
}

func TestJSONFollowsItsSchema(t *testing.T) {
	v, tokens := vocabulary(`{"action": "go"`, `"sure":`, "true", "false", `"thought"`, `"inner": {`)
	g, err := JSON(v, []byte(agentSchema))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for range 400 {
		text, ended := draw(t, g, tokens, rng, 400)
		if !ended {
			t.Fatalf("no end: %q", text)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := follows(got); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		for key := range got {
			seen[key]++
		}
	}
	if len(seen) != 6 || seen["weight"] == 400 {
		t.Errorf("properties drawn: %v", seen)
	}
	for text, want := range map[string]bool{
		`{"action": "go", "sure": true}`: true,
		`{"action":7,"sure":null}`:       true,
		`{"thought": "hé\n\u00e9", "action": null, "args": ["a"], "sure": true}`: true,
		`{"sure": true, "action": "go"}`:                                         false, // the schema's order
		`{"action": "go"}`:                                                       false,
		`{"action": "go", "sure": true, "weight": 01}`:                           false,
		`{"action": "go", "sure": true, "weight": -1.5e-7}`:                      true,
		`{"action": "go", "args": [], "sure": true}`:                             false,
		`{"action": "go", "sure": true, "inner": {"a":[1,"x"]}}`:                 true,
	} {
		if g.Matches(text) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

func TestSchemaSaysWhatItCannot(t *testing.T) {
	deep := strings.Repeat(`{"type":"array","items":`, 200) + `{"type":"null"}` + strings.Repeat("}", 200)
	for schema, want := range map[string]string{
		`{`:                                  "EOF",
		`{"type":"string"} x`:                "",
		`true`:                               "want an object",
		`{}`:                                 "neither type",
		`{"type":"text"}`:                    `"text" is no type`,
		`{"type":[]}`:                        "names no type",
		`{"type":"string","pattern":"a"}`:    `"pattern"`,
		`{"type":"string","format":"date"}`:  `"format"`,
		`{"type":"integer","minimum":3}`:     `"minimum"`,
		`{"type":"array"}`:                   "needs items",
		`{"type":"string","maxLength":1001}`: "maxLength is 1001",
		`{"type":"string","minLength":-1}`:   "minLength is -1",
		`{"type":"string","minLength":3,"maxLength":2}`:     "below",
		`{"type":"object","required":["a"]}`:                `"a" is not among`,
		`{"type":"object","additionalProperties":true}`:     "false only",
		`{"type":"object","properties":{"a":{"type":"x"}}}`: "#/type/properties/a",
		`{"type":"object","properties":{"a":{},"a":{}}}`:    "twice",
		`{"enum":[]}`:                   "list of values",
		`{"allOf":[{"type":"string"}]}`: "neither type",
		`{"$ref":"#/nowhere"}`:          "is not",
		`{"$ref":"#/$defs/a"}`:          "is not there",
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"}}}}`: "recursion",
		deep: "nested",
	} {
		if _, err := Schema([]byte(schema)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", schema, err, want)
		}
	}
	v, _ := vocabulary()
	for _, expr := range []string{`^a$`, `a\b`, `(`, `[a`, strings.Repeat("ab", maxStates)} {
		if _, err := Regexp(v, expr); err == nil {
			t.Errorf("%.20q is taken", expr)
		}
	}
	letters := func(s string) (ids []int) {
		for _, r := range s {
			ids = append(ids, int(r))
		}
		return ids
	}
	for _, texts := range [][]string{nil, {"a", ""}, {"é"}} {
		if _, err := Choices(texts, 128, []int{0}, letters); err == nil {
			t.Errorf("%q are taken", texts)
		}
	}
}

// Walks of many goroutines through one grammar agree.
func TestWalksInParallel(t *testing.T) {
	v, tokens := vocabulary()
	g, err := JSON(v, []byte(agentSchema))
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, 16)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() { texts[i], _ = draw(t, g, tokens, rand.New(rand.NewPCG(uint64(i/2), 0)), 400) })
	}
	wg.Wait()
	for i := 0; i < len(texts); i += 2 {
		if texts[i] != texts[i+1] {
			t.Errorf("%q and %q by the same draws", texts[i], texts[i+1])
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(agentSchema))
	f.Add([]byte(`{"type":["string","array"],"items":{"type":"number"},"maxItems":2}`))
	v, tokens := vocabulary()
	f.Fuzz(func(t *testing.T, schema []byte) {
		g, err := JSON(v, schema)
		if err != nil {
			return
		}
		if text, ended := draw(t, g, tokens, rand.New(rand.NewPCG(1, 1)), 200); ended && !json.Valid([]byte(text)) {
			t.Errorf("%q under %s", text, schema)
		}
	})
}

func BenchmarkFirstMask(b *testing.B) {
	var many []string
	for i := range 50000 {
		many = append(many, fmt.Sprintf(" w%dx", i))
	}
	v, _ := vocabulary(many...)
	for b.Loop() {
		g, err := JSON(v, []byte(agentSchema))
		if err != nil {
			b.Fatal(err)
		}
		w := g.New()
		for _, c := range `{"thought": "` {
			w.Allowed()
			w.Accept(2 + int(c))
		}
		w.Allowed()
	}
}
