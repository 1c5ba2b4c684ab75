// Package chat renders conversations with the Jinja chat template of a Hugging Face model folder, byte for byte as transformers'
// apply_chat_template does.
package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Template is a parsed chat template; it is safe for use by many goroutines.
type Template struct {
	path   string
	parsed *exec.Template
	vars   map[string]any // bos_token and its like
}

// ErrNoTemplate is the error of Load for a folder without a chat template.
var ErrNoTemplate = errors.New("no chat template")

const (
	maxTemplate = 1 << 20
	maxOutput   = 256 << 20
)

// Load reads chat_template.jinja, or else the chat_template of tokenizer_config.json, from a model folder. Where neither exists the error
// wraps ErrNoTemplate.
func Load(dir string) (*Template, error) {
	path := filepath.Join(dir, "tokenizer_config.json")
	var cfg map[string]json.RawMessage
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load chat template: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(data, &cfg); err != nil {
			return nil, fmt.Errorf("load chat template: %s: %w", path, err)
		}
	}
	var source string
	if data, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja")); err == nil {
		path, source = filepath.Join(dir, "chat_template.jinja"), string(data)
	} else if raw, ok := cfg["chat_template"]; ok {
		if json.Unmarshal(raw, &source) != nil {
			return nil, fmt.Errorf("load chat template: %s: chat_template is not a string", path)
		}
	}
	if source == "" {
		return nil, fmt.Errorf("load chat template: %s: %w", dir, ErrNoTemplate)
	}
	vars := map[string]any{}
	for key, raw := range cfg {
		if strings.HasSuffix(key, "_token") {
			var s string
			var a struct{ Content string }
			if json.Unmarshal(raw, &s) == nil && s != "" {
				vars[key] = s
			} else if json.Unmarshal(raw, &a) == nil && a.Content != "" {
				vars[key] = a.Content
			}
		}
	}
	t, err := Parse(source, vars)
	if err != nil {
		return nil, fmt.Errorf("load chat template: %s: %w", path, err)
	}
	t.path = path
	return t, nil
}

// Parse makes a template of its source; vars are the names it may use, such as bos_token.
func Parse(source string, vars map[string]any) (*Template, error) {
	if len(source) > maxTemplate {
		return nil, fmt.Errorf("template of %d bytes, more than %d", len(source), maxTemplate)
	}
	cfg := config.New()
	cfg.TrimBlocks, cfg.LeftStripBlocks = true, true
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": source})
	if err != nil {
		return nil, err
	}
	env := &exec.Environment{
		Context: exec.EmptyContext().Update(builtins.GlobalFunctions).Update(exec.NewContext(map[string]any{
			"raise_exception": func(msg string) (string, error) { return "", errors.New(msg) },
			"strftime_now":    func(format string) string { return time.Now().Format(format) },
		})),
		Filters: builtins.Filters, Tests: builtins.Tests, ControlStructures: builtins.ControlStructures, Methods: builtins.Methods,
	}
	parsed, err := exec.NewTemplate("/chat", cfg, loader, env)
	if err != nil {
		return nil, err
	}
	return &Template{path: "chat template", parsed: parsed, vars: vars}, nil
}

// Render writes the conversation as the model was trained to see it. addGenerationPrompt ends it with the opening of the assistant's turn.
func (t *Template) Render(msgs []Message, addGenerationPrompt bool) (out string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("render %s: %v", t.path, r)
		}
	}()
	list := make([]any, len(msgs))
	for i, m := range msgs {
		list[i] = map[string]any{"role": m.Role, "content": m.Content}
	}
	data := map[string]any{"messages": list, "add_generation_prompt": addGenerationPrompt}
	for k, v := range t.vars {
		data[k] = v
	}
	w := &limited{}
	if err := t.parsed.Execute(w, exec.NewContext(data)); err != nil {
		return "", fmt.Errorf("render %s: %w", t.path, err)
	}
	return w.String(), nil
}

type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("output of more than %d bytes", maxOutput)
	}
	return l.Builder.Write(p)
}

var _ io.Writer = (*limited)(nil)
