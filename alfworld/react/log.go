package react

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/oreo-go/oreo/alfworld"
)

// episodeLog collects episodes in a part file: a header with the settings,
// then "INDEX EPISODE" a line, in the order in which they end. A line counts
// only with its newline, so what a crash cuts short is played again.
type episodeLog struct {
	out   string
	total int
	file  *os.File

	mu     sync.Mutex
	places map[int]place
	end    int64

	progress sync.Mutex
}

// place is where an episode stands in the part file.
type place struct {
	offset int64
	size   int
}

type logHeader struct {
	Settings string `json:"settings"`
	Total    int    `json:"total"`
}

// fingerprint names everything that decides the episodes.
func (c RolloutConfig) fingerprint(specs []alfworld.Spec) string {
	h := fnv.New64a()
	put := func(s string) { _, _ = fmt.Fprintf(h, "%d:%s", len(s), s) }
	for _, s := range specs {
		put(s.ID)
		put(s.Domain)
		put(s.Grammar)
		put(s.Problem)
	}
	protocol, err := json.Marshal(c.Protocol)
	if err != nil {
		panic(err) // strings and numbers only
	}
	put(string(protocol))
	return fmt.Sprintf("games and protocol %016x, %d samples, seed %d, best of %d; %s", h.Sum64(), c.Samples, c.Seed, max(1, c.K), c.Settings)
}

func openLog(out, settings string, total int) (*episodeLog, error) {
	path := out + ".part"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	l := &episodeLog{out: out, total: total, file: f, places: map[int]place{}}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: another rollout writes it: %w", path, err)
	}
	if err := l.resume(logHeader{settings, total}); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// resume reads what is there, drops a torn last line and goes on behind it.
func (l *episodeLog) resume(want logHeader) error {
	r := bufio.NewReaderSize(l.file, 1<<20)
	first := true
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if first {
			var have logHeader
			if err := json.Unmarshal(line, &have); err != nil {
				return fmt.Errorf("line 1 is not the header of a rollout: %w", err)
			}
			if have != want {
				return fmt.Errorf("%w\nthere: %s (%d episodes)\n here: %s (%d episodes)", errSettings, have.Settings, have.Total, want.Settings, want.Total)
			}
			first = false
		} else {
			var i int
			number, episode, found := bytes.Cut(line, []byte(" "))
			if err := json.Unmarshal(number, &i); err != nil || !found || i < 0 || i >= l.total || !json.Valid(episode) {
				return fmt.Errorf("byte %d: not an episode of this rollout", l.end)
			}
			l.places[i] = place{l.end + int64(len(number)) + 1, len(episode)}
		}
		l.end += int64(len(line))
	}
	if err := l.file.Truncate(l.end); err != nil {
		return err
	}
	if first {
		header, err := json.Marshal(want)
		if err != nil {
			return err
		}
		return l.append(append(header, '\n'))
	}
	return nil
}

func (l *episodeLog) append(line []byte) error {
	n, err := l.file.WriteAt(line, l.end)
	l.end += int64(n)
	return err
}

func (l *episodeLog) has(i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, done := l.places[i]
	return done
}

func (l *episodeLog) add(i int, ep Episode) (done int, err error) {
	var line bytes.Buffer
	fmt.Fprintf(&line, "%d ", i)
	prefix := line.Len()
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ep); err != nil { // ends with a newline
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.end + int64(prefix)
	if err := l.append(line.Bytes()); err != nil {
		return 0, err
	}
	l.places[i] = place{at, line.Len() - prefix}
	return len(l.places), nil
}

// finish writes the sorted episodes under the final name and removes the part.
func (l *episodeLog) finish() error {
	out, err := renameio.NewPendingFile(l.out, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer out.Cleanup()
	w := bufio.NewWriterSize(out, 1<<20)
	for i := range l.total {
		p, done := l.places[i]
		if !done {
			return fmt.Errorf("%s: episode %d is missing", l.out, i)
		}
		if _, err := io.Copy(w, io.NewSectionReader(l.file, p.offset, int64(p.size))); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := out.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return os.Remove(l.out + ".part")
}

func (l *episodeLog) close() { l.file.Close() }
