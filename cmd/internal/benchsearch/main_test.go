package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuestionsThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "questions.jsonl")
	for text, want := range map[string]string{"": path, "{}\n": "record 1", `{"question":"cut`: path} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readQuestions(path, 5); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that names %s", text, err, want)
		}
	}
}
