package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// kept are the answers of earlier runs. One counts again for the same task, number
// of threads, program and artifacts of a player: a change of ours does not ask the
// peers anew, which take ten times as long.
type kept struct {
	file    *os.File
	answers map[string]answer
}

// record is a line of the file.
type record struct {
	Key    string `json:"key"`
	Player string `json:"player"` // for people, as is
	Width  int    `json:"width"`
	answer
}

// openKept reads the file at path, in which the last line may be cut short.
func openKept(path string) (*kept, error) {
	k := &kept{answers: map[string]answer{}}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	n := 0
	for line := range bytes.Lines(text[:whole]) {
		n++
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w; delete the file to measure anew", path, n, err)
		}
		k.answers[r.Key] = r.answer
	}
	if k.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	return k, k.file.Truncate(int64(whole))
}

func (k *kept) close() { _ = k.file.Close() } // every line is written already

// run is p's answer to t, and whether it is an earlier one.
func (k *kept) run(p player, t task) (a answer, again bool, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return a, false, err
	}
	sum := sha256.Sum256(append(text, p.identity()...))
	key := hex.EncodeToString(sum[:])
	if a, again = k.answers[key]; again {
		return a, true, nil
	}
	if a, err = p.run(t); err != nil {
		return a, false, err
	}
	k.answers[key] = a
	line, err := json.Marshal(record{key, p.name(), t.Width, a})
	if err == nil {
		_, err = k.file.Write(append(line, '\n'))
	}
	return a, false, err
}

// hashes is a digest of files.
func hashes(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(text)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
