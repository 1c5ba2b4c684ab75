package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/alfworld/expert"
	"github.com/oreo-go/oreo/alfworld/react"
	"github.com/oreo-go/oreo/alfworld/worldgen"
	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/chat"
)

func alfworldRolloutCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "rollout",
		Usage: "let an actor play games and record every episode",
		Description: `Actors: a policy (--model DIR), a server with chat completions (--url), or the
expert (--expert), whose winning conversations are what SFT learns from. With
--best-of K a critic (--critic DIR) picks one of K replies in each turn; without
it the critic's values are recorded. Each episode in play holds K rows of the
batch (--rows). A run that was interrupted goes on where it stopped when started again.`,
		Before: cli.NoArgs,
		Flags: join(gamesFlags(true), []urfave.Flag{
			&urfave.StringFlag{Name: "out", Required: true, Usage: "JSONL `FILE` for the episodes"},
			&urfave.StringFlag{Name: "model", Usage: "policy `DIR` made by oreo-export policy"},
			&urfave.StringFlag{Name: "url", Usage: "`URL` of a chat completions server, up to /v1"},
			&urfave.StringFlag{Name: "served-model", Usage: "model `NAME` at the server"},
			&urfave.BoolFlag{Name: "expert", Usage: "the expert plays"},
			&urfave.BoolFlag{Name: "direct", Usage: "the expert goes straight to what it needs"},
			&urfave.BoolFlag{Name: "brief", Usage: "the expert words every thought in the shortest way"},
			&urfave.BoolFlag{Name: "plan", Usage: "the expert looks at places in the order of the room's description and says where its search has come to; its first thought names them all, and where to bring what is found"},
			&urfave.Float64SliceFlag{Name: "check", Usage: "the expert wastes turns: with probability `P` it examines what is before it once more; if given again, kinds of receptacle have one of them each"},
			&urfave.IntFlag{Name: "samples", Value: 1, Usage: "episodes a game"},
			&urfave.IntFlag{Name: "workers", Value: 16, Usage: "episodes in play at once"},
			criticFlag(),
			&urfave.IntFlag{Name: "best-of", Value: 1, Usage: "replies a turn, of which the critic picks one"},
		}, protocolFlags(), samplingFlags(0, 512), deviceFlags()),
		Action: func(c *urfave.Context) error {
			if err := positive(c, "samples", "workers", "best-of", "max-new-tokens", "max-turns"); err != nil {
				return err
			}
			specs, err := readGames(c)
			if err != nil {
				return err
			}
			protocol, err := chosenProtocol(c)
			if err != nil {
				return err
			}
			actor, err := chooseActor(c)
			if err != nil {
				return err
			}
			defer actor.Close()
			cfg := react.RolloutConfig{
				Config:  react.Config{Protocol: protocol, K: c.Int("best-of"), Chooser: actor.chooser},
				Samples: c.Int("samples"), Workers: c.Int("workers"), Seed: c.Uint64("seed"), Settings: actor.settings,
			}
			if err := cfg.Validate(); err != nil {
				return cli.Usage(err)
			}
			progress := cli.NewProgress("rollout", 0, int64(len(specs)*cfg.Samples))
			cfg.Progress = func(done, _ int) { progress.Set(int64(done), "") }
			err = react.Rollout(c.Context, specs, actor, cfg, c.String("out"))
			progress.Close()
			return err
		},
	}
}

func protocolFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "protocol", Value: "oreo", Usage: "oreo: as in the paper; eto: with an example, errors instead of an end"},
		&urfave.StringFlag{Name: "instruction", Usage: "text `FILE` instead of our own instruction, such as the published one"},
		&urfave.BoolFlag{Name: "slip", Usage: `write "task" for "take" in the instruction, as the paper's code does`},
		&urfave.StringFlag{Name: "example", Usage: "JSON `FILE` with the messages of ETO's example; without it a game of ours is shown"},
		&urfave.IntFlag{Name: "max-turns", Value: 40, Usage: "replies an episode has at most"},
	}
}

func chosenProtocol(c *urfave.Context) (react.Protocol, error) {
	p, err := react.ProtocolNamed(c.String("protocol"))
	if err != nil {
		return p, cli.Usage(err)
	}
	p.MaxTurns = c.Int("max-turns")
	if path := c.String("instruction"); path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return p, err
		}
		p.Instruction = strings.TrimSpace(string(text))
	}
	if c.Bool("slip") {
		p = p.WithSlip()
	}
	switch path := c.String("example"); {
	case p.Name != "eto" && path != "":
		return p, cli.Usagef("--example goes with --protocol eto")
	case p.Name != "eto":
	case path != "":
		p.Example, err = readExample(path)
	default:
		p.Example, err = ownExample(c.Context)
	}
	return p, err
}

// readExample takes the messages of a conversation: a JSON array of messages,
// or an array of such arrays, of which the first counts.
func readExample(path string) ([]react.Message, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	type message struct{ Role, From, Content, Value string }
	var one []message
	var many [][]message
	if json.Unmarshal(raw, &many) == nil && len(many) > 0 {
		one = many[0]
	} else if err := json.Unmarshal(raw, &one); err != nil {
		return nil, fmt.Errorf("%s: want a JSON array of messages: %w", path, err)
	}
	var out []react.Message
	for _, m := range one {
		role := react.User
		if m.Role == "assistant" || m.Role == "gpt" || m.From == "gpt" || m.From == "assistant" {
			role = react.Assistant
		}
		out = append(out, react.Message{Role: role, Content: m.Content + m.Value})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no messages", path)
	}
	return out, nil
}

// ownExample is the conversation of the expert in a game of ours.
func ownExample(ctx context.Context) ([]react.Message, error) {
	for spec, err := range worldgen.Games(worldgen.DefaultConfig(), "train", 1) {
		if err != nil {
			return nil, err
		}
		game, err := spec.Compile()
		if err != nil {
			return nil, err
		}
		ep, err := react.Run(ctx, game, react.Expert{}, react.Config{Protocol: react.ETO(nil)}, 0)
		if err != nil {
			return nil, err
		}
		return ep.Conversations[2:], nil // after instruction and OK
	}
	return nil, fmt.Errorf("no game was made")
}

// actor is the chosen one, with what has to be closed after it.
type actor struct {
	react.Actor
	chooser  react.Chooser
	settings string
	policy   *runtime.Policy
	critic   *runtime.Value
}

func (a *actor) Close() {
	if a.policy != nil {
		a.policy.Close()
	}
	if a.critic != nil {
		a.critic.Close()
	}
}

func chooseActor(c *urfave.Context) (*actor, error) {
	chosen := 0
	for _, name := range []string{"model", "url", "expert"} {
		if c.IsSet(name) {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return nil, cli.Usagef("want one of --model, --url and --expert, got %d", chosen)
	case c.Bool("expert") && c.Int("best-of") > 1:
		return nil, cli.Usagef("--best-of has no use with --expert")
	case c.Int("best-of") > 1 && !hasCritic(c):
		return nil, cli.Usagef("--best-of %d needs --critic, or a --model that holds a critic too", c.Int("best-of"))
	case c.Bool("expert"):
		cfg := expert.Config{Seed: c.Uint64("seed"), Direct: c.Bool("direct"), Brief: c.Bool("brief"), Plan: c.Bool("plan"), Checks: c.Float64Slice("check")}
		if err := cfg.Validate(); err != nil {
			return nil, cli.Usage(err)
		}
		return &actor{Actor: react.Expert{Config: cfg}, settings: fmt.Sprintf("expert %+v", cfg)}, nil
	}
	a := &actor{}
	opt := deviceOptions(c)
	opt.MaxRows = max(opt.MaxRows, c.Int("best-of"))
	if url := c.String("url"); url != "" {
		if path := c.String("critic"); path != "" {
			critic, err := runtime.OpenValue(path, opt)
			if err != nil {
				return nil, err
			}
			a.critic = critic
			a.settings = fmt.Sprintf(", critic %.12s", critic.Source())
		}
		a.Actor = &react.HTTP{
			URL: url, Model: c.String("served-model"), Key: alfworldServerKey(),
			Temperature: c.Float64("temperature"), MaxTokens: c.Int("max-new-tokens"),
		}
		if a.critic != nil {
			a.chooser = &criticChooser{a.critic}
		}
		a.settings = fmt.Sprintf("%s at %s, temperature %g, %d tokens%s", c.String("served-model"), url, c.Float64("temperature"), c.Int("max-new-tokens"), a.settings)
		return a, nil
	}
	gen, err := generateConfig(c)
	if err != nil {
		return nil, err
	}
	m, err := openModels(c, opt, c.Int("best-of") > 1)
	if err != nil {
		return nil, err
	}
	a.policy, a.critic, a.Actor = m.policy, m.critic, &policyActor{m.policy, m.critic, c.Int("best-of"), gen}
	a.settings = fmt.Sprintf("model %.12s, %+v", m.policy.Source(), gen)
	if m.critic != nil {
		a.settings += fmt.Sprintf(", critic %.12s", m.critic.Source())
	}
	return a, nil
}

// alfworldServerKey reads OREO_API_KEY, the bearer token for --url; servers on
// one's own machine mostly want none.
func alfworldServerKey() string { return os.Getenv("OREO_API_KEY") }

// policyActor lets a model act. Many episodes share its batches, and each keeps
// its conversation in the caches of policy and critic, so that a turn costs what
// is new in it.
type policyActor struct {
	policy *runtime.Policy
	critic *runtime.Value // nil: replies are not valued
	k      int            // replies a turn
	cfg    runtime.GenerateConfig
}

func (a *policyActor) Open(ctx context.Context) (react.Session, error) {
	d, err := runtime.NewDialogue(ctx, a.policy, a.critic, a.k)
	if err != nil {
		return nil, err
	}
	return &policySession{a, d}, nil
}

func (a *policyActor) Act(ctx context.Context, turn react.Turn) ([]react.Reply, error) {
	s, err := a.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Act(ctx, turn)
}

// policySession is one episode of a policyActor.
type policySession struct {
	*policyActor
	dialogue *runtime.Dialogue
}

func (s *policySession) Close() error { return s.dialogue.Close() }

// Act draws the replies and values each by the state it leads to, that after its
// last token, as the paper's evaluation does. Replies that came out the same are
// valued once.
func (s *policySession) Act(ctx context.Context, turn react.Turn) ([]react.Reply, error) {
	action, err := s.dialogue.ChooseAction(ctx, runtime.Chat(chatMessages(turn.Messages)...), runtime.ActionConfig{
		K: turn.N, Sample: s.cfg.Config, MaxNewTokens: s.cfg.MaxNewTokens, Stop: slices.Concat(s.cfg.Stop, turn.Stop),
		Seed: s.cfg.Seed, Question: turn.Seed,
	})
	if err != nil {
		return nil, err
	}
	var replies []react.Reply
	add := func(text string, logProbs []float64, value float64, copies int) {
		r := react.Reply{Text: text, LogProbs: logProbs}
		if s.critic != nil {
			r.Value = &value
		}
		for range copies {
			replies = append(replies, r)
		}
	}
	add(action.Text, action.LogProbs, action.Value, action.Copies)
	for _, o := range action.Others {
		add(o.Text, o.LogProbs, o.Value, o.Copies)
	}
	return replies, nil
}

func chatMessages(messages []react.Message) []chat.Message {
	out := make([]chat.Message, len(messages))
	for i, m := range messages {
		out[i] = chat.Message{Role: m.Role, Content: m.Content}
	}
	return out
}

// criticChooser scores the replies of a server by the value of the state each
// leads to.
type criticChooser struct{ critic *runtime.Value }

func (c *criticChooser) Choose(ctx context.Context, turn react.Turn, replies []react.Reply) ([]float64, error) {
	scores := make([]float64, len(replies))
	prompt := runtime.Chat(chatMessages(turn.Messages)...)
	g, ctx := errgroup.WithContext(ctx)
	for i, r := range replies {
		g.Go(func() error {
			s, err := c.critic.Score(ctx, prompt, strings.TrimSpace(r.Text))
			if err == nil {
				scores[i] = s.Values[len(s.Values)-1]
			}
			return err
		})
	}
	return scores, g.Wait()
}

// readEpisodes is what eval reads.
func readEpisodes(path string) ([]react.Episode, error) {
	return readAllRecords[react.Episode](path, func(ep *react.Episode) error {
		if ep.Game == "" || len(ep.Conversations) == 0 {
			return fmt.Errorf("not an episode: game or conversations are missing")
		}
		return nil
	})
}
