package alfworld

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// MaxFile bounds a game file, in bytes; real ones have at most 130 kB.
const MaxFile = 4 << 20

// Spec is a game as it is stored. Domain, Grammar and Problem are the three
// texts that define it; the rest describes it.
type Spec struct {
	ID          string   // split/task/trial where known
	TaskType    string   // one of TaskTypes where known
	Goal        string   // the task sentence without "Your task is to: "
	Domain      string   // PDDL
	Grammar     string   // twl2
	Problem     string   // PDDL
	Walkthrough []string // commands that win, where known
	Unsolvable  bool     // the file says so
}

// TaskTypes are the six kinds of household task, in the order of the tables.
var TaskTypes = []string{
	"pick_and_place_simple",
	"look_at_obj_in_light",
	"pick_clean_then_place_in_recep",
	"pick_heat_then_place_in_recep",
	"pick_cool_then_place_in_recep",
	"pick_two_obj_and_place",
}

// gameFile is the JSON of a *.tw-pddl file.
type gameFile struct {
	Domain      *string  `json:"pddl_domain"`
	Grammar     *string  `json:"grammar"`
	Problem     *string  `json:"pddl_problem"`
	Solvable    *bool    `json:"solvable,omitempty"`
	Walkthrough []string `json:"walkthrough,omitempty"`
}

// ParseSpec reads the JSON of a game file.
func ParseSpec(data []byte) (Spec, error) {
	if len(data) > MaxFile {
		return Spec{}, fmt.Errorf("game file has %d bytes; at most %d are supported", len(data), MaxFile)
	}
	f, ok := scanGame(data)
	if !ok {
		f = gameFile{}
		if err := json.Unmarshal(data, &f); err != nil {
			return Spec{}, fmt.Errorf("game file is not the JSON of a tw-pddl game: %w", err)
		}
	}
	for _, need := range []struct {
		key string
		val *string
	}{{"pddl_domain", f.Domain}, {"grammar", f.Grammar}, {"pddl_problem", f.Problem}} {
		if need.val == nil {
			return Spec{}, fmt.Errorf("game file has no %q", need.key)
		}
	}
	s := Spec{Domain: *f.Domain, Grammar: *f.Grammar, Problem: *f.Problem, Walkthrough: f.Walkthrough}
	s.Unsolvable = f.Solvable != nil && !*f.Solvable
	s.Goal = goalSentence(s.Grammar)
	return s, nil
}

// JSON is the content of a game file, which Python's TextWorld loads too.
func (s Spec) JSON() []byte {
	solvable := !s.Unsolvable
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(gameFile{&s.Domain, &s.Grammar, &s.Problem, &solvable, s.Walkthrough}); err != nil {
		panic(err) // strings and booleans only
	}
	return out.Bytes()
}

// goalSentence finds the task in the text of a grammar, "" when it has none.
func goalSentence(text string) string {
	_, rest, found := strings.Cut(text, "Your task is to: ")
	if !found {
		return ""
	}
	goal, _, _ := strings.Cut(rest, `"`)
	return goal
}

// Game is a loaded game. Any number of Envs, in any number of goroutines, play
// it at once.
type Game struct {
	ID          string
	TaskType    string
	Goal        string
	Walkthrough []string

	rules    *rules
	sentence string // the task, as the grammar says it
	task     *pddl.Task
	names    []string // by object
	order    []uint16 // objects by ascending identifier
	rank     []uint16 // inverse of order

	fast     *program // nil when declined says why
	declined error
}

// Compile parses the three texts and prepares the game for play. What it shares
// with games compiled before, domain and grammar, is not read again.
func (s Spec) Compile() (*Game, error) {
	rules, err := findRules(s.Domain, s.Grammar)
	if err != nil {
		return nil, s.explain(err)
	}
	task, err := rules.domain.Task(s.Problem)
	if err != nil {
		return nil, s.explain(err)
	}
	_, sentence, _, _ := splitTask(s.Grammar)
	g := &Game{
		ID: s.ID, TaskType: s.TaskType, Walkthrough: s.Walkthrough, // strings of their own; the texts are given up
		Goal: strings.Clone(s.Goal), sentence: strings.Clone(sentence),
		rules: rules, task: task, order: byName(task),
	}
	g.names = objectNames(task, g.order)
	g.rank = make([]uint16, len(g.order))
	for i, o := range g.order {
		g.rank[o] = uint16(i)
	}
	if g.fast, g.declined = compile(g); g.declined != nil {
		if g.fast = nil; !errors.Is(g.declined, errTooBig) {
			return nil, s.explain(g.declined)
		}
	}
	// The first observation and the first commands touch most of what can be
	// wrong with a game, and show here what a bad one costs.
	env := g.NewEnv()
	if _, err = env.Reset(); err == nil {
		err = env.eng.prepare()
	}
	if err != nil {
		return nil, s.explain(err)
	}
	return g, nil
}

func (s Spec) explain(err error) error {
	if s.ID == "" {
		return err
	}
	return fmt.Errorf("game %s: %w", s.ID, err)
}

// Compiled reports whether the game runs on the compiled path, and why not.
func (g *Game) Compiled() (bool, error) { return g.fast != nil, g.declined }

// Verb is the first word of the commands of an action, "" where there is no such
// action. It tells text editions apart.
func (g *Game) Verb(action string) string {
	a, known := g.rules.grammar.Actions[strings.ToLower(action)]
	if !known || len(a.Template) == 0 {
		return ""
	}
	verb, _, _ := strings.Cut(a.Template[0].Literal, " ")
	return verb
}

// maxSlots is more than the variables of any formula.
const maxSlots = 64

func unboundSlots(n int) []int32 {
	b := make([]int32, n)
	for i := range b {
		b[i] = -1
	}
	return b
}
