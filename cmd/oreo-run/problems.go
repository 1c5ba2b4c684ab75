package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/oreo-go/oreo/cmd/internal/cli"
	"github.com/oreo-go/oreo/math/grade"
	"github.com/oreo-go/oreo/math/prompt"
	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/search"
)

// problem is a line of a problem file. GSM8K's own lines will do: of an answer
// that ends in "#### 18", what stands behind the marker counts.
type problem struct {
	ID       string   `json:"id"`
	Question string   `json:"question"`
	Answer   string   `json:"answer"`
	Boxed    []string `json:"boxed"` // MATH: every box of the reference solution, where it has several
	Dataset  string   `json:"dataset"`
}

func (p *problem) UnmarshalJSON(text []byte) error {
	type plain problem
	var v struct {
		plain
		ID any `json:"id"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	*p = problem(v.plain)
	if i := strings.LastIndex(p.Answer, "####"); i >= 0 {
		p.Answer = strings.TrimSpace(p.Answer[i+len("####"):])
	}
	switch id := v.ID.(type) {
	case nil:
	case string:
		p.ID = id
	case float64:
		p.ID = strconv.FormatFloat(id, 'f', -1, 64)
	default:
		return fmt.Errorf("field %q is neither text nor number", "id")
	}
	return nil
}

func problemFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "problems", Required: true, Usage: "JSONL `FILE` (.gz too) of {question, answer, dataset, id}"},
		&urfave.IntFlag{Name: "limit", Usage: "take the first `N` problems only; 0: all"},
		&urfave.StringFlag{Name: "format", Value: plainFormat, Usage: "how a question becomes a prompt: plain (the question and a newline), chat, a template with {question} and \\n, or one of " + strings.Join(prompt.Names(), ", ")},
		&urfave.StringFlag{Name: "system", Usage: "system message, with --format chat"},
		&urfave.StringFlag{Name: "grader", Value: grade.DeepSeekMath.String(), Usage: "deepseekmath, qwen or strict"},
	}
}

// problemSet is what --problems and its companions ask for.
type problemSet struct {
	problems []problem
	prompt   func(problem) runtime.Prompt
	stops    []string // that the prompt's form brings
	style    grade.Style
}

func readProblems(c *urfave.Context, needAnswer bool) (*problemSet, error) {
	s := &problemSet{}
	var err error
	if s.prompt, s.stops, err = promptFormat(c.String("format"), c.String("system")); err != nil {
		return nil, cli.Usage(err)
	}
	if s.style, err = grade.ParseStyle(c.String("grader")); err != nil {
		return nil, cli.Usage(err)
	}
	path, limit := c.String("problems"), c.Int("limit")
	if limit < 0 {
		return nil, cli.Usagef("--limit is %d, want 0 (all) or more", limit)
	}
	for p, err := range jsonl.Read[problem](path) {
		switch n := len(s.problems) + 1; {
		case err != nil:
			return nil, err
		case p.Question == "":
			return nil, fmt.Errorf(`%s: record %d: field "question" is missing or empty`, path, n)
		case needAnswer && p.Answer == "":
			return nil, fmt.Errorf(`%s: record %d: field "answer" is missing or empty: nothing to grade by`, path, n)
		}
		s.problems = append(s.problems, p)
		if len(s.problems) == limit {
			break
		}
	}
	if len(s.problems) == 0 {
		return nil, fmt.Errorf("%s: no problems: the file is empty", path)
	}
	return s, nil
}

// name is a problem's id, or its place in the file.
func (s *problemSet) name(i int) string {
	if id := s.problems[i].ID; id != "" {
		return id
	}
	return strconv.Itoa(i)
}

func (s *problemSet) correct(i int, text string) bool {
	p := s.problems[i]
	return grade.Grade(s.style, grade.Input{Generation: text, Gold: p.Answer, GoldBoxed: p.Boxed, Problem: p.Question, Dataset: p.Dataset}).Correct
}

// says is what an answer to problem i comes down to, in the grader's normal form.
func (s *problemSet) says(i int, text string) string {
	p := s.problems[i]
	v := grade.Grade(s.style, grade.Input{Generation: text, Gold: p.Answer, GoldBoxed: p.Boxed, Problem: p.Question, Dataset: p.Dataset})
	return strings.Join(v.Extracted, "; ")
}

const plainFormat = "plain"

// promptFormat reads --format and --system; stops are the strings that end an
// answer to a published form.
func promptFormat(format, system string) (ask func(problem) runtime.Prompt, stops []string, err error) {
	if format == "chat" {
		return func(p problem) runtime.Prompt { return chatPrompt(system, p.Question) }, nil, nil
	}
	if system != "" {
		return nil, nil, errors.New("--system needs --format chat")
	}
	form, err := prompt.Lookup(format)
	switch {
	case err == nil:
	case format == plainFormat:
		form = prompt.Form{Template: "{question}\n"}
	case strings.Contains(format, "{question}"):
		form = prompt.Form{Template: strings.ReplaceAll(format, `\n`, "\n")} // shells do not write newlines
	default:
		return nil, nil, fmt.Errorf("--format %q is neither plain nor chat, no published form, and holds no {question}", format)
	}
	return func(p problem) runtime.Prompt {
		text, err := form.Render(p.Question)
		if err != nil {
			panic(err) // only demonstrations can be refused, and there are none
		}
		return runtime.Text(text)
	}, form.Stops, nil
}

// chatPrompt is a user's message, behind a system message if there is one.
func chatPrompt(system, user string) runtime.Prompt {
	message := chat.Message{Role: "user", Content: user}
	if system == "" {
		return runtime.Chat(message)
	}
	return runtime.Chat(chat.Message{Role: "system", Content: system}, message)
}

func stepFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "step", Value: step.Newline.String(), Usage: "what ends a reasoning step: newline or period"}
}

// stepRule reads --step.
func stepRule(c *urfave.Context) (search.StepRule, error) {
	mode, err := step.ParseMode(c.String("step"))
	if err != nil {
		return nil, cli.Usage(err)
	}
	return search.Delimiters(mode.Delimiters()), nil
}

// each calls f for 0..n-1, some at once, and stops at the first error. Models
// admit what they have rows for; the rest waits.
func each(ctx context.Context, n, atOnce int, f func(ctx context.Context, i int) error) error {
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range n {
		if running.Err() != nil {
			break
		}
		g.Go(func() error { return f(running, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
