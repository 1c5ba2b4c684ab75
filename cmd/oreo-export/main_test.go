package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/cmd/internal/tiny"
)

// run calls the command as its main does, without the process around it.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := newApp()
	app.Writer, app.ErrWriter = &out, &out
	err := app.RunContext(t.Context(), append([]string{"oreo-export"}, args...))
	return out.String(), err
}

// TestGraphsRunAsTheyShould exports random models of each family, runs them on
// onnxruntime in every mode, and compares with the plain forward pass of package
// reference and with what transformers answered (reference-trainer).
func TestGraphsRunAsTheyShould(t *testing.T) {
	tiny.Library(t)
	for _, arch := range []string{"qwen2", "llama", "minicpm"} {
		for _, kind := range []string{"policy", "critic"} {
			for _, form := range []string{"fp32 grouped", "int8 grouped", "int4 grouped", "fp32 standard", "fp16 standard", "int8 standard"} {
				t.Run(arch+" "+kind+" "+form, func(t *testing.T) {
					dtype, attention, _ := strings.Cut(form, " ")
					out := filepath.Join(t.TempDir(), "out")
					model := filepath.Join("..", "..", "export", "testdata", "tiny-"+arch+"-"+kind)
					if text, err := run(t, kind, "--model", model, "--out", out, "--dtype", dtype, "--attention", attention); err != nil {
						t.Fatal(err, text)
					}
					text, err := run(t, "verify", out)
					if err != nil {
						t.Error(err)
					}
					for _, mode := range []string{"whole", "chunks", "cached", "ragged"} {
						if strings.Count(text, "  "+mode+"  ") != 2 {
							t.Errorf("mode %s is not reported for both references", mode)
						}
					}
					t.Log("\n" + text)
				})
			}
		}
	}
}

func TestWrongUse(t *testing.T) {
	for want, args := range map[string][]string{
		`"model, out" not set`:       {"policy"},
		`--dtype "bf16": want fp32`:  {"policy", "--model", "m", "--out", "o", "--dtype", "bf16"},
		`--attention "flash": want`:  {"policy", "--model", "m", "--out", "o", "--attention", "flash"},
		`unexpected argument "more"`: {"critic", "--model", "m", "--out", "o", "more"},
		"one artifact folder":        {"verify"},
		"one artifact folder is":     {"inspect", "a", "b"},
		"no oreo.json":               {"inspect", t.TempDir()},
		"not a folder made by":       {"verify", t.TempDir()},
	} {
		if _, err := run(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want one with %q", args, err, want)
		}
	}
}
