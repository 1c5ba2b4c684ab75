package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/oreo-go/oreo/runtime/jsonl"
	"github.com/oreo-go/oreo/runtime/traj"
)

// part is the unfinished output of collect: a line of settings, then a line per
// finished problem, appended as they come. A line is whole or, at the end of a
// file whose writer was killed, dropped.
type part struct {
	mu   sync.Mutex
	path string
	file *os.File
	done map[int]bool
}

// partLine is a finished problem.
type partLine struct {
	Index   int           `json:"index"`
	Records []traj.Record `json:"records"`
}

type partHead struct {
	Settings string `json:"settings"`
}

// openPart opens or starts the file at path for problems 0..total-1. It fails when
// another process has it open.
func openPart(path, settings string, total int) (*part, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: another collect writes it: %w; choose another --out", path, err)
	}
	p := &part{path: path, file: file, done: map[int]bool{}}
	if err := p.resume(settings, total); err != nil {
		file.Close()
		return nil, err
	}
	return p, nil
}

// resume reads what is there and cuts off a torn end.
func (p *part) resume(settings string, total int) error {
	good := int64(0)
	err := p.lines(func(n int, text []byte) error {
		if n == 1 {
			var head partHead
			if err := json.Unmarshal(text, &head); err != nil {
				return err
			}
			if head.Settings != settings {
				return fmt.Errorf("it was begun with other settings:\n  %s\nnow they are\n  %s\ndelete it, or choose another --out", head.Settings, settings)
			}
		} else {
			var line partLine
			if err := json.Unmarshal(text, &line); err != nil {
				return err
			}
			if line.Index < 0 || line.Index >= total {
				return fmt.Errorf("problem %d of %d", line.Index, total)
			}
			p.done[line.Index] = true
		}
		good += int64(len(text))
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.file.Truncate(good); err != nil {
		return err
	}
	if _, err := p.file.Seek(good, io.SeekStart); err != nil {
		return err
	}
	if good == 0 {
		return p.append(partHead{settings})
	}
	return nil
}

// lines calls f with every whole line, its newline included; errors name the line.
func (p *part) lines(f func(n int, text []byte) error) error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := bufio.NewReader(p.file)
	for n := 1; ; n++ {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what stands before the end without a newline is torn
		}
		if err == nil {
			err = f(n, text)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", p.path, n, err)
		}
	}
}

// Has tells whether problem i is finished.
func (p *part) Has(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done[i]
}

// Count is the number of finished problems.
func (p *part) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.done)
}

// Add writes down a finished problem.
func (p *part) Add(i int, records []traj.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.append(partLine{i, records}); err != nil {
		return err
	}
	p.done[i] = true
	return nil
}

// append writes v in one piece.
func (p *part) append(v any) error {
	var line bytes.Buffer
	if err := writeJSON(&line, v); err != nil {
		return err
	}
	if _, err := p.file.Write(line.Bytes()); err != nil {
		return fmt.Errorf("%w; what is in the file is kept: make room and run the same command again", err)
	}
	return nil
}

// Finish writes the records in the problems' order to out, and removes the part.
func (p *part) Finish(out string) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	byProblem := make([][]traj.Record, len(p.done))
	err = p.lines(func(n int, text []byte) error {
		if n == 1 {
			return nil
		}
		var line partLine
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		byProblem[line.Index] = line.Records
		return nil
	})
	if err != nil {
		return err
	}
	w, err := jsonl.Create(out)
	if err != nil {
		return err
	}
	for _, records := range byProblem {
		for _, r := range records {
			if err := w.Write(r); err != nil {
				w.Abort()
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Remove(p.path)
}

// Close closes the file.
func (p *part) Close() error { return p.file.Close() }
