package alfworld_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

// agree walks both engines side by side and compares all they show. Now and
// then it forks, so that states do not share what they should not.
func agree(t testing.TB, game *alfworld.Game, seed uint64, steps int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	fast, slow := game.NewEnv(), game.Interpret()
	a, err1 := fast.Reset()
	b, err2 := slow.Reset()
	var path []string
	for n := 0; ; n++ {
		commands := fast.Admissible()
		if a != b || err1 != nil || err2 != nil || fast.Won() != slow.Won() || !slices.Equal(commands, slow.Admissible()) {
			t.Fatalf("%s: engines differ after %q\n   compiled %q %v %q %v\ninterpreted %q %v %q %v", game.ID, path,
				a, fast.Won(), commands, err1, b, slow.Won(), slow.Admissible(), err2)
		}
		if n == steps || len(commands) == 0 {
			break
		}
		if n%64 == 63 && !slices.EqualFunc(fast.Facts(), slow.Facts(), func(x, y alfworld.Fact) bool { return x.String() == y.String() }) {
			t.Fatalf("%s: facts differ after %q", game.ID, path)
		}
		cmd := choose(rng, commands)
		path = append(path, cmd)
		if rng.IntN(50) == 0 {
			other := fast.Fork()
			_, _ = fast.Step(choose(rng, commands))
			fast = other
		}
		a, err1 = fast.Step(cmd)
		b, err2 = slow.Step(cmd)
	}
}

// choose draws a verb first, so that walking about does not drown the rest.
func choose(rng *rand.Rand, commands []string) string {
	verbs := map[string][]string{}
	var names []string
	for _, c := range commands {
		verb, _, _ := strings.Cut(c, " ")
		if verbs[verb] == nil {
			names = append(names, verb)
		}
		verbs[verb] = append(verbs[verb], c)
	}
	v := verbs[names[rng.IntN(len(names))]]
	switch c := v[rng.IntN(len(v))]; rng.IntN(30) {
	case 0:
		return strings.ToUpper(c)
	case 1:
		return "\t" + c + " "
	default:
		return c
	}
}

// TestEnginesAgree walks the official games where they are at hand. With
// OREO_LONG=N every game gets N steps; 262 make a million.
func TestEnginesAgree(t *testing.T) {
	steps, every := 40, 200
	if long := os.Getenv("OREO_LONG"); long != "" {
		every = 1
		if n, err := strconv.Atoi(long); err == nil && n > 1 {
			steps = n
		}
	}
	n, total := 0, 0
	for _, edition := range []string{alfworld.Edition211, alfworld.Edition213} {
		for _, split := range []string{"train", "valid_seen", "valid_unseen"} {
			for spec, err := range alfworld.Specs(shared(t, "games", split+".jsonl.gz"), edition) {
				if err != nil {
					t.Fatal(err)
				}
				// In a long test each edition gets every other game.
				if n++; n%every != 0 || every == 1 && (n%2 == 0) != (edition == alfworld.Edition213) {
					continue
				}
				g, err := spec.Compile()
				if err != nil {
					t.Fatal(err)
				}
				if ok, why := g.Compiled(); !ok {
					t.Fatalf("%s: %v", spec.ID, why)
				}
				agree(t, g, uint64(n), steps)
				total += steps
			}
		}
	}
	t.Logf("%d steps", total)
}

func TestEnginesAgreeOnOwnGames(t *testing.T) {
	cfg := worldgen.DefaultConfig()
	for i, split := range worldgen.Splits {
		if cfg.Edition = alfworld.Edition211; i == 1 {
			cfg.Edition = alfworld.Edition213
		}
		for spec, err := range worldgen.Games(cfg, split, 8) {
			if err != nil {
				t.Fatal(err)
			}
			g, err := spec.Compile()
			if err != nil {
				t.Fatal(err)
			}
			agree(t, g, 3, 60)
		}
	}
}

// The debug game of ALFWorld has three agents; commands say who acts.
func TestSeveralAgents(t *testing.T) {
	g, err := alfworld.Load(shared(t, "games", "raw", "debug_multi-agent.game.tw-pddl"))
	if err != nil {
		t.Fatal(err)
	}
	agree(t, g, 1, 60)
	env := g.NewEnv()
	for _, step := range [][2]string{
		{"alice: look", alfworld.Nothing},
		{"alice : look", "You are in the middle of a room. Looking quickly around you, you see nothing."},
		{"bob : go to fridge 1", "You arrive at loc 2. The fridge 1 is closed."},
		{"bob : open fridge 1", "You open the fridge 1. The fridge 1 is open. In it, you see a cup 3, a lettuce 1, and a mug 3."},
		{"alice : look", "You are in the middle of a room. Looking quickly around you, you see nothing."},
		{"bob : look", "You are facing the fridge 1. Next to it, you see nothing."},
	} {
		if got, err := env.Step(step[0]); got != step[1] || err != nil {
			t.Errorf("%q: %q, want %q (%v)", step[0], got, step[1], err)
		}
	}
}

// Many plays of one game at once do not touch each other.
func TestParallel(t *testing.T) {
	g, err := ownSpec(t).Compile()
	if err != nil {
		t.Fatal(err)
	}
	n := 200
	if os.Getenv("OREO_LONG") != "" {
		n = 10_000
	}
	var group sync.WaitGroup
	outs := make([]string, n)
	for i := range n {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i%10), 2))
			env := g.NewEnv()
			var b strings.Builder
			for range 20 {
				obs, err := env.Step(choose(rng, env.Admissible()))
				if err != nil {
					t.Error(err)
				}
				b.WriteString(obs)
				if rng.IntN(5) == 0 {
					env = env.Fork()
				}
			}
			outs[i] = b.String()
		})
	}
	group.Wait()
	for i := range outs {
		if outs[i] != outs[i%10] {
			t.Fatalf("play %d differs from play %d", i, i%10)
		}
	}
}
