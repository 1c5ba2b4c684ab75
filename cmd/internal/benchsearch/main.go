// Command benchsearch measures the paper's step-level beam search against Python
// versions of it: the same policy and critic, the same questions and random
// numbers, one thread each, in turns, in CPU seconds.
//
// The first peer recomputes every prefix, as the authors' program does with the
// caching of prefixes off; the second keeps them in llama.cpp's cache and has its
// critic read every candidate whole. See peer.py. Both take one question at a time,
// as the authors' does. Ours is measured so, too, and with all questions given at
// once, as oreo-run search has them: three of the widest beam share batches, of
// narrower ones more, as many as have room in as many rows.
//
// All must find the same answers, but for draws so close to the border of two tokens
// that the last digit of a logit turns them: among the least likely ones a token is
// as wide as that. With one beam seven of 30 answers of 128 tokens parted, each at a
// draw within 1.2e-6 of a border. So that what parted is still compared fairly,
// ratios are given both in all and per token drawn.
//
// Five questions and answers of at most 128 tokens in 6 steps take about an hour of
// one core. The whole measure, -questions 20 -steps 20 -tokens 256, takes many. Short
// answers favour the peers: the more steps, the more there is to recompute. Answers
// are kept in answers.jsonl under .deps/bench-search, so that a run that was
// interrupted goes on and questions can be added; see kept. The file is of one
// machine: delete it to measure anew.
//
// Its last line is "ratio bench-search X": the geometric mean over the widths of
// the first peer's ratios to ours with all questions at once, per token; the others
// stand above.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/cmd/internal/peer"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := parse()
	if err == nil {
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-search:", err)
		os.Exit(1)
	}
}

type config struct {
	deps, model, python, problems string
	peers                         []string
	widths                        []int
	questions                     int
	steps, tokens                 int
	threads                       int
}

func parse() (config, error) {
	var c config
	var peers, widths string
	flag.StringVar(&c.deps, "deps", ".deps", "`folder` for the virtual environment and converted weights")
	flag.StringVar(&c.model, "model", os.Getenv("OREO_BENCH_MODEL"), "`folder` of a Llama-shaped model in Hugging Face form; empty: $OREO_BENCH_MODEL, then SmolLM2-135M-Instruct from a Python package")
	flag.StringVar(&c.python, "python", os.Getenv("OREO_BENCH_PYTHON"), "`interpreter` that has the peers' packages, instead of setting them up")
	flag.StringVar(&c.problems, "problems", gsm8k(), "JSONL `file` of {question}")
	flag.StringVar(&peers, "peer", "recompute,llama", "peers; empty: ours alone")
	flag.StringVar(&widths, "b", "3,5,7", "widths B; B = 1 is always there, for the tokens")
	flag.IntVar(&c.questions, "questions", 5, "questions, from the start of the file")
	flag.IntVar(&c.steps, "steps", 6, "most steps of an answer")
	flag.IntVar(&c.tokens, "tokens", 128, "most tokens of an answer")
	flag.IntVar(&c.threads, "threads", 1, "threads of each")
	flag.Parse()
	c.peers = strings.FieldsFunc(peers, func(r rune) bool { return r == ',' })
	for _, s := range strings.Split(widths, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 2 {
			return c, fmt.Errorf("-b: %q, want whole numbers from 2 on", s)
		}
		c.widths = append(c.widths, n)
	}
	if min(c.questions, c.steps, c.tokens, c.threads) < 1 {
		return c, fmt.Errorf("-questions %d -steps %d -tokens %d -threads %d: want 1 or more of each", c.questions, c.steps, c.tokens, c.threads)
	}
	return c, nil
}

// gsm8k is the test set under $OREO_SHARED.
func gsm8k() string {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	return filepath.Join(root, "math-data", "gsm8k", "test.jsonl")
}

func run(ctx context.Context, c config) error {
	questions, err := readQuestions(c.problems, c.questions)
	if err != nil {
		return err
	}
	work := filepath.Join(c.deps, "bench-search")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	env := peer.In(c.deps, c.python)
	if c.model == "" {
		if c.model, err = env.SmolLM(ctx); err != nil {
			return err
		}
	}
	runtime.GOMAXPROCS(c.threads)
	mine, err := openOurs(ctx, c, work)
	if err != nil {
		return err
	}
	defer mine.close()
	k, err := openKept(filepath.Join(work, "answers.jsonl"))
	if err != nil {
		return err
	}
	defer k.close()
	players := []player{oneByOne{mine}, allAtOnce{mine}}
	for _, name := range c.peers {
		p, err := start(ctx, env, name, c, work)
		if err != nil {
			return err
		}
		defer p.Close()
		players = append(players, p)
	}
	fmt.Printf("%s, %d questions of %s, answers of at most %d steps and %d tokens, %d thread\n",
		filepath.Base(c.model), len(questions), filepath.Base(c.problems), c.steps, c.tokens, c.threads)
	var rows []row
	for _, width := range append([]int{1}, c.widths...) {
		tasks, err := mine.tasks(questions, width, c)
		if err != nil {
			return err
		}
		r, err := compare(ctx, k, players, tasks)
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	return report(rows, players)
}

func readQuestions(path string, n int) ([]string, error) {
	var questions []string
	for p, err := range jsonl.Read[struct{ Question string }](path) {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("%w: name a file of questions with -problems, or set OREO_SHARED", err)
		case err != nil:
			return nil, err
		case p.Question == "":
			return nil, fmt.Errorf(`%s: record %d: field "question" is missing or empty`, path, len(questions)+1)
		}
		if questions = append(questions, p.Question); len(questions) == n {
			break
		}
	}
	if len(questions) == 0 {
		return nil, fmt.Errorf("%s: no question in it", path)
	}
	return questions, nil
}

// task and answer are what peer.py reads and writes.
type task struct {
	Prompt       []int  `json:"prompt"`
	Width        int    `json:"width"`
	MaxSteps     int    `json:"max_steps"`
	MaxNewTokens int    `json:"max_new_tokens"`
	Seed         uint64 `json:"seed"`
	Question     uint64 `json:"question"`
	Newline      []int  `json:"newline"` // tokens that end a step
	EOS          []int  `json:"eos"`
}

type answer struct {
	IDs    []int   `json:"ids"`
	Value  float64 `json:"value"`
	Tokens int     `json:"tokens"` // drawn
	Steps  int     `json:"steps"`
	CPU    float64 `json:"cpu"` // seconds; of questions answered at once, an equal share
}

// player is one of those compared. It takes all questions at once or one by one.
type player interface {
	name() string
	// identity tells what its answers depend on besides the tasks.
	identity() string
	atOnce() bool
	run(ctx context.Context, tasks []task) ([]answer, error)
}

// row is one width: what each player took.
type row struct {
	width, questions int
	cpu              []float64
	tokens           []int // drawn
	same             []int // questions with the answer of the first player
}

// seconds is how many times the CPU seconds of player i player j took.
func (r row) seconds(i, j int) float64 { return r.cpu[j] / r.cpu[i] }

// perToken is the same for a token drawn.
func (r row) perToken(i, j int) float64 {
	return r.seconds(i, j) * float64(r.tokens[i]) / float64(r.tokens[j])
}

// compare asks all players, in turns, and those that take all at once at the end.
func compare(ctx context.Context, k *kept, players []player, tasks []task) (row, error) {
	n := len(players)
	r := row{width: tasks[0].Width, questions: len(tasks), cpu: make([]float64, n), tokens: make([]int, n), same: make([]int, n)}
	first := make([]answer, len(tasks))
	ask := func(i, from, to int) error {
		p := players[i]
		answers, again, err := k.run(ctx, p, tasks[from:to])
		if err != nil {
			return fmt.Errorf("%s, B = %d, question %d: %w", p.name(), r.width, from+1, err)
		}
		note := ""
		if again {
			note = ", of an earlier run"
		}
		for q, a := range answers {
			q += from
			if i == 0 {
				first[q] = a
			}
			same := slices.Equal(a.IDs, first[q].IDs)
			r.tokens[i] += a.Tokens
			r.cpu[i] += a.CPU
			if same {
				r.same[i]++
			}
			fmt.Fprintf(os.Stderr, "B %d question %d %s: %.1f s, %d tokens in %d steps, value %.4f, same %v%s\n",
				r.width, q+1, p.name(), a.CPU, a.Tokens, a.Steps, a.Value, same, note)
		}
		return nil
	}
	for q := range tasks {
		for i, p := range players {
			if p.atOnce() {
				continue
			}
			if err := ask(i, q, q+1); err != nil {
				return r, err
			}
		}
	}
	for i, p := range players {
		if p.atOnce() {
			if err := ask(i, 0, len(tasks)); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}
