package alfworld_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/grammar"
	"github.com/oreo-go/oreo/alfworld/pddl"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

// ownSpec is the first game of our own.
func ownSpec(t testing.TB) alfworld.Spec {
	t.Helper()
	for s, err := range worldgen.Games(worldgen.DefaultConfig(), "train", 1) {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	panic("no game")
}

// patience is what any text may cost, in processor time: the limits keep a
// hostile one below 100 ms on a free machine.
const patience = 100 * time.Millisecond

// within fails the test if f takes too long. The clock of a busy machine
// decides nothing: processor time does.
func within(t testing.TB, f func()) {
	t.Helper()
	start := cpuTime()
	f()
	if spent := cpuTime() - start; spent > 5*patience { // fuzzing runs on all cores
		t.Errorf("took %v", spent)
	}
}

func FuzzPDDL(f *testing.F) {
	s := ownSpec(f)
	f.Add(s.Domain, s.Problem)
	f.Add("(define (domain d) (:predicates (p ?x)) (:action a :parameters (?x) :precondition (forall (?y) (imply (p ?y) (= ?x ?y))) :effect (when (p ?x) (not (p ?x)))))",
		"(define (problem q) (:objects a b) (:init (p a)) (:goal (not (exists (?z) (p ?z)))))")
	f.Fuzz(func(t *testing.T, domain, problem string) {
		within(t, func() { _, _ = pddl.Parse(domain, problem) })
	})
}

func FuzzGrammar(f *testing.F) {
	f.Add(ownSpec(f).Grammar)
	f.Add(`grammar :: """{"a": [{"condition": "p(x:t)", "rhs": "[{x.name | p(x:t)}]"}]}"""; action b { template :: "b"; feedback :: "#a#"; }`)
	f.Fuzz(func(t *testing.T, text string) {
		within(t, func() {
			g, err := grammar.Parse(text)
			if err == nil && g == nil {
				t.Error("no grammar and no error")
			}
		})
		_, _ = grammar.ParseText(text)
	})
}

func FuzzGame(f *testing.F) {
	f.Add(ownSpec(f).JSON())
	f.Add(smallSpec().JSON())
	f.Fuzz(func(t *testing.T, data []byte) {
		var game *alfworld.Game
		within(t, func() {
			spec, err := alfworld.ParseSpec(data)
			if err == nil {
				game, _ = spec.Compile()
			}
		})
		if game == nil {
			return
		}
		// Whatever loads can be played, by both engines alike.
		fast, slow := game.NewEnv(), game.Interpret()
		for range 3 {
			a := fast.Admissible()
			if b := slow.Admissible(); !slices.Equal(a, b) {
				t.Fatalf("commands differ: %q %q", a, b)
			}
			if len(a) == 0 {
				return
			}
			x, err1 := fast.Step(a[len(a)/2])
			y, err2 := slow.Step(a[len(a)/2])
			if x != y || (err1 == nil) != (err2 == nil) || err1 == nil && fast.Won() != slow.Won() {
				t.Fatalf("%q: %q (%v), %q (%v)", a[len(a)/2], x, err1, y, err2)
			}
			if err1 != nil {
				return
			}
		}
	})
}

func FuzzCommands(f *testing.F) {
	game, err := ownSpec(f).Compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("look\ninventory\ngo to desk 1\n  look \nLOOK")
	f.Add(strings.Join(game.Walkthrough, "\n"))
	f.Fuzz(func(t *testing.T, text string) {
		fast, slow := game.NewEnv(), game.Interpret()
		lines := strings.Split(text, "\n")
		for _, cmd := range lines[:min(len(lines), 20)] {
			a, err1 := fast.Step(cmd)
			b, err2 := slow.Step(cmd)
			if a != b || err1 != nil || err2 != nil {
				t.Fatalf("%q: %q %q %v %v", cmd, a, b, err1, err2)
			}
			if fast.Won() != slow.Won() {
				t.Fatalf("%q: won %v and %v", cmd, fast.Won(), slow.Won())
			}
		}
	})
}

// smallSpec is a game of one room that uses what the official ones do not:
// forall, imply, conditional effects, subtypes, several actions of one command.
func smallSpec() alfworld.Spec {
	return alfworld.Spec{
		Domain: `(define (domain small)
 (:requirements :adl)
 (:types box lamp - thing thing)
 (:predicates (lit ?l - lamp) (full ?b - box) (locked ?b - box) (seen ?x) (next ?x ?y - box))
 (:action switch :parameters (?l - lamp)
  :precondition (forall (?b - box) (imply (locked ?b) (not (full ?b))))
  :effect (and (when (lit ?l) (not (lit ?l))) (when (not (lit ?l)) (lit ?l)) (seen ?l)))
 (:action fill :parameters (?b - box ?c - box)
  :precondition (and (next ?b ?c) (not (full ?b)) (or (full ?c) (not (locked ?b))))
  :effect (and (full ?b) (forall (?l - lamp) (when (lit ?l) (locked ?b)))))
 (:action rest :parameters () :precondition () :effect (seen one))
 (:action unlock :parameters (?b - box)
  :precondition (and (locked ?b) (forall (?l - lamp) (not (lit ?l))))
  :effect (not (locked ?b))))`,
		Problem: `(define (problem p) (:domain small)
 (:objects one two three - box red blue - lamp)
 (:init (next one two) (next two three) (next three one) (next one three) (lit red))
 (:goal (and (forall (?b - box) (full ?b)) (not (exists (?l - lamp) (lit ?l))))))`,
		Grammar: `grammar :: """{
 "intro": [{"rhs": "Boxes and lamps. #boxes#"}],
 "boxes": [{"condition": "full(b:box) & locked(b:box)", "rhs": "locked: [{b.name | full(b:box) & locked(b:box)}]."}, {"rhs": "full: [{b.id | full(b:thing)}]."}],
 "list_empty": [{"rhs": "none"}], "list_separator": [{"rhs": ", "}], "list_last_separator": [{"rhs": " and "}]
}""";
action switch { template :: "switch {l}"; feedback :: "{l.definite} {l.type} [{x.id | not_lit(x:lamp)}] [{x.id | seen(x:lamp)}]"; }
action fill { template :: "fill {b.id}"; feedback :: "#boxes# [{x.id + '>' + y.id | next(x:box, y:box)}]"; }
action rest { template :: "rest"; feedback :: "#boxes#"; }
action unlock { template :: "unlock {b}"; feedback :: "#boxes# [{x | not_locked(x:box)}]"; }`,
	}
}

// Both engines agree on the small game, which goes through the rarer forms.
func TestSmallGame(t *testing.T) {
	game, err := smallSpec().Compile()
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := game.Compiled(); !ok {
		t.Fatal(why)
	}
	agree(t, game, 1, 400)
	env := game.NewEnv()
	for _, cmd := range []string{"switch red", "fill three", "fill two", "fill one"} {
		if got, err := env.Step(cmd); got == alfworld.Nothing || err != nil {
			t.Fatalf("%q: %q, %v; possible: %q", cmd, got, err, env.Admissible())
		}
	}
	if !env.Won() {
		t.Error("not won")
	}
}

// A text that asks for too much gets an error soon, and little memory.
func TestHostileTexts(t *testing.T) {
	edit := func(f func(*alfworld.Spec)) alfworld.Spec {
		s := smallSpec()
		f(&s)
		return s
	}
	repeat := strings.Repeat
	var symbols, types strings.Builder
	for i := range 40 { // each symbol twice the next: 2^40 pieces
		fmt.Fprintf(&symbols, `"s%d": [{"rhs": "#s%d##s%d#"}],`, i, i+1, i+1)
	}
	for i := range 300_000 {
		fmt.Fprintf(&types, "o%d ", i)
	}
	vars := ""
	for i := range 20 {
		vars += fmt.Sprintf("?v%d - thing ", i)
	}
	cases := map[string]alfworld.Spec{
		"deep parentheses": edit(func(s *alfworld.Spec) { s.Domain = repeat("(", 1_000_000) }),
		"deep formula": edit(func(s *alfworld.Spec) {
			s.Problem = "(define (problem p) (:goal " + repeat("(not ", 5000) + "(p)" + repeat(")", 5000) + "))"
		}),
		"many objects": edit(func(s *alfworld.Spec) {
			s.Problem = strings.Replace(s.Problem, "red blue", types.String()+"red blue", 1)
		}),
		"many combinations": edit(func(s *alfworld.Spec) {
			s.Problem = strings.Replace(s.Problem, "one two three", "one two three "+types.String()[:60_000], 1)
			s.Domain = strings.Replace(s.Domain, ":parameters ()", ":parameters (?a ?b ?c ?d - box)", 1)
		}),
		"deep quantifiers": edit(func(s *alfworld.Spec) {
			s.Problem = strings.Replace(s.Problem, "one two three", "one two three "+types.String()[:2_000], 1)
			s.Domain = strings.Replace(s.Domain, ":parameters () :precondition ()", ":parameters () :precondition (forall ("+vars+") (or (seen ?v0) (not (seen ?v0))))", 1)
		}),
		"cycle of types": edit(func(s *alfworld.Spec) {
			s.Domain = strings.Replace(s.Domain, "box lamp - thing thing", "a - b b - a box lamp", 1)
		}),
		"cycle of symbols": edit(func(s *alfworld.Spec) { s.Grammar = strings.Replace(s.Grammar, "Boxes and lamps.", "#intro#", 1) }),
		"doubling symbols": edit(func(s *alfworld.Spec) {
			s.Grammar = strings.Replace(s.Grammar, `"intro": [{"rhs": "Boxes`, symbols.String()+`"s40": [{"rhs": "x"}], "intro": [{"rhs": "#s0# Boxes`, 1)
		}),
		"many alternatives": edit(func(s *alfworld.Spec) {
			s.Domain = strings.Replace(s.Domain, ":parameters () :precondition ()", ":parameters () :precondition (and "+repeat("(or (seen one) (seen two))", 40)+")", 1)
		}),
		"long product of facts": edit(func(s *alfworld.Spec) {
			s.Grammar = strings.Replace(s.Grammar, "Boxes and lamps.", "[{a.id | "+product(12)+"}]", 1)
			s.Problem = strings.Replace(s.Problem, "(:init", "(:init "+facts(60), 1)
			s.Problem = strings.Replace(s.Problem, "one two three", "one two three "+types.String()[:700], 1)
		}),
	}
	kinds := ""
	for i := range 130 {
		kinds += fmt.Sprintf(" k%d - thing", i)
	}
	cases["many types"] = edit(func(s *alfworld.Spec) {
		s.Domain = strings.Replace(s.Domain, "thing thing", "thing thing - object"+kinds, 1)
		s.Grammar = strings.Replace(s.Grammar, "Boxes and lamps.", repeat("[{a.id | next(a:thing, b:thing)}]", 1000), 1)
	})
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := cpuTime()
			_, err := s.Compile()
			spent := cpuTime() - start
			runtime.ReadMemStats(&after)
			if err == nil && name != "many types" { // which only have to be quick
				t.Error("no error")
			}
			if size := (after.TotalAlloc - before.TotalAlloc) >> 20; size > 200 {
				t.Errorf("%d MB were allocated", size)
			}
			if spent > 2*patience { // others use the machine too
				t.Errorf("took %v", spent)
			}
			if err != nil {
				t.Logf("%v: %.150v", spent, err)
			}
		})
	}
	if _, err := alfworld.ParseSpec(make([]byte, alfworld.MaxFile+1)); err == nil {
		t.Error("a file of any size is read")
	}
}

// product is a query over n pairs of boxes with new placeholders each.
func product(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf("next(a%d:box, b%d:box)", i, i))
	}
	return "next(a:box, b:box) & " + strings.Join(parts, " & ")
}

func facts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "(next o%d o%d)", i, i+1)
	}
	return b.String()
}

// Errors say where and what.
func TestErrorsNameTheCulprit(t *testing.T) {
	for want, change := range map[string]func(*alfworld.Spec){
		`type "box": parent "thong" is not declared`: func(s *alfworld.Spec) { s.Domain = strings.Replace(s.Domain, "- thing thing", "- thong thing", 1) },
		`not supported: section ":derived"`: func(s *alfworld.Spec) {
			s.Domain = strings.Replace(s.Domain, "(:action rest", "(:derived (p) (q)) (:action rest", 1)
		},
		`variable "?q" is not in scope`: func(s *alfworld.Spec) { s.Domain = strings.Replace(s.Domain, "(not (full ?b))", "(not (full ?q))", 1) },
		`want a predicate and its arguments in parentheses, got "locked"`: func(s *alfworld.Spec) {
			s.Domain = strings.Replace(s.Domain, ":effect (not (locked ?b))", ":effect (not locked)", 1)
		},
		`object "four" is not declared`: func(s *alfworld.Spec) { s.Problem = strings.Replace(s.Problem, "(lit red)", "(lit four)", 1) },
		`predicate "lit" has 2 arguments here, 1 where it was declared`: func(s *alfworld.Spec) {
			s.Problem = strings.Replace(s.Problem, "(lit red)", "(lit red blue)", 1)
		},
		`action "rest" of pddl_domain has no template`: func(s *alfworld.Spec) { s.Grammar = strings.Replace(s.Grammar, "action rest", "action sleep", 1) },
		`no rule for symbol #boxen#`:                   func(s *alfworld.Spec) { s.Grammar = strings.Replace(s.Grammar, "#boxes#\"}]", "#boxen#\"}]", 1) },
		`want placeholder:type, got "b"`:               func(s *alfworld.Spec) { s.Grammar = strings.Replace(s.Grammar, "full(b:thing)", "full(b)", 1) },
		`not supported: attribute "weight"`:            func(s *alfworld.Spec) { s.Grammar = strings.Replace(s.Grammar, "b.name", "b.weight", 1) },
	} {
		s := smallSpec()
		change(&s)
		_, err := s.Compile()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := alfworld.ParseSpec([]byte(`{"pddl_domain": ""}`)); err == nil || !strings.Contains(err.Error(), `no "grammar"`) {
		t.Errorf("got %v", err)
	}
	if _, err := alfworld.Load("missing.tw-pddl"); err == nil || !strings.Contains(err.Error(), "missing.tw-pddl") {
		t.Errorf("got %v", err)
	}
}
