// Command bench compares this engine with Python TextWorld on the same games
// and commands: that both say the same, and how much processor time they take.
// The last line is "ratio alfworld X", X being how many times as many steps we
// do in a second of one core, admissible commands included.
//
// The peer is installed once into .deps/alfworld-peer; OREO_ALFWORLD_PYTHON
// names another Python that has it. The official games are used where
// OREO_SHARED holds them, else games of our own.
package main

import (
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/alfworld/expert"
	"github.com/oreo-go/oreo/alfworld/worldgen"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-alfworld:", err)
		os.Exit(1)
	}
}

const (
	walkSteps = 40 // of each timed game
	ownGames  = 20
	ownSteps  = 50
)

func bench() error {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(400) // the heap is a few MB; any program that plays has more
	python, err := peerPython()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "oreo-alfworld-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peer, err := startPeer(python)
	if err != nil {
		return err
	}
	defer peer.close()

	timed, split, err := timedGames()
	if err != nil {
		return err
	}
	loads, err := timeLoads(dir, split, timed, false)
	if err != nil {
		return err
	}
	fmt.Printf("%-58s %9s %12s %9s %9s %9s %9s\n", "game", "py step/s", "our step/s", "ratio", "py load s", "our ms", "ratio")
	var sum measure
	for i, spec := range timed {
		m, err := compare(peer, dir, spec, uint64(i), walkSteps, true)
		if err != nil {
			return err
		}
		m.ourLoad = loads[i]
		m.row(spec.ID)
		sum.add(m)
	}
	sum.row("all")
	own, err := compareOwn(peer, dir)
	if err != nil {
		return err
	}
	fmt.Printf("\nobservations, commands, won and score equal: %d games, %d steps; own games: %d, %d steps\n", sum.games, sum.steps, ownGames, own)
	cold, err := timeLoads(dir, split, timed, true)
	if err != nil {
		return err
	}
	alone := sum
	alone.ourLoad = 0
	for _, s := range cold {
		alone.ourLoad += s
	}
	fmt.Printf("load and reset: each of %d games once in turn, %.0fx; if every game had a domain and grammar of its own, %.0fx\n",
		len(split)+len(timed), sum.loadRatio(), alone.loadRatio())
	if err := more(timed, split); err != nil {
		return err
	}
	fmt.Printf("ratio alfworld-load %.0f\n", sum.loadRatio())
	fmt.Printf("ratio alfworld %.0f\n", sum.stepRatio())
	return nil
}

// peerPython finds or installs the peer.
func peerPython() (string, error) {
	if p := os.Getenv("OREO_ALFWORLD_PYTHON"); p != "" {
		return p, nil
	}
	dir := filepath.Join(".deps", "alfworld-peer")
	python := filepath.Join(dir, "bin", "python")
	ready := filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return python, nil
	}
	fmt.Fprintln(os.Stderr, "installing Python TextWorld into", dir)
	for _, args := range [][]string{
		{"python3", "-m", "venv", dir},
		{python, "-m", "pip", "install", "-q", "textworld==1.7.0"},
		// Their own dependencies (PyTorch and more) are not needed to play.
		{python, "-m", "pip", "install", "-q", "--no-deps", "alfworld==0.4.2", "fast-downward-textworld==20.6.4"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	return python, os.WriteFile(ready, nil, 0o644)
}

// timedGames takes games of every task type and of both editions, and the whole
// split they come from.
func timedGames() (few, split []alfworld.Spec, err error) {
	path := filepath.Join(sharedGames(), "valid_unseen.jsonl.gz")
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintln(os.Stderr, "official games not at hand, games of our own instead:", err)
		for spec, err := range worldgen.Games(worldgen.DefaultConfig(), "valid_unseen", 134) {
			if err != nil {
				return nil, nil, err
			}
			split = append(split, spec)
		}
		return split[:8], split, nil
	}
	for i, edition := range []string{alfworld.Edition211, alfworld.Edition213} {
		all, err := alfworld.AllSpecs(path, edition)
		if err != nil {
			return nil, nil, err
		}
		if split == nil {
			split = all
		}
		seen := map[string]int{}
		for _, s := range all {
			// The first edition has the first game of each type, the second the
			// fifth of some.
			n := seen[s.TaskType]
			seen[s.TaskType]++
			if i == 0 && n == 0 || i == 1 && n == 4 && len(few) < 8 {
				few = append(few, s)
			}
		}
	}
	return few, split, nil
}

// compareOwn plays games of our own in both.
func compareOwn(peer *peer, dir string) (steps int, err error) {
	cfg := worldgen.DefaultConfig()
	for i := range ownGames {
		cfg.Edition = []string{alfworld.Edition211, alfworld.Edition213}[i%2]
		var spec alfworld.Spec
		for spec, err = range worldgen.Games(cfg, worldgen.Splits[i%3], i+1) {
			if err != nil {
				return steps, err
			}
		}
		m, err := compare(peer, dir, spec, uint64(i), ownSteps, false)
		if err != nil {
			return steps, err
		}
		steps += m.steps
	}
	return steps, nil
}

// more prints what has no counterpart in Python.
func more(timed, split []alfworld.Spec) error {
	g, err := timed[0].Compile()
	if err != nil {
		return err
	}
	env := g.NewEnv()
	env.Admissible()
	const forks = 100_000
	start := cpu()
	for range forks {
		runtime.KeepAlive(env.Fork())
	}
	fmt.Printf("fork: %.2f microseconds\n", (cpu()-start).Seconds()/forks*1e6)

	fmt.Printf("memory: %.1f kB for one more play of a game\n", playMemory(g))
	if err := gameMemory(split); err != nil {
		return err
	}

	start = cpu()
	won := 0
	for i, s := range split {
		g, err := s.Compile()
		if err != nil {
			return err
		}
		env := g.NewEnv()
		plan, err := expert.Plan(env, expert.Config{Seed: uint64(i)})
		if err != nil {
			return err
		}
		for _, p := range plan {
			if _, err := env.Step(p.Command); err != nil {
				return err
			}
		}
		if env.Won() {
			won++
		}
	}
	fmt.Printf("expert: %d of %d games won, %.0f games a second, loading included\n", won, len(split), float64(len(split))/(cpu()-start).Seconds())
	return nil
}

func heapKB() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1000
}

func playMemory(g *alfworld.Game) float64 {
	const n = 2000
	envs := make([]*alfworld.Env, n)
	before := heapKB()
	for i := range envs {
		envs[i] = g.NewEnv()
		for range 3 {
			commands := envs[i].Admissible()
			_, _ = envs[i].Step(commands[i%len(commands)])
		}
	}
	after := heapKB()
	runtime.KeepAlive(envs)
	return (after - before) / n
}

// liveGames is how many games are held at once to weigh them.
const liveGames = 1000

// gameMemory weighs distinct games, each compiled by itself: as they are after
// the reset, and after the expert has played each of them.
func gameMemory(split []alfworld.Spec) error {
	many, err := distinctGames()
	if err != nil {
		return err
	}
	games, envs := make([]*alfworld.Game, 0, liveGames), make([]*alfworld.Env, 0, liveGames)
	if _, err := split[0].Compile(); err != nil { // what all of them share
		return err
	}
	before := heapKB()
	for spec, err := range many {
		if err != nil {
			return err
		}
		g, err := spec.Compile()
		if err != nil {
			return err
		}
		env := g.NewEnv()
		if _, err := env.Reset(); err != nil {
			return err
		}
		if games, envs = append(games, g), append(envs, env); len(games) == liveGames {
			break
		}
	}
	n := float64(len(games))
	loaded := (heapKB() - before) / n
	for i, env := range envs {
		plan, err := expert.Plan(env, expert.Config{Seed: uint64(i)})
		if err != nil {
			return err
		}
		for _, s := range plan {
			if _, err := env.Step(s.Command); err != nil {
				return err
			}
			env.Admissible()
		}
	}
	played := (heapKB() - before) / n
	runtime.KeepAlive(games)
	runtime.KeepAlive(envs)
	fmt.Printf("memory: %.1f kB for a live game after the reset, %.1f kB after the expert has played it; %d games, all different, live at once\n", loaded, played, len(games))
	return nil
}

// distinctGames yields official games of the training split, or games of our
// own.
func distinctGames() (iter.Seq2[alfworld.Spec, error], error) {
	path := filepath.Join(sharedGames(), "train.jsonl.gz")
	if _, err := os.Stat(path); err == nil {
		return alfworld.Specs(path, alfworld.Edition211), nil
	}
	return worldgen.Games(worldgen.DefaultConfig(), "train", liveGames), nil
}

func sharedGames() string {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	return filepath.Join(root, "alfworld-data", "games")
}

// cpu is the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
