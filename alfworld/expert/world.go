package expert

import (
	"slices"
	"strings"

	"github.com/oreo-go/oreo/alfworld"
)

// receptacle is a place that holds things.
type receptacle struct {
	name, id string
	kind     string
	location string
	openable bool
	open     bool
	holds    []*object
}

// object is a thing, in a receptacle or in the hand.
type object struct {
	name, id string
	kind     string
	in       *receptacle
	pickup   bool
	traits   map[string]bool // cleanable, ishot, istoggled, ...
}

// world is the state of a game, read once from its facts and kept up to date
// by the expert's own actions.
type world struct {
	at          string // location
	receptacles []*receptacle
	objects     []*object
	held        *object
	fits        map[[2]string]bool // kind of receptacle, kind of object
}

func readWorld(env *alfworld.Env) *world {
	w := &world{fits: map[[2]string]bool{}}
	recs, objs := map[string]*receptacle{}, map[string]*object{}
	rec := func(f *alfworld.Fact, i int) *receptacle {
		id := f.IDs[i]
		if recs[id] == nil {
			recs[id] = &receptacle{id: id, name: f.Args[i]}
		}
		return recs[id]
	}
	obj := func(f *alfworld.Fact, i int) *object {
		id := f.IDs[i]
		if objs[id] == nil {
			objs[id] = &object{id: id, name: f.Args[i], traits: map[string]bool{}}
		}
		return objs[id]
	}
	for _, f := range env.Facts() {
		switch f.Pred {
		case "receptacletype":
			rec(&f, 0).kind = strings.TrimSuffix(f.IDs[1], "type")
		case "objecttype":
			obj(&f, 0).kind = strings.TrimSuffix(f.IDs[1], "type")
		case "cancontain":
			w.fits[[2]string{strings.TrimSuffix(f.IDs[0], "type"), strings.TrimSuffix(f.IDs[1], "type")}] = true
		case "receptacleatlocation":
			rec(&f, 0).location = f.IDs[1]
		case "openable":
			rec(&f, 0).openable = true
		case "opened":
			rec(&f, 0).open = true
		case "atlocation":
			w.at = f.IDs[1]
		case "inreceptacle":
			o, r := obj(&f, 0), rec(&f, 1)
			o.in = r
			r.holds = append(r.holds, o)
		case "holds":
			w.held = obj(&f, 1)
		case "pickupable":
			obj(&f, 0).pickup = true
		case "cleanable", "heatable", "coolable", "toggleable", "isclean", "ishot", "iscool", "istoggled":
			obj(&f, 0).traits[f.Pred] = true
		}
	}
	for _, r := range recs {
		if r.location != "" && r.kind != "" {
			w.receptacles = append(w.receptacles, r)
		}
	}
	for _, o := range objs {
		w.objects = append(w.objects, o)
	}
	slices.SortFunc(w.receptacles, func(a, b *receptacle) int { return strings.Compare(a.id, b.id) })
	slices.SortFunc(w.objects, func(a, b *object) int { return strings.Compare(a.id, b.id) })
	return w
}

// closed reports whether nothing can be taken from or put into r as it is.
func (r *receptacle) closed() bool { return r.openable && !r.open }

// article gives "a mug" or "an apple".
func article(noun string) string {
	if noun != "" && strings.IndexByte("aeiou", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}
