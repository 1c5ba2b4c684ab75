package peft

import (
	"slices"
	"testing"
)

// FuzzConfig: what is accepted is within bounds, whatever is in the file.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"peft_type":"LORA","task_type":"CAUSAL_LM","r":8,"lora_alpha":16,"target_modules":["q_proj"],"use_rslora":true}`))
	f.Add([]byte(`{"peft_type":"LORA","r":1,"lora_alpha":1e-300,"target_modules":"all-linear","use_dora":false,"modules_to_save":null}`))
	f.Add([]byte(`{"r":-1,"target_modules":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text)
		if err != nil {
			return
		}
		if s := c.LoRA().Scale(); !(s >= 0) || len(c.LoRA().Adapted(2)) == 0 || len(c.LoRA().Adapted(2)) > 14 {
			t.Errorf("%s: scale %v, adapts %v", text, s, c.LoRA().Adapted(2))
		}
	})
}

func TestAdapted(t *testing.T) {
	c := LoRA{Rank: 2, Alpha: 3, Targets: []string{"down_proj", "q_proj"}}
	want := []string{"model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj", "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"}
	if got := c.Adapted(2); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := (LoRA{Rank: 2, Alpha: 3}).Adapted(3); len(got) != 21 {
		t.Errorf("%v", got)
	}
}
