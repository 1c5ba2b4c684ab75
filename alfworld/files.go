package alfworld

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// The two text editions of the official games.
const (
	Edition211 = "2.1.1" // "put X in/on Y", "You arrive at loc 3."
	Edition213 = "2.1.3" // "move X to Y", "You arrive at desk 1.", help
)

// GameFile is the name of a game inside a directory tree.
const GameFile = "game.tw-pddl"

// Load reads and compiles one *.tw-pddl file.
func Load(path string) (*Game, error) {
	s, err := readSpec(path)
	if err != nil {
		return nil, err
	}
	g, err := s.Compile()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

func readSpec(path string) (Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return Spec{}, err
	}
	defer f.Close()
	var data bytes.Buffer
	if info, err := f.Stat(); err == nil {
		data.Grow(int(min(max(info.Size(), 0), MaxFile)) + bytes.MinRead)
	}
	if _, err := data.ReadFrom(io.LimitReader(f, MaxFile+1)); err != nil {
		return Spec{}, err
	}
	s, err := ParseSpec(data.Bytes())
	if err != nil {
		return Spec{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Specs yields the games at path, in a fixed order: one *.tw-pddl file; every
// game.tw-pddl below a directory, by path, as ALFWORLD_DATA holds them, without
// those marked unsolvable; or the records of a compact .jsonl or .jsonl.gz
// file. Compact records leave out domain and grammar when they are those of an
// edition: then edition ("2.1.1" or "2.1.3") chooses which, and the texts are
// read from the folder editions/EDITION beside the file.
func Specs(path, edition string) iter.Seq2[Spec, error] {
	return func(yield func(Spec, error) bool) {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			yield(Spec{}, err)
		case info.IsDir():
			treeSpecs(path, yield)
		case strings.HasSuffix(path, ".jsonl") || strings.HasSuffix(path, ".jsonl.gz"):
			compactSpecs(path, edition, yield)
		default:
			s, err := readSpec(path)
			s.ID = gameID(path)
			s.TaskType = taskType(path)
			yield(s, err)
		}
	}
}

// AllSpecs collects Specs; no games at all is an error.
func AllSpecs(path, edition string) ([]Spec, error) {
	var all []Spec
	for s, err := range Specs(path, edition) {
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no games: want %s files below a directory, or records in a .jsonl file", path, GameFile)
	}
	return all, nil
}

func treeSpecs(root string, yield func(Spec, error) bool) {
	var paths []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(d.Name(), ".tw-pddl") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		yield(Spec{}, err)
		return
	}
	slices.Sort(paths)
	for _, path := range paths {
		s, err := readSpec(path)
		if err == nil && s.Unsolvable {
			continue
		}
		s.ID, s.TaskType = gameID(path), taskType(path)
		if !yield(s, err) || err != nil {
			return
		}
	}
}

// gameID is the last three folders (split/task/trial) of a game in a tree, or
// the name of a file that stands alone.
func gameID(path string) string {
	if filepath.Base(path) != GameFile {
		return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".tw-pddl"), ".game")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	parts := strings.Split(filepath.ToSlash(filepath.Dir(abs)), "/")
	return strings.Join(parts[max(0, len(parts)-3):], "/")
}

func taskType(path string) string {
	for _, t := range TaskTypes {
		if strings.Contains(path, t) {
			return t
		}
	}
	return ""
}

// compactRecord is a line of a compact file.
type compactRecord struct {
	ID          string   `json:"id"`
	TaskType    string   `json:"task_type,omitempty"`
	Goal        string   `json:"goal"`
	Walkthrough []string `json:"walkthrough,omitempty"`
	Domain      string   `json:"pddl_domain,omitempty"`
	Grammar     string   `json:"grammar,omitempty"`
	Problem     string   `json:"pddl_problem"`
}

// unknownGoal stands for the task sentence in the text of an edition.
const unknownGoal = "UNKNOWN GOAL."

func compactSpecs(path, edition string, yield func(Spec, error) bool) {
	var domain, gram string
	n := 0
	for r, err := range jsonl.Read[compactRecord](path) {
		if err != nil {
			yield(Spec{}, err)
			return
		}
		n++
		s := Spec{ID: r.ID, TaskType: r.TaskType, Goal: r.Goal, Walkthrough: r.Walkthrough, Problem: r.Problem, Domain: r.Domain, Grammar: r.Grammar}
		if s.TaskType == "" {
			s.TaskType = taskType(s.ID)
		}
		if r.Domain == "" || r.Grammar == "" {
			if domain == "" {
				if domain, gram, err = editionTexts(filepath.Dir(path), edition); err != nil {
					yield(Spec{}, fmt.Errorf("%s: record %d (%s) has no pddl_domain or grammar: %w", path, n, r.ID, err))
					return
				}
			}
			s.Domain = domain
			s.Grammar = strings.Replace(gram, unknownGoal, r.Goal, 1)
			s.Walkthrough = inEdition(edition, r.Walkthrough)
		}
		if s.Problem == "" {
			yield(Spec{}, fmt.Errorf("%s: record %d (%s) has no pddl_problem", path, n, r.ID))
			return
		}
		if !yield(s, nil) {
			return
		}
	}
}

func editionTexts(dir, edition string) (domain, gram string, err error) {
	if edition != Edition211 && edition != Edition213 {
		return "", "", fmt.Errorf("choose the text edition, %s or %s, not %q", Edition211, Edition213, edition)
	}
	dir = filepath.Join(dir, "editions", edition)
	d, err := os.ReadFile(filepath.Join(dir, "alfred.pddl"))
	if err != nil {
		return "", "", err
	}
	g, err := os.ReadFile(filepath.Join(dir, "alfred.twl2"))
	return string(d), string(g), err
}

// inEdition turns the commands of a compact record, which are in the words of
// edition 2.1.3, into those of the edition.
func inEdition(edition string, commands []string) []string {
	if edition != Edition211 {
		return commands
	}
	out := make([]string, len(commands))
	for i, c := range commands {
		out[i] = c
		if rest, isMove := strings.CutPrefix(c, "move "); isMove {
			if o, r, found := strings.Cut(rest, " to "); found {
				out[i] = "put " + o + " in/on " + r
			}
		}
	}
	return out
}
