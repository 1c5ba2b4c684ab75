package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Two processes that append to one file would spoil it.
func TestPartHasOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.jsonl.part")
	first, err := openPart(path, "settings", 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openPart(path, "settings", 3); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a second writer: error %v", err)
	}
	if err := first.Add(1, nil); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openPart(path, "settings", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Count() != 1 || !again.Has(1) {
		t.Errorf("%d problems are there, want problem 1", again.Count())
	}
}
