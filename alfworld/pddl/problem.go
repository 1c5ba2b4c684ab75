package pddl

import (
	"fmt"
	"maps"
	"slices"
)

// Task reads a problem of the domain. Nearly all of its text are the names of
// objects and facts about them, so those are read as they come.
func (d *Domain) Task(problem string) (*Task, error) {
	p := &problemReader{
		parser: parser{
			shared: d, types: d.Types, typeID: d.typeID,
			objects: slices.Grow(slices.Clone(d.Constants), 300), objectID: make(map[string]int, 300),
			predicates: d.Predicates, predID: map[string]int{},
		},
		reader: reader{text: problem, line: 1},
		task:   &Task{Domain: d, Goal: Formula{Op: Or}, init: make([]uint16, 0, 1024), args: make([]uint16, 0, 2048)},
	}
	maps.Copy(p.objectID, d.objectID)
	if err := p.read(); err != nil {
		return nil, fmt.Errorf("pddl_problem: %w", err)
	}
	t := p.task
	t.Objects, t.Predicates = slices.Clip(p.objects), slices.Clip(p.predicates)
	t.init, t.args = slices.Clone(t.init), slices.Clone(t.args)
	return t, nil
}

type problemReader struct {
	parser
	reader
	task    *Task
	pending []int // objects whose type is not read yet
}

func (p *problemReader) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", p.line, fmt.Sprintf(format, args...))
}

// read takes (define (problem NAME) section...).
func (p *problemReader) read() error {
	opens, err := p.token()
	if err != nil {
		return err
	}
	if !opens {
		return p.errorf("want (define ...), got %q", p.name)
	}
	start := p.line
	if opens, err = p.token(); err != nil {
		return err
	}
	kind := node{}
	if !opens && string(p.name) == "define" {
		if kind, err = p.next(1); err != nil {
			return err
		}
	}
	if kind.head() != "problem" {
		return fmt.Errorf("line %d: want (define (problem NAME) ...)", start)
	}
	for !p.closes() {
		if err := p.section(); err != nil {
			return err
		}
	}
	return p.end()
}

func (p *problemReader) section() error {
	opens, err := p.token()
	if err != nil {
		return err
	}
	if !opens {
		return p.errorf("want a section, got %q", p.name)
	}
	line := p.line
	if p.closes() {
		return fmt.Errorf("line %d: not supported: section %q", line, "")
	}
	if opens, err = p.token(); err != nil {
		return err
	}
	head := string(p.name)
	if opens {
		head = ""
	}
	switch head {
	case ":objects":
		return p.declare()
	case ":init":
		for !p.closes() {
			if err := p.fact(); err != nil {
				return err
			}
		}
		return nil
	case ":domain", ":requirements", ":metric", ":goal":
	default:
		return fmt.Errorf("line %d: not supported: section %q", line, head)
	}
	n, err := p.rest(node{line: line}, 1)
	if err != nil || head != ":goal" {
		return err
	}
	if len(n.list) != 1 {
		return bad(n, ":goal wants one formula")
	}
	p.vars, p.slots = nil, 0
	p.task.Goal, err = p.formula(n.list[0])
	return err
}

// declare reads "a b - t c": names with types, "object" by default.
func (p *problemReader) declare() error {
	p.pending = p.pending[:0]
	for !p.closes() {
		opens, err := p.token()
		switch {
		case err != nil:
			return err
		case opens:
			return p.errorf("want a name, got a list")
		case string(p.name) != "-":
			if err := p.mention(); err != nil {
				return err
			}
			continue
		}
		if p.closes() {
			return p.errorf("a type name is missing after -")
		}
		if opens, err = p.token(); err != nil {
			return err
		}
		if opens {
			return p.errorf("not supported: a list as a type")
		}
		if err := p.settle(string(p.name)); err != nil {
			return err
		}
	}
	return p.settle("object")
}

// mention notes the object of the last name; settle gives it its type.
func (p *problemReader) mention() error {
	id, known := p.objectID[string(p.name)]
	if !known {
		if len(p.objects) >= maxObjects {
			return p.errorf("more than %d objects", maxObjects)
		}
		id = p.addObject(string(p.name), -1)
	}
	p.pending = append(p.pending, id)
	return nil
}

func (p *problemReader) settle(typ string) error {
	for _, id := range p.pending {
		if err := p.declareObject(p.objects[id].Name, typ, p.line); err != nil {
			return err
		}
	}
	p.pending = p.pending[:0]
	return nil
}

// fact reads one fact of :init. Numbers, such as distances, are passed over,
// and so is what does not hold.
func (p *problemReader) fact() error {
	opens, err := p.token()
	if err != nil {
		return err
	}
	if !opens {
		return p.errorf("want a fact, got %q", p.name)
	}
	line := p.line
	if p.closes() {
		return fmt.Errorf("line %d: want a fact, got %q", line, "")
	}
	if opens, err = p.token(); err != nil {
		return err
	}
	if opens {
		return fmt.Errorf("line %d: want a fact, got %q", line, "")
	}
	if string(p.name) == "=" || string(p.name) == "not" {
		_, err := p.rest(node{line: line}, 2)
		return err
	}
	pred, known := p.predID[string(p.name)]
	if !known {
		pred, known = p.shared.predID[string(p.name)]
	}
	name := ""
	if known {
		name = p.predicates[pred].Name
	} else {
		name = string(p.name)
	}
	first := len(p.task.args)
	for !p.closes() {
		if opens, err = p.token(); err != nil {
			return err
		}
		id, declared := p.objectID[string(p.name)]
		if opens || !declared || p.objects[id].Type < 0 {
			if opens {
				p.name = p.name[:0]
			}
			return p.errorf("fact %q: object %q is not declared", name, p.name)
		}
		p.task.args = append(p.task.args, uint16(id))
	}
	if pred, err = p.pred(name, len(p.task.args)-first, line); err != nil {
		return err
	}
	p.task.init = append(p.task.init, uint16(pred))
	return nil
}
