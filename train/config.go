package train

import (
	"errors"
	"fmt"

	"github.com/oreo-go/oreo/train/data"
)

// Config is what every method needs. The tags are the keys of the YAML file and
// of --set, with their meaning, unit and range.
type Config struct {
	Model string   `yaml:"model" required:"true" doc:"folder of the starting policy, in Hugging Face form, or of a LoRA adapter in PEFT's, which names its base; methods with a reference keep it as pi_ref"`
	Data  []string `yaml:"data" required:"true" doc:"JSONL files of records: prompt and response, or conversations; rewards, labels or pairs where the method learns from them"`
	Out   string   `yaml:"out" required:"true" doc:"folder for the trained model, metrics.jsonl, TensorBoard events and checkpoints"`

	Epochs      int     `yaml:"epochs" range:"[1,1000000]" doc:"passes over the data; the paper: SFT 3, OREO 1 (1.5B), 2 (7B), 3 (MiniCPM)"`
	MaxSteps    int     `yaml:"max_steps" range:"[0,)" doc:"stop after this many updates; 0: after the epochs"`
	BatchSize   int     `yaml:"batch_size" range:"[1,)" doc:"sequences of one update (DPO: pairs); the paper: 128"`
	MicroBatch  int     `yaml:"micro_batch" range:"[0,)" doc:"most sequences in memory at once; smaller needs less memory and less padding, and changes no result; 0: batch_size; the authors' runs: 4"`
	MicroTokens int     `yaml:"micro_tokens" range:"[0,)" doc:"most tokens in memory at once, padding included; 0: no limit"`
	LR          float64 `yaml:"lr" range:"(0,)" doc:"peak learning rate of the policy; the paper: SFT 2e-5, rejection sampling and OREO 5e-6, DPO 5e-7, KTO 5e-8"`
	WarmupRatio float64 `yaml:"warmup_ratio" range:"[0,1]" doc:"share of the updates in which the learning rate rises; cosine decay to 0 follows; the paper: 0.03"`
	WeightDecay float64 `yaml:"weight_decay" range:"[0,)" doc:"of AdamW, on matrices only"`
	ClipNorm    float64 `yaml:"clip_norm" range:"[0,)" doc:"limit of each model's gradient norm; 0: none; the paper: 1"`
	MaxLen      int     `yaml:"max_len" range:"[2,)" doc:"longest sequence, tokens; the paper: 2048 (ALFWorld 4096)"`
	Overlong    string  `yaml:"overlong" oneof:"drop|truncate|error" doc:"what becomes of a longer sequence; how many is reported"`

	LoRARank    int      `yaml:"lora_rank" range:"[0,16384]" doc:"rank of the adapter that is trained while model stays frozen; 0: all parameters are trained"`
	LoRAAlpha   float64  `yaml:"lora_alpha" range:"(0,)" doc:"the adapter's output is scaled by lora_alpha / lora_rank"`
	LoRATargets []string `yaml:"lora_targets" doc:"matrices that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; empty: all seven"`
	Merge       bool     `yaml:"merge" doc:"with lora_rank: true saves the adapter in out/adapter and the merged model in out, which every command loads; false saves the adapter alone"`

	Device    string `yaml:"device" doc:"auto, cpu, cuda or cuda:N"`
	DType     string `yaml:"dtype" oneof:"auto|float32|bfloat16" doc:"of matrix products and of the saved model; auto: bfloat16 on CUDA, float32 on CPU; parameters and optimizer are float32 always"`
	Threads   int    `yaml:"threads" range:"[0,)" doc:"CPU cores to use; 0: all"`
	Seed      uint64 `yaml:"seed" doc:"of the order of the data, of new adapters, and of KTO's mismatched responses"`
	SaveEvery int    `yaml:"save_every" range:"[0,)" doc:"updates between checkpoints; 0: one at an interruption only"`
	KeepLast  int    `yaml:"keep_last" range:"[1,)" doc:"checkpoints to keep"`
}

// defaults are the paper's settings where it names them.
func defaults() Config {
	return Config{
		Epochs: 1, BatchSize: 128, MicroBatch: 8, WarmupRatio: 0.03, ClipNorm: 1, MaxLen: 2048, Overlong: string(data.Fail),
		LoRAAlpha: 64, Merge: true,
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

// RejectionConfig configures rejection sampling.
type RejectionConfig struct {
	Config
	MinReward float64 `yaml:"min_reward" doc:"least reward of a response that is imitated; 1: the right ones"`
}

// DefaultRejection is the paper's recipe for mathematics.
func DefaultRejection() RejectionConfig {
	c := RejectionConfig{Config: defaults(), MinReward: 1}
	c.LR = 5e-6
	return c
}

// ReferenceConfig says what pi_ref is, for the methods that have one.
type ReferenceConfig struct {
	Reference string `yaml:"reference" doc:"folder of pi_ref; empty: model"`
	CacheDir  string `yaml:"cache_dir" doc:"folder where pi_ref's log-probabilities of the data are kept between runs, by hash of model and data, when nothing else of pi_ref is needed; empty: below OREO_CACHE or the user's cache folder"`
}

// DPOConfig configures DPO and its relatives.
type DPOConfig struct {
	Config
	ReferenceConfig
	Beta      float64 `yaml:"beta" range:"(0,)" doc:"weight of the KL term that the loss implies; the paper: 0.1"`
	Loss      string  `yaml:"loss" oneof:"sigmoid|ipo" doc:"sigmoid: DPO (arXiv 2305.18290); ipo: the squared loss of arXiv 2310.12036, which does not push on once a pair is told apart by 1/(2 beta)"`
	Smoothing float64 `yaml:"label_smoothing" range:"[0,0.5)" doc:"share of the pairs that are taken to be labelled the wrong way round (conservative DPO); sigmoid only"`
}

// DefaultDPO is the paper's recipe.
func DefaultDPO() DPOConfig {
	c := DPOConfig{Config: defaults(), Beta: 0.1, Loss: "sigmoid"}
	c.LR = 5e-7
	return c
}

// Validate checks what one key's range cannot say.
func (c *DPOConfig) Validate() error {
	if c.Loss == "ipo" && c.Smoothing > 0 {
		return fmt.Errorf("label_smoothing: %v with loss ipo: only the sigmoid loss has it; set it to 0", c.Smoothing)
	}
	return nil
}

// KTOConfig configures KTO.
type KTOConfig struct {
	Config
	ReferenceConfig
	Beta        float64 `yaml:"beta" range:"(0,)" doc:"how fast the value of a response saturates with its log-ratio; the KTO paper: 0.1"`
	Desirable   float64 `yaml:"desirable_weight" range:"[0,)" doc:"weight of good responses"`
	Undesirable float64 `yaml:"undesirable_weight" range:"[0,)" doc:"weight of bad responses; the KTO paper advises a ratio of weight times number, good to bad, between 1 and 4/3"`
}

// DefaultKTO is the paper's recipe for Qwen2.5-Math-1.5B.
func DefaultKTO() KTOConfig {
	c := KTOConfig{Config: defaults(), Beta: 0.1, Desirable: 1, Undesirable: 1}
	c.LR = 5e-8
	return c
}

// CriticConfig says what the critic of OREO and DQO is and how it learns.
type CriticConfig struct {
	Critic      string   `yaml:"critic" doc:"folder the critic starts from: a policy (its value head then starts at zero), a critic, or with critic_kind lora a critic's adapter; empty: model"`
	Kind        string   `yaml:"critic_kind" oneof:"full|lora|head" doc:"full: a model of its own; lora: an adapter and a value head on a frozen backbone, which pi_ref shares; head: a value head on the policy's backbone, which learns nothing from it"`
	CriticRank  int      `yaml:"critic_lora_rank" range:"[1,16384]" doc:"rank of the critic's adapter; the paper, for 7B: 64"`
	CriticAlpha float64  `yaml:"critic_lora_alpha" range:"(0,)" doc:"scale of the critic's adapter times its rank; the paper, for 7B: 64"`
	CriticOn    []string `yaml:"critic_lora_targets" doc:"matrices that the critic's adapter changes, as lora_targets; empty: all seven"`
	CriticLR    float64  `yaml:"critic_lr" range:"(0,)" doc:"peak learning rate of the critic; the paper: 5e-6, with critic_kind lora 1e-4"`
	Freeze      float64  `yaml:"actor_freeze_ratio" range:"[0,1]" doc:"share of the updates, at the start, in which only the critic learns; the policy's warm-up and cosine run over the rest; the paper: 0"`

	Level string `yaml:"level" oneof:"token|step|response" doc:"what an action is to the policy's loss; token: each state counts (Eq. 9); step: one state before each step; response: the first state alone (Eq. 10), while the critic learns from all"`
	Step  string `yaml:"step" oneof:"newline|period|turn" doc:"what a step is; newline: a line (the paper: GSM8K); period: a line or sentence (MATH); turn: an assistant's turn (agents)"`
}

func defaultCritic() CriticConfig {
	return CriticConfig{Kind: "full", CriticRank: 64, CriticAlpha: 64, CriticLR: 5e-6, Level: "token", Step: "newline"}
}

// OREOConfig configures OREO.
type OREOConfig struct {
	Config
	ReferenceConfig
	CriticConfig
	Beta      float64 `yaml:"beta" range:"(0,)" doc:"weight of the KL term in the objective; the paper: 0.03"`
	Objective string  `yaml:"objective" oneof:"telescoped|one_step" doc:"of the policy; telescoped: Eq. 9, from a state to the end; one_step: the squared error of Eq. 3, from a state to the next"`

	Alpha      float64 `yaml:"alpha" range:"[0,)" doc:"weight of the regulariser of the policy loss; the paper: 0.01 (level step: 0.1, response: 0.3)"`
	KL         string  `yaml:"kl" oneof:"exact|forward|k3|none" doc:"the regulariser, a mean over states; exact: KL(pi, pi_ref) over the whole vocabulary (the paper); forward: KL(pi_ref, pi); k3: an estimate from the data's actions, for which pi_ref need not run along; none"`
	KLTarget   float64 `yaml:"kl_target" range:"[0,)" doc:"nats a token: alpha is learned, from its value here on, so that the regulariser comes to this; 0: alpha stays"`
	KLTargetLR float64 `yaml:"kl_target_lr" range:"(0,)" doc:"Adam's learning rate for log alpha"`

	ClipLogRatio float64 `yaml:"clip_log_ratio" range:"[0,)" doc:"limit, in nats, of the sum of log-ratios in the critic's target (Eq. 8); 0: none"`
	Importance   bool    `yaml:"importance_weights" doc:"weigh each sequence's losses with pi/pi_ref, at most e"`
	ReferenceEMA float64 `yaml:"reference_ema" range:"[0,1)" doc:"after each update pi_ref = reference_ema pi_ref + (1 - reference_ema) pi, in parameters: an anchor that follows slowly; 0: pi_ref stays"`
	TargetEMA    float64 `yaml:"target_ema" range:"[0,1)" doc:"the critic's target takes its log-ratios from such an average of the policy (a target network, the authors' --enable_ema with 0.995); 0: from the policy itself"`
	Hinge        float64 `yaml:"hinge" range:"[0,)" doc:"with level response: weight of max(0, -sum of log-ratios) of the responses whose reward is 1, a mean over them, which keeps them from becoming less likely than under pi_ref; 0: none"`
	CriticOnly   bool    `yaml:"critic_only" doc:"train the critic of model alone, and save nothing else; with reference it learns the value under the KL between the two"`
	Original     bool    `yaml:"original" doc:"do as the authors' code does where it differs from the paper: a space before the end token, agents' actions from the fourth message on, no smaller last update, a cosine that counts epochs twice, importance weights from the averaged policy and for Eq. 8 and 9 alone; the table in train/loss/original.go has every difference"`
}

// DefaultOREO is the paper's recipe for Qwen2.5-Math-1.5B.
func DefaultOREO() OREOConfig {
	c := OREOConfig{Config: defaults(), CriticConfig: defaultCritic(), Beta: 0.03, Objective: "telescoped", Alpha: 0.01, KL: "exact", KLTargetLR: 1e-3}
	c.LR = 5e-6
	return c
}

// Validate checks what one key's range cannot say.
func (c *OREOConfig) Validate() error {
	switch {
	case c.Hinge > 0 && c.Level != "response":
		return fmt.Errorf("hinge: %v with level %s: it belongs to level response; set it to 0", c.Hinge, c.Level)
	case c.KLTarget > 0 && c.KL == "none":
		return errors.New("kl_target: there is no regulariser with kl none; choose exact, forward or k3")
	case c.KLTarget > 0 && c.Alpha == 0:
		return errors.New("kl_target: alpha is learned from its start value on, which must be positive, not 0")
	case c.CriticOnly && c.Kind == "head":
		return errors.New("critic_only with critic_kind head: the head would read a backbone that is not saved; choose full or lora")
	case c.CriticOnly && (c.ReferenceEMA > 0 || c.TargetEMA > 0):
		return errors.New("critic_only: the policy does not move, so there is no average to take of it; set reference_ema and target_ema to 0")
	}
	return nil
}

// DQOConfig configures DQO.
type DQOConfig struct {
	Config
	ReferenceConfig
	CriticConfig
	Beta       float64 `yaml:"beta" range:"(0,)" doc:"weight of the KL term in the objective; as OREO's: 0.03"`
	Lambda     float64 `yaml:"lambda" range:"[0,1]" doc:"weight of longer returns; 1: to the end of the trajectory, 0: to the next state"`
	Importance bool    `yaml:"importance_weights" doc:"weigh each sequence's losses with pi/pi_ref, at most e, as the DQO paper does"`
}

// DefaultDQO takes the settings of OREO's comparison, with DQO's own lambda.
func DefaultDQO() DQOConfig {
	c := DQOConfig{Config: defaults(), CriticConfig: defaultCritic(), Beta: 0.03, Lambda: 0.95, Importance: true}
	c.LR = 5e-6
	return c
}
