package alfworld_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// shared finds a file of the optional data folder, or skips the test.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared")
	}
	path := filepath.Join(append([]string{root, "alfworld-data"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("data not at hand: %s (set OREO_SHARED)", filepath.Join(parts...))
	}
	return path
}

// sample is how many games stand for one in the tests over all of them. With
// OREO_LONG set it is 1.
func sample() int {
	if os.Getenv("OREO_LONG") != "" {
		return 1
	}
	return 20
}

var official = struct {
	sync.Mutex
	byEdition map[string]map[string]alfworld.Spec
}{byEdition: map[string]map[string]alfworld.Spec{}}

// officialSpecs maps the identifiers of all official games to their specs.
func officialSpecs(t testing.TB, edition string) map[string]alfworld.Spec {
	t.Helper()
	official.Lock()
	defer official.Unlock()
	if specs := official.byEdition[edition]; specs != nil {
		return specs
	}
	specs := map[string]alfworld.Spec{}
	for _, split := range []string{"train", "valid_seen", "valid_unseen"} {
		for s, err := range alfworld.Specs(shared(t, "games", split+".jsonl.gz"), edition) {
			if err != nil {
				t.Fatal(err)
			}
			specs[s.ID] = s
		}
	}
	official.byEdition[edition] = specs
	return specs
}

type transcript struct {
	Game       string   `json:"game"`
	Edition    string   `json:"edition"`
	Kind       string   `json:"kind"`
	Obs        string   `json:"obs"`
	Admissible []string `json:"admissible"`
	Steps      []struct {
		Cmd        string   `json:"cmd"`
		Obs        string   `json:"obs"`
		Admissible []string `json:"admissible"`
		Score      float64  `json:"score"`
		Won        bool     `json:"won"`
		Done       bool     `json:"done"`
	} `json:"steps"`
}

// TestTranscripts replays recordings of the Python engine: every observation,
// list of commands, score and end must be the same, to the letter.
func TestTranscripts(t *testing.T) {
	recordings, err := jsonl.ReadAll[transcript](shared(t, "transcripts", "dev.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"compiled", "interpreted"} {
		t.Run(mode, func(t *testing.T) {
			games := map[string]*alfworld.Game{}
			steps := 0
			for i, rec := range recordings {
				if mode == "interpreted" && i%5 != 0 && sample() > 1 {
					continue
				}
				g := games[rec.Edition+rec.Game]
				if g == nil {
					spec, known := officialSpecs(t, rec.Edition)[rec.Game]
					if !known {
						t.Fatalf("no game %s", rec.Game)
					}
					if g, err = spec.Compile(); err != nil {
						t.Fatal(err)
					}
					games[rec.Edition+rec.Game] = g
				}
				env := g.NewEnv()
				if mode == "interpreted" {
					env = g.Interpret()
				} else if ok, why := g.Compiled(); !ok {
					t.Fatalf("%s is not compiled: %v", rec.Game, why)
				}
				steps += replay(t, env, rec)
			}
			t.Logf("%d steps", steps)
		})
	}
}

func replay(t *testing.T, env *alfworld.Env, rec transcript) int {
	t.Helper()
	obs, err := env.Reset()
	if err != nil {
		t.Fatal(err)
	}
	check(t, rec.Game+": reset", env, obs, rec.Obs, rec.Admissible, false)
	for _, s := range rec.Steps {
		obs, err := env.Step(s.Cmd)
		if err != nil {
			t.Fatal(err)
		}
		check(t, rec.Game+": "+s.Cmd, env, obs, s.Obs, s.Admissible, s.Won)
		if env.Score() != s.Score {
			t.Fatalf("%s: %q: score %v, want %v", rec.Game, s.Cmd, env.Score(), s.Score)
		}
	}
	return len(rec.Steps)
}

func check(t *testing.T, what string, env *alfworld.Env, obs, wantObs string, want []string, won bool) {
	t.Helper()
	if obs != wantObs {
		t.Fatalf("%s: observation\n got %q\nwant %q", what, obs, wantObs)
	}
	if got := env.Admissible(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%s: commands\n got %q\nwant %q", what, got, want)
	}
	if env.Won() != won {
		t.Fatalf("%s: won %v, want %v", what, env.Won(), won)
	}
}
