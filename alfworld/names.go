package alfworld

import (
	"slices"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/alfworld/pddl"
)

// objectNames gives every object the name that commands and observations use.
// An identifier such as mug_bar__plus_02_dot_04... becomes "mug 2": the text
// before the first _bar_ (with "basin" added where the identifier mentions one)
// and a number, counted down over the identifiers in ascending order. Only
// objects that some initial fact is about take part in the count. Identifiers
// without _bar_ keep their text, followed by a space, as the reference does. In
// games without any _bar_, which are not ALFWorld's, identifiers are the names.
func objectNames(t *pddl.Task, order []uint16) []string {
	used := make([]bool, len(t.Objects))
	for _, args := range t.Init() {
		for _, o := range args {
			used[o] = true
		}
	}
	names := make([]string, len(t.Objects))
	if !slices.ContainsFunc(t.Objects, func(o pddl.Object) bool { return strings.Contains(o.Name, "_bar_") }) {
		for i, o := range t.Objects {
			names[i] = o.Name
		}
		return names
	}
	base := make([]string, len(t.Objects))
	left := map[string]int{}
	for i, o := range t.Objects {
		kind, _, mangled := strings.Cut(o.Name, "_bar_")
		if !mangled || !used[i] {
			names[i] = o.Name + " "
			continue
		}
		if strings.Contains(o.Name, "basin") {
			kind += "basin"
		}
		base[i] = kind
		left[kind]++
	}
	for _, i := range order {
		if base[i] != "" {
			names[i] = base[i] + " " + strconv.Itoa(left[base[i]])
			left[base[i]]--
		}
	}
	return names
}

// byName lists the objects in ascending order of identifier.
func byName(t *pddl.Task) []uint16 {
	ids := make([]uint16, len(t.Objects))
	for i := range ids {
		ids[i] = uint16(i)
	}
	slices.SortFunc(ids, func(a, b uint16) int { return strings.Compare(t.Objects[a].Name, t.Objects[b].Name) })
	return ids
}
