package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noted is a UI that keeps what it was told.
type noted struct {
	quiet
	notes []string
}

func (n *noted) Notef(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

// about returns the notes on pi_ref.
func (n *noted) about() string {
	var all []string
	for _, s := range n.notes {
		if strings.HasPrefix(s, "pi_ref: ") {
			all = append(all, s)
		}
	}
	return strings.Join(all, "\n")
}

// TestReferenceIsKept: log-probabilities read from the cache give the losses
// that the computed ones gave, bit for bit and for any micro-batch; a damaged
// file is noticed and computed anew; other data or another model is another key.
func TestReferenceIsKept(t *testing.T) {
	data := pairs(t, 16)
	model := tiny(t, records(t, 16))
	cache := t.TempDir()
	train := func(change func(*DPOConfig)) (losses, notes string) {
		t.Helper()
		cfg := DefaultDPO()
		cfg.Config = small(t, model, data, filepath.Join(t.TempDir(), "out")).Config
		cfg.CacheDir = cache
		change(&cfg)
		ui := &noted{}
		if err := DPO(context.Background(), cfg, ui); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(history(t, cfg.Out)), ui.about()
	}
	kept := func() []string {
		files, err := filepath.Glob(filepath.Join(cache, "*.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	same := func(*DPOConfig) {}

	want, notes := train(same)
	if !strings.Contains(notes, "computed and kept in") || len(kept()) != 1 {
		t.Fatalf("first run: %s; kept %v", notes, kept())
	}
	if got, notes := train(same); got != want || !strings.Contains(notes, "read from") {
		t.Errorf("second run: %s\n%s\nwant %s", notes, got, want)
	}
	file := kept()[0]
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), whole...)
	flipped[len(flipped)-3] ^= 1
	for name, bad := range map[string][]byte{"flipped bit": flipped, "cut short": whole[:len(whole)-8], "empty": nil} {
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, notes := train(same); got != want || !strings.Contains(notes, "computed anew") || !strings.Contains(notes, filepath.Base(file)) {
			t.Errorf("%s: %s\n%s\nwant %s", name, notes, got, want)
		}
		if mended, err := os.ReadFile(file); err != nil || string(mended) != string(whole) {
			t.Errorf("%s: the file was not written again: %v", name, err)
		}
	}
	if _, notes := train(func(c *DPOConfig) { c.Beta, c.MicroBatch = 0.3, 1 }); !strings.Contains(notes, "read from") {
		t.Errorf("another beta and micro-batch: %s", notes)
	}
	if _, notes := train(func(c *DPOConfig) { c.Data = []string{pairs(t, 15)} }); !strings.Contains(notes, "computed") {
		t.Errorf("other data: %s", notes)
	}
	other := tinySeed(t, records(t, 16), 1)
	if _, notes := train(func(c *DPOConfig) { c.Reference = other }); !strings.Contains(notes, "computed") {
		t.Errorf("another reference: %s", notes)
	}
	if n := len(kept()); n != 3 {
		t.Errorf("%d files kept, want 3", n)
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, notes := train(func(c *DPOConfig) { c.CacheDir = blocked }); got != want || !strings.Contains(notes, "not kept for the next run") {
		t.Errorf("a cache that cannot be written: %s\n%s\nwant %s", notes, got, want)
	}
}

// TestReferenceInterrupted: an interruption before the first update is said.
func TestReferenceInterrupted(t *testing.T) {
	cfg := DefaultDPO()
	cfg.Config = small(t, tiny(t, records(t, 8)), pairs(t, 8), filepath.Join(t.TempDir(), "out")).Config
	cfg.CacheDir = t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := DPO(ctx, cfg, &quiet{}); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "before the first update") {
		t.Errorf("interrupted: %v", err)
	}
}
