package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oreo-go/oreo/alfworld"
)

//go:embed peer.py
var peerSource string

// peer is a running Python that plays games.
type peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPeer(python string) (*peer, error) {
	cmd := exec.Command(python, "-c", peerSource)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{cmd, in, bufio.NewReaderSize(out, 1<<20)}, cmd.Start()
}

func (p *peer) close() {
	p.in.Close()
	_ = p.cmd.Wait()
}

func (p *peer) read(v any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the peer stopped: %w", err)
	}
	return json.Unmarshal(line, v)
}

// seen is what an engine shows after a command.
type seen struct {
	Observation string   `json:"observation"`
	Admissible  []string `json:"admissible"`
	Won         bool     `json:"won"`
	Score       float64  `json:"score"`
}

func (a seen) equal(b seen) bool {
	return a.Observation == b.Observation && a.Won == b.Won && a.Score == b.Score && slices.Equal(a.Admissible, b.Admissible)
}

// measure holds processor seconds of games played.
type measure struct {
	games, steps      int
	pySteps, ourSteps float64
	pyLoad, ourLoad   float64
	ourStepped        float64 // how many steps we did
}

func (m *measure) add(o measure) {
	m.games += o.games
	m.steps += o.steps
	m.pySteps += o.pySteps
	m.ourSteps += o.ourSteps / o.ourStepped * float64(o.steps) // for the same steps
	m.pyLoad += o.pyLoad
	m.ourLoad += o.ourLoad
	m.ourStepped = float64(m.steps)
}

func (m *measure) stepRatio() float64 {
	return (m.pySteps / float64(m.steps)) / (m.ourSteps / m.ourStepped)
}

func (m *measure) loadRatio() float64 { return m.pyLoad / m.ourLoad }

func (m *measure) row(name string) {
	if len(name) > 58 {
		name = name[:58]
	}
	fmt.Printf("%-58s %9.2f %12.0f %9.0f %9.2f %9.2f %9.0f\n", name,
		float64(m.steps)/m.pySteps, m.ourStepped/m.ourSteps, m.stepRatio(),
		m.pyLoad, m.ourLoad*1000, m.loadRatio())
}

// compare plays one random walk in both engines.
func compare(p *peer, dir string, spec alfworld.Spec, seed uint64, steps int, timed bool) (measure, error) {
	m := measure{games: 1}
	path := filepath.Join(dir, "compared.tw-pddl")
	if err := os.WriteFile(path, spec.JSON(), 0o644); err != nil {
		return m, err
	}
	game, err := alfworld.Load(path)
	if err != nil {
		return m, err
	}
	commands, ours, err := walk(game, seed, steps)
	if err != nil {
		return m, err
	}
	m.steps = len(commands)
	job, err := json.Marshal(map[string]any{"game": path, "commands": commands})
	if err != nil {
		return m, err
	}
	if _, err := p.in.Write(append(job, '\n')); err != nil {
		return m, err
	}
	for i, want := range ours {
		var have seen
		if err := p.read(&have); err != nil {
			return m, err
		}
		if !have.equal(want) {
			return m, fmt.Errorf("game %s differs after %q\nPython %+v\n  ours %+v", spec.ID, commands[:i], have, want)
		}
	}
	var spent struct{ Load, Reset, Steps float64 }
	if err := p.read(&spent); err != nil {
		return m, err
	}
	m.pySteps, m.pyLoad = spent.Steps, spent.Load+spent.Reset
	if timed {
		err = m.timeSteps(game, commands, ours)
	}
	return m, err
}

// walk plays at random, acting more often than walking, with a few commands
// that are not possible.
func walk(game *alfworld.Game, seed uint64, steps int) (commands []string, out []seen, err error) {
	rng := rand.New(rand.NewPCG(seed, 0xbe))
	env := game.NewEnv()
	obs, err := env.Reset()
	if err != nil {
		return nil, nil, err
	}
	for {
		now := seen{obs, env.Admissible(), env.Won(), env.Score()}
		out = append(out, now)
		if len(commands) == steps || env.Won() {
			return commands, out, nil
		}
		verbs := map[string][]string{}
		var names []string
		for _, c := range now.Admissible {
			verb, _, _ := strings.Cut(c, " ")
			if verbs[verb] == nil {
				names = append(names, verb)
			}
			verbs[verb] = append(verbs[verb], c)
		}
		options := verbs[names[rng.IntN(len(names))]]
		cmd := options[rng.IntN(len(options))]
		switch rng.IntN(25) {
		case 0:
			cmd = ""
		case 1:
			cmd = " " + cmd + "\t"
		case 2:
			cmd = strings.ToUpper(cmd)
		}
		commands = append(commands, cmd)
		if obs, err = env.Step(cmd); err != nil {
			return nil, nil, err
		}
	}
}

// repeat is how long the timing of our steps takes at least.
const repeat = 300 * time.Millisecond

// timeSteps repeats the same walk, comparing as it goes.
func (m *measure) timeSteps(game *alfworld.Game, commands []string, want []seen) error {
	env := game.NewEnv()
	var buf []string
	var err error
	obs := make([]string, len(commands))
	for spent := time.Duration(0); spent < repeat; {
		if _, err = env.Reset(); err != nil {
			return err
		}
		start := cpu()
		for range 50 {
			played := env.Fork()
			for i, c := range commands {
				if obs[i], err = played.Step(c); err != nil {
					return err
				}
				buf = played.AppendAdmissible(buf[:0])
			}
			if !slices.Equal(buf, want[len(commands)].Admissible) {
				return fmt.Errorf("commands differ when repeated")
			}
		}
		spent += cpu() - start
		m.ourSteps, m.ourStepped = spent.Seconds(), m.ourStepped+float64(50*len(commands))
		for i := range obs {
			if obs[i] != want[i+1].Observation {
				return fmt.Errorf("observations differ when repeated")
			}
		}
	}
	return nil
}
