package wordgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// scene is a small world: what is counted, how it comes and how it goes.
type scene struct {
	name   string
	things string
	gains  []string
	losses []string
}

type person struct{ name, pronoun string }

var people = []person{
	{"Mia", "She"}, {"Ben", "He"}, {"Zoe", "She"}, {"Tom", "He"}, {"Ana", "She"}, {"Leo", "He"},
	{"Ida", "She"}, {"Max", "He"}, {"Eva", "She"}, {"Jon", "He"}, {"Amy", "She"}, {"Kai", "He"},
}

// The order is the order of Config.HeadShare.
var scenes = []scene{
	{"orchard", "apples", []string{"picks", "buys"}, []string{"sells", "drops"}},
	{"school", "pens", []string{"finds", "buys"}, []string{"lends", "loses"}},
	{"bakery", "rolls", []string{"bakes", "adds"}, []string{"sells", "burns"}},
	{"harbour", "fish", []string{"catches", "buys"}, []string{"sells", "smokes"}},
	{"garden", "bulbs", []string{"digs", "orders"}, []string{"plants", "swaps"}},
	{"workshop", "nails", []string{"makes", "orders"}, []string{"uses", "bends"}},
}

// question tells the problem in words.
func (s scene) question(who person, p Problem, rng *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d %s.", who.name, p.Start, s.things)
	for _, changes := range p.Days {
		b.WriteString(" " + who.pronoun)
		for i, change := range changes {
			switch {
			case i > 0 && i == len(changes)-1:
				b.WriteString(" and")
			case i > 0:
				b.WriteByte(',')
			}
			writeChange(&b, change, s.gains, s.losses, rng)
		}
		b.WriteByte('.')
	}
	fmt.Fprintf(&b, " How many %s are left?", s.things)
	return b.String()
}

func writeChange(b *strings.Builder, change int, gains, losses []string, rng *rand.Rand) {
	verbs := gains
	if change < 0 {
		verbs = losses
	}
	fmt.Fprintf(b, " %s %d", verbs[rng.IntN(len(verbs))], max(change, -change))
}
