package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// Whatever the Makefile and the README call in bin/ is compiled into it.
func TestProgramsAreThoseCalled(t *testing.T) {
	called := regexp.MustCompile(`\bbin/(oreo-[a-z]+)`)
	n := 0
	for _, file := range []string{"../../Makefile", "../../README.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range called.FindAllSubmatch(text, -1) {
			if n++; !slices.Contains(programs, "./cmd/"+string(m[1])) {
				t.Errorf("%s calls bin/%s, which make setup does not compile", file, m[1])
			}
		}
	}
	if n < 5 {
		t.Errorf("%d calls found", n)
	}
}
