package alfworld

import (
	"fmt"
	"slices"
	"strings"
)

// Nothing is the answer to a command that is not admissible.
const Nothing = "Nothing happens."

// Env is one play of a game. It is not for concurrent use; Fork makes an
// independent copy.
type Env struct {
	game *Game
	eng  engine
}

// engine is what the interpreter and the compiled path have in common.
type engine interface {
	// intro is the first observation.
	intro() (string, error)
	// prepare computes the admissible commands of the present state.
	prepare() error
	// step performs a prepared command; ok is false when it is not admissible.
	step(cmd string) (obs string, ok bool, err error)
	// admissible appends the prepared commands, ascending, without duplicates.
	admissible(dst []string) []string
	won() bool
	fork() engine
	facts() []Fact
}

// NewEnv starts a play.
func (g *Game) NewEnv() *Env {
	if g.fast == nil {
		return g.Interpret()
	}
	return &Env{game: g, eng: newRunner(g.fast)}
}

// Interpret starts a play on the general interpreter, which the compiled path
// is checked against. It is two orders of magnitude slower.
func (g *Game) Interpret() *Env { return &Env{game: g, eng: newInterpreter(g)} }

// Game is what e plays.
func (e *Env) Game() *Game { return e.game }

// Reset goes back to the start and returns the first observation. Errors, here
// and below, mean that the grammar of the game is at fault.
func (e *Env) Reset() (string, error) {
	switch e.eng.(type) {
	case *interpreter:
		e.eng = newInterpreter(e.game)
	default:
		e.eng = newRunner(e.game.fast)
	}
	obs, err := e.eng.intro()
	if err != nil {
		return "", fmt.Errorf("intro: %w", err)
	}
	return obs, nil
}

// Step performs a command and returns the observation. Surrounding white space
// is ignored; anything else must match an admissible command to the letter, or
// the state stays as it is and the answer is Nothing. A won game can be played
// on.
func (e *Env) Step(cmd string) (string, error) {
	if err := e.eng.prepare(); err != nil {
		return "", err
	}
	if cmd != "" && (edge(cmd[0]) || edge(cmd[len(cmd)-1])) {
		cmd = strings.TrimFunc(cmd, isPythonSpace)
	}
	obs, ok, err := e.eng.step(cmd)
	if err != nil {
		return "", fmt.Errorf("command %q: %w", cmd, err)
	}
	if !ok {
		return Nothing, nil
	}
	return obs, nil
}

// edge reports whether a byte may begin or end something that isPythonSpace.
func edge(c byte) bool { return c <= ' ' || c >= 0x80 }

// isPythonSpace is the set that Python's str.strip removes.
func isPythonSpace(r rune) bool {
	switch {
	case r >= 0x09 && r <= 0x0d, r >= 0x1c && r <= 0x20, r == 0x85, r == 0xa0, r == 0x1680,
		r >= 0x2000 && r <= 0x200a, r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}

// Admissible lists the commands that do something now, in byte order. The
// slice is the caller's. It is nil where the game's grammar fails, which Step
// reports.
func (e *Env) Admissible() []string { return e.AppendAdmissible(nil) }

// AppendAdmissible appends the admissible commands to dst.
func (e *Env) AppendAdmissible(dst []string) []string {
	if e.eng.prepare() != nil {
		return dst
	}
	return e.eng.admissible(dst)
}

// Won reports whether the goal holds now.
func (e *Env) Won() bool { return e.eng.won() }

// Score is 1 when the game is won, else 0.
func (e *Env) Score() float64 {
	if e.Won() {
		return 1
	}
	return 0
}

// Fork copies the state. The copy and the original go on independently and may
// do so in different goroutines.
func (e *Env) Fork() *Env { return &Env{game: e.game, eng: e.eng.fork()} }

// Fact is something the text is generated from. Predicates are lower-case; a
// "not_" in front marks what an action made false.
type Fact struct {
	Pred string
	Args []string // names, as in commands
	IDs  []string // identifiers, as in the problem
	Type []string
}

// String has the form of the reference: pred(name: type, ...).
func (f Fact) String() string {
	var b strings.Builder
	b.WriteString(f.Pred)
	b.WriteByte('(')
	for i := range f.Args {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %s", f.Args[i], f.Type[i])
	}
	b.WriteByte(')')
	return b.String()
}

// Facts lists everything the text is generated from, sorted by predicate, then
// by identifiers.
func (e *Env) Facts() []Fact {
	facts := e.eng.facts()
	slices.SortFunc(facts, func(a, b Fact) int {
		if c := strings.Compare(a.Pred, b.Pred); c != 0 {
			return c
		}
		return slices.Compare(a.IDs, b.IDs)
	})
	return facts
}

// fact builds the public form. pred counts negative facts from len(Predicates).
func (g *Game) fact(pred int, args []int32) Fact {
	var f Fact
	if n := len(g.task.Predicates); pred < n {
		f.Pred = g.task.Predicates[pred].Name
	} else {
		f.Pred = "not_" + g.task.Predicates[pred-n].Name
	}
	for _, o := range args {
		f.Args = append(f.Args, g.names[o])
		f.IDs = append(f.IDs, g.task.Objects[o].Name)
		f.Type = append(f.Type, g.typeName(o))
	}
	return f
}

func (g *Game) typeName(o int32) string {
	if t := g.task.Objects[o].Type; t >= 0 {
		return g.task.Domain.Types[t].Name
	}
	return ""
}
