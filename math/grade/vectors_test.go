package grade

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vector is one pair with the verdicts the Python graders gave.
type vector struct {
	ID, Source, Dataset, Problem, Generation, Gold string
	GoldBoxed                                      []string `json:"gold_boxed"`
	Expected                                       *bool
	DeepSeek                                       recorded `json:"deepseekmath"`
	Qwen                                           recorded
	MathVerify                                     recorded `json:"math_verify"`
}

type recorded struct {
	Extracted, Gold answers
	Correct         *bool
}

// answers is a list of strings, or one string, in JSON.
type answers []string

func (a *answers) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = answers{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func (v vector) input() Input {
	return Input{Generation: v.Generation, Gold: v.Gold, Problem: v.Problem, Dataset: v.Dataset, GoldBoxed: v.GoldBoxed}
}

func readVectors(t testing.TB, name string) []vector {
	t.Helper()
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	path := filepath.Join(root, "math-data", "grader-vectors", name)
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		t.Skipf("no grader vectors at %s (set OREO_SHARED)", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	var vectors []vector
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		vectors = append(vectors, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// agreement grades every vector and lists the verdicts that differ from want.
func agreement(t *testing.T, file string, style Style, want func(vector) *bool, bar float64) {
	total, same := 0, 0
	for _, v := range readVectors(t, file) {
		expected := want(v)
		if expected == nil {
			continue
		}
		total++
		got := Grade(style, v.input())
		if got.Correct == *expected {
			same++
			continue
		}
		t.Logf("%s %s (%s): got %v by %s, want %v\n\tpred %q\n\tgold %q", style, v.ID, v.Source,
			got.Correct, got.Rule, *expected, got.Extracted, got.Gold)
	}
	percent := 100 * float64(same) / float64(total)
	t.Logf("%s on %s: %d of %d verdicts agree (%.3f %%)", style, file, same, total, percent)
	if percent < bar {
		t.Errorf("%s on %s: %.3f %% agree, want %.1f %%", style, file, percent, bar)
	}
}

func TestDeepSeekVectors(t *testing.T) {
	want := func(v vector) *bool { return v.DeepSeek.Correct }
	agreement(t, "math-pairs.jsonl.gz", DeepSeekMath, want, 99.9)
	agreement(t, "gsm8k-pairs.jsonl.gz", DeepSeekMath, want, 99.9)
	agreement(t, "deepseek-quirks.jsonl", DeepSeekMath, want, 100)
	agreement(t, "hard-pairs.jsonl", DeepSeekMath, want, 97)
}

func TestQwenVectors(t *testing.T) {
	want := func(v vector) *bool { return v.Qwen.Correct }
	agreement(t, "math-pairs.jsonl.gz", Qwen, want, 99.7)
	agreement(t, "gsm8k-pairs.jsonl.gz", Qwen, want, 99.7)
	agreement(t, "hard-pairs.jsonl", Qwen, want, 95)
}

func TestStrictVectors(t *testing.T) {
	agreement(t, "hard-pairs.jsonl", Strict, func(v vector) *bool { return v.Expected }, 95)
}

func TestQwenExtraction(t *testing.T) {
	extraction(t, Qwen, func(v vector) recorded { return v.Qwen })
}

// TestDeepSeekExtraction compares the normalised answers themselves.
func TestDeepSeekExtraction(t *testing.T) {
	extraction(t, DeepSeekMath, func(v vector) recorded { return v.DeepSeek })
}

func extraction(t *testing.T, style Style, reference func(vector) recorded) {
	for _, file := range []string{"math-pairs.jsonl.gz", "gsm8k-pairs.jsonl.gz", "deepseek-quirks.jsonl", "hard-pairs.jsonl"} {
		total, same := 0, 0
		for _, v := range readVectors(t, file) {
			want := reference(v)
			if want.Correct == nil {
				continue
			}
			got := Grade(style, v.input())
			total++
			if equalAnswers(got.Extracted, want.Extracted) && equalAnswers(got.Gold, want.Gold) {
				same++
			} else {
				t.Logf("%s (%s):\n\tgot  %q | %q\n\twant %q | %q", v.ID, v.Source, got.Extracted, got.Gold, want.Extracted, want.Gold)
			}
		}
		t.Logf("%s on %s: %d of %d extractions are the same", style, file, same, total)
		if same*1000 < total*999 {
			t.Errorf("%s on %s: fewer than 99.9 %% of the extractions are the same", style, file)
		}
	}
}

// equalAnswers takes no answer and one empty answer for the same.
func equalAnswers(a, b []string) bool {
	empty := func(s string) bool { return s == "" }
	return slices.Equal(slices.DeleteFunc(slices.Clone(a), empty), slices.DeleteFunc(slices.Clone(b), empty))
}
