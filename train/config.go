package train

import "github.com/oreo-go/oreo/train/data"

// Config is what every method needs. The tags are the keys of the YAML file and
// of --set, with their meaning, unit and range.
type Config struct {
	Model string   `yaml:"model" required:"true" doc:"folder of the starting policy, in Hugging Face form; OREO keeps a frozen copy of it as pi_ref"`
	Data  []string `yaml:"data" required:"true" doc:"JSONL files of records: prompt and response, or conversations; rewards where the method learns from them"`
	Out   string   `yaml:"out" required:"true" doc:"folder for the trained model, metrics.jsonl, TensorBoard events and checkpoints"`

	Epochs      int     `yaml:"epochs" range:"[1,1000000]" doc:"passes over the data; the paper: SFT 3, OREO 1 (1.5B), 2 (7B), 3 (MiniCPM)"`
	MaxSteps    int     `yaml:"max_steps" range:"[0,)" doc:"stop after this many updates; 0: after the epochs"`
	BatchSize   int     `yaml:"batch_size" range:"[1,)" doc:"sequences of one update; the paper: 128"`
	MicroBatch  int     `yaml:"micro_batch" range:"[0,)" doc:"most sequences in memory at once; smaller needs less memory and less padding, and changes no result; 0: batch_size; the authors' runs: 4"`
	MicroTokens int     `yaml:"micro_tokens" range:"[0,)" doc:"most tokens in memory at once, padding included; 0: no limit"`
	LR          float64 `yaml:"lr" range:"(0,)" doc:"peak learning rate of the policy; the paper: SFT 2e-5, OREO 5e-6"`
	WarmupRatio float64 `yaml:"warmup_ratio" range:"[0,1]" doc:"share of the updates in which the learning rate rises; cosine decay to 0 follows; the paper: 0.03"`
	WeightDecay float64 `yaml:"weight_decay" range:"[0,)" doc:"of AdamW, on matrices only"`
	ClipNorm    float64 `yaml:"clip_norm" range:"[0,)" doc:"limit of each model's gradient norm; 0: none; the paper: 1"`
	MaxLen      int     `yaml:"max_len" range:"[2,)" doc:"longest sequence, tokens; the paper: 2048 (ALFWorld 4096)"`
	Overlong    string  `yaml:"overlong" oneof:"drop|truncate|error" doc:"what becomes of a longer sequence; how many is reported"`

	Device    string `yaml:"device" doc:"auto, cpu, cuda or cuda:N"`
	DType     string `yaml:"dtype" oneof:"auto|float32|bfloat16" doc:"of matrix products and of the saved model; auto: bfloat16 on CUDA, float32 on CPU; parameters and optimizer are float32 always"`
	Threads   int    `yaml:"threads" range:"[0,)" doc:"CPU cores to use; 0: all"`
	Seed      uint64 `yaml:"seed" doc:"of the order of the data"`
	SaveEvery int    `yaml:"save_every" range:"[0,)" doc:"updates between checkpoints; 0: one at an interruption only"`
	KeepLast  int    `yaml:"keep_last" range:"[1,)" doc:"checkpoints to keep"`
}

// defaults are the paper's settings where it names them.
func defaults() Config {
	return Config{
		Epochs: 1, BatchSize: 128, MicroBatch: 8, WarmupRatio: 0.03, ClipNorm: 1, MaxLen: 2048, Overlong: string(data.Fail),
		Device: "auto", DType: "auto", SaveEvery: 200, KeepLast: 2,
	}
}

// SFTConfig configures SFT.
type SFTConfig struct {
	Config
}

// DefaultSFT is the paper's recipe for Qwen2.5-Math-1.5B.
func DefaultSFT() SFTConfig {
	c := SFTConfig{defaults()}
	c.Epochs, c.LR = 3, 2e-5
	return c
}

// OREOConfig configures OREO.
type OREOConfig struct {
	Config
	Critic   string  `yaml:"critic" doc:"folder the critic starts from: a policy (its value head then starts at zero) or a critic; empty: model"`
	CriticLR float64 `yaml:"critic_lr" range:"(0,)" doc:"peak learning rate of the critic; the paper: 5e-6"`
	Beta     float64 `yaml:"beta" range:"(0,)" doc:"weight of the KL term in the objective; the paper: 0.03"`
	Alpha    float64 `yaml:"alpha" range:"[0,)" doc:"weight of the exact KL regulariser of the policy loss; the paper: 0.01"`
	Freeze   float64 `yaml:"actor_freeze_ratio" range:"[0,1]" doc:"share of the updates, at the start, in which only the critic learns; the authors' code has it, the paper's runs use 0"`
}

// DefaultOREO is the paper's recipe for Qwen2.5-Math-1.5B.
func DefaultOREO() OREOConfig {
	c := OREOConfig{Config: defaults(), CriticLR: 5e-6, Beta: 0.03, Alpha: 0.01}
	c.LR = 5e-6
	return c
}
