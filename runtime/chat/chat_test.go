package chat

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

var sample = []Message{{"system", " Be brief.\n"}, {"user", "Is 2 < 3 & \"why\"?"}, {"assistant", "Yes – ça va 😀"}}

// TestJinja compares with Jinja itself; testdata/gen/jinja.py writes the templates and its answers.
func TestJinja(t *testing.T) {
	type row struct{ Template, Text, Error string }
	for r, err := range jsonl.Read[row]("testdata/jinja.jsonl") {
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		tmpl, err := Parse(r.Template, map[string]string{"bos_token": "<s>"})
		if err == nil {
			got, err = tmpl.Render(sample, true)
		}
		if (err != nil) != (r.Error != "") || got != r.Text {
			t.Errorf("%s\n got %q, error %v\nwant %q, error %s", r.Template, got, err, r.Text, r.Error)
		}
	}
}

func TestLoad(t *testing.T) {
	const config = `{"bos_token":{"content":"<s>"},"eos_token":"</s>","pad_token":null,"chat_template":%}`
	for name, c := range map[string]struct {
		config, jinja, want, wantErr string
	}{
		"string":        {config: strings.ReplaceAll(config, "%", `"{{ bos_token }}{{ messages[0].role }}{{ eos_token }}"`), want: "<s>system</s>"},
		"named":         {config: strings.ReplaceAll(config, "%", `[{"name":"tool_use","template":"x"},{"name":"default","template":"d"}]`), want: "d"},
		"jinja wins":    {config: strings.ReplaceAll(config, "%", `"config"`), jinja: "file {{ pad_token is defined }}", want: "file False"},
		"jinja alone":   {jinja: "alone", want: "alone"},
		"none":          {config: `{}`, wantErr: "no chat template"},
		"no default":    {config: strings.ReplaceAll(config, "%", `[{"name":"tool_use","template":"x"}]`), wantErr: "default"},
		"wrong type":    {config: strings.ReplaceAll(config, "%", `5`), wantErr: "tokenizer_config.json: chat_template"},
		"not JSON":      {config: `{`, wantErr: "tokenizer_config.json"},
		"syntax":        {jinja: "a\n{% if %}", wantErr: `chat_template.jinja: line 2: unexpected`},
		"large":         {jinja: strings.Repeat("x", maxTemplate+1), wantErr: "bytes"},
		"unknown tag":   {jinja: `{% include "/etc/passwd" %}`, wantErr: `the tag "include" is not supported`},
		"deep brackets": {jinja: "{{ " + strings.Repeat("(", 10_000) + strings.Repeat(")", 10_000) + " }}", wantErr: "nested"},
		"deep blocks":   {jinja: strings.Repeat("{% if 1 %}", 10_000), wantErr: "nested"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"tokenizer_config.json": c.config, "chat_template.jinja": c.jinja} {
				if text != "" {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			tmpl, err := Load(dir)
			if c.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Errorf("error %v, want one with %q", err, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := tmpl.Render(sample, true); got != c.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNoTemplate) {
		t.Errorf("an empty folder gave %v", err)
	}
}

// TestBounds: templates that would fill the memory or never end are stopped, soon and with an error.
func TestBounds(t *testing.T) {
	for name, source := range map[string]string{
		"doubling":     `{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}`,
		"tilde":        `{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`,
		"repeat":       `{{ 'x' * 9223372036854775807 }}`,
		"loops":        `{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}`,
		"output":       `{% for a in range(100000) %}{% for b in range(100000) %}xxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}`,
		"recursion":    `{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}`,
		"nested lists": `{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x == ns.x }}`,
		"wide lists":   `{% set ns = namespace(x=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | string | length }}`,
		"equal lists":  `{% set ns = namespace(x=['a'], y=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}`,
		"JSON":         `{% set ns = namespace(x=['a']) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson | length }}`,
		"replace":      `{% set x = 'a' * 100000 %}{{ x.replace('a', x) }}`,
		"join":         `{% set x = 'a' * 100000 %}{{ x.join(range(100000)) }}`,
		"indent":       `{{ ('\n' * 100000) | indent(100000, true, true) }}`,
		"recursive":    `{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}`,
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := Parse(source, nil)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if out, err := tmpl.Render(sample, true); err == nil {
				t.Errorf("no error, %d bytes", len(out))
			} else if len(err.Error()) > 300 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("stopped after %v", d)
			}
		})
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 7, 4, 9, 5, 0, 0, time.UTC)
	if got, want := strftime(at, "%d %b %Y, %-d/%-m/%y %H:%M %p %j%%"), "04 Jul 2026, 4/7/26 09:05 AM 185%"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLongConversation(t *testing.T) {
	tmpl, err := Parse(`{% for m in messages %}{{ '<' + m.role + '>' + m.content.strip() | trim + '</>' }}{% endfor %}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	msgs := []Message{{"user", strings.Repeat("word ", 4_000_000)}}
	for range 10_000 {
		msgs = append(msgs, Message{"assistant", "a"})
	}
	if out, err := tmpl.Render(msgs, false); err != nil || len(out) < 20_000_000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// FuzzRender: any source is refused or renders, without a panic.
func FuzzRender(f *testing.F) {
	type row struct{ Template string }
	for r, err := range jsonl.Read[row]("testdata/jinja.jsonl") {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Template)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := Parse(source, map[string]string{"bos_token": "<s>"})
		if err != nil {
			return
		}
		tmpl.Render(sample, true)
	})
}
