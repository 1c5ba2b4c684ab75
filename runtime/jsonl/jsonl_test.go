package jsonl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type rec struct {
	Q string  `json:"q"`
	N float64 `json:"n"`
}

func TestRoundTrip(t *testing.T) {
	for _, name := range []string{"a.jsonl", "a.jsonl.gz"} {
		path := filepath.Join(t.TempDir(), name)
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		want := []rec{{"x<y>&\u2028\n", 1}, {strings.Repeat("long ", 1<<16), 2}, {"", 0}}
		for _, r := range want {
			if err := w.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the file exists before Close")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := ReadAll[rec](path)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d records, %v", name, len(got), err)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: record %d differs", name, i)
			}
		}
	}
}

func TestErrorsNameFileAndLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{\"q\":\"a\"}\n\n{\"q\":", "bad.jsonl:3: malformed JSON"},
		{"{\"n\":\"one\"}\n", "bad.jsonl:1: field \"n\": want a number, have string"},
		{"{\"n\":true}\n", "bad.jsonl:1: field \"n\": want a number, have bool"},
		{"{\"n\":NaN}\n", "bad.jsonl:1: malformed JSON at byte 6: NaN is not a value in JSON"},
		{"{\"n\":-Infinity}\n", "bad.jsonl:1: malformed JSON"},
		{"", "no records"},
		{"\n \n", "no records"},
	} {
		path := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAll[rec](path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := ReadAll[rec]("absent.jsonl"); err == nil || !strings.Contains(err.Error(), "absent.jsonl") {
		t.Errorf("missing file: %v", err)
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := Create(filepath.Join(dir, "a.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Write(rec{"x", 1})
	w.Abort()
	left, _ := os.ReadDir(dir)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
