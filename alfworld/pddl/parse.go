package pddl

import (
	"fmt"
	"slices"
	"strings"
)

// Parse reads a domain and a problem. Errors name the text, the line, the
// offending symbol and, for a feature outside the subset, the feature.
func Parse(domain, problem string) (*Task, error) {
	d, err := ParseDomain(domain)
	if err != nil {
		return nil, err
	}
	return d.Task(problem)
}

// ParseDomain reads a domain, which any number of problems may share.
func ParseDomain(text string) (*Domain, error) {
	p := &parser{
		types:    []Type{{Name: "object", Parent: -1}},
		typeID:   map[string]int{"object": 0},
		objectID: map[string]int{},
		predID:   map[string]int{},
	}
	actions, err := p.domain(text)
	if err != nil {
		return nil, fmt.Errorf("pddl_domain: %w", err)
	}
	d := &Domain{}
	for _, n := range actions {
		a, err := p.action(n)
		if err != nil {
			return nil, fmt.Errorf("pddl_domain: %w", err)
		}
		d.Actions = append(d.Actions, a)
	}
	d.Types, d.Constants, d.Predicates = p.types, slices.Clip(p.objects), slices.Clip(p.predicates)
	d.typeID, d.objectID, d.predID = p.typeID, p.objectID, p.predID
	if err := d.normalise(); err != nil {
		return nil, fmt.Errorf("pddl_domain: %w", err)
	}
	return d, nil
}

// parser reads a domain, or a problem on top of one.
type parser struct {
	shared     *Domain // of a problem: its tables are only read
	types      []Type
	objects    []Object
	predicates []Predicate

	typeID, objectID, predID map[string]int

	// scope of the formula being read
	vars  []Var
	slots int
}

func bad(n node, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", n.line, fmt.Sprintf(format, args...))
}

// sections checks (define (KIND name) ...) and returns what follows.
func sections(text, kind string) ([]node, error) {
	top, err := readOne(text)
	if err != nil {
		return nil, err
	}
	if top.head() != "define" || len(top.list) < 2 || top.list[1].head() != kind {
		return nil, bad(top, "want (define (%s NAME) ...)", kind)
	}
	return top.list[2:], nil
}

// domain returns the actions, which come after all that they may mention.
func (p *parser) domain(text string) (actions []node, err error) {
	parts, err := sections(text, "domain")
	if err != nil {
		return nil, err
	}
	for _, n := range parts {
		switch h := n.head(); h {
		case ":requirements", ":functions":
		case ":types":
			err = p.declareTypes(n.list[1:])
		case ":constants":
			err = typed(n.list[1:], func(n node, typ string) error { return p.declareObject(n.atom, typ, n.line) })
		case ":predicates":
			err = p.declarePredicates(n.list[1:])
		case ":action":
			actions = append(actions, n)
		default:
			err = bad(n, "not supported: section %q", h)
		}
		if err != nil {
			return nil, err
		}
	}
	return actions, nil
}

// typed reads "a b - t c" into names with type names, "object" by default.
func typed(list []node, yield func(n node, typ string) error) error {
	for i := 0; i < len(list); {
		j, typ := i, "object"
		for ; j < len(list) && list[j].atom != "-"; j++ {
			if list[j].isList() {
				return bad(list[j], "want a name, got a list")
			}
		}
		next := j
		if j < len(list) {
			if j+1 == len(list) {
				return bad(list[j], "a type name is missing after -")
			}
			if list[j+1].isList() {
				return bad(list[j+1], "not supported: type %q", list[j+1].head())
			}
			typ, next = list[j+1].atom, j+2
		}
		for ; i < j; i++ {
			if err := yield(list[i], typ); err != nil {
				return err
			}
		}
		i = next
	}
	return nil
}

func (p *parser) declareTypes(list []node) error {
	parents := map[string]string{}
	if err := typed(list, func(n node, parent string) error {
		if _, known := p.typeID[n.atom]; !known {
			p.typeID[n.atom] = len(p.types)
			p.types = append(p.types, Type{Name: strings.Clone(n.atom), Parent: 0})
		}
		if n.atom != "object" { // alfred declares object, which is also the root
			parents[n.atom] = parent
		}
		return nil
	}); err != nil {
		return err
	}
	for i := range p.types {
		name := p.types[i].Name
		parent, named := parents[name]
		if !named {
			continue
		}
		id, known := p.typeID[parent]
		if !known {
			return fmt.Errorf("type %q: parent %q is not declared", name, parent)
		}
		p.types[i].Parent = id
	}
	for i := range p.types {
		steps := 0
		for t := i; t >= 0; t = p.types[t].Parent {
			if steps++; steps > len(p.types) {
				return fmt.Errorf("type %q is its own ancestor", p.types[i].Name)
			}
		}
	}
	return nil
}

// declareObject gives an object its type. A name that formulas mention has none
// until it is declared.
func (p *parser) declareObject(name, typ string, line int) error {
	id, known := p.typeID[typ]
	if !known {
		return fmt.Errorf("line %d: object %q has type %q, which is not declared", line, name, typ)
	}
	if old, twice := p.objectID[name]; twice {
		if have := p.objects[old].Type; have >= 0 && have != id {
			return fmt.Errorf("line %d: object %q is declared twice, with different types", line, name)
		}
		p.objects[old].Type = id
		return nil
	}
	if len(p.objects) >= maxObjects {
		return fmt.Errorf("line %d: more than %d objects", line, maxObjects)
	}
	p.addObject(strings.Clone(name), id) // names outlive the text
	return nil
}

func (p *parser) addObject(name string, typ int) int {
	id := len(p.objects)
	p.objectID[name] = id
	p.objects = append(p.objects, Object{Name: name, Type: typ})
	return id
}

func (p *parser) declarePredicates(list []node) error {
	for _, n := range list {
		arity := 0
		if !n.isList() || n.head() == "" {
			return bad(n, "want (predicate ?arguments), got %q", n.atom)
		}
		if err := typed(n.list[1:], func(node, string) error { arity++; return nil }); err != nil {
			return err
		}
		if _, err := p.pred(n.head(), arity, n.line); err != nil {
			return err
		}
	}
	return nil
}

// pred numbers a predicate by its first use.
func (p *parser) pred(name string, arity, line int) (int, error) {
	id, known := p.predID[name]
	if !known && p.shared != nil {
		id, known = p.shared.predID[name]
	}
	if !known {
		if arity > maxArity {
			return 0, fmt.Errorf("line %d: predicate %q has %d arguments; at most %d are supported", line, name, arity, maxArity)
		}
		if len(p.predicates) == maxPredicates {
			return 0, fmt.Errorf("line %d: more than %d predicates", line, maxPredicates)
		}
		id = len(p.predicates)
		name = strings.Clone(name)
		p.predID[name] = id
		p.predicates = append(p.predicates, Predicate{Name: name, Arity: arity})
	}
	if want := p.predicates[id].Arity; want != arity {
		return 0, fmt.Errorf("line %d: predicate %q has %d arguments here, %d where it was declared", line, name, arity, want)
	}
	return id, nil
}

func (p *parser) action(n node) (Action, error) {
	if len(n.list) < 2 || n.list[1].isList() {
		return Action{}, bad(n, "an action without a name")
	}
	a := Action{Name: strings.Clone(n.list[1].atom), pre: Formula{Op: And}}
	p.vars, p.slots = nil, 0
	rest := n.list[2:]
	if len(rest)%2 != 0 {
		return a, bad(n, "action %s: a section has no value", a.Name)
	}
	var err error
	for i := 0; i < len(rest) && err == nil; i += 2 {
		key, val := rest[i].atom, rest[i+1]
		switch key {
		case ":parameters":
			a.Params, err = p.declareVars(val.list)
		case ":precondition":
			a.pre, err = p.formula(val)
		case ":effect":
			err = p.effect(val, nil, Formula{Op: And}, &a.effects)
		default:
			err = bad(rest[i], "not supported: action section %q", key)
		}
	}
	if err != nil {
		return a, fmt.Errorf("action %s: %w", a.Name, err)
	}
	a.Slots = p.slots
	return a, nil
}

// declareVars gives each variable a slot and puts it in scope.
func (p *parser) declareVars(list []node) ([]Var, error) {
	var out []Var
	err := typed(list, func(n node, typ string) error {
		if !strings.HasPrefix(n.atom, "?") {
			return bad(n, "want a ?variable, got %q", n.atom)
		}
		id, known := p.typeID[typ]
		if !known {
			id = -1
		}
		if p.slots == maxSlots {
			return bad(n, "more than %d variables", maxSlots)
		}
		out = append(out, Var{Name: strings.Clone(n.atom[1:]), Slot: p.slots, Type: id})
		p.slots++
		return nil
	})
	p.vars = append(p.vars, out...)
	return out, err
}

func (p *parser) term(n node) (Term, error) {
	if n.isList() {
		return 0, bad(n, "not supported: a function term %q", n.head())
	}
	if strings.HasPrefix(n.atom, "?") {
		for i := len(p.vars) - 1; i >= 0; i-- {
			if p.vars[i].Name == n.atom[1:] {
				return Term(p.vars[i].Slot), nil
			}
		}
		return 0, bad(n, "variable %q is not in scope", n.atom)
	}
	id, known := p.objectID[n.atom]
	if !known {
		id = p.addObject(strings.Clone(n.atom), -1)
	}
	return Const(id), nil
}

func (p *parser) atom(n node) (Atom, error) {
	if n.head() == "" {
		return Atom{}, bad(n, "want a predicate and its arguments in parentheses, got %q", n.atom)
	}
	pred, err := p.pred(n.head(), len(n.list)-1, n.line)
	if err != nil {
		return Atom{}, err
	}
	a := Atom{Pred: pred}
	for _, arg := range n.list[1:] {
		t, err := p.term(arg)
		if err != nil {
			return Atom{}, err
		}
		a.Args = append(a.Args, t)
	}
	return a, nil
}

func (p *parser) formula(n node) (Formula, error) {
	if !n.isList() {
		return Formula{}, bad(n, "want a formula, got %q", n.atom)
	}
	args := n.list[min(1, len(n.list)):]
	switch h := n.head(); h {
	case "", "and", "or":
		if h == "" && len(n.list) > 0 {
			return Formula{}, bad(n, "a formula that starts with a list")
		}
		f := Formula{Op: And}
		if h == "or" {
			f.Op = Or
		}
		for _, k := range args {
			kid, err := p.formula(k)
			if err != nil {
				return f, err
			}
			f.Kids = append(f.Kids, kid)
		}
		return f, nil
	case "not":
		if len(args) != 1 {
			return Formula{}, bad(n, "not wants one formula, got %d", len(args))
		}
		kid, err := p.formula(args[0])
		return Formula{Op: Not, Kids: []Formula{kid}}, err
	case "imply":
		if len(args) != 2 {
			return Formula{}, bad(n, "imply wants two formulas, got %d", len(args))
		}
		a, err := p.formula(args[0])
		if err != nil {
			return a, err
		}
		b, err := p.formula(args[1])
		return Formula{Op: Or, Kids: []Formula{{Op: Not, Kids: []Formula{a}}, b}}, err
	case "exists", "forall":
		return p.quantified(n, args)
	case "=":
		f := Formula{Op: Same}
		for _, k := range args {
			t, err := p.term(k)
			if err != nil {
				return f, err
			}
			f.Atom.Args = append(f.Atom.Args, t)
		}
		if len(args) != 2 {
			return f, bad(n, "= wants two terms, got %d", len(args))
		}
		return f, nil
	case "<", ">", "<=", ">=", "preference", "always", "sometime":
		return Formula{}, bad(n, "not supported: condition %q", h)
	}
	a, err := p.atom(n)
	return Formula{Op: Holds, Atom: a}, err
}

func (p *parser) quantified(n node, args []node) (Formula, error) {
	if len(args) != 2 || !args[0].isList() {
		return Formula{}, bad(n, "%s wants a list of variables and a formula", n.head())
	}
	f := Formula{Op: Exists}
	if n.head() == "forall" {
		f.Op = Forall
	}
	scope := len(p.vars)
	defer func() { p.vars = p.vars[:scope] }()
	var err error
	if f.Vars, err = p.declareVars(args[0].list); err != nil {
		return f, err
	}
	kid, err := p.formula(args[1])
	f.Kids = []Formula{kid}
	return f, err
}

func (p *parser) effect(n node, vars []Var, when Formula, out *[]Effect) error {
	switch h := n.head(); h {
	case "":
		if len(n.list) > 0 || !n.isList() {
			return bad(n, "want an effect, got %q", n.atom)
		}
		return nil
	case "and":
		for _, k := range n.list[1:] {
			if err := p.effect(k, vars, when, out); err != nil {
				return err
			}
		}
		return nil
	case "increase": // a cost
		return nil
	case "when", "forall":
		if len(n.list) != 3 {
			return bad(n, "%s wants two parts, got %d", h, len(n.list)-1)
		}
		if h == "when" {
			cond, err := p.formula(n.list[1])
			if err != nil {
				return err
			}
			return p.effect(n.list[2], vars, Formula{Op: And, Kids: append(append([]Formula(nil), when.Kids...), cond)}, out)
		}
		scope := len(p.vars)
		defer func() { p.vars = p.vars[:scope] }()
		more, err := p.declareVars(n.list[1].list)
		if err != nil {
			return err
		}
		return p.effect(n.list[2], concat(vars, more), when, out)
	case "assign", "decrease", "scale-up", "scale-down":
		return bad(n, "not supported: effect %q", h)
	case "not":
		if len(n.list) != 2 {
			return bad(n, "not wants one atom")
		}
		a, err := p.atom(n.list[1])
		*out = append(*out, Effect{Vars: vars, When: when, Atom: a})
		return err
	default:
		a, err := p.atom(n)
		*out = append(*out, Effect{Vars: vars, When: when, Atom: a, Add: true})
		return err
	}
}
