// Package dataset reads the problems of GSM8K (Cobbe et al., arXiv 2110.14168),
// MATH (Hendrycks et al., arXiv 2103.03874) and MATH500 (Lightman et al.,
// arXiv 2305.20050) from where the user keeps them: JSONL, plain or gzipped,
// Parquet as the model hub ships it, or MATH's original folder of one JSON file
// for each problem. No problem is part of this repository.
package dataset

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// Problem is one problem of any of the data sets.
type Problem struct {
	ID       string   `json:"id"`                // unique in its file: the upstream path where there is one
	Dataset  string   `json:"dataset"`           // "gsm8k" or "math": the wiring of the grader
	Question string   `json:"question"`          // without instructions
	Solution string   `json:"solution"`          // the reference solution, answer included
	Answer   string   `json:"answer"`            // GSM8K: the text after ####; MATH: the last box
	Boxed    []string `json:"boxed,omitempty"`   // MATH: every box, where there are several
	Level    int      `json:"level,omitempty"`   // MATH: 1 to 5, 0 where unknown
	Subject  string   `json:"subject,omitempty"` // MATH: such as "Algebra"
}

// Read yields the problems of a file or folder in order. The kind of data is
// told from the fields: {"question", "answer"} is GSM8K, {"problem",
// "solution"} is MATH. After the first error, which names the file and the
// record, the sequence ends.
func Read(path string) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		n := 0
		for place, record := range records(path) {
			p, err := Problem{}, place.err
			if err == nil {
				p, err = record.problem(n)
				if err != nil {
					err = fmt.Errorf("%s: %w", place.name, err)
				}
			}
			n++
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// ReadAll collects Read. No problems at all is an error.
func ReadAll(path string) ([]Problem, error) {
	var all []Problem
	for p, err := range Read(path) {
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no problems found", path)
	}
	return all, nil
}

// place is where a record was found, or why it could not be read.
type place struct {
	name string
	err  error
}

// record is a problem as any of the sources writes it.
type record struct {
	Question *string `json:"question"`
	Problem  *string `json:"problem"`
	Answer   *string `json:"answer"`
	Solution *string `json:"solution"`
	Level    level   `json:"level"`
	Type     string  `json:"type"`
	Subject  string  `json:"subject"`
	UniqueID string  `json:"unique_id"`
}

// level is MATH's "Level 3" or MATH500's 3; "Level ?" is 0.
type level int

func (l *level) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case float64:
		*l = level(v)
	case string:
		n, err := strconv.Atoi(strings.TrimPrefix(v, "Level "))
		if err != nil && v != "Level ?" && v != "" {
			return fmt.Errorf(`field "level": want a number or "Level 1" to "Level 5", have %q`, v)
		}
		*l = level(n)
	default:
		return fmt.Errorf(`field "level": want a number or a string, have %s`, data)
	}
	return nil
}

// problem makes a Problem of a record; n numbers those without an identifier.
func (r record) problem(n int) (Problem, error) {
	p := Problem{ID: r.UniqueID, Level: int(r.Level), Subject: r.Type}
	if p.ID == "" {
		p.ID = strconv.Itoa(n)
	}
	if p.Subject == "" {
		p.Subject = r.Subject
	}
	switch {
	case r.Problem != nil && r.Solution != nil:
		p.Dataset, p.Question, p.Solution = "math", *r.Problem, *r.Solution
		return p, p.setBoxed(r.Answer)
	case r.Question != nil && r.Answer != nil:
		p.Dataset, p.Question, p.Solution = "gsm8k", *r.Question, *r.Answer
		_, answer, found := strings.Cut(p.Solution, "####")
		if p.Answer = strings.TrimSpace(answer); !found || p.Answer == "" {
			return p, fmt.Errorf(`field "answer": no final answer after ####`)
		}
		return p, nil
	}
	return p, fmt.Errorf(`want the fields "question" and "answer" (GSM8K) or "problem" and "solution" (MATH)`)
}

// setBoxed takes the answers from the solution; one that is given apart, as in
// MATH500, counts where the solution has no box.
func (p *Problem) setBoxed(given *string) error {
	boxes := Boxed(p.Solution)
	switch {
	case len(boxes) > 0:
		p.Answer = boxes[len(boxes)-1]
	case given != nil && *given != "":
		p.Answer = *given
	default:
		return fmt.Errorf(`field "solution": no \boxed{} answer`)
	}
	if len(boxes) > 1 {
		p.Boxed = boxes
	}
	return nil
}

// Boxed returns the content of every \boxed{} and \fbox{} in a solution, and of
// \boxed with a single character after it.
func Boxed(solution string) []string {
	var boxes []string
	rest := solution
	for {
		i := strings.Index(rest, `\boxed`)
		if j := strings.Index(rest, `\fbox`); j >= 0 && (i < 0 || j < i) {
			i, rest = 0, rest[j+len(`\fbox`):]
		} else if i >= 0 {
			rest = rest[i+len(`\boxed`):]
		} else {
			return boxes
		}
		rest = strings.TrimLeft(rest, " ")
		if inner, braced := strings.CutPrefix(rest, "{"); braced {
			if n := closingBrace(inner); n >= 0 {
				boxes = append(boxes, inner[:n])
			}
		} else if rest != "" {
			box, _, _ := strings.Cut(rest, "$")
			boxes = append(boxes, strings.TrimSpace(box))
		}
	}
}

func closingBrace(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return -1
}

// Sizes are the numbers of problems in the published splits.
var Sizes = map[string]int{
	"gsm8k train": 7473, "gsm8k test": 1319, "math train": 7500, "math test": 5000, "math500": 500,
}

// CheckSize returns a warning where n problems of a data set are not a whole
// published split, and "" where they are.
func CheckSize(dataset string, n int) string {
	var known []string
	for _, split := range []string{"gsm8k train", "gsm8k test", "math train", "math test", "math500"} {
		if !strings.HasPrefix(split, dataset) {
			continue
		}
		if Sizes[split] == n {
			return ""
		}
		known = append(known, fmt.Sprintf("%s has %d", split, Sizes[split]))
	}
	if len(known) == 0 {
		return ""
	}
	return fmt.Sprintf("%d problems are no whole split: %s", n, strings.Join(known, ", "))
}

// records yields what lies at path, by its name and kind.
func records(path string) iter.Seq2[place, record] {
	info, err := os.Stat(path)
	switch {
	case path != "-" && err != nil:
		return func(yield func(place, record) bool) { yield(place{err: err}, record{}) }
	case err == nil && info.IsDir():
		return folderRecords(path)
	case strings.HasSuffix(path, ".parquet"):
		return parquetRecords(path)
	}
	return func(yield func(place, record) bool) {
		n := 0
		for r, err := range jsonl.Read[record](path) {
			n++
			if !yield(place{fmt.Sprintf("%s: record %d", path, n), err}, r) {
				return
			}
		}
	}
}
