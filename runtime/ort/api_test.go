//go:build cgo

package ort

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

// TestTable finds every function we call at its place in onnxruntime's own table,
// as the header says that the Go binding comes with.
func TestTable(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(dir)), "onnxruntime_c_api.h"))
	if err != nil {
		t.Fatal(err)
	}
	places := functions(t, string(header))
	called := 0
	ours := reflect.TypeFor[table]()
	for i := range ours.NumField() {
		field := ours.Field(i)
		if strings.HasPrefix(field.Name, "skip") {
			continue
		}
		called++
		place, known := places[field.Name]
		if got := int(field.Offset / unsafe.Sizeof(uintptr(0))); !known || got != place {
			t.Errorf("%s: place %d, the header has it at %d (%t)", field.Name, got, place, known)
		}
	}
	if called == 0 {
		t.Error("no function named")
	}
}

// functions are the places of the functions in the header's struct OrtApi.
func functions(t *testing.T, header string) map[string]int {
	t.Helper()
	_, body, found := strings.Cut(header, "\nstruct OrtApi {")
	body, _, ended := strings.Cut(body, "\n};")
	if !found || !ended {
		t.Fatal("no struct OrtApi in the header")
	}
	body = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`).ReplaceAllString(body, "")
	named := regexp.MustCompile(`(ORT_API2_STATUS|ORT_CLASS_RELEASE)\(\s*(\w+)|ORT_API_T\([^,]+,\s*(\w+)|\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)`)
	places := map[string]int{}
	for i, m := range named.FindAllStringSubmatch(body, -1) {
		name := m[2] + m[3] + m[4]
		if m[1] == "ORT_CLASS_RELEASE" {
			name = "Release" + name
		}
		places[name] = i
	}
	if statements := strings.Count(body, ";"); statements != len(places) {
		t.Fatalf("%d functions read of %d", len(places), statements)
	}
	return places
}
