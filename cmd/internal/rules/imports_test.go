// Package rules has the tests that keep the house in order: which room may
// import which, what builds without C, and how long files and functions get.
package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/oreo-go/oreo/"

// The two native libraries, and the one package that may import each.
const (
	gotch      = "github.com/sugarme/gotch"
	onnx       = "github.com/yalue/onnxruntime_go"
	gotchDoor  = "train/torch"
	onnxDoor   = "runtime/ort"
	anyPackage = "" // a prefix of every path
)

// shared are the packages of runtime that need no native library and that the
// other rooms may use.
var shared = []string{"runtime/model", "runtime/safetensors", "runtime/tokenizer", "runtime/chat", "runtime/traj", "runtime/jsonl", "runtime/manifest", "runtime/peft", "runtime/bounded"}

// records are those that the rooms without models may use: text in, text out.
var records = []string{"runtime/jsonl", "runtime/traj", "runtime/chat", "runtime/bounded"}

// rooms says, for everything below a path, which packages of this module it may
// depend on, directly or not, and which native libraries it may link.
var rooms = []struct {
	path   string
	may    []string
	native []string
	pureGo bool // builds with CGO_ENABLED=0
}{
	{path: "runtime", may: []string{"runtime"}, native: []string{onnx}},
	{path: "runtime/model", may: shared, pureGo: true},
	{path: "runtime/safetensors", may: shared, pureGo: true},
	{path: "runtime/tokenizer", may: shared, pureGo: true},
	{path: "runtime/chat", may: shared, pureGo: true},
	{path: "runtime/traj", may: shared, pureGo: true},
	{path: "runtime/jsonl", may: shared, pureGo: true},
	{path: "runtime/manifest", may: shared, pureGo: true},
	{path: "runtime/peft", may: shared, pureGo: true},
	{path: "runtime/bounded", may: shared, pureGo: true},
	{path: "train", may: append([]string{"train", "math/step"}, shared...), native: []string{gotch}},
	{path: "train/data", may: append([]string{"train/data", "math/step"}, shared...), pureGo: true},
	{path: "train/track", may: []string{"train/track"}, pureGo: true},
	{path: "train/schedule", may: []string{"train/schedule"}, pureGo: true},
	{path: "train/card", may: append([]string{"train/card"}, shared...), pureGo: true},
	{path: "export", may: append([]string{"export"}, shared...), pureGo: true},
	{path: "math", may: append([]string{"math"}, records...), pureGo: true},
	{path: "alfworld", may: append([]string{"alfworld"}, records...), pureGo: true},
	{path: "cmd", may: []string{anyPackage}, native: []string{gotch, onnx}},
	{path: "cmd/internal/cli", may: []string{"cmd/internal"}, pureGo: true},
	{path: "cmd/internal/config", may: []string{"cmd/internal"}, pureGo: true},
	{path: "cmd/oreo-setup", may: []string{anyPackage}, pureGo: true}, // it runs before there is a library
	{path: "cmd/oreo-run", may: []string{"cmd", "runtime", "math", "alfworld"}, native: []string{onnx}},
	{path: "cmd/oreo-export", may: []string{"cmd", "runtime", "export"}, native: []string{onnx}},
}

// pkg is what go list knows of one package.
type pkg struct {
	path    string   // without the module's prefix
	imports []string // direct, those of its tests too
	deps    []string // all, without tests
}

func TestImportDirections(t *testing.T) {
	packages := list(t)
	for _, room := range rooms {
		t.Run(room.path, func(t *testing.T) {
			members := within(packages, room.path)
			if len(members) == 0 {
				t.Skip("not there")
			}
			for _, p := range members {
				for _, dep := range p.deps {
					own, ours := strings.CutPrefix(dep, module)
					if ours && !slices.ContainsFunc(room.may, func(prefix string) bool { return under(own, prefix) }) {
						t.Errorf("%s depends on %s; it may only on %s", p.path, own, strings.Join(room.may, ", "))
					}
					for _, library := range []string{gotch, onnx} {
						if under(dep, library) && !slices.Contains(room.native, library) {
							t.Errorf("%s depends on %s", p.path, library)
						}
					}
				}
			}
		})
	}
}

func TestNativeLibrariesHaveOneDoor(t *testing.T) {
	for _, p := range list(t) {
		for _, imp := range p.imports {
			if under(imp, gotch) && p.path != gotchDoor {
				t.Errorf("%s imports %s; only %s may", p.path, imp, gotchDoor)
			}
			if under(imp, onnx) && p.path != onnxDoor {
				t.Errorf("%s imports %s; only %s may", p.path, imp, onnxDoor)
			}
		}
	}
}

func TestTopLevelIsRooms(t *testing.T) {
	for _, p := range list(t) {
		top, _, _ := strings.Cut(p.path, "/")
		if !slices.Contains([]string{"train", "export", "runtime", "alfworld", "math", "cmd"}, top) {
			t.Errorf("package %s is in none of the rooms", p.path)
		}
	}
}

func TestBuildsWithoutC(t *testing.T) {
	packages := list(t)
	var build []string
	for _, room := range rooms {
		if room.pureGo {
			for _, p := range within(packages, room.path) {
				build = append(build, "./"+p.path)
			}
		}
	}
	slices.Sort(build)
	out, err := goCommand(t, "CGO_ENABLED=0", append([]string{"build", "-p", "1"}, slices.Compact(build)...)...)
	if err != nil {
		t.Errorf("CGO_ENABLED=0 go build: %v\n%s", err, out)
	}
}

// list asks go list for the module's packages, with the files that need C.
func list(t *testing.T) []pkg {
	t.Helper()
	const format = `{{.ImportPath}};{{join .Imports " "}} {{join .TestImports " "}} {{join .XTestImports " "}};{{join .Deps " "}}`
	out, err := goCommand(t, "CGO_ENABLED=1", "list", "-e", "-f", format, "./...")
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	var all []pkg
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ";")
		if len(fields) != 3 {
			t.Fatalf("go list printed %q", line)
		}
		path := strings.TrimPrefix(fields[0], module)
		all = append(all, pkg{path, strings.Fields(fields[1]), strings.Fields(fields[2])})
	}
	return all
}

// goCommand runs the go tool at the module's root.
func goCommand(t *testing.T, env string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), env)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return stderr.String(), err
	}
	return string(out), nil
}

// root is the folder that holds go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func within(packages []pkg, path string) []pkg {
	return slices.DeleteFunc(slices.Clone(packages), func(p pkg) bool { return !under(p.path, path) })
}

// under tells whether path is prefix or below it.
func under(path, prefix string) bool {
	return prefix == anyPackage || path == prefix || strings.HasPrefix(path, prefix+"/")
}
