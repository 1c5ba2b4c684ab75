package model

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/safetensors"
)

const small = `{"model_type":"qwen2","hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":4,
"num_key_value_heads":2,"vocab_size":32,"max_position_embeddings":64,"rms_norm_eps":1e-6,"rope_theta":10000.0,
"eos_token_id":[3,4],"bos_token_id":null,"custom_field":{"kept":true},"torch_dtype":"bfloat16"}`

func TestSaveKeepsWhatItDoesNotKnow(t *testing.T) {
	c, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := c.Save(dir, LMHead, "float32"); err != nil {
		t.Fatal(err)
	}
	back, err := LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(dir, ConfigFile))
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	if raw["custom_field"] == nil || raw["torch_dtype"] != "float32" {
		t.Errorf("saved %s", text)
	}
	c.raw, back.raw, c.DType = nil, nil, "float32"
	if !reflect.DeepEqual(c, back) {
		t.Errorf("saved and loaded:\n%+v\n%+v", c, back)
	}
	if !c.QKVBias || c.TieEmbeddings || c.HeadDim != 2 || !c.IsEOS(4) || c.BOS != -1 {
		t.Errorf("%+v", c)
	}
}

func TestTransformers5Rope(t *testing.T) {
	c, err := Parse([]byte(strings.Replace(small, `"rope_theta":10000.0`, `"rope_parameters":{"rope_type":"default","rope_theta":5e5}`, 1)))
	if err != nil || c.RopeTheta != 5e5 {
		t.Errorf("theta %v, %v", c.RopeTheta, err)
	}
}

func TestRefusals(t *testing.T) {
	for _, r := range []struct{ old, new, want string }{
		{`"qwen2"`, `"gpt2"`, `model_type "gpt2" is not supported`},
		{`"hidden_size":8`, `"hidden_size":-8`, "hidden_size is -8"},
		{`"vocab_size":32`, `"vocab_size":99999999999`, "vocab_size"},
		{`"num_key_value_heads":2`, `"num_key_value_heads":3`, "not a multiple"},
		{`"custom_field":{"kept":true}`, `"hidden_act":"gelu"`, "hidden_act"},
		{`"custom_field":{"kept":true}`, `"rope_scaling":{"type":"yarn","factor":4}`, "yarn"},
		{`"custom_field":{"kept":true}`, `"head_dim":3`, "odd"},
		{`"eos_token_id":[3,4]`, `"eos_token_id":32`, "outside the vocabulary"},
		{`"rms_norm_eps":1e-6`, `"rms_norm_eps":0`, "rms_norm_eps"},
	} {
		_, err := Parse([]byte(strings.Replace(small, r.old, r.new, 1)))
		if err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s: %v", r.new, err)
		}
	}
}

func TestWeightsAreChecked(t *testing.T) {
	c, _ := Parse([]byte(small))
	dir := t.TempDir()
	var ts []safetensors.Tensor
	for _, p := range c.Params(LMHead) {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		ts = append(ts, safetensors.Float32Tensor(p.Name, p.Shape, make([]float32, n)))
	}
	if err := safetensors.WriteModel(dir, ts); err != nil {
		t.Fatal(err)
	}
	f, missing, err := c.Weights(dir, ValueHead)
	if err != nil || !missing {
		t.Fatalf("critic from a policy: missing %v, %v", missing, err)
	}
	f.Close()
	if got := c.NumParams(LMHead); got != 32*8*2+8+2*(8*8+8+2*(4*8+4)+8*8+16+3*8*16) {
		t.Errorf("%d parameters", got)
	}
	ts[0] = safetensors.Float32Tensor(EmbedName, []int{8, 32}, make([]float32, 256))
	if err := safetensors.WriteModel(dir, ts); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Weights(dir, LMHead); err == nil || !strings.Contains(err.Error(), "[8 32]") {
		t.Errorf("wrong shape: %v", err)
	}
	if err := safetensors.WriteModel(dir, ts[1:]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Weights(dir, LMHead); err == nil || !strings.Contains(err.Error(), EmbedName) {
		t.Errorf("missing tensor: %v", err)
	}
}

// Llama 3.1's scaling as its release states it: wavelengths under
// original/high_freq_factor are kept, over original/low_freq_factor divided.
func TestLlama3Frequencies(t *testing.T) {
	c := &Config{HeadDim: 128, RopeTheta: 500000, RopeScaling: &RopeScaling{"llama3", 8, 1, 4, 8192}}
	plain := (&Config{HeadDim: 128, RopeTheta: 500000}).InvFreq()
	for i, f := range c.InvFreq() {
		wavelength := 2 * math.Pi / plain[i]
		switch {
		case wavelength < 8192/4 && f != plain[i]:
			t.Errorf("high frequency %d changed", i)
		case wavelength > 8192 && math.Abs(f*8/plain[i]-1) > 1e-12:
			t.Errorf("low frequency %d not divided", i)
		case f > plain[i] || f < plain[i]/8*(1-1e-12):
			t.Errorf("frequency %d out of bounds", i)
		}
	}
}

// FuzzParse: a configuration that is accepted has finite numbers and shapes.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"model_type":"llama","hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,"vocab_size":9,"max_position_embeddings":64,
"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":32}}`))
	f.Add([]byte(`{"model_type":"minicpm","hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"head_dim":6,"vocab_size":9,
"max_position_embeddings":64,"scale_emb":12,"scale_depth":1.4,"dim_model_base":4,"rope_parameters":{"rope_type":"linear","factor":2,"rope_theta":1e6}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		for _, v := range append(c.InvFreq(), c.ResidualScale(), c.LogitScale(), c.ScaleEmb, c.NormEps) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%s: %v among its numbers", text, v)
			}
		}
		for _, head := range []Head{LMHead, ValueHead} {
			for _, p := range c.Params(head) {
				for _, d := range p.Shape {
					if d < 1 {
						t.Fatalf("%s: %s has shape %v", text, p.Name, p.Shape)
					}
				}
			}
		}
	})
}
