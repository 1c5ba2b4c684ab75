package step

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPieces(t *testing.T) {
	tests := []struct {
		name, in        string
		newline, period []string
	}{
		{"empty", "", []string{}, []string{}},
		{"one line", "no cut", []string{"no cut"}, []string{"no cut"}},
		{"final newline", "a\n", []string{"a\n"}, []string{"a\n"}},
		{"empty line", "a\n\nb", []string{"a\n", "\n", "b"}, []string{"a\n", "\n", "b"}},
		{"sentences", "So x. Then y.$ End.", []string{"So x. Then y.$ End."}, []string{"So x. ", "Then y.$ ", "End."}},
		{"list", "1. a\n2. b", []string{"1. a\n", "2. b"}, []string{"1. ", "a\n", "2. ", "b"}},
		{"decimal", "3.5 is. ", []string{"3.5 is. "}, []string{"3.5 is. "}},
		{"windows", "a.\r\nb", []string{"a.\r\n", "b"}, []string{"a.\r\n", "b"}},
		{"not utf-8", "\xff. \xfe\n", []string{"\xff. \xfe\n"}, []string{"\xff. ", "\xfe\n"}},
		{"dollar only", "$ $ .$", []string{"$ $ .$"}, []string{"$ $ .$"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Pieces(tt.in, Newline); !slices.Equal(got, tt.newline) {
				t.Errorf("newline: got %q, want %q", got, tt.newline)
			}
			if got := Pieces(tt.in, Period); !slices.Equal(got, tt.period) {
				t.Errorf("period: got %q, want %q", got, tt.period)
			}
		})
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{Newline, Period} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("ParseMode(%q) = %v, %v", m.String(), got, err)
		}
	}
	if _, err := ParseMode("comma"); err == nil {
		t.Error("ParseMode(comma): want an error")
	}
}

// referenceLoop is the character loop of jwhj/OREO's data set class, written
// out: the independent form that Split is compared with.
func referenceLoop(text string, delimiters []string) []string {
	pieces := []string{}
	start := 0
	for i := range len(text) {
		cut := i == len(text)-1
		for _, d := range delimiters {
			cut = cut || strings.HasSuffix(text[start:i+1], d)
		}
		if cut {
			pieces = append(pieces, text[start:i+1])
			start = i + 1
		}
	}
	return pieces
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a. b", ".$ . \n", "1. x.$\n", "\xff. \n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, mode := range []Mode{Newline, Period} {
			got := Pieces(text, mode)
			if strings.Join(got, "") != text {
				t.Errorf("%v: pieces of %q do not concatenate: %q", mode, text, got)
			}
			if want := referenceLoop(text, mode.Delimiters()); !slices.Equal(got, want) {
				t.Errorf("%v: %q: got %q, want %q", mode, text, got, want)
			}
		}
		if got := strings.Join(Lines(text, Newline), "\n"); got != text {
			t.Errorf("lines of %q rejoin to %q", text, got)
		}
	})
}

// TestVectors compares with the segmentations of real model outputs made by
// the reference loop in Python.
func TestVectors(t *testing.T) {
	root := os.Getenv("OREO_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	path := filepath.Join(root, "math-data", "grader-vectors", "steps.jsonl.gz")
	file, err := os.Open(path)
	if os.IsNotExist(err) {
		t.Skipf("no step vectors at %s (set OREO_SHARED)", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<26)
	n := 0
	for ; lines.Scan(); n++ {
		var rec struct {
			Response string
			Newline  []string `json:"steps_newline"`
			Period   []string `json:"steps_period"`
		}
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatalf("record %d: %v", n+1, err)
		}
		if got := Lines(rec.Response, Newline); !slices.Equal(got, rec.Newline) {
			t.Errorf("record %d, newline: got %q, want %q", n+1, got, rec.Newline)
		}
		if got := Lines(rec.Response, Period); !slices.Equal(got, rec.Period) {
			t.Errorf("record %d, period: got %q, want %q", n+1, got, rec.Period)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d segmentations agree in both modes", n)
}
