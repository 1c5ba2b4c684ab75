package alfworld

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/oreo-go/oreo/alfworld/grammar"
	"github.com/oreo-go/oreo/alfworld/pddl"
)

// textCompiler turns grammar texts into parts. Symbols are expanded in place,
// because what a symbol says depends on the placeholders bound around it.
type textCompiler struct {
	c      *grounder
	nodes  int
	index  map[lookupID]*factIndex
	sorted map[lookupID][]textFact // with key 0
	byPred [][]int32               // atoms of each predicate

	scope   []grammar.Arg // bound placeholders, by slot
	depth   int
	dynamic bool
	simple  bool // no symbols, no new placeholders
	uses    []int
}

// lookupID names an index over the facts of a predicate, to be shared.
type lookupID struct {
	pred  int
	key   int // position of the argument it groups by, or -1
	types string
}

func newTextCompiler(c *grounder) *textCompiler {
	return &textCompiler{c: c, index: map[lookupID]*factIndex{}, sorted: map[lookupID][]textFact{}}
}

func (t *textCompiler) compile(params []pddl.Var, src grammar.Text) (*text, error) {
	t.scope, t.depth, t.dynamic, t.simple, t.uses = nil, 0, false, true, []int{}
	for _, p := range params {
		t.scope = append(t.scope, grammar.Arg{Var: p.Name, Type: t.c.game.paramType(p)})
	}
	if len(t.scope) > maxEnv {
		return nil, tooBig("too many parameters")
	}
	parts, err := t.text(src)
	if err != nil {
		return nil, err
	}
	out := &text{parts: parts, dynamic: t.dynamic}
	if t.simple {
		slices.Sort(t.uses)
		out.uses = slices.Compact(t.uses)
	}
	return out, nil
}

func (t *textCompiler) compileSymbol(name string) (*text, error) {
	return t.compile(nil, grammar.Text{{Symbol: name}})
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
		t.simple = false
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
			t.uses = append(t.uses, slot)
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
	rules, known := t.c.game.grammar.Rules[name]
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
		pred := t.c.game.textPredicate(q[i].Pred)
		if pred < 0 || t.c.game.arity(pred) != len(q[i].Args) {
			out.never = true
			continue
		}
		l, err := t.lookup(pred, &q[i])
		if err != nil {
			return nil, err
		}
		out.steps = append(out.steps, l)
	}
	return out, nil
}

// lookup prepares one pattern; new placeholders join the scope.
func (t *textCompiler) lookup(pred int, pat *grammar.Pattern) (lookup, error) {
	l := lookup{negative: pred >= len(t.c.task.Predicates), key: -1, bound: len(t.scope)}
	id := lookupID{pred: pred, key: -1}
	var fresh []grammar.Arg
	for i, a := range pat.Args {
		id.types += a.Type + ","
		slot := slices.Index(t.scope, a)
		switch {
		case slot < 0 && slices.Contains(fresh, a):
			return l, tooBig("a placeholder occurs twice in one pattern")
		case slot < 0:
			fresh = append(fresh, a)
			t.simple = false
		default:
			t.uses = append(t.uses, slot)
			if id.key < 0 {
				id.key, l.key = i, slot
				continue
			}
		}
		l.args = append(l.args, argument{i, slot})
	}
	if t.scope = append(t.scope, fresh...); len(t.scope) > maxEnv {
		return l, tooBig("too many placeholders")
	}
	if l.factIndex = t.index[id]; l.factIndex == nil {
		l.factIndex = t.build(id, t.c.game.signatures(pat))
		t.index[id] = l.factIndex
	}
	if t.c.task.Predicates[pred%len(t.c.task.Predicates)].Fluent {
		t.dynamic = true
	}
	return l, nil
}

// textFact is a fact that the text may see at some time; order sorts facts as
// the reference finds them: by type signature, then by identifiers.
type textFact struct {
	order uint64
	key   atomKey
	atom  int32
}

// build indexes the facts of a pattern.
func (t *textCompiler) build(id lookupID, signatures [][]int) *factIndex {
	sorted := lookupID{pred: id.pred, types: id.types}
	facts, known := t.sorted[sorted]
	if !known {
		facts = t.facts(id.pred, signatures)
		slices.SortFunc(facts, func(a, b textFact) int { return cmp.Compare(a.order, b.order) })
		t.sorted[sorted] = facts
	}
	x := &factIndex{list: make([]candidate, len(facts))}
	var fill []int32
	if id.key >= 0 {
		x.from = make([]int32, len(t.c.task.Objects)+1)
		for _, f := range facts {
			x.from[f.key.arg(id.key)+1]++
		}
		for o := range t.c.task.Objects {
			x.from[o+1] += x.from[o]
		}
		fill = slices.Clone(x.from)
	}
	for i, f := range facts {
		at := int32(i)
		if id.key >= 0 {
			o := f.key.arg(id.key)
			at = fill[o]
			fill[o]++
		}
		x.list[at] = candidate{f.atom, [3]int32{f.key.arg(0), f.key.arg(1), f.key.arg(2)}}
	}
	return x
}

func (t *textCompiler) facts(pred int, signatures [][]int) []textFact {
	n := len(t.c.task.Predicates)
	arity := t.c.game.arity(pred)
	var out []textFact
	add := func(atom int32, key atomKey) {
		for s, sig := range signatures {
			fits, order := true, uint64(s)
			for i := range 3 {
				order <<= 16
				if i < arity {
					o := key.arg(i)
					fits = fits && t.c.task.Objects[o].Type == sig[i]
					order |= uint64(t.c.game.rank[o])
				}
			}
			if fits {
				out = append(out, textFact{order, key, atom})
				return
			}
		}
	}
	if !t.c.task.Predicates[pred%n].Fluent {
		if pred < n {
			for _, key := range t.c.facts[pred] {
				add(-1, key)
			}
		}
		return out
	}
	if t.byPred == nil {
		t.byPred = make([][]int32, n)
		for id, key := range t.c.atoms {
			t.byPred[key.pred()] = append(t.byPred[key.pred()], int32(id))
		}
	}
	for _, id := range t.byPred[pred%n] {
		add(id, t.c.atoms[id])
	}
	return out
}
