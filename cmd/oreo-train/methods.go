package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/cmd/internal/config"
	"github.com/oreo-go/oreo/train"
)

// methods are the commands that train, in the order in which they are learnt.
func methods() []*urfave.Command {
	return []*urfave.Command{
		method("sft", "supervised fine-tuning on prompt/response or conversation records", `
Raises the likelihood of the responses. Every record is a demonstration:
  {"prompt": "1 + 1 = ", "response": "2"}
  {"conversations": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]}
  oreo-train sft --set model=HF_DIR data=train.jsonl out=runs/sft`,
			train.DefaultSFT(), func(c *train.SFTConfig) *train.Config { return &c.Config }, train.SFT),

		method("rejection", "rejection sampling: SFT on the sampled responses that earned their reward", `
Records are sampled responses with their reward, the same that OREO takes; those below min_reward are left out:
  {"prompt": "1 + 1 = ", "response": "2", "reward": 1}
  oreo-train rejection --set model=runs/sft data=samples.jsonl out=runs/rejection`,
			train.DefaultRejection(), func(c *train.RejectionConfig) *train.Config { return &c.Config }, train.Rejection),

		method("dpo", "direct preference optimisation on pairs of responses; IPO and label smoothing", `
Records are pairs of responses to one prompt, the better one in "chosen" (oreo-run select makes them from samples):
  {"prompt": "1 + 1 = ", "chosen": "2", "rejected": "3"}
  oreo-train dpo --set model=runs/sft data=pairs.jsonl out=runs/dpo`,
			train.DefaultDPO(), func(c *train.DPOConfig) *train.Config { return &c.Config }, train.DPO),

		method("kto", "Kahneman-Tversky optimisation on single responses marked as good or bad", `
Records are sampled responses with a label, or with a reward: above 1/2 is good.
  {"prompt": "1 + 1 = ", "response": "2", "label": true}
  oreo-train kto --set model=runs/sft data=samples.jsonl out=runs/kto`,
			train.DefaultKTO(), func(c *train.KTOConfig) *train.Config { return &c.Config }, train.KTO),

		method("dqo", "direct Q-function optimisation: a policy and its critic, by lambda-returns", `
Records are those of OREO. The policy is saved in out, the critic in out/critic.
  oreo-train dqo --set model=runs/sft data=samples.jsonl out=runs/dqo`,
			train.DefaultDQO(), func(c *train.DQOConfig) *train.Config { return &c.Config }, train.DQO),

		method("oreo", "train a policy and its critic on sampled responses with rewards", `
The paper's method. Records are sampled responses, right and wrong ones, with the reward at their end:
  {"prompt": "1 + 1 = ", "response": "2", "reward": 1}
  {"conversations": [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "3"}], "reward": 0}
The policy is saved in out, the critic in out/critic. Defaults are the paper's for a 1.5B model:
  oreo-train oreo --set model=runs/sft data=samples.jsonl out=runs/oreo
A 7B model, whose critic is an adapter on the frozen starting policy, as in the paper:
  oreo-train oreo --set model=HF_DIR data=samples.jsonl out=runs/oreo epochs=2 critic_kind=lora critic_lr=1e-4
Step level, on mathematics whose steps end with lines or sentences:
  oreo-train oreo --set model=runs/sft data=samples.jsonl out=runs/step level=step step=period alpha=0.1`,
			train.DefaultOREO(), func(c *train.OREOConfig) *train.Config { return &c.Config }, train.OREO),
	}
}

// method is the command that runs one of them with a configuration C, whose
// common part shared finds.
func method[C any](name, usage, text string, cfg C, shared func(*C) *train.Config, train func(context.Context, C, train.UI) error) *urfave.Command {
	return &urfave.Command{
		Name:        name,
		Usage:       usage,
		UsageText:   fmt.Sprintf("oreo-train %s [--recipe NAME] [--config FILE.yaml] [--set key=value …]", name),
		Description: strings.TrimSpace(text) + "\n\n" + config.Describe(&cfg),
		Flags:       append([]urfave.Flag{recipeFlag()}, append(config.Flags(), dryRunFlag())...),
		Action: func(c *urfave.Context) error {
			if err := applyRecipe(c, name, &cfg); err != nil {
				return err
			}
			if err := config.FromContext(c, &cfg); err != nil {
				return err
			}
			if c.Bool("dry-run") {
				return dryRun(c, name, &cfg)
			}
			ui := &console{label: name}
			err := train(c.Context, cfg, ui)
			ui.close()
			if err != nil {
				return err
			}
			// The configuration stays beside the model, ready for --config.
			return config.Write(&cfg, filepath.Join(shared(&cfg).Out, "train.yaml"))
		},
	}
}

// console shows a run: notes as lines, updates as a progress bar.
type console struct {
	label string
	bar   *cli.Progress
}

func (c *console) Progress(step, total int, note string) {
	if c.bar == nil {
		c.bar = cli.NewProgress(c.label, int64(step-1), int64(total))
	}
	c.bar.Set(int64(step), note)
}

func (c *console) Notef(format string, args ...any) {
	if c.bar != nil {
		c.bar.Printf(format, args...)
		return
	}
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (c *console) close() {
	if c.bar != nil {
		c.bar.Close()
	}
}
