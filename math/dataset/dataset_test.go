package dataset

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadJSONL(t *testing.T) {
	path := write(t, "mixed.jsonl", `{"question":"2+2?","answer":"<<2+2=4>>4\n#### 4"}
{"problem":"Which?","solution":"It is \\boxed{3}.","level":"Level 2","type":"Algebra","unique_id":"train/algebra/7.json"}
{"problem":"Both?","solution":"\\boxed{1} or \\boxed{2}","level":5,"subject":"Geometry","answer":"2"}
`)
	got, err := ReadAll(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{
		{ID: "0", Dataset: "gsm8k", Question: "2+2?", Solution: "<<2+2=4>>4\n#### 4", Answer: "4"},
		{ID: "train/algebra/7.json", Dataset: "math", Question: "Which?", Solution: `It is \boxed{3}.`, Answer: "3", Level: 2, Subject: "Algebra"},
		{ID: "2", Dataset: "math", Question: "Both?", Solution: `\boxed{1} or \boxed{2}`, Answer: "2", Boxed: []string{"1", "2"}, Level: 5, Subject: "Geometry"},
	}
	for i := range want {
		if !same(got[i], want[i]) {
			t.Errorf("problem %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func same(a, b Problem) bool {
	boxed := slices.Equal(a.Boxed, b.Boxed)
	a.Boxed, b.Boxed = nil, nil
	return boxed && a.ID == b.ID && a.Dataset == b.Dataset && a.Question == b.Question && a.Solution == b.Solution &&
		a.Answer == b.Answer && a.Level == b.Level && a.Subject == b.Subject
}

func TestErrorsNameThePlace(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"malformed", "{\"question\":\"a\",\"answer\":\"#### 1\"}\n{oops\n", ":2:"},
		{"no marker", `{"question":"a","answer":"1"}`, "after ####"},
		{"no box", `{"problem":"a","solution":"1"}`, "boxed"},
		{"other fields", `{"text":"a"}`, "record 1"},
		{"bad level", `{"problem":"a","solution":"\\boxed{1}","level":"hard"}`, "level"},
		{"empty", "", "no problems"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "bad.jsonl", tt.content)
			_, err := ReadAll(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "bad.jsonl") {
				t.Errorf("error %v, want one with %q and the file", err, tt.want)
			}
		})
	}
	if _, err := ReadAll("missing.jsonl"); err == nil {
		t.Error("a missing file: want an error")
	}
}

func TestReadFolder(t *testing.T) {
	root := filepath.Join(t.TempDir(), "MATH", "train")
	for name, answer := range map[string]string{"algebra/10.json": "10", "algebra/9.json": "9", "geometry/1.json": "1"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content := `{"problem":"p","solution":"\\boxed{` + answer + `}","level":"Level ?","type":"Algebra"}`
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadAll(root)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range got {
		ids = append(ids, p.ID)
	}
	if want := []string{"train/algebra/9.json", "train/algebra/10.json", "train/geometry/1.json"}; !slices.Equal(ids, want) {
		t.Errorf("ids %v, want %v", ids, want)
	}
}

func TestReadParquet(t *testing.T) {
	type row struct {
		Problem  string `parquet:"problem"`
		Solution string `parquet:"solution"`
		Level    string `parquet:"level"`
		Type     string `parquet:"type,optional"`
		Extra    int64  `parquet:"extra"`
	}
	path := filepath.Join(t.TempDir(), "test.parquet")
	rows := []row{{"a", `\boxed{1}`, "Level 1", "Algebra", 5}, {"b", `\boxed{2}`, "Level 2", "", 6}}
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAll(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Answer != "1" || got[1].Level != 2 || got[0].Subject != "Algebra" || got[1].Question != "b" {
		t.Errorf("got %+v", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{"not parquet at all", string(text[:len(text)/2]), string(text[:4]) + strings.Repeat("x", 50) + string(text[len(text)-60:])} {
		if _, err := ReadAll(write(t, "damaged.parquet", damage)); err == nil {
			t.Errorf("damaged file of %d bytes: want an error", len(damage))
		}
	}
}

func TestBoxed(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{`\boxed{\frac{1}{2}}`, []string{`\frac{1}{2}`}},
		{`$\boxed 5$ or \fbox{6}`, []string{"5", "6"}},
		{`\boxed{never closed`, nil},
		{`nothing`, nil},
	}
	for _, tt := range tests {
		if got := Boxed(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("Boxed(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestCheckSize(t *testing.T) {
	if w := CheckSize("gsm8k", 1319); w != "" {
		t.Errorf("a whole split: %q", w)
	}
	if w := CheckSize("math", 4999); !strings.Contains(w, "5000") {
		t.Errorf("a damaged split: %q", w)
	}
}

// TestPublished reads the published files and compares what they hold.
func TestPublished(t *testing.T) {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	root = filepath.Join(root, "math-data")
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no data sets at %s (set OREO_SHARED)", root)
	}
	for file, kind := range map[string]string{
		"gsm8k/train.jsonl.gz": "gsm8k", "gsm8k/test.jsonl": "gsm8k",
		"math/train.jsonl.gz": "math", "math/test.jsonl.gz": "math", "math/math500.jsonl": "math",
	} {
		problems, err := ReadAll(filepath.Join(root, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if w := CheckSize(kind, len(problems)); w != "" {
			t.Errorf("%s: %s", file, w)
		}
		several, empty := 0, 0
		for _, p := range problems {
			if p.Dataset != kind || p.Question == "" {
				t.Errorf("%s: %+v", file, p)
			}
			if p.Answer == "" {
				empty++
			}
			if len(p.Boxed) > 0 {
				several++
			}
		}
		// Two solutions of MATH's training split box nothing, as published.
		if want := map[string]int{"math/train.jsonl.gz": 2}[file]; empty != want {
			t.Errorf("%s: %d problems without an answer, want %d", file, empty, want)
		}
		t.Logf("%s: %d problems, %d with several boxes", file, len(problems), several)
	}
}

func TestReadGzip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "g.jsonl.gz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(file)
	if _, err := z.Write([]byte(`{"question":"q","answer":"#### 1,000"}`)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	file.Close()
	got, err := ReadAll(path)
	if err != nil || got[0].Answer != "1,000" {
		t.Errorf("got %+v, %v", got, err)
	}
}
