package alfworld

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// A scan finds the facts of a table within spans, in order of their arguments.
func TestScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		tab := table{base: rng.Int32N(200), size: 1, arity: rng.Int32N(4)}
		var spans [3]span
		for i := range tab.arity {
			from := rng.Int32N(10)
			tab.args[i] = axis{span: span{from, from + 1 + rng.Int32N(90)/(1+2*tab.arity)}}
			tab.size *= tab.args[i].to - tab.args[i].from
			spans[i] = span{rng.Int32N(20), rng.Int32N(40)}
			if rng.IntN(2) == 0 {
				spans[i] = span{0, maxPacked}
			}
		}
		set := newBitset(int(tab.base + tab.size + 64))
		density := rng.IntN(4)
		for i := range set {
			set[i] = rng.Uint64()
			for range density {
				set[i] &= rng.Uint64()
			}
		}
		var want, got [][3]int32
		for at := tab.base; at < tab.base+tab.size; at++ {
			fact := tab.fact(at)
			inside := set.has(int(at))
			for i := range tab.arity {
				inside = inside && fact[i] >= spans[i].from && fact[i] < spans[i].to
			}
			if inside {
				want = append(want, fact)
			}
		}
		for s := tab.newScan(set, spans); s.next(); {
			got = append(got, s.objs)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v in %+v:\n got %v\nwant %v", tab, spans, got, want)
		}
	}
}
