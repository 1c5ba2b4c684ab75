package alfworld

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld/grammar"
	"github.com/oreo-go/oreo/alfworld/pddl"
)

// Limits of text generation.
const (
	maxExpansion = 64      // symbols inside symbols
	maxText      = 1 << 20 // bytes of one observation
)

var (
	errDeep = fmt.Errorf("grammar: symbols expand into symbols more than %d deep; is there a cycle?", maxExpansion)
	errLong = errors.New("grammar: an observation grows beyond 1 MiB")
)

// writer expands texts for one observation. bound maps placeholders to
// objects.
type writer struct {
	in    *interpreter
	out   []byte
	bound []binding
	depth int
}

type binding struct {
	name   string
	typ    string
	object int32
}

func (in *interpreter) render(bound []binding, symbol string) (string, error) {
	in.work = maxWork
	w := &writer{in: in, bound: bound}
	err := w.symbol(symbol)
	return string(w.out), err
}

func (in *interpreter) feedback(v groundAction) (string, error) {
	in.work = maxWork
	w := &writer{in: in, bound: in.arguments(v.schema, v.binding)}
	err := w.text(in.game.rules.verbs[v.schema.Action].Feedback)
	return string(w.out), err
}

func (in *interpreter) command(s *pddl.Schema, b []int32) (string, error) {
	w := &writer{in: in, bound: in.arguments(s, b)}
	err := w.text(in.game.rules.verbs[s.Action].Template)
	return string(w.out), err
}

func (in *interpreter) arguments(s *pddl.Schema, b []int32) []binding {
	var bound []binding
	for _, p := range in.game.task.Domain.Actions[s.Action].Params {
		bound = append(bound, binding{p.Name, in.game.rules.paramType(p), b[p.Slot]})
	}
	return bound
}

func (w *writer) symbol(name string) error {
	if name == taskSymbol && w.in.game.rules.source.hasTask {
		w.out = append(w.out, w.in.game.sentence...)
		return nil
	}
	rules, known := w.in.game.rules.grammar.Rules[name]
	if !known {
		return fmt.Errorf("grammar: no rule for symbol #%s#", name)
	}
	if w.depth++; w.depth > maxExpansion {
		return errDeep
	}
	defer func() { w.depth-- }()
	for i := range rules {
		matched := false
		if err := w.match(rules[i].When, 0, func() (bool, error) { matched = true; return false, nil }); err != nil {
			return err
		}
		if matched {
			return w.text(rules[i].Text)
		}
	}
	return fmt.Errorf("grammar: no rule of symbol #%s# applies", name)
}

func (w *writer) text(t grammar.Text) error {
	for i := range t {
		if w.in.work--; w.in.work < 0 {
			return errWork
		}
		if err := w.part(&t[i]); err != nil {
			return err
		}
		if len(w.out) > maxText {
			return errLong
		}
	}
	return nil
}

func (w *writer) part(p *grammar.Part) error {
	switch {
	case p.List:
		return w.list(p)
	case p.Each != nil:
		return w.match(*p.Each, 0, func() (bool, error) { return true, w.item(p) })
	}
	return w.item(p)
}

func (w *writer) item(p *grammar.Part) error {
	switch {
	case p.Symbol != "":
		return w.symbol(p.Symbol)
	case p.Expr != nil:
		s, err := w.value(p.Expr)
		w.out = append(w.out, s...)
		return err
	}
	w.out = append(w.out, p.Literal...)
	return nil
}

// list writes the items as "A", "A, and B", "A, B, and C"; the words between
// them, and for none at all, are rules of the grammar.
func (w *writer) list(p *grammar.Part) error {
	var items []string
	collect := func() (bool, error) {
		start := len(w.out)
		err := w.item(p)
		items = append(items, string(w.out[start:]))
		w.out = w.out[:start]
		return true, err
	}
	var err error
	if p.Each != nil {
		err = w.match(*p.Each, 0, collect)
	} else {
		_, err = collect()
	}
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return w.symbol("list_empty")
	}
	for i, item := range items {
		switch {
		case i == 0:
		case i == len(items)-1:
			err = w.symbol("list_last_separator")
		default:
			err = w.symbol("list_separator")
		}
		if err != nil {
			return err
		}
		w.out = append(w.out, item...)
	}
	return nil
}

func (w *writer) value(e grammar.Expr) (string, error) {
	var s strings.Builder
	for _, sum := range e {
		s.Reset()
		for _, t := range sum {
			if t.Var == "" {
				s.WriteString(t.Literal)
				continue
			}
			o, known := w.lookup(t.Var)
			if !known {
				return "", fmt.Errorf("grammar: placeholder %q is not bound", t.Var)
			}
			s.WriteString(w.in.game.attribute(o, t.Attr))
		}
		if s.Len() > 0 {
			break
		}
	}
	return s.String(), nil
}

func (g *Game) attribute(o int32, a grammar.Attr) string {
	switch a {
	case grammar.ID:
		return g.task.Objects[o].Name
	case grammar.Type:
		return g.typeName(o)
	case grammar.IndefiniteArticle:
		return grammar.Indefinite
	case grammar.DefiniteArticle:
		return "the"
	}
	return g.names[o]
}

func (w *writer) lookup(name string) (int32, bool) {
	for i := len(w.bound) - 1; i >= 0; i-- {
		if w.bound[i].name == name {
			return w.bound[i].object, true
		}
	}
	return 0, false
}

// match calls yield for every match of the patterns from next on, with the new
// placeholders bound during the call; yield returns whether to go on.
func (w *writer) match(q grammar.Query, next int, yield func() (bool, error)) error {
	_, err := w.matchFrom(q, next, yield)
	return err
}

func (w *writer) matchFrom(q grammar.Query, next int, yield func() (bool, error)) (more bool, err error) {
	if next == len(q) {
		return yield()
	}
	pat := &q[next]
	predicates := w.in.game.task.Predicates
	pred, negative := textPredicate(predicates, pat.Pred)
	if pred < 0 || predicates[pred].Arity != len(pat.Args) {
		return true, nil
	}
	if negative {
		pred += len(predicates)
	}
	scope := len(w.bound)
	defer func() { w.bound = w.bound[:scope] }()
	for _, sig := range w.in.game.rules.signatures(pat) {
		if w.in.work--; w.in.work < 0 {
			return false, errWork
		}
		for _, key := range w.in.text[pred] {
			if w.in.work--; w.in.work < 0 {
				return false, errWork
			}
			w.bound = w.bound[:scope]
			if !w.fits(pat, sig, key) {
				continue
			}
			if more, err := w.matchFrom(q, next+1, yield); !more || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// fits binds the placeholders of pat to the arguments of a fact.
func (w *writer) fits(pat *grammar.Pattern, sig []int, key string) bool {
	g := w.in.game
	for i, arg := range pat.Args {
		o := int32(g.order[binary.BigEndian.Uint32([]byte(key[4*i:]))])
		if g.task.Objects[o].Type != sig[i] {
			return false
		}
		at := slices.IndexFunc(w.bound, func(b binding) bool { return b.name == arg.Var && b.typ == arg.Type })
		if at >= 0 && w.bound[at].object != o || at < 0 && slices.ContainsFunc(w.bound, func(b binding) bool { return b.object == o }) {
			return false
		}
		if at < 0 {
			w.bound = append(w.bound, binding{arg.Var, arg.Type, o})
		}
	}
	return true
}

// paramType is the type of the placeholder that stands for a parameter.
func (r *rules) paramType(v pddl.Var) string {
	if v.Type < 0 {
		return ""
	}
	return r.domain.Types[v.Type].Name
}
