package alfworld

import (
	"fmt"
	"strings"
	"testing"
)

const (
	roomDomain = `(define (domain d) (:types place) (:predicates (at ?p - place) (way ?p ?q - place))
 (:action go :parameters (?p ?q - place) :precondition (and (at ?p) (way ?p ?q)) :effect (and (at ?q) (not (at ?p)))))`
	roomProblem = `(define (problem p) (:objects a b c - place) (:init (at a) (way a b) (way b c) (way c a)) (:goal (at c)))`
	roomGrammar = `grammar :: """{"intro": [{"rhs": "Hello. #task#"}], "task": [{"rhs": "Your task is to: GOAL"}]}""";
action go { template :: "go {q}"; feedback :: "You are at {q}."; }`
)

// Games that differ in the task sentence share their rules, whatever the
// sentence says; sentences that are no plain text are parsed with the grammar.
func TestGamesShareRules(t *testing.T) {
	first, err := Spec{Domain: roomDomain, Problem: roomProblem, Grammar: roomGrammar}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		goal, want string
		shared     bool
	}{
		{"go to c.", "go to c.", true},
		{"", "", true},
		{"don't / do: it (twice)", "don't / do: it (twice)", true},
		{"Größe", "Größe", true},
		{`see \"c\"`, "see c", false},
		{"see [c]", "see ", false}, // a stray bracket ends a text
		{"#name#", "the end", false},
		{"{'x'}", "x", false},
		{`two\nlines`, "two\nlines", false},
	} {
		text := strings.Replace(roomGrammar, "GOAL", test.goal, 1)
		text = strings.Replace(text, `"task":`, `"name": [{"rhs": "the end"}], "task":`, 1)
		spec := Spec{Domain: roomDomain, Problem: roomProblem, Grammar: text}
		g, err := spec.Compile()
		if err != nil {
			t.Errorf("%q: %v", test.goal, err)
			continue
		}
		for _, env := range []*Env{g.NewEnv(), g.Interpret()} {
			if obs, err := env.Reset(); err != nil || obs != "Hello. Your task is to: "+test.want {
				t.Errorf("%q: %q, %v", test.goal, obs, err)
			}
		}
		other := spec
		other.Grammar = strings.Replace(text, taskWords+test.goal, taskWords+"another task.", 1)
		o, err := other.Compile()
		if err != nil {
			t.Errorf("%q: %v", test.goal, err)
		} else if shared := o.rules == g.rules; shared != test.shared {
			t.Errorf("%q: rules shared: %v", test.goal, shared)
		}
		if g.rules == first.rules {
			t.Errorf("%q: rules of another grammar", test.goal)
		}
	}
}

// The shelf holds few rules, and none of large texts.
func TestShelfIsBounded(t *testing.T) {
	for i := range 3 * maxShelf {
		comment := fmt.Sprintf("\n; %d", i)
		if i%3 == 0 {
			comment += strings.Repeat(" ", maxKept)
		}
		if _, err := (Spec{Domain: roomDomain + comment, Problem: roomProblem, Grammar: roomGrammar}).Compile(); err != nil {
			t.Fatal(err)
		}
	}
	shelf.Lock()
	defer shelf.Unlock()
	if len(shelf.recent) != maxShelf {
		t.Errorf("%d rules are kept", len(shelf.recent))
	}
	for _, r := range shelf.recent {
		if n := len(r.source.domain) + len(r.source.head) + len(r.source.tail); n > maxKept {
			t.Errorf("%d bytes of text are kept", n)
		}
	}
}

// A problem may bring predicates of its own, which the grammar may ask about.
func TestPredicatesOfTheProblem(t *testing.T) {
	problem := strings.Replace(roomProblem, "(at a)", "(at a) (bright b) (bright c)", 1)
	text := strings.Replace(roomGrammar, "Hello.", "Bright: [{p | bright(p:place)}].", 1) +
		"\n# lists\ngrammar :: \"\"\"{\"list_empty\": [{\"rhs\": \"none\"}], \"list_separator\": [{\"rhs\": \", \"}], \"list_last_separator\": [{\"rhs\": \", \"}]}\"\"\";"
	for _, test := range []struct{ problem, want string }{{problem, "b, c"}, {roomProblem, "none"}, {problem, "b, c"}} {
		g, err := Spec{Domain: roomDomain, Problem: test.problem, Grammar: text}.Compile()
		if err != nil {
			t.Fatal(err)
		}
		for _, env := range []*Env{g.NewEnv(), g.Interpret()} {
			if obs, err := env.Reset(); err != nil || !strings.HasPrefix(obs, "Bright: "+test.want+".") {
				t.Errorf("%q, %v; want %s", obs, err, test.want)
			}
		}
	}
}

// What does not fit into bits is left to the interpreter, and says why.
func TestTooBigForBits(t *testing.T) {
	var places, ways strings.Builder
	for i := range 600 {
		fmt.Fprintf(&places, "p%d ", i)
		fmt.Fprintf(&ways, "(way p%d p%d) ", i, (i+1)%600)
	}
	for want, spec := range map[string]Spec{
		"more than three arguments": {Domain: strings.Replace(roomDomain, "(at ?p - place)", "(at ?p - place) (four ?a ?b ?c ?d)", 1), Problem: roomProblem},
		"too many facts":            {Domain: roomDomain, Problem: strings.NewReplacer("a b c", "a b c "+places.String(), "(at a)", "(at a) "+ways.String()).Replace(roomProblem)},
	} {
		spec.Grammar = roomGrammar
		g, err := spec.Compile()
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if compiled, why := g.Compiled(); compiled || why == nil || !strings.Contains(why.Error(), want) {
			t.Errorf("compiled %v, %v; want %q", compiled, why, want)
		}
		env := g.NewEnv()
		for _, cmd := range []string{"go b", "go c"} {
			if obs, err := env.Step(cmd); err != nil || obs != "You are at "+cmd[3:]+"." {
				t.Errorf("%q: %q, %v", cmd, obs, err)
			}
		}
		if !env.Won() {
			t.Error("not won")
		}
	}
}
