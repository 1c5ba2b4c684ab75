package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/report"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/sample"
)

func agentCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "agent",
		Usage: "let a policy act in an environment of yours, with a critic to choose its actions",
		Description: `The environment is a program that speaks JSON lines on standard input and
output. It is asked {"reset": {"episode", "seed", "item"}} or {"step": ACTION}
and answers {"observation", "done", "reward", "admissible"}, where reward is that
of the episode so far and admissible, the possible actions, may be left out. With
--env-lines it is started for each episode, shows the first observation unasked
and takes an action a line, as oreo-run alfworld step does:

  oreo-run agent --env 'oreo-run alfworld step --game "$OREO_ITEM"' --env-lines \
    --items games.txt --model onnx/policy --critic onnx/critic --best-of 5 --out episodes.jsonl

In each turn --best-of K replies are drawn, and the one that the critic values
most is taken; what stands behind "Action:" in it is done. An environment that
dies, hangs or talks nonsense costs its episode: it is started again for the next.`,
		Before: cli.NoArgs,
		Flags: join([]urfave.Flag{
			modelFlag(),
			criticFlag(),
			&urfave.StringFlag{Name: "env", Required: true, Usage: "`COMMAND` that starts the environment, for the shell"},
			&urfave.BoolFlag{Name: "env-lines", Usage: "the environment takes plain lines and is started for each episode"},
			&urfave.DurationFlag{Name: "env-timeout", Value: time.Minute, Usage: "longest wait for an answer of the environment"},
			&urfave.StringFlag{Name: "out", Value: "-", Usage: "JSONL `FILE` of episodes; - is standard output"},
			&urfave.IntFlag{Name: "episodes", Usage: "how many; default: one for each item, else 1"},
			&urfave.StringFlag{Name: "items", Usage: "`FILE` with a line for each episode that the environment is given: a task, a game"},
			&urfave.IntFlag{Name: "workers", Value: 8, Usage: "episodes in play at once"},
			&urfave.IntFlag{Name: "best-of", Value: 1, Usage: "replies a turn, `K`, of which the critic picks one"},
			&urfave.IntFlag{Name: "max-turns", Value: 40, Usage: "replies an episode has at most"},
			&urfave.StringFlag{Name: "instruction", Usage: "text `FILE` that opens the conversation, instead of our own"},
			&urfave.BoolFlag{Name: "show-admissible", Usage: "list the possible actions behind each observation"},
			&urfave.BoolFlag{Name: "constrain", Usage: "let the policy write a thought and one of the possible actions, nothing else"},
		}, samplingFlags(0, 512), deviceFlags()),
		Action: func(c *urfave.Context) error {
			cfg, err := readAgent(c)
			if err != nil {
				return err
			}
			opt := deviceOptions(c)
			opt.MaxRows = max(opt.MaxRows, cfg.K)
			m, err := openModels(c, opt, cfg.K > 1)
			if err != nil {
				return err
			}
			defer m.Close()
			episodes, err := cfg.run(c.Context, m.policy, m.critic)
			if err != nil {
				return err
			}
			if c.String("out") == "-" {
				return nil
			}
			return agentTable(c.App.Writer, episodes)
		},
	}
}

// agentTask is what an episode is about.
type agentTask struct {
	Episode int    `json:"episode"`
	Seed    uint64 `json:"seed"`
	Item    string `json:"item,omitempty"`
}

// agentConfig is what the flags ask for.
type agentConfig struct {
	Command     string
	Lines       bool
	Timeout     time.Duration
	Out         string
	Tasks       []agentTask
	Workers, K  int
	MaxTurns    int
	Instruction string
	Show        bool
	Constrain   bool
	Sample      sample.Config
	MaxTokens   int
}

// ownInstruction is what the policy is told unless the user has better words.
const ownInstruction = `You act in an environment, turn by turn. Each of your replies has two lines:
Thought: what you make of the situation, in a sentence
Action: the one action to do now
You are then shown what came of it.`

func readAgent(c *urfave.Context) (*agentConfig, error) {
	if err := positive(c, "workers", "best-of", "max-turns", "max-new-tokens"); err != nil {
		return nil, err
	}
	cfg := &agentConfig{
		Command: c.String("env"), Lines: c.Bool("env-lines"), Timeout: c.Duration("env-timeout"), Out: c.String("out"),
		Workers: c.Int("workers"), K: c.Int("best-of"), MaxTurns: c.Int("max-turns"), Instruction: ownInstruction,
		Show: c.Bool("show-admissible"), Constrain: c.Bool("constrain"), Sample: samplingConfig(c), MaxTokens: c.Int("max-new-tokens"),
	}
	switch {
	case cfg.K > 1 && !hasCritic(c):
		return nil, cli.Usagef("--best-of %d needs --critic, or a --model that holds a critic too", cfg.K)
	case cfg.Timeout <= 0:
		return nil, cli.Usagef("--env-timeout is %v, want more than 0", cfg.Timeout)
	case c.Int("episodes") < 0:
		return nil, cli.Usagef("--episodes is %d, want 1 or more", c.Int("episodes"))
	}
	if err := cfg.Sample.Validate(); err != nil {
		return nil, cli.Usage(err)
	}
	if path := c.String("instruction"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		cfg.Instruction = strings.TrimSpace(string(text))
	}
	var items []string
	if path := c.String("items"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if items = strings.Split(strings.TrimRight(string(text), "\n"), "\n"); len(text) == 0 {
			return nil, fmt.Errorf("%s: no items: the file is empty", path)
		}
	}
	n := cmp.Or(c.Int("episodes"), len(items), 1)
	for i := range n {
		t := agentTask{Episode: i, Seed: c.Uint64("seed")<<20 + uint64(i)}
		if len(items) > 0 {
			t.Item = items[i%len(items)]
		}
		cfg.Tasks = append(cfg.Tasks, t)
	}
	return cfg, nil
}

// agentEpisode is a line of the output: a trajectory that training reads, and how
// it came about.
type agentEpisode struct {
	agentTask
	ID            string         `json:"id"`
	Conversations []chat.Message `json:"conversations"`
	Reward        float64        `json:"reward"`
	Done          bool           `json:"done"`
	Turns         []agentTurn    `json:"turns"`
	Error         string         `json:"error,omitempty"` // why it was lost, mostly the environment's failure
}

// agentTurn is a reply and what came of it.
type agentTurn struct {
	Action      string    `json:"action"` // empty: the reply held none
	Observation string    `json:"observation"`
	Value       float64   `json:"value"`
	Others      []string  `json:"others,omitempty"` // replies that were not taken, best first
	Values      []float64 `json:"values,omitempty"` // theirs
}

// run plays all episodes and writes them in order.
func (cfg *agentConfig) run(ctx context.Context, policy *runtime.Policy, critic *runtime.Value) (episodes []agentEpisode, err error) {
	w, err := jsonl.Create(cfg.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = finish(w, err) }()
	episodes = make([]agentEpisode, len(cfg.Tasks))
	idle := make(chan *agentEnv, cfg.Workers)
	for range cfg.Workers {
		idle <- &agentEnv{command: cfg.Command, lines: cfg.Lines, timeout: cfg.Timeout}
	}
	progress := cli.NewProgress("agent", 0, int64(len(episodes)))
	err = each(ctx, len(episodes), cfg.Workers, func(ctx context.Context, i int) error {
		env := <-idle
		defer func() { idle <- env }()
		ep, err := cfg.play(ctx, env, policy, critic, cfg.Tasks[i])
		var lost *lostError
		if errors.As(err, &lost) {
			ep.Error, err = lost.Error(), nil
		}
		episodes[i] = ep
		progress.Add(1)
		return err
	})
	progress.Close()
	for range cfg.Workers {
		(<-idle).close()
	}
	if err != nil {
		return nil, err
	}
	failed := 0
	for _, ep := range episodes {
		if ep.Error != "" {
			failed++
		}
		if err := w.Write(ep); err != nil {
			return nil, err
		}
	}
	if failed == len(episodes) {
		return nil, fmt.Errorf("every episode failed; the first: %s", episodes[0].Error)
	}
	return episodes, nil
}

const (
	actionMark  = "Action:"
	missingText = "Your reply has no line that begins with \"" + actionMark + "\"."
)

// play is one episode.
func (cfg *agentConfig) play(ctx context.Context, env *agentEnv, policy *runtime.Policy, critic *runtime.Value, t agentTask) (agentEpisode, error) {
	ep := agentEpisode{agentTask: t, ID: fmt.Sprint(t.Episode)}
	d, err := runtime.NewDialogue(ctx, policy, critic, cfg.K)
	if err != nil {
		return ep, err
	}
	defer d.Close()
	seen, err := env.reset(ctx, t)
	if err != nil {
		return ep, err
	}
	say := func(role, text string) {
		ep.Conversations = append(ep.Conversations, chat.Message{Role: role, Content: text})
	}
	say("user", strings.TrimSpace(cfg.Instruction+"\n\n"+cfg.shown(seen)))
	for turn := range cfg.MaxTurns {
		ep.Reward, ep.Done = seen.reward(), seen.Done
		if ep.Done {
			return ep, nil
		}
		if turn > 0 {
			say("user", "Observation: "+cfg.shown(seen))
		}
		step, reply, err := cfg.choose(ctx, d, policy, ep.Conversations, seen, t.Seed, turn)
		if err != nil {
			return ep, err
		}
		say("assistant", reply)
		if step.Action == "" {
			missing := missingText
			seen.Observation = &missing
		} else if seen, err = env.step(ctx, step.Action); err != nil {
			return ep, err
		}
		step.Observation = *seen.Observation
		ep.Turns = append(ep.Turns, step)
	}
	ep.Reward, ep.Done = seen.reward(), seen.Done
	return ep, nil
}

// shown is an observation as the policy reads it.
func (cfg *agentConfig) shown(o observed) string {
	text := strings.TrimSpace(*o.Observation)
	if cfg.Show && len(o.Admissible) > 0 {
		text += "\nPossible actions: " + strings.Join(o.Admissible, "; ")
	}
	return text
}

// choose asks for the turn's reply.
func (cfg *agentConfig) choose(ctx context.Context, d *runtime.Dialogue, policy *runtime.Policy, said []chat.Message, seen observed, seed uint64, turn int) (agentTurn, string, error) {
	how := runtime.ActionConfig{
		K: cfg.K, Sample: cfg.Sample, MaxNewTokens: cfg.MaxTokens, Stop: []string{"\nObservation:"}, Seed: seed, Question: uint64(turn),
	}
	if cfg.Constrain {
		if len(seen.Admissible) == 0 {
			return agentTurn{}, "", &lostError{errors.New(`--constrain needs the field "admissible" in every answer`)}
		}
		quoted := make([]string, len(seen.Admissible))
		for i, a := range seen.Admissible {
			quoted[i] = regexp.QuoteMeta(a)
		}
		var err error
		if how.Grammar, err = policy.Regexp(`Thought: [^\n]{1,400}\n` + actionMark + " (?:" + strings.Join(quoted, "|") + ")"); err != nil {
			return agentTurn{}, "", &lostError{err}
		}
	}
	action, err := d.ChooseAction(ctx, runtime.Chat(said...), how)
	if errors.Is(err, runtime.ErrTooLong) {
		return agentTurn{}, "", &lostError{fmt.Errorf("turn %d: %w", turn+1, err)}
	}
	if err != nil {
		return agentTurn{}, "", err
	}
	reply := strings.TrimSpace(action.Text)
	step := agentTurn{Action: actionIn(reply), Value: action.Value}
	for _, o := range action.Others {
		step.Others, step.Values = append(step.Others, o.Text), append(step.Values, o.Value)
	}
	return step, reply, nil
}

// actionIn is what a reply asks to do: the rest of the line behind the last mark.
func actionIn(reply string) string {
	i := strings.LastIndex(reply, actionMark)
	if i < 0 {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(reply[i+len(actionMark):]), "\n")
	return strings.TrimSpace(line)
}

// agentTable sums the episodes up.
func agentTable(w io.Writer, episodes []agentEpisode) error {
	var reward float64
	done, turns, missing, failed := 0, 0, 0, 0
	for _, ep := range episodes {
		reward += ep.Reward
		turns += len(ep.Turns)
		if ep.Done {
			done++
		}
		if ep.Error != "" {
			failed++
		}
		for _, t := range ep.Turns {
			if t.Action == "" {
				missing++
			}
		}
	}
	n := float64(len(episodes))
	return report.WriteTable(w, []string{"episodes", "mean reward", "ended", "turns each", "replies without action", "lost"}, [][]string{{
		fmt.Sprint(len(episodes)), fmt.Sprintf("%.3f", reward/n), fmt.Sprint(done), fmt.Sprintf("%.1f", float64(turns)/n), fmt.Sprint(missing), fmt.Sprint(failed),
	}})
}
