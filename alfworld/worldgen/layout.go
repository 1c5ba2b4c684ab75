package worldgen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld"
)

// world is a room with its things and a task.
type world struct {
	room   room
	rng    *rand.Rand
	places []place
	things []thing
	middle string // where the agent starts

	task   string
	object kind
	target string // kind of receptacle, or of lamp
}

type place struct {
	kind, id, location string
}

type thing struct {
	kind
	id string
	at int // index of the place
}

// newLayout furnishes a room. It depends on the configuration and the number
// alone.
func (c Config) newLayout(number int) *world {
	seed := c.LayoutSeed
	if seed == 0 {
		seed = c.Seed
	}
	rng := rand.New(rand.NewPCG(seed, 1<<40|uint64(number)))
	w := &world{room: c.room(number)}
	numbers := rng.Perm(90)
	locations := 0
	for _, f := range w.room.receptacles {
		for range f.min + rng.IntN(f.max-f.min+1) {
			n := numbers[len(w.places)] + 10
			p := place{kind: f.name, id: fmt.Sprintf("%s_bar_%02d", f.name, n)}
			if base, isBasin := strings.CutSuffix(f.name, "Basin"); isBasin {
				p.id = fmt.Sprintf("%s_bar_%02d_bar_%s", base, n, f.name)
			}
			// Now and then two pieces of furniture are reached from one spot.
			if len(w.places) > 0 && rng.IntN(6) == 0 && !c.Apart {
				p.location = w.places[len(w.places)-1].location
			} else {
				locations++
				p.location = location(locations)
			}
			w.places = append(w.places, p)
		}
	}
	w.middle = location(locations + 1)
	if c.Receptacles > 0 {
		w.keep(c.Receptacles, c.tasks(), rng)
	}
	return w
}

// tools are the traits and the kinds of receptacle that tasks of treatment need.
var tools = map[string]struct{ trait, place string }{
	"pick_clean_then_place_in_recep": {"c", "SinkBasin"},
	"pick_heat_then_place_in_recep":  {"h", "Microwave"},
	"pick_cool_then_place_in_recep":  {"l", "Fridge"},
}

// keep takes all but n places away, those that the tasks need last.
func (w *world) keep(n int, tasks []string, rng *rand.Rand) {
	var first, rest []int
	for _, i := range rng.Perm(len(w.places)) {
		needed := slices.ContainsFunc(tasks, func(t string) bool { return tools[t].place == w.places[i].kind })
		if needed {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	kept := append(first, rest...)
	kept = kept[:min(n, len(kept))]
	slices.Sort(kept)
	places := make([]place, len(kept))
	for i, at := range kept {
		places[i] = w.places[at]
	}
	w.places = places
}

func location(n int) string { return fmt.Sprintf("loc_bar_%02d", n) }

// scatter puts one to three of most kinds of things where they may be.
func (w *world) scatter(c Config) {
	numbers := w.rng.Perm(900)
	for _, k := range w.kinds(c) {
		places := w.placesFor(k)
		if len(places) == 0 || !k.lamp() && w.rng.IntN(5) == 0 {
			continue
		}
		count := 1 + w.rng.IntN(3)
		if k.lamp() || c.Single {
			count = 1
		}
		for range count {
			if c.Objects > 0 && len(w.things) == c.Objects {
				return
			}
			id := fmt.Sprintf("%s_bar_%03d", k.name, numbers[len(w.things)]+100)
			w.things = append(w.things, thing{k, id, places[w.rng.IntN(len(places))]})
		}
	}
}

// kinds lists what may lie about. Where there is not room for all of it, a lamp
// that some task needs comes first and the rest in any order.
func (w *world) kinds(c Config) []kind {
	if c.Objects == 0 && c.Kinds == 0 {
		return w.room.kinds
	}
	kinds := slices.Clone(w.room.kinds)
	if c.Kinds > 0 {
		kinds = kinds[:min(c.Kinds, len(kinds))]
	}
	w.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	if slices.Contains(c.tasks(), "look_at_obj_in_light") {
		if i := slices.IndexFunc(kinds, kind.lamp); i > 0 {
			kinds[0], kinds[i] = kinds[i], kinds[0]
		}
	}
	return kinds
}

func (k kind) lamp() bool { return strings.Contains(k.traits, "t") }

func (w *world) placesFor(k kind) []int {
	var at []int
	for i, p := range w.places {
		if slices.Contains(k.places, p.kind) {
			at = append(at, i)
		}
	}
	return at
}

// chooseTask draws what a task of a type is about, if the room allows it.
func (w *world) chooseTask(task string) bool {
	w.task = task
	trait, tool := tools[task].trait, tools[task].place
	if tool != "" && !slices.ContainsFunc(w.places, func(p place) bool { return p.kind == tool }) {
		return false
	}
	need := 1
	if w.task == "pick_two_obj_and_place" {
		need = 2
	}
	var options []thing
	for _, t := range w.things {
		if !t.lamp() && strings.Contains(t.traits, trait) && w.count(t.name) >= need {
			options = append(options, t)
		}
	}
	if len(options) == 0 {
		return false
	}
	w.object = options[w.rng.IntN(len(options))].kind
	if w.task == "look_at_obj_in_light" {
		return w.chooseLamp()
	}
	return w.chooseTarget()
}

func (w *world) count(name string) int {
	n := 0
	for _, t := range w.things {
		if t.name == name {
			n++
		}
	}
	return n
}

func (w *world) chooseLamp() bool {
	var lamps []string
	for _, t := range w.things {
		if t.lamp() {
			lamps = append(lamps, t.name)
		}
	}
	if len(lamps) == 0 {
		return false
	}
	w.target = lamps[w.rng.IntN(len(lamps))]
	return true
}

// chooseTarget draws a kind of receptacle that holds no such object yet.
func (w *world) chooseTarget() bool {
	var kinds []string
	for _, name := range w.object.places {
		here := slices.ContainsFunc(w.places, func(p place) bool { return p.kind == name })
		taken := slices.ContainsFunc(w.things, func(t thing) bool { return t.name == w.object.name && w.places[t.at].kind == name })
		if here && !taken {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) == 0 {
		return false
	}
	w.target = kinds[w.rng.IntN(len(kinds))]
	return true
}

func (w *world) spec(edition string) alfworld.Spec {
	words := goalWords[w.task]
	goal := strings.NewReplacer("{o}", strings.ToLower(w.object.name), "{r}", strings.ToLower(w.target), "{l}", strings.ToLower(w.target)).
		Replace(words[w.rng.IntN(len(words))])
	domain, gram := texts(edition)
	return alfworld.Spec{
		TaskType: w.task,
		Goal:     goal,
		Domain:   domain,
		Grammar:  strings.Replace(gram, "@goal@", goal, 1),
		Problem:  w.problem(),
	}
}

// texts gives domain and grammar in the words of an edition.
func texts(edition string) (domain, gram string) {
	help, helpText, arrive, put, puts := "", "", "lend", "put {o} in/on {r}", "You put the {o.name} in/on the {r.name}."
	if edition == alfworld.Edition213 {
		arrive, put, puts = "r", "move {o} to {r}", "You move the {o.name} to the {r.name}."
		help = "\n (:action help\n  :parameters (?a - agent)\n  :precondition ()\n  :effect (checked ?a))\n"
		helpText = `action help { template :: "help"; feedback :: "You can: look, inventory, go to, examine, open, close, take from, move to, clean with, heat with, cool with, use, slice with."; }` + "\n"
	}
	domain = strings.Replace(domainText, "@help@", help, 1)
	gram = strings.NewReplacer("@help@", helpText, "@arrive@", arrive, "@put@", put, "@puts@", puts).Replace(grammarText)
	return domain, gram
}

func (w *world) problem() string {
	var objects, facts []string
	fact := func(format string, args ...any) { facts = append(facts, fmt.Sprintf("  ("+format+")", args...)) }
	declare := func(typ string, names ...string) {
		slices.Sort(names)
		for _, n := range slices.Compact(names) {
			objects = append(objects, "  "+n+" - "+typ)
		}
	}
	locations := []string{w.middle}
	ptypes := []string{"SinkBasinType", "MicrowaveType", "FridgeType"} // the domain names them
	otypes := []string{"KnifeType"}
	var places, things []string
	for _, p := range w.places {
		locations = append(locations, p.location)
		places = append(places, p.id)
		ptypes = append(ptypes, p.kind+"Type")
		fact("receptacleType %s %sType", p.id, p.kind)
		fact("receptacleAtLocation %s %s", p.id, p.location)
		if closed[p.kind] {
			fact("openable %s", p.id)
		}
	}
	holds := map[string]bool{}
	for _, t := range w.things {
		things = append(things, t.id)
		otypes = append(otypes, t.name+"Type")
		fact("objectType %s %sType", t.id, t.name)
		fact("inReceptacle %s %s", t.id, w.places[t.at].id)
		fact("objectAtLocation %s %s", t.id, w.places[t.at].location)
		if !t.lamp() {
			fact("pickupable %s", t.id)
		}
		for i, trait := range []string{"cleanable", "heatable", "coolable", "sliceable", "toggleable"} {
			if strings.IndexByte(t.traits, "chlst"[i]) >= 0 {
				fact("%s %s", trait, t.id)
			}
		}
		for _, p := range w.places {
			if slices.Contains(t.places, p.kind) && !holds[p.kind+t.name] {
				holds[p.kind+t.name] = true
				fact("canContain %sType %sType", p.kind, t.name)
			}
		}
	}
	fact("atLocation agent1 %s", w.middle)
	declare("agent", "agent1")
	declare("location", locations...)
	declare("receptacle", places...)
	declare("rtype", ptypes...)
	declare("otype", otypes...)
	declare("object", things...)
	return fmt.Sprintf("(define (problem household)\n (:domain alfred)\n (:objects\n%s\n )\n (:init\n%s\n )\n (:goal %s)\n)\n",
		strings.Join(objects, "\n"), strings.Join(facts, "\n"), w.goal())
}

func (w *world) goal() string {
	o, r := w.object.name+"Type", w.target+"Type"
	state := map[string]string{
		"pick_clean_then_place_in_recep": "(cleanable ?o) (isClean ?o) ",
		"pick_heat_then_place_in_recep":  "(heatable ?o) (isHot ?o) ",
		"pick_cool_then_place_in_recep":  "(coolable ?o) (isCool ?o) ",
	}[w.task]
	switch w.task {
	case "look_at_obj_in_light":
		return fmt.Sprintf(`(and
  (exists (?t - object ?r - receptacle ?a - agent ?l - location)
   (and (objectType ?t %s) (toggleable ?t) (isToggled ?t) (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?t ?r)))
  (exists (?o - object ?a - agent) (and (objectType ?o %s) (holds ?a ?o))))`, r, o)
	case "pick_two_obj_and_place":
		return fmt.Sprintf(`(exists (?r - receptacle)
  (exists (?o - object)
   (and (receptacleType ?r %s) (objectType ?o %s) (inReceptacle ?o ?r)
    (exists (?p - object) (and (not (= ?o ?p)) (objectType ?p %s) (inReceptacle ?p ?r))))))`, r, o, o)
	}
	return fmt.Sprintf(`(exists (?r - receptacle)
  (exists (?o - object)
   (and %s(objectType ?o %s) (receptacleType ?r %s) (inReceptacle ?o ?r))))`, state, o, r)
}
