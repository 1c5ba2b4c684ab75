package alfworld

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld/grammar"
	"github.com/oreo-go/oreo/alfworld/pddl"
)

// texts are the compiled texts of a grammar.
type texts struct {
	intro     []part
	templates [][]part // by action
	feedback  [][]part
}

// maxEnv is how many placeholders may be bound at once; maxTextNodes how big
// compiled texts may be.
const (
	maxEnv       = 48
	maxTextNodes = 20_000
)

// part is one piece of a compiled text.
type part struct {
	kind    partKind
	literal string
	slot    int // printAttr
	attr    grammar.Attr
	choices []choice // choose
	each    *query   // forEach, list
	kids    []part   // forEach, list
	empty   []part   // list: the words for no items, between items, before the last
	between []part
	last    []part
	err     error // fail
}

type partKind uint8

const (
	printLiteral partKind = iota
	printAttr
	printTask
	choose
	forEach
	list
	fail
)

// choice is a rule: the first whose query has a match is taken.
type choice struct {
	when *query
	kids []part
}

// query is a compiled conjunction of patterns.
type query struct {
	steps []pattern
	never bool // some predicate has no facts at all
}

// pattern asks for facts of a predicate. The placeholders of its arguments are
// bound already, or take the next slots.
type pattern struct {
	pred       int
	negative   bool
	bound      int // how many slots are bound before
	arity      int
	slots      [3]int32   // of bound placeholders; -1: fresh
	types      [3]int32   // of the arguments
	signatures [][3]int32 // types of the arguments of matching facts, in the order in which they are found
}

// textCompiler turns grammar texts into parts. Symbols are expanded in place,
// because what a symbol says depends on the placeholders bound around it.
type textCompiler struct {
	rules      *rules
	predicates []pddl.Predicate
	packed     map[string][][3]int32 // signatures
	nodes      int

	scope   []grammar.Arg // bound placeholders, by slot
	depth   int
	dynamic bool // some query is about facts that change
}

// compileTexts compiles the first observation, the commands and the feedback of
// each action.
func compileTexts(r *rules, predicates []pddl.Predicate) (*texts, error) {
	t := &textCompiler{rules: r, predicates: predicates, packed: map[string][][3]int32{}}
	out := &texts{}
	var err error
	if out.intro, err = t.compile(nil, grammar.Text{{Symbol: "intro"}}); err != nil {
		return nil, err
	}
	for i, v := range r.verbs {
		params := r.domain.Actions[i].Params
		template, err := t.compile(params, v.Template)
		if err != nil {
			return nil, err
		}
		if t.dynamic {
			return nil, tooBig(fmt.Sprintf("the template of action %q depends on the state", v.Name))
		}
		feedback, err := t.compile(params, v.Feedback)
		if err != nil {
			return nil, err
		}
		out.templates, out.feedback = append(out.templates, template), append(out.feedback, feedback)
	}
	return out, nil
}

func (t *textCompiler) compile(params []pddl.Var, src grammar.Text) ([]part, error) {
	t.scope, t.depth, t.dynamic = nil, 0, false
	for _, p := range params {
		t.scope = append(t.scope, grammar.Arg{Var: p.Name, Type: t.rules.paramType(p)})
	}
	if len(t.scope) > maxEnv {
		return nil, tooBig("too many parameters")
	}
	return t.text(src)
}

func (t *textCompiler) text(src grammar.Text) ([]part, error) {
	var parts []part
	for i := range src {
		if t.nodes++; t.nodes > maxTextNodes {
			return nil, tooBig("texts are too long")
		}
		p, err := t.part(&src[i])
		if err != nil {
			return nil, err
		}
		parts = append(parts, p...)
	}
	return parts, nil
}

func (t *textCompiler) part(src *grammar.Part) ([]part, error) {
	if src.Each == nil && !src.List {
		return t.item(src)
	}
	scope := len(t.scope)
	p := part{kind: forEach}
	var err error
	if src.Each != nil {
		if p.each, err = t.query(*src.Each); err != nil {
			return nil, err
		}
	}
	p.kids, err = t.item(src)
	t.scope = t.scope[:scope]
	if err != nil || !src.List {
		return []part{p}, err
	}
	p.kind = list
	if p.each == nil {
		return []part{p}, nil
	}
	for _, words := range []struct {
		symbol string
		to     *[]part
	}{{"list_empty", &p.empty}, {"list_separator", &p.between}, {"list_last_separator", &p.last}} {
		if *words.to, err = t.symbol(words.symbol); err != nil {
			return nil, err
		}
	}
	return []part{p}, nil
}

func (t *textCompiler) item(src *grammar.Part) ([]part, error) {
	switch {
	case src.Symbol != "":
		return t.symbol(src.Symbol)
	case src.Expr != nil:
		return t.expr(src.Expr), nil
	}
	return []part{{literal: src.Literal}}, nil
}

// expr prints the first alternative that is not empty. Only literals can be
// empty, so that is known now.
func (t *textCompiler) expr(e grammar.Expr) []part {
	var parts []part
	for _, sum := range e {
		parts = nil
		empty := true
		for _, term := range sum {
			if term.Var == "" {
				parts = append(parts, part{literal: term.Literal})
				empty = empty && term.Literal == ""
				continue
			}
			empty = false
			slot := t.slot(term.Var)
			if slot < 0 {
				return []part{{kind: fail, err: unbound(term.Var)}}
			}
			switch term.Attr {
			case grammar.IndefiniteArticle:
				parts = append(parts, part{literal: grammar.Indefinite})
			case grammar.DefiniteArticle:
				parts = append(parts, part{literal: "the"})
			default:
				parts = append(parts, part{kind: printAttr, slot: slot, attr: term.Attr})
			}
		}
		if !empty {
			break
		}
	}
	return parts
}

func (t *textCompiler) slot(name string) int {
	for i := len(t.scope) - 1; i >= 0; i-- {
		if t.scope[i].Var == name {
			return i
		}
	}
	return -1
}

func (t *textCompiler) symbol(name string) ([]part, error) {
	if name == taskSymbol && t.rules.source.hasTask {
		return []part{{kind: printTask}}, nil
	}
	rules, known := t.rules.grammar.Rules[name]
	if !known {
		return []part{{kind: fail, err: fmt.Errorf("grammar: no rule for symbol #%s#", name)}}, nil
	}
	if t.depth++; t.depth > maxExpansion {
		return nil, errDeep
	}
	defer func() { t.depth-- }()
	p := part{kind: choose, err: fmt.Errorf("grammar: no rule of symbol #%s# applies", name)}
	for i := range rules {
		scope := len(t.scope)
		when, err := t.query(rules[i].When)
		t.scope = t.scope[:scope] // the match itself is not kept
		if err != nil {
			return nil, err
		}
		if when.never {
			continue
		}
		kids, err := t.text(rules[i].Text)
		if err != nil {
			return nil, err
		}
		if len(when.steps) == 0 {
			if len(p.choices) == 0 {
				return kids, nil
			}
			p.choices = append(p.choices, choice{kids: kids})
			break
		}
		p.choices = append(p.choices, choice{when: when, kids: kids})
	}
	return []part{p}, nil
}

func (t *textCompiler) query(q grammar.Query) (*query, error) {
	out := &query{}
	for i := range q {
		pred, negative := textPredicate(t.predicates, q[i].Pred)
		if pred < 0 || t.predicates[pred].Arity != len(q[i].Args) {
			out.never = true
			continue
		}
		p, err := t.pattern(pred, &q[i])
		if err != nil {
			return nil, err
		}
		p.negative = negative
		out.never = out.never || len(p.signatures) == 0
		out.steps = append(out.steps, p)
	}
	return out, nil
}

// pattern prepares one pattern; new placeholders join the scope.
func (t *textCompiler) pattern(pred int, pat *grammar.Pattern) (pattern, error) {
	p := pattern{pred: pred, bound: len(t.scope), arity: len(pat.Args)}
	if p.arity > 3 {
		return p, tooBig(fmt.Sprintf("predicate %q has more than three arguments", pat.Pred))
	}
	var fresh []grammar.Arg
	for i, a := range pat.Args {
		p.types[i] = int32(t.rules.domain.TypeID(a.Type))
		slot := slices.Index(t.scope, a)
		switch {
		case slot >= 0:
		case slices.Contains(fresh, a):
			return p, tooBig("a placeholder occurs twice in one pattern")
		default:
			fresh = append(fresh, a)
		}
		p.slots[i] = int32(slot)
	}
	if t.scope = append(t.scope, fresh...); len(t.scope) > maxEnv {
		return p, tooBig("too many placeholders")
	}
	p.signatures = t.signatures(pat)
	t.dynamic = t.dynamic || t.predicates[pred].Fluent
	return p, nil
}

// signatures are those of the rules in a handier form, which patterns share.
func (t *textCompiler) signatures(pat *grammar.Pattern) [][3]int32 {
	key := typesOf(pat)
	if list, known := t.packed[key]; known {
		return list
	}
	var list [][3]int32
	for _, sig := range t.rules.signatures(pat) {
		var s [3]int32
		for i := range sig {
			s[i] = int32(sig[i])
		}
		list = append(list, s)
	}
	t.packed[key] = list
	return list
}

// unbound is found when a text is compiled but counts only if the text is
// reached.
func unbound(name string) error {
	return fmt.Errorf("grammar: placeholder %q is not bound", name)
}

// textPredicate finds what a pattern of the grammar asks for: a predicate, or
// the facts that say it was made false; -1 where there can be none.
func textPredicate(predicates []pddl.Predicate, name string) (pred int, negative bool) {
	find := func(name string) int {
		return slices.IndexFunc(predicates, func(p pddl.Predicate) bool { return p.Name == name })
	}
	if pred = find(name); pred >= 0 {
		return pred, false
	}
	if rest, negative := strings.CutPrefix(name, "not_"); negative {
		return find(rest), true
	}
	return -1, false
}
