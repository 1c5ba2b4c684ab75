// Package prompt turns a question into the text a model was trained to answer:
// the published chat forms of Qwen2.5-Math, DeepSeekMath and MiniCPM, the
// variants OREO used, and few-shot forms. Each carries the strings that end a
// generation and the marker its answer follows.
package prompt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Form is a way to ask. A beginning-of-sequence token is the tokenizer's
// business and not part of a form.
type Form struct {
	Name string `json:"name"`
	// Template is the prompt, with {question} where the question goes and, in
	// few-shot forms, {shots} where the demonstrations go.
	Template string `json:"template"`
	// Shot is one demonstration, with {question} and {answer}; Between joins
	// them and follows the last.
	Shot    string `json:"shot,omitempty"`
	Between string `json:"between,omitempty"`
	// Stops end the generation besides the model's own end tokens.
	Stops []string `json:"stops,omitempty"`
	// Marker is what the answer follows, as the graders look for it.
	Marker string `json:"marker"`
	// Cut is where a few-shot answer ends if the model goes on with a question
	// of its own.
	Cut string `json:"cut,omitempty"`
	// Source says where the form is from.
	Source string `json:"source,omitempty"`
}

// Shot is a demonstration of a few-shot prompt.
type Shot struct {
	Question string `json:"question"`
	Answer   string `json:"answer"`
}

const boxedInstruction = `Please reason step by step, and put your final answer within \boxed{}.`

func chatML(system string) string {
	return "<|im_start|>system\n" + system + "<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
}

var qwenStops = []string{"</s>", "<|im_end|>", "<|endoftext|>"}

var forms = []Form{
	{
		Name: "qwen", Template: chatML(boxedInstruction), Stops: qwenStops, Marker: `\boxed{`,
		Source: "Qwen2.5-Math, chain of thought; OREO on MATH",
	},
	{
		Name:     "qwen-gsm8k",
		Template: chatML("Please reason step by step, and produce a final answer following 4 '#', like '#### 0'"),
		Stops:    qwenStops, Marker: "#### ", Source: "OREO, Qwen2.5-Math on GSM8K",
	},
	{
		Name:     "deepseekmath",
		Template: "User: {question}\n" + boxedInstruction + "\n\nAssistant:",
		Stops:    []string{"<｜end▁of▁sentence｜>"}, Marker: `\boxed{`, Source: "DeepSeekMath-Instruct; OREO's run_dsm.py",
	},
	{
		Name: "minicpm", Template: "<用户>{question}<AI>", Stops: []string{"</s>"}, Marker: "#### ",
		Source: "MiniCPM-2B model card",
	},
	{
		Name: "minicpm-gsm8k",
		Template: "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
			"### Instruction:\n{question}\n\n### Response: Let's think step by step.\n",
		Marker: "#### ", Source: "OREO, MiniCPM on GSM8K",
	},
	{
		Name: "gsm8k-fewshot", Template: "{shots}Q: {question}\nA:", Shot: "Q: {question}\nA: {answer}", Between: "\n\n\n",
		Stops: []string{"\nQ:"}, Marker: "he answer is", Cut: "Q: ", Source: "DeepSeekMath evaluation, 8 demonstrations",
	},
	{
		Name:     "math-fewshot",
		Template: "{shots}Problem:\n{question}\n\nSolution:", Shot: "Problem:\n{question}\n\nSolution:\n{answer}", Between: "\n\n\n",
		Stops: []string{"\nProblem:"}, Marker: "final answer is $", Cut: "Problem:",
		Source: "DeepSeekMath evaluation, Minerva's 4 demonstrations",
	},
	{
		Name:     "qwen-fewshot",
		Template: "<|im_start|>system\n" + boxedInstruction + "<|im_end|>\n<|im_start|>user\n{shots}{question}<|im_end|>\n<|im_start|>assistant\n",
		Shot:     "{question}\n{answer}", Between: "\n\n", Stops: qwenStops, Marker: `\boxed{`,
		Source: "Qwen2.5-Math, demonstrations in the one user turn",
	},
	{
		Name: "ultraeval-gsm8k", Template: "{shots}Question: {question}\nAnswer: ", Shot: "Question: {question}\nAnswer: {answer}",
		Between: "\n", Stops: []string{"\nQuestion:"}, Marker: "#### ", Cut: "Question:",
		Source: "UltraEval, the harness of MiniCPM's authors, 8 demonstrations",
	},
	{
		Name: "ultraeval-math", Template: "{shots}Problem: {question}\nSolution: ", Shot: "Problem: {question}\nSolution: {answer}",
		Between: "\n", Stops: []string{"\nProblem:"}, Marker: "final answer is $", Cut: "Problem:",
		Source: "UltraEval, the harness of MiniCPM's authors",
	},
}

// Names lists the forms, in the order of the documentation.
func Names() []string {
	names := make([]string, len(forms))
	for i, f := range forms {
		names[i] = f.Name
	}
	return names
}

// Lookup returns the form with the given name.
func Lookup(name string) (Form, error) {
	for _, f := range forms {
		if f.Name == name {
			f.Stops = slices.Clone(f.Stops)
			return f, nil
		}
	}
	return Form{}, fmt.Errorf("prompt form %q: want one of %s, or a template file", name, strings.Join(Names(), ", "))
}

// Load reads a form of the user's from a JSON file with the fields of Form. It
// needs at least a template with {question}.
func Load(path string) (Form, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Form{}, err
	}
	var f Form
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return Form{}, fmt.Errorf("%s: %w", path, err)
	}
	if f.Name == "" {
		f.Name = path
	}
	if err := f.check(); err != nil {
		return Form{}, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f Form) check() error {
	shots := strings.Contains(f.Template, "{shots}")
	switch {
	case strings.Count(f.Template, "{question}") != 1:
		return fmt.Errorf(`field "template": {question} occurs %d times, want once`, strings.Count(f.Template, "{question}"))
	case shots && (!strings.Contains(f.Shot, "{question}") || !strings.Contains(f.Shot, "{answer}")):
		return fmt.Errorf(`field "shot": want {question} and {answer}, since the template has {shots}`)
	case !shots && f.Shot != "":
		return fmt.Errorf(`field "shot" is set but the template has no {shots}`)
	}
	return nil
}

// Render is the prompt for a question after the demonstrations. A form without
// {shots} takes none.
func (f Form) Render(question string, shots ...Shot) (string, error) {
	if len(shots) > 0 && !strings.Contains(f.Template, "{shots}") {
		return "", fmt.Errorf("prompt form %s takes no demonstrations, have %d", f.Name, len(shots))
	}
	var demonstrations strings.Builder
	for _, s := range shots {
		// A Replacer replaces each place once: a question that itself holds
		// {answer} stays as it is.
		demonstrations.WriteString(strings.NewReplacer("{question}", s.Question, "{answer}", s.Answer).Replace(f.Shot))
		demonstrations.WriteString(f.Between)
	}
	return strings.NewReplacer("{question}", question, "{shots}", demonstrations.String()).Replace(f.Template), nil
}

// Trim cuts a generation where the model began a question of its own.
func (f Form) Trim(generation string) string {
	if f.Cut == "" {
		return generation
	}
	generation, _, _ = strings.Cut(generation, f.Cut)
	return generation
}
