package prompt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	shots := []Shot{{"1+1?", "The answer is 2."}, {"2+2?", "The answer is 4."}}
	tests := []struct {
		form  string
		shots []Shot
		want  string
	}{
		{"qwen", nil, "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n" +
			"<|im_start|>user\nWhy {shots}?<|im_end|>\n<|im_start|>assistant\n"},
		{"deepseekmath", nil, "User: Why {shots}?\nPlease reason step by step, and put your final answer within \\boxed{}.\n\nAssistant:"},
		{"minicpm", nil, "<用户>Why {shots}?<AI>"},
		{"gsm8k-fewshot", shots, "Q: 1+1?\nA: The answer is 2.\n\n\nQ: 2+2?\nA: The answer is 4.\n\n\nQ: Why {shots}?\nA:"},
		{"gsm8k-fewshot", nil, "Q: Why {shots}?\nA:"},
	}
	for _, tt := range tests {
		f, err := Lookup(tt.form)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Render("Why {shots}?", tt.shots...); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v\nwant %q", tt.form, got, err, tt.want)
		}
	}
}

func TestFormsAreSound(t *testing.T) {
	for _, name := range Names() {
		f, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.check(); err != nil || f.Marker == "" || f.Source == "" {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
	if _, err := Lookup("nosuch"); err == nil || !strings.Contains(err.Error(), "qwen") {
		t.Errorf("unknown form: %v, want an error that lists the names", err)
	}
	if f, _ := Lookup("qwen"); f.Stops != nil {
		f.Stops[0] = "changed"
		if again, _ := Lookup("qwen"); again.Stops[0] == "changed" {
			t.Error("a caller can change the forms")
		}
	}
	if _, err := forms[0].Render("q", Shot{}); err == nil {
		t.Error("demonstrations for a form without {shots}: want an error")
	}
}

func TestLoad(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"good", `{"template":"Q {question}\nA","stops":["\nQ"],"marker":"####"}`, ""},
		{"few-shot", `{"template":"{shots}{question}","shot":"{question}{answer}"}`, ""},
		{"no question", `{"template":"Q"}`, "0 times"},
		{"bad shot", `{"template":"{shots}{question}","shot":"x"}`, "shot"},
		{"unknown field", `{"template":"{question}","stop":["a"]}`, "stop"},
		{"malformed", `{`, "EOF"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "form.json")
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Load("missing.json"); err == nil {
		t.Error("missing file: want an error")
	}
}

func TestTrim(t *testing.T) {
	f, _ := Lookup("gsm8k-fewshot")
	if got := f.Trim(" 2. The answer is 2.\n\nQ: next"); got != " 2. The answer is 2.\n\n" {
		t.Errorf("got %q", got)
	}
}
