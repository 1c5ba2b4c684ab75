package train

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/train/data"
	"github.com/oreo-go/oreo/train/nn"
	"github.com/oreo-go/oreo/train/schedule"
	"github.com/oreo-go/oreo/train/torch"
)

// Plan is what a run would do and need: estimated from the configuration, the
// data and the models' config.json, without their weights.
type Plan struct {
	Method    string
	Device    string // "cpu" or "gpu"
	BF16      bool   // matrix products in bfloat16
	Models    []PlannedModel
	Data      data.Stats
	Updates   int
	Epoch     int // updates of an epoch
	Warmup    int // updates
	BatchSize int // sequences of an update
	Rows      int // of the largest micro-batch
	Longest   int // tokens of the longest sequence
	Memory    []Bytes
	Saving    int     // in main memory, while a checkpoint is written
	Disk      []Bytes // of a run with all its checkpoints
}

// PlannedModel is a model in memory.
type PlannedModel struct {
	Name            string
	Trained, Frozen int // parameters
	Note            string

	config *model.Config
	head   model.Head
	lora   *peft.LoRA // trained alone
	passes bool       // a forward pass waits in memory for its backward pass
}

// Bytes is one part of a sum.
type Bytes struct {
	Name  string
	Bytes int
	Note  string
}

// runtimeBytes is what the program holds with its libraries before there is a
// model: measured on a CPU; on a GPU it is the libraries' context and kernels.
var runtimeBytes = map[string]int{"cpu": 200 << 20, "gpu": 1 << 30}

// MakePlan reads the data as the run of cfg would, which points to a method's
// configuration, and says what the run would need. It writes nothing.
func MakePlan(cfg any, ui UI) (*Plan, error) {
	o, err := outlineOf(cfg, ui)
	if err != nil {
		return nil, err
	}
	r := &run{Config: *o.shared, method: o.method, full: cfg, ui: ui}
	if err := r.load(o.in); err != nil {
		return nil, err
	}
	p := &Plan{Method: o.method, Device: "cpu", Data: r.stats, Updates: r.steps, Epoch: r.loader.UpdatesPerEpoch(),
		Warmup: schedule.Warmup(r.steps, r.WarmupRatio), BatchSize: min(r.BatchSize, len(r.seqs))}
	if strings.HasPrefix(r.Config.Device, "cuda") {
		p.Device = "gpu" // this machine need not have it
	} else if d, err := torch.OpenDevice(r.Config.Device); err != nil {
		return nil, err
	} else if d.CUDA {
		p.Device = "gpu"
	}
	p.BF16 = r.DType == "bfloat16" || r.DType == "auto" && p.Device == "gpu"
	for i := range r.seqs {
		p.Longest = max(p.Longest, len(r.seqs[i].Tokens))
	}
	p.Rows = min(r.BatchSize, len(r.seqs)/max(1, o.in.group))
	if r.MicroBatch > 0 {
		p.Rows = min(p.Rows, r.MicroBatch)
	}
	p.Rows *= max(1, o.in.group)
	if r.MicroTokens > 0 {
		p.Rows = min(p.Rows, max(o.in.group, r.MicroTokens/p.Longest, 1))
	}
	if o.half {
		p.Rows = max(1, p.Rows/2)
	}
	if p.Models, err = o.models(); err != nil {
		return nil, err
	}
	p.estimateMemory(o)
	p.estimateDisk(r)
	return p, nil
}

// outline is what a method's configuration says of its models and data.
type outline struct {
	method    string
	shared    *Config
	in        input
	half      bool // a pass sees one sequence of each pair
	reference *ReferenceConfig
	along     bool // pi_ref runs along; else its log-probabilities are kept
	compares  bool // over the whole vocabulary
	critic    *CriticConfig
	alone     bool     // the critic is trained alone
	averages  []string // of the policy
}

func outlineOf(cfg any, ui UI) (*outline, error) {
	switch c := cfg.(type) {
	case *SFTConfig:
		return &outline{method: "sft", shared: &c.Config, in: input{read: demonstrations}}, nil
	case *RejectionConfig:
		return &outline{method: "rejection", shared: &c.Config, in: input{read: c.accepted(ui)}}, nil
	case *DPOConfig:
		return &outline{method: "dpo", shared: &c.Config, reference: &c.ReferenceConfig,
			in: input{read: (*data.Encoder).ReadPairs, group: data.GroupSize}}, nil
	case *KTOConfig:
		read := func(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
			return e.ReadLabels(files, c.Seed)
		}
		return &outline{method: "kto", shared: &c.Config, reference: &c.ReferenceConfig, half: true,
			in: input{read: read, group: data.GroupSize}}, nil
	case *DQOConfig:
		return &outline{method: "dqo", shared: &c.Config, reference: &c.ReferenceConfig, critic: &c.CriticConfig,
			in: input{read: c.trajectories}}, nil
	case *OREOConfig:
		o := &outline{method: "oreo", shared: &c.Config, reference: &c.ReferenceConfig, critic: &c.CriticConfig, alone: c.CriticOnly,
			in: input{read: c.read, original: c.Original}}
		o.compares = (c.KL == "exact" || c.KL == "forward") && !c.CriticOnly
		o.along = o.compares && c.ReferenceEMA == 0
		if c.ReferenceEMA > 0 {
			o.averages = append(o.averages, "pi_ref, an average")
		}
		if c.TargetEMA > 0 {
			o.averages = append(o.averages, "target, an average")
		}
		return o, nil
	}
	return nil, fmt.Errorf("no method has a configuration of type %T", cfg)
}

// models lists what is in memory.
func (o *outline) models() ([]PlannedModel, error) {
	dir, config, err := configOf(o.shared.Model)
	if err != nil {
		return nil, err
	}
	all := []PlannedModel{}
	base := []string{} // what stands on the frozen starting policy
	policy := PlannedModel{Name: "policy", config: config, passes: true}
	switch {
	case o.alone:
		policy.passes, policy.Note = false, "frozen"
		base = append(base, "policy")
	case o.shared.LoRARank > 0:
		policy.lora = &peft.LoRA{Rank: o.shared.LoRARank, Alpha: o.shared.LoRAAlpha, Targets: o.shared.LoRATargets}
		policy.Trained, policy.Note = policy.lora.NumParams(config), fmt.Sprintf("an adapter of rank %d", o.shared.LoRARank)
		base = append(base, "policy")
	default:
		policy.Trained = config.NumParams(model.LMHead)
	}
	all = append(all, policy)
	if o.critic != nil {
		critic, onBase, err := o.critical(dir)
		if err != nil {
			return nil, err
		}
		if onBase {
			base = append(base, "critic")
		}
		all = append(all, critic)
	}
	for _, name := range o.averages {
		all = append(all, PlannedModel{Name: name, Frozen: policy.Trained, config: config})
	}
	switch {
	case o.along && o.reference.Reference == "":
		base = append(base, "pi_ref")
	case o.along:
		_, other, err := configOf(o.reference.Reference)
		if err != nil {
			return nil, err
		}
		all = append(all, PlannedModel{Name: "pi_ref", Frozen: other.NumParams(model.LMHead), config: other})
	case o.reference != nil && len(o.averages) == 0:
		all = append(all, PlannedModel{Name: "pi_ref", Note: "not in memory: its log-probabilities are computed before and kept on disk", config: config})
	}
	if len(base) > 0 {
		all = append(all, PlannedModel{Name: "starting policy", Frozen: config.NumParams(model.LMHead), Note: "for " + strings.Join(base, ", "), config: config})
	}
	return all, nil
}

// critical is the critic, and whether it stands on the frozen starting policy,
// whose folder is dir.
func (o *outline) critical(dir string) (PlannedModel, bool, error) {
	from := o.critic.Critic
	if from == "" {
		from = o.shared.Model
	}
	own, config, err := configOf(from)
	if err != nil {
		return PlannedModel{}, false, err
	}
	c := PlannedModel{Name: "critic", config: config, head: model.ValueHead}
	switch kind(o.critic.Kind) {
	case full:
		c.Trained, c.passes = config.NumParams(model.ValueHead), true
	case lora:
		c.lora, c.passes = &peft.LoRA{Rank: o.critic.CriticRank, Alpha: o.critic.CriticAlpha, Targets: o.critic.CriticOn}, true
		c.Trained, c.Note = c.lora.NumParams(config)+config.Hidden, fmt.Sprintf("an adapter of rank %d and a value head", o.critic.CriticRank)
		if sameFile(own, dir) {
			return c, true, nil
		}
		c.Frozen = config.NumParams(model.ValueHead) - config.Hidden
	case onlyTop:
		c.Trained, c.Note = config.Hidden, "a value head on the policy's backbone"
	}
	return c, false, nil
}

func configOf(dir string) (string, *model.Config, error) {
	dir, err := peft.BaseDir(dir)
	if err != nil {
		return "", nil, err
	}
	c, err := model.LoadConfig(dir)
	return dir, c, err
}

// estimateMemory sums up the largest micro-batch's update.
func (p *Plan) estimateMemory(o *outline) {
	tokens := p.Rows * p.Longest
	var weights, trained, matrices, working, logits int
	var activations []Bytes
	for i := range p.Models {
		m := &p.Models[i]
		weights += 4 * (m.Trained + m.Frozen)
		trained += m.Trained
		layer := nn.ActivationBytes(m.config, m.lora, tokens, p.BF16)
		working = max(working, layer)
		if m.passes {
			activations = append(activations, Bytes{"activations, " + m.Name, layer*m.config.Layers + 4*tokens*m.config.Hidden,
				fmt.Sprintf("%d sequences of %d tokens, %d layers", p.Rows, p.Longest, m.config.Layers)})
			matrices += m.config.NumParams(model.ValueHead)
		}
		if m.head == model.LMHead {
			logits = max(logits, nn.LogitBytes(m.config, tokens, o.compares))
		}
	}
	p.Memory = []Bytes{{"weights", weights, "float32"}, {"gradients", 4 * trained, "float32"}, {"AdamW moments", 8 * trained, "float32, two"}}
	if p.BF16 {
		p.Memory = append(p.Memory, Bytes{"weights in bfloat16", 2 * matrices, "copies for a pass"})
	}
	p.Memory = append(p.Memory, activations...)
	if p.Device == "cpu" {
		gaps := 0
		for _, a := range activations {
			gaps += a.Bytes / 3
		}
		p.Memory = append(p.Memory, Bytes{"gaps between blocks", gaps, "of the C library's allocator: a third of the activations, as measured"})
	}
	p.Memory = append(p.Memory,
		Bytes{"working memory", working, "a layer without graph, or its gradients"},
		Bytes{"logits", logits, fmt.Sprintf("at most %d of them at a time, and the head's gradient", torch.Piece)},
		Bytes{"program, libraries", runtimeBytes[p.Device], ""})
}

// estimateDisk counts checkpoints and results.
func (p *Plan) estimateDisk(r *run) {
	checkpoint, result, element := 0, 0, 4
	if p.BF16 {
		element = 2
	}
	for i := range p.Models {
		m := &p.Models[i]
		if strings.HasSuffix(m.Name, "average") {
			checkpoint += 4 * m.Frozen
		}
		if m.Trained == 0 {
			continue
		}
		checkpoint += 12 * m.Trained // with the moments
		p.Saving = max(p.Saving, 4*m.config.NumParams(m.head))
		switch {
		case m.lora == nil:
			result += element * m.config.NumParams(m.head)
		case r.Merge:
			result += 4*m.Trained + element*m.config.NumParams(m.head)
		default:
			result += 4 * m.Trained
		}
	}
	p.Saving = max(p.Saving, checkpoint)
	kept := 1 // at an interruption
	note := "one, at an interruption"
	if r.SaveEvery > 0 && p.Updates > r.SaveEvery {
		kept = min(r.KeepLast, (p.Updates-1)/r.SaveEvery) + 1
		note = fmt.Sprintf("every %d updates, the last %d and the one being written", r.SaveEvery, kept-1)
	}
	p.Disk = []Bytes{{"checkpoints", kept * checkpoint, note}, {"result", result, ""}}
}

// Write prints the plan.
func (p *Plan) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "model\ttrained\tfrozen\t")
	for _, m := range p.Models {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%s\n", m.Name, m.Trained, m.Frozen, m.Note)
	}
	words := map[bool]string{true: "bfloat16", false: "float32"}
	fmt.Fprintf(w, "\nrun\n  updates\t%d\t%d an epoch, warm-up %d\t\n  sequences\t%d\tin an update\t\n  tokens\t%d\tin an epoch, padding left out\t\n",
		p.Updates, p.Epoch, p.Warmup, p.BatchSize, p.Data.Tokens)
	sum := func(title string, parts []Bytes) {
		fmt.Fprintf(w, "\n%s\n", title)
		total := 0
		for _, b := range parts {
			fmt.Fprintf(w, "  %s\t%s\t%s\t\n", b.Name, size(b.Bytes), b.Note)
			total += b.Bytes
		}
		fmt.Fprintf(w, "  sum\t%s\t\t\n", size(total))
	}
	sum(fmt.Sprintf("memory of the %s, matrix products in %s, estimated", p.Device, words[p.BF16]), p.Memory)
	fmt.Fprintf(w, "  main memory, while saving\t%s\tmore\t\n", size(p.Saving))
	sum("disk", p.Disk)
	return w.Flush()
}

// size writes bytes as people say them.
func size(n int) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
