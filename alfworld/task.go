package alfworld

import (
	"fmt"
	"strings"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// Task is what a goal asks for, in the words of the game: an object of a kind
// that ends up, so treated, where it should.
type Task struct {
	Type       string // one of TaskTypes
	Object     string // kind of object, as in "mug"
	Receptacle string // kind of receptacle; "" for look_at_obj_in_light
	Lamp       string // kind of lamp; only for look_at_obj_in_light
}

// Task reads the goal of the game, not its sentence. Goals of other shapes are
// an error.
func (g *Game) Task() (Task, error) {
	c := &goalReader{g: g, objects: map[pddl.Term]string{}, seen: map[string]bool{}}
	c.read(g.task.Goal)
	if c.odd != "" {
		return Task{}, fmt.Errorf("goal: not one of the six tasks: it asks for %s", c.odd)
	}
	var t Task
	treated := ""
	for pred, typ := range map[string]string{"isclean": TaskTypes[2], "ishot": TaskTypes[3], "iscool": TaskTypes[4]} {
		if c.seen[pred] {
			if treated != "" {
				return Task{}, fmt.Errorf("goal: not one of the six tasks: it asks for two treatments")
			}
			treated = typ
		}
	}
	kinds := map[string]int{}
	for v, kind := range c.objects {
		switch {
		case c.toggled[v]:
			t.Lamp = kind
		default:
			t.Object = kind
			kinds[kind]++
		}
	}
	t.Receptacle = c.receptacle
	switch {
	case len(kinds) != 1:
		return Task{}, fmt.Errorf("goal: not one of the six tasks: it is about %d kinds of object", len(kinds))
	case t.Lamp != "" && c.seen["holds"] && treated == "":
		t.Type, t.Receptacle = TaskTypes[1], ""
	case t.Receptacle == "" || t.Lamp != "":
		return Task{}, fmt.Errorf("goal: not one of the six tasks: no receptacle is named")
	case kinds[t.Object] == 2 && treated == "":
		t.Type = TaskTypes[5]
	case kinds[t.Object] == 1 && treated != "":
		t.Type = treated
	case kinds[t.Object] == 1:
		t.Type = TaskTypes[0]
	default:
		return Task{}, fmt.Errorf("goal: not one of the six tasks: it asks for %d objects", kinds[t.Object])
	}
	return t, nil
}

type goalReader struct {
	g          *Game
	objects    map[pddl.Term]string // kind of the object in each variable
	toggled    map[pddl.Term]bool
	receptacle string
	seen       map[string]bool
	odd        string
}

func (c *goalReader) read(f pddl.Formula) {
	switch f.Op {
	case pddl.And, pddl.Exists:
		for _, k := range f.Kids {
			c.read(k)
		}
		return
	case pddl.Not:
		if f.Kids[0].Op == pddl.Same { // two different objects
			return
		}
		c.odd = "something not to be"
		return
	case pddl.Same:
		return
	case pddl.Or, pddl.Forall:
		c.odd = "alternatives"
		return
	}
	name := c.g.task.Predicates[f.Atom.Pred].Name
	c.seen[name] = true
	switch name {
	case "objecttype", "receptacletype":
		if v, kind := f.Atom.Args[0], f.Atom.Args[1]; v < 0 || kind >= 0 {
			c.odd = "a kind that is not fixed"
		} else if k := strings.TrimSuffix(c.g.task.Objects[kind.In(nil)].Name, "type"); name == "objecttype" {
			c.objects[v] = k
		} else {
			c.receptacle = k
		}
	case "istoggled":
		if c.toggled == nil {
			c.toggled = map[pddl.Term]bool{}
		}
		c.toggled[f.Atom.Args[0]] = true
	case "isclean", "ishot", "iscool", "cleanable", "heatable", "coolable", "toggleable", "pickupable",
		"inreceptacle", "receptacleatlocation", "objectatlocation", "atlocation", "holds", "cancontain":
	default:
		c.odd = fmt.Sprintf("%q", name)
	}
}
