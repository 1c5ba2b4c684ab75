package rules

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Lengths in lines. Tests and generated files, gen_*.go, are free.
const (
	maxFile        = 600
	maxFunction    = 100
	maxFunctionP90 = 50 // the 90th percentile over all functions
)

func TestLengths(t *testing.T) {
	dir := root(t)
	var functions []int
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != dir && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "gen_") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path) // path is below dir
		if n := bytes.Count(text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines; at most %d", rel, n, maxFile)
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1
			functions = append(functions, n)
			if n > maxFunction {
				t.Errorf("%s: function %s has %d lines; at most %d", rel, f.Name.Name, n, maxFunction)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(functions)
	p90 := functions[len(functions)*9/10]
	t.Logf("%d functions: median %d lines, 90th percentile %d, longest %d", len(functions), functions[len(functions)/2], p90, functions[len(functions)-1])
	if p90 > maxFunctionP90 {
		t.Errorf("the 90th percentile of the functions' lengths is %d lines; at most %d", p90, maxFunctionP90)
	}
}
