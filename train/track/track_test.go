package track

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var testTime = time.UnixMilli(1700000000250)

func open(t *testing.T, dir string, step int) *Tracker {
	t.Helper()
	tr, err := Open(dir, step)
	if err != nil {
		t.Fatal(err)
	}
	tr.now = func() time.Time { return testTime }
	t.Cleanup(func() { tr.Close() })
	return tr
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "run")
	tr := open(t, dir, 0)
	for step, m := range []Metrics{{"loss": 0.5, "lr": 5e-6}, {"loss": math.NaN(), "kl": math.Inf(1)}, {}} {
		if err := tr.Log(step+1, m); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"step":1,"time":1700000000.250,"loss":0.5,"lr":0.000005}
{"step":2,"time":1700000000.250,"kl":null,"loss":null}
{"step":3,"time":1700000000.250}
`
	if got := read(t, filepath.Join(dir, MetricsFile)); got != want {
		t.Errorf("have\n%swant\n%s", got, want)
	}
	if err := tr.Log(4, Metrics{"losss": 1}); err == nil || !strings.Contains(err.Error(), `"losss"`) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestResume(t *testing.T) {
	const four = "{\"step\":1,\"a\":1}\n{\"step\":2}\n{\"step\":2,\"eval\":1}\n{\"step\":3}\n"
	for _, c := range []struct {
		name, text string
		step       int
		want       string // before the record of the next step, or the error
	}{
		{"in the middle", four, 2, "{\"step\":1,\"a\":1}\n{\"step\":2}\n{\"step\":2,\"eval\":1}\n"},
		{"at the end", four, 3, four},
		{"from the start", four, 0, ""},
		{"cut record", "{\"step\":1}\n{\"step\":2,\"lo", 2, "{\"step\":1}\n"},
		{"cut before its line end", "{\"step\":1}\n{\"step\":2}", 2, "{\"step\":1}\n"},
		{"no file", "", 7, ""},
		{"not records", "loss 0.5\n{\"step\":1}\n", 2, "metrics.jsonl:1: not a record"},
		{"no step", "{\"step\":1}\n{}\n", 2, "metrics.jsonl:2: not a record"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, MetricsFile)
		if c.text != "" {
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		tr, err := Open(dir, c.step)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || c.want == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			if got := read(t, path); got != c.text {
				t.Errorf("%s: the file was changed to %q", c.name, got)
			}
			continue
		}
		tr.now = func() time.Time { return testTime }
		if err := tr.Log(c.step+1, nil); err != nil {
			t.Fatal(err)
		}
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
		got := read(t, path)
		head, ok := strings.CutSuffix(got, ",\"time\":1700000000.250}\n")
		head = head[:strings.LastIndexByte(head, '{')]
		if !ok || head != c.want {
			t.Errorf("%s: file %q, want %q before the new record", c.name, got, c.want)
		}
	}
}

// The reference bytes come from TensorBoard's own writer: testdata/gen/events.py.
func TestEventsEqualTensorBoards(t *testing.T) {
	dir := t.TempDir()
	w, err := createEvents(dir, 40, testTime)
	if err != nil {
		t.Fatal(err)
	}
	records, err := os.Create(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	tr := &Tracker{records: records, events: w, now: func() time.Time { return testTime }}
	if err := tr.Log(41, Metrics{"lr": math.Float64frombits(0x7ff8000000000000), "loss/policy": 0.1, "kl": -0.125}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Log(300, Metrics{"lr": 5e-6}); err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	want, got := read(t, "testdata/events.golden"), read(t, w.f.Name())
	if got != want {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d bytes, want %d; the first difference is at byte %d", len(got), len(want), at)
	}
	if base := filepath.Base(w.f.Name()); !strings.HasPrefix(base, "events.out.tfevents.1700000000.") {
		t.Errorf("file name %s is not one that TensorBoard looks for", base)
	}
}

func TestWriteErrorsAreReturned(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here:", err)
	}
	tr := open(t, t.TempDir(), 0)
	tr.records = full
	if err := tr.Log(1, Metrics{"loss": 1}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("full disk: %v", err)
	}
}

func TestConsole(t *testing.T) {
	got := Console(Metrics{"lr": 5e-6, "loss/policy": 0.31415, "tokens_per_s": 1234.6, "epoch": 0.5, "value/mean": 0.5})
	if want := "policy 0.314 V 0.5 lr 5e-06 tok/s 1235"; got != want {
		t.Errorf("have %q, want %q", got, want)
	}
}

// The table in the package comment and the names that Log accepts are one.
func TestTableIsComplete(t *testing.T) {
	var table []string
	s := bufio.NewScanner(strings.NewReader(read(t, "track.go")))
	for s.Scan() && s.Text() != "package track" {
		if line, ok := strings.CutPrefix(s.Text(), "//\t"); ok {
			table = append(table, strings.Fields(line)[0])
		}
	}
	var accepted []string
	for _, n := range names {
		accepted = append(accepted, n.name)
	}
	a, _ := json.Marshal(table)
	b, _ := json.Marshal(accepted)
	if !bytes.Equal(a, b) {
		t.Errorf("the table lists\n%s\nLog accepts\n%s", a, b)
	}
}
