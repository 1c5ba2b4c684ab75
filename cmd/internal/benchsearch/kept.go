package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/oreo-go/oreo/runtime/manifest"
)

// kept are the answers of earlier runs. They count again for the same tasks, number
// of threads, program and artifacts of a player: a change of ours does not ask the
// peers anew, which take ten times as long.
type kept struct {
	file    *os.File
	answers map[string][]answer
}

// record is a line of the file: what was asked together.
type record struct {
	Key     string   `json:"key"`
	Player  string   `json:"player"` // for people, as is
	Width   int      `json:"width"`
	Answers []answer `json:"answers"`
}

// openKept reads the file at path, in which the last line may be cut short.
func openKept(path string) (*kept, error) {
	k := &kept{answers: map[string][]answer{}}
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
		k.answers[r.Key] = r.Answers
	}
	if k.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	return k, k.file.Truncate(int64(whole))
}

func (k *kept) close() { _ = k.file.Close() } // every line is written already

// run is p's answers to tasks, and whether they are earlier ones.
func (k *kept) run(ctx context.Context, p player, tasks []task) (answers []answer, again bool, err error) {
	text, err := json.Marshal(tasks)
	if err != nil {
		return nil, false, err
	}
	sum := sha256.Sum256(append(text, p.identity()...))
	key := hex.EncodeToString(sum[:])
	if answers = k.answers[key]; len(answers) == len(tasks) {
		return answers, true, nil
	}
	if answers, err = p.run(ctx, tasks); err != nil {
		return nil, false, err
	}
	k.answers[key] = answers
	line, err := json.Marshal(record{key, p.name(), tasks[0].Width, answers})
	if err == nil {
		_, err = k.file.Write(append(line, '\n'))
	}
	return answers, false, err
}

// hashes is a digest of files.
func hashes(ctx context.Context, paths ...string) (string, error) {
	all := sha256.New()
	for _, path := range paths {
		file, err := manifest.Hash(ctx, filepath.Dir(path), filepath.Base(path))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(all, file.SHA256) // a hash takes every write
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}
