// Package expert solves household games and says why it does what it does.
//
// The expert reads the state of a game once, from any point of it, and makes a
// plan for its goal. It searches the way a player has to, likely places first,
// and passes over places only when the number of turns would run out: what it
// shows can be learned from observations. The thoughts beside its commands are
// sentences of our own, chosen by seed.
package expert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld"
)

// Config of an expert.
type Config struct {
	// Seed chooses the order among equally likely places and the wording.
	Seed uint64
	// MaxSteps is the number of commands the whole plan should not exceed;
	// searching is cut short to keep to it. 0 means 30. The shortest plan is
	// not longer than 16.
	MaxSteps int
	// Direct goes straight to what is needed, without searching.
	Direct bool
	// Brief words every thought in the shortest way, for small models.
	Brief bool
	// Plan makes the first thought name the places to look at, all of them in the
	// order of the room's description, and where to bring what is found. Later
	// thoughts say where the search has come to: whoever can copy can follow.
	Plan bool
	// Checks makes the expert wasteful: between two commands it examines the
	// receptacle before it once more, with a probability that depends on the
	// receptacle's kind, each kind having one of these shares. Empty: never.
	Checks []float64
}

// Validate names the field and the value that is wrong.
func (c Config) Validate() error {
	for i, share := range c.Checks {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("checks[%d] is %v: want a probability", i, share)
		}
	}
	return nil
}

// Step is a command with the thought that leads to it.
type Step struct {
	Thought string
	Command string
}

// Plan solves the game from the present state of env, which it does not change.
// The plan is empty when the game is won already.
func Plan(env *alfworld.Env, cfg Config) ([]Step, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	task, err := env.Game().Task()
	if err != nil {
		return nil, err
	}
	if cfg.MaxSteps == 0 {
		cfg.MaxSteps = 30
	}
	if env.Won() {
		return nil, nil
	}
	base := readWorld(env)
	search := -1 // as long as it takes
	if cfg.Direct {
		search = 0
	}
	for {
		p := &planner{
			world: base.clone(),
			task:  task,
			rng:   rand.New(rand.NewPCG(cfg.Seed, 0x0e0)),
			words: rand.New(rand.NewPCG(cfg.Seed, 0x0e1)),
			waste: rand.New(rand.NewPCG(cfg.Seed, 0x0e2)),
			left:  search,
			move:  moveVerb(env),
			cfg:   cfg,
		}
		if err := p.solve(); err != nil {
			return nil, fmt.Errorf("game %s: %w", env.Game().ID, err)
		}
		if len(p.steps) <= cfg.MaxSteps || search == 0 {
			return p.steps, nil
		}
		if search < 0 {
			search = p.searched
		}
		search = max(0, search-max(1, (len(p.steps)-cfg.MaxSteps)/2))
	}
}

// moveVerb tells how the text edition of the game puts things down.
func moveVerb(env *alfworld.Env) func(o, r string) string {
	if env.Game().Verb("PutObject") == "put" {
		return func(o, r string) string { return "put " + o + " in/on " + r }
	}
	return func(o, r string) string { return "move " + o + " to " + r }
}

type planner struct {
	*world
	task     alfworld.Task
	rng      *rand.Rand
	words    *rand.Rand
	waste    *rand.Rand
	cfg      Config
	before   *receptacle // what the agent stands before
	left     int         // places that may still be searched in vain; negative: any number
	searched int
	visited  []*receptacle
	move     func(o, r string) string
	steps    []Step
}

func (p *planner) do(thought, command string) {
	if r := p.before; r != nil && p.waste.Float64() < p.cfg.checked(r.kind) {
		p.steps = append(p.steps, Step{p.say(sayCheck, "", "", r.name), "examine " + r.name})
	}
	p.steps = append(p.steps, Step{thought, command})
}

// checked is the share of the commands before a kind of receptacle that a check
// comes before.
func (c Config) checked(kind string) float64 {
	if len(c.Checks) == 0 {
		return 0
	}
	return c.Checks[rank[kind]%len(c.Checks)]
}

func (p *planner) solve() error {
	switch p.task.Type {
	case "look_at_obj_in_light":
		return p.look()
	case "pick_two_obj_and_place":
		return p.two()
	}
	goal := map[string]treatment{
		"pick_clean_then_place_in_recep": {"cleanable", "isclean", "clean", "sinkbasin"},
		"pick_heat_then_place_in_recep":  {"heatable", "ishot", "heat", "microwave"},
		"pick_cool_then_place_in_recep":  {"coolable", "iscool", "cool", "fridge"},
	}[p.task.Type]
	wanted := func(o *object) bool {
		return o.kind == p.task.Object && o.pickup && (goal.trait == "" || o.traits[goal.trait])
	}
	target, err := p.target()
	if err != nil {
		return err
	}
	o, err := p.fetch(wanted)
	if err != nil {
		return err
	}
	if goal.trait != "" && !o.traits[goal.state] {
		if err := p.treat(o, goal); err != nil {
			return err
		}
	}
	return p.put(o, target, true)
}

// treatment is how an object gets a property: with which kind of receptacle.
type treatment struct {
	trait, state, verb, kind string
}

func (p *planner) treat(o *object, t treatment) error {
	tool := p.find(func(r *receptacle) bool {
		return r.kind == t.kind || t.verb == "clean" && r.kind == "sink"
	})
	if tool == nil {
		return fmt.Errorf("nothing to %s the %s with", t.verb, o.name)
	}
	p.goTo(tool, p.say(sayTool, t.verb, o.name, tool.name))
	p.do(p.say(sayTreat, t.verb, o.name, tool.name), t.verb+" "+o.name+" with "+tool.name)
	o.traits[t.state] = true
	return nil
}

func (p *planner) look() error {
	lamp := func(o *object) bool { return o.kind == p.task.Lamp && o.traits["toggleable"] && o.in != nil }
	o, err := p.fetch(func(o *object) bool { return o.kind == p.task.Object && o.pickup })
	if err != nil {
		return err
	}
	// A lamp seen on the way is the one to use; otherwise it is searched too.
	i := slices.IndexFunc(p.objects, func(l *object) bool { return lamp(l) && slices.Contains(p.visited, l.in) })
	if i < 0 {
		if i, err = p.search(lamp, p.task.Lamp); err != nil {
			return err
		}
	}
	l := p.objects[i]
	p.goTo(l.in, p.say(sayLamp, "", o.name, l.name))
	p.do(p.say(sayUse, "", o.name, l.name), "use "+l.name)
	return nil
}

func (p *planner) two() error {
	target, err := p.target()
	if err != nil {
		return err
	}
	placed := 0
	for _, o := range target.holds {
		if o.kind == p.task.Object {
			placed++
		}
	}
	for ; placed < 2; placed++ {
		o, err := p.fetch(func(o *object) bool {
			return o.kind == p.task.Object && o.pickup && o.in != target
		})
		if err != nil {
			return err
		}
		if err := p.put(o, target, placed == 1); err != nil {
			return err
		}
	}
	return nil
}

// target is the receptacle to fill: the one of its kind that serves best.
func (p *planner) target() (*receptacle, error) {
	var best *receptacle
	score := func(r *receptacle) int {
		n := 0
		for _, o := range r.holds {
			if o.kind == p.task.Object {
				n++
			}
		}
		return n
	}
	for _, r := range p.byName() {
		if r.kind != p.task.Receptacle || !p.fits[[2]string{r.kind, p.task.Object}] {
			continue
		}
		if best == nil || p.task.Type == "pick_two_obj_and_place" && score(r) > score(best) {
			best = r
		}
	}
	if best == nil {
		return nil, fmt.Errorf("no %s to put %s in", p.task.Receptacle, article(p.task.Object))
	}
	return best, nil
}

// fetch gets hold of an object that is wanted.
func (p *planner) fetch(wanted func(*object) bool) (*object, error) {
	if p.held != nil {
		if wanted(p.held) {
			return p.held, nil
		}
		if err := p.dropHeld(); err != nil {
			return nil, err
		}
	}
	i, err := p.search(func(o *object) bool { return o.in != nil && wanted(o) }, p.task.Object)
	if err != nil {
		return nil, err
	}
	o := p.objects[i]
	from := o.in
	p.do(p.say(sayTake, from.name, o.name, ""), "take "+o.name+" from "+from.name)
	from.holds = slices.DeleteFunc(from.holds, func(x *object) bool { return x == o })
	o.in, p.held = nil, o
	return o, nil
}

func (p *planner) dropHeld() error {
	o := p.held
	spot := p.find(func(r *receptacle) bool { return p.fits[[2]string{r.kind, o.kind}] })
	if spot == nil {
		return fmt.Errorf("no place to put the %s down", o.name)
	}
	p.reach(spot, p.say(sayDrop, "", o.name, spot.name))
	p.putDown(o, spot, p.say(sayDrop, "", o.name, spot.name))
	return nil
}

func (p *planner) put(o *object, r *receptacle, last bool) error {
	if !p.fits[[2]string{r.kind, o.kind}] {
		return fmt.Errorf("%s does not go into %s", o.name, r.name)
	}
	p.reach(r, p.say(sayCarry, "", o.name, r.name))
	kind := sayPut
	if last {
		kind = sayPutLast
	}
	p.putDown(o, r, p.say(kind, "", o.name, r.name))
	return nil
}

func (p *planner) putDown(o *object, r *receptacle, thought string) {
	p.do(thought, p.move(o.name, r.name))
	o.in, p.held = r, nil
	r.holds = append(r.holds, o)
}

// goTo walks to r unless it is here.
func (p *planner) goTo(r *receptacle, thought string) {
	if p.at != r.location {
		p.do(thought, "go to "+r.name)
		p.at = r.location
	}
	p.before = r
	p.see(r)
}

// reach walks to r and opens it.
func (p *planner) reach(r *receptacle, thought string) {
	p.goTo(r, thought)
	if r.closed() {
		p.do(p.say(sayOpen, "", r.name, ""), "open "+r.name)
		r.open = true
	}
}

func (p *planner) see(r *receptacle) {
	if !slices.Contains(p.visited, r) {
		p.visited = append(p.visited, r)
	}
}

// search looks for a wanted object, place by place, and returns its index with
// the agent in front of it and the receptacle open.
func (p *planner) search(wanted func(*object) bool, kind string) (int, error) {
	var hit *object
	found := func(r *receptacle) bool {
		for _, o := range r.holds {
			if wanted(o) {
				hit = o
				return true
			}
		}
		return false
	}
	known := func() bool {
		return slices.ContainsFunc(p.visited, func(r *receptacle) bool { return !r.closed() && found(r) })
	}
	if known() {
		p.reach(hit.in, p.say(sayBack, kind, hit.name, hit.in.name))
		return slices.Index(p.objects, hit), nil
	}
	var order []*receptacle
	if p.cfg.Plan {
		order = p.listed()
	} else {
		order = p.likely(kind)
	}
	if !slices.ContainsFunc(order, found) {
		return 0, fmt.Errorf("there is no %s to be had", kind)
	}
	first := len(p.steps) == 0
	for _, r := range order {
		if slices.Contains(p.visited, r) && !r.closed() {
			continue
		}
		here := found(r)
		if !here && p.left == 0 {
			continue
		}
		say := saySearch
		if first {
			say = sayStart
		} else if len(p.visited) > 0 {
			say = sayNext
		}
		thought := p.say(say, kind, kind, r.name)
		switch {
		case first && p.cfg.Plan:
			thought = p.plan(kind, order)
		case say == sayNext && p.cfg.Plan && p.before != nil:
			thought = fmt.Sprintf("Not at %s, %s is next.", named(p.before.name), named(r.name))
		}
		first = false
		p.inspect(r, thought)
		if here {
			return slices.Index(p.objects, hit), nil
		}
		p.searched++
		if p.left > 0 {
			p.left--
		}
	}
	return 0, fmt.Errorf("the %s was not found", kind)
}

// plan words the search for a kind of object and, if it goes into a receptacle,
// where it goes.
func (p *planner) plan(kind string, order []*receptacle) string {
	var places []string
	for _, r := range order {
		places = append(places, named(r.name))
	}
	s := "I look for " + article(kind) + " at " + strings.Join(places, ", ")
	if target, err := p.target(); err == nil {
		s += " and bring it to " + named(target.name)
	}
	return s + "."
}

// inspect makes the contents of r seen.
func (p *planner) inspect(r *receptacle, thought string) {
	switch {
	case p.at != r.location, r.closed():
		p.reach(r, thought)
	case len(p.visited) == 0 || p.visited[len(p.visited)-1] != r:
		p.do(thought, "examine "+r.name)
	}
	p.see(r)
}

// find picks the first receptacle in order of name that will do, those here
// before others.
func (p *planner) find(ok func(*receptacle) bool) *receptacle {
	var first *receptacle
	for _, r := range p.byName() {
		if !ok(r) {
			continue
		}
		if r.location == p.at {
			return r
		}
		if first == nil {
			first = r
		}
	}
	return first
}
