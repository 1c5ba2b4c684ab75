package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	urfave "github.com/urfave/cli/v2"
)

type common struct {
	Model string   `yaml:"model" required:"true" doc:"folder of the model"`
	Data  []string `yaml:"data" doc:"JSONL files"`
	Seed  uint64   `yaml:"seed" doc:"start of every random number"`
}

type testConfig struct {
	common
	LR      float64   `yaml:"lr" range:"(0,)" doc:"learning rate; the paper uses 5e-6"`
	Warmup  float64   `yaml:"warmup" range:"[0,1)"`
	Steps   int       `yaml:"steps" range:"[1,]"`
	Level   string    `yaml:"level" oneof:"token|step|response" doc:"what an action is"`
	Mode    mode      `yaml:"mode"`
	Resume  bool      `yaml:"resume"`
	Weights []float64 `yaml:"weights" range:"(0,)"`
	Names   []string  `yaml:"names" required:"true"`
	Hidden  func()    `yaml:"-"`
}

// mode reads and writes itself.
type mode int

func (m mode) MarshalText() ([]byte, error) { return []byte([]string{"newline", "period"}[m]), nil }
func (m *mode) UnmarshalText(b []byte) error {
	for i, w := range []string{"newline", "period"} {
		if string(b) == w {
			*m = mode(i)
			return nil
		}
	}
	return fmt.Errorf("mode %q is neither newline nor period", b)
}

func (c *testConfig) Validate() error {
	if c.Steps < 10 && c.Warmup > 0.5 {
		return fmt.Errorf("warmup: %v leaves no steps of %d", c.Warmup, c.Steps)
	}
	return nil
}

func defaults() *testConfig {
	return &testConfig{LR: 5e-6, Warmup: 0.03, Steps: 100, Level: "token", Names: []string{"n"}}
}

func TestLoad(t *testing.T) {
	path := write(t, `# a comment
model: base # and another
data:
  - a.jsonl
  - "b c.jsonl"
lr: 1e-5
warmup: .1
steps: 20
level: step
mode: period
resume: true
`)
	got := defaults()
	if err := Load(got, path, []string{"steps=30", "weights=[1, 0.5]", "model=no", "seed=18446744073709551615"}); err != nil {
		t.Fatal(err)
	}
	want := &testConfig{common: common{Model: "no", Data: []string{"a.jsonl", "b c.jsonl"}, Seed: 1<<64 - 1},
		LR: 1e-5, Warmup: .1, Steps: 30, Level: "step", Mode: 1, Resume: true, Weights: []float64{1, .5}, Names: []string{"n"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("have %+v\nwant %+v", got, want)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, set, want string }{
		{"model: m\nlerning_rate: 1\n", "", `c.yaml:2: unknown key "lerning_rate"; --help lists the keys`},
		{"model: m\nstep: 1\n", "", `c.yaml:2: unknown key "step"; did you mean "steps"?`},
		{"model: m\nlr: fast\n", "", `c.yaml:2: lr: want a number, have "fast"`},
		{"model: m\nlr: .nan\n", "", `c.yaml:2: lr: want a number, have ".nan"`},
		{"model: m\nlr: 0\n", "", `c.yaml:2: lr: 0 is out of range: want > 0`},
		{"model: m\nwarmup: 1\n", "", `warmup: 1 is out of range: want >= 0 and < 1`},
		{"model: m\nsteps: 1.5\n", "", `steps: want an integer, have "1.5"`},
		{"model: m\nsteps:\n", "", `c.yaml:2: steps: has no value`},
		{"model: m\nsteps: [1]\n", "", `steps: want one integer, have a list`},
		{"model: m\nsteps: {a: 1}\n", "", `steps: want a plain value or a list of them`},
		{"model: m\nresume: yes\n", "", `resume: want true or false, have "yes"`},
		{"model: m\nlevel: word\n", "", `level: "word" is not one of token, step, response`},
		{"model: m\nmode: word\n", "", `mode: mode "word" is neither newline nor period`},
		{"model: m\nweights: [1, -1]\n", "", `weights: -1 is out of range`},
		{"model: m\nweights: [1, [2]]\n", "", `weights: item 2: want a plain value`},
		{"model: m\nmodel: n\n", "", `c.yaml:2: `},
		{"model: m\n---\nlr: 1\n", "", `c.yaml:3: a second document`},
		{"- a\n- b\n", "", `c.yaml:1: want lines of the form key: value`},
		{"model: m\nlr: [1\n", "", `c.yaml:2: `},
		{"lr: 1\n", "", `model is missing`},
		{"", "", `model is missing`},
		{"model: m\nnames: []\n", "", `names is missing`},
		{"model: m\n", "lr", `--set lr: want key=value`},
		{"model: m\n", "modle=x", `--set modle=x: unknown key "modle"; did you mean "model"?`},
		{"model: m\n", "steps=", `--set steps=: want an integer, have ""`},
		{"model: m\n", "weights=[1", `--set weights=[1: `},
		{"model: m\n", "weights=[1, a]", `want a number, have "a"`},
		{"model: m\nsteps: 2\n", "warmup=0.9", `warmup: 0.9 leaves no steps of 2`},
	} {
		var set []string
		if c.set != "" {
			set = []string{c.set}
		}
		err := Load(defaults(), write(t, c.text), set)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %q:\nhave %v\nwant %s", c.text, c.set, err, c.want)
		}
	}
	if err := Load(defaults(), "absent.yaml", nil); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("missing file: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, model := range []string{"m", "no", "007", "a: b # c", "- x", "tab\tnew\nline", `quote " back \ slash`, "日本 \u2028 <&>", "~"} {
		want := defaults()
		want.Model, want.Data, want.Weights, want.LR, want.Mode = model, []string{"a, b", "]"}, []float64{1e-7, 3}, 1e-10, 1
		path := filepath.Join(t.TempDir(), "out.yaml")
		if err := Write(want, path); err != nil {
			t.Fatal(err)
		}
		got := &testConfig{}
		if err := Load(got, path, nil); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("have %+v\nwant %+v", got, want)
		}
		// A general YAML reader must see the same types.
		var generic map[string]any
		if err := yaml.Unmarshal(Marshal(want), &generic); err != nil {
			t.Fatal(err)
		}
		if generic["model"] != model || generic["lr"] != 1e-10 {
			t.Errorf("YAML reads model as %#v and lr as %#v", generic["model"], generic["lr"])
		}
	}
}

func TestDescribe(t *testing.T) {
	want := `Keys of the configuration file, which --set key=value overrides:

  model (string, required)
      folder of the model

  data (list of strings)
      JSONL files

  seed (integer, default 0)
      start of every random number

  lr (number, > 0, default 5.0e-06)
      learning rate; the paper uses 5e-6

  warmup (number, >= 0 and < 1, default 0.03)

  steps (integer, >= 1, default 100)

  level (string, token or step or response, default "token")
      what an action is

  mode (string, default "newline")

  resume (bool, default false)

  weights (list of numbers, > 0)

  names (list of strings, required)
`
	if got := Describe(defaults()); got != want {
		t.Errorf("have:\n%s\nwant:\n%s", got, want)
	}
}

func TestFromContext(t *testing.T) {
	path := write(t, "model: m\n")
	for _, c := range []struct {
		args, want string // "" for success
	}{
		{"--config " + path + " --set lr=1 --set steps=5", ""},
		{"--config " + path + " --set lr=1 steps=5", ""},
		{"--config " + path + " --set lr=1 warmup=0 --set steps=5", ""},
		{"--config " + path + " --set lr=1 weights=[1,2] --set=steps=5", ""},
		{"--config " + path + " lr=1 stray", `unexpected argument "stray"`},
		{"--set lr=1 steps=5 --config " + path, `flag --config stands after an argument`},
		{"--config " + path + " --set lr=", `--set lr=: want a number`},
	} {
		got := defaults()
		app := &urfave.App{Flags: Flags(), DisableSliceFlagSeparator: true, Action: func(c *urfave.Context) error { return FromContext(c, got) }}
		err := app.Run(append([]string{"test"}, strings.Fields(c.args)...))
		switch {
		case c.want == "" && (err != nil || got.LR != 1 || got.Steps != 5):
			t.Errorf("%s: %v, %+v", c.args, err, got)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: have %v, want %s", c.args, err, c.want)
		}
	}
}

// FuzzLoad: whatever the file holds, Load returns.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"model: m\nlr: 1\n", "a: &x [*x]", "? a\n: b", "model: |\n  x\n", "!!str a: b", "<<: {a: 1}", "%YAML 1.2\n---\n", "\t", "a: [", "model: >-\n", ": :", "{model: a}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = Load(defaults(), write(t, text), nil)
	})
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
