// Package chat renders conversations with the chat template of a Hugging Face model folder, byte for byte as transformers'
// apply_chat_template does.
//
// Templates are programs in the Jinja language that come with models, so they are not trusted: the interpreter of this package reads no
// files, bounds the work and the memory of a run, and reports what a template asks for beyond the language's part that chat templates use.
package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/oreo-go/oreo/runtime/bounded"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Template is a parsed chat template; it is safe for use by many goroutines.
type Template struct {
	path string
	body []stmt
	vars map[string]string
	now  func() time.Time
}

// ErrNoTemplate is what the error of Load wraps for a folder without a chat template.
var ErrNoTemplate = errors.New("no chat template")

// Load reads chat_template.jinja or, where that is missing, the chat_template of tokenizer_config.json from a model folder. The template sees
// the special tokens of tokenizer_config.json, such as bos_token.
func Load(dir string) (*Template, error) {
	path := filepath.Join(dir, "tokenizer_config.json")
	config := map[string]json.RawMessage{}
	data, err := bounded.ReadFile(path, maxFile)
	if err == nil {
		if err = json.Unmarshal(data, &config); err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	source := ""
	jinja := filepath.Join(dir, "chat_template.jinja")
	switch data, err = bounded.ReadFile(jinja, maxFile); {
	case err == nil:
		path, source = jinja, string(data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("load chat template: %w", err)
	default:
		if source, err = templateOf(config["chat_template"]); err != nil {
			return nil, fmt.Errorf("load chat template: %s: chat_template: %w", path, err)
		}
	}
	if source == "" {
		return nil, fmt.Errorf("load chat template: %s: %w", dir, ErrNoTemplate)
	}
	t, err := Parse(source, specialTokens(config))
	if err != nil {
		return nil, fmt.Errorf("load chat template: %s: %w", path, err)
	}
	t.path = path
	return t, nil
}

// Parse makes a template of its source. vars are further names it may use, such as bos_token.
func Parse(source string, vars map[string]string) (t *Template, err error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("template of %d bytes, more than %d", len(source), maxTemplate)
	}
	defer rescue(&err)
	return &Template{path: "chat template", body: parseTemplate(source), vars: vars, now: time.Now}, nil
}

// Render writes the conversation as the model was trained to see it; addGenerationPrompt ends it with the opening of the assistant's turn. The
// error tells the line of the template, or what the template itself says of messages that it refuses.
func (t *Template) Render(msgs []Message, addGenerationPrompt bool) (out string, err error) {
	m := &machine{out: &strings.Builder{}, budget: baseBudget, now: t.now}
	defer func() {
		if err != nil {
			out, err = "", fmt.Errorf("render %s: line %d: %w", t.path, m.line, err)
		}
	}()
	defer rescue(&err)

	list := make([]any, len(msgs))
	for i, msg := range msgs {
		d := newDict()
		d.set("role", msg.Role)
		d.set("content", msg.Content)
		list[i] = d
		m.budget += perByte * (len(msg.Role) + len(msg.Content) + stepCost)
	}
	// transformers names tools and documents even where there are none
	s := &scope{m: m, vars: map[string]any{
		"messages": newList(list...), "add_generation_prompt": addGenerationPrompt, "tools": nil, "documents": nil,
	}}
	for name, v := range t.vars {
		s.vars[name] = v
	}
	run(t.body, s)
	return m.out.String(), nil
}

const maxFile = 64 << 20

// templateOf reads the template itself, or the one named default of a list of named ones.
func templateOf(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var source string
	if json.Unmarshal(raw, &source) == nil {
		return source, nil
	}
	var named []struct{ Name, Template string }
	if json.Unmarshal(raw, &named) != nil {
		return "", errors.New("neither a string nor a list of named templates")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New(`no template is named "default"`)
}

// specialTokens reads bos_token and its like, each a string or an object with its content.
func specialTokens(config map[string]json.RawMessage) map[string]string {
	vars := map[string]string{}
	for key, raw := range config {
		if !strings.HasSuffix(key, "_token") {
			continue
		}
		var s string
		var object struct{ Content string }
		if json.Unmarshal(raw, &s) != nil && json.Unmarshal(raw, &object) == nil {
			s = object.Content
		}
		if s != "" {
			vars[key] = s
		}
	}
	return vars
}
