package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// lineEvery is how often Progress prints a line where there is no terminal.
const lineEvery = 10 * time.Second

const barWidth = 24 // columns

// Progress reports how far a long loop is: a bar on a terminal, elsewhere a
// line now and then. It writes to stderr and is safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	bar   *progressbar.ProgressBar // nil without a terminal
	label string
	total int64 // 0 if unknown
	first int64 // where the loop started: not 0 when it resumes
	done  int64
	note  string
	start time.Time
	last  time.Time // of the last line
}

// NewProgress starts at done of total units (0: unknown number); label names the work.
func NewProgress(label string, done, total int64) *Progress {
	return newProgress(os.Stderr, term.IsTerminal(int(os.Stderr.Fd())), label, done, total)
}

func newProgress(out io.Writer, terminal bool, label string, done, total int64) *Progress {
	p := &Progress{out: out, label: label, total: total, first: done, done: done, start: time.Now()}
	p.last = p.start
	if terminal {
		size := total
		if size == 0 {
			size = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(" "+label),
			progressbar.OptionSetWidth(barWidth),
			progressbar.OptionShowCount(),
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetPredictTime(false), // its rate would count what a resumed run did before
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionUseANSICodes(os.Getenv("TERM") != "dumb"),
			progressbar.OptionEnableColorCodes(false))
		_ = p.bar.Set64(done) // here and below: a bar that cannot be drawn stops nothing
	}
	return p
}

// Set says that done units are finished; note is shown beside the bar, such as
// "loss 0.412".
func (p *Progress) Set(done int64, note string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = note
	p.set(done)
}

// Add finishes n more units.
func (p *Progress) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.done + n)
}

func (p *Progress) set(done int64) {
	p.done = done
	if p.bar != nil {
		p.bar.Describe(p.fit(" " + p.label + " " + p.pace()))
		if p.total > 0 {
			done = min(done, p.total)
		}
		_ = p.bar.Set64(done)
		return
	}
	if time.Since(p.last) >= lineEvery {
		p.line()
	}
}

// Printf prints a line of its own, above the bar.
func (p *Progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, format+"\n", args...)
	if p.bar != nil {
		_ = p.bar.RenderBlank()
	}
}

// Close ends the bar with its last state.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(p.out)
		return
	}
	p.line()
}

// line prints "sft 120/1000 (12%) 3.4/s, 4m19s left, loss 0.41".
func (p *Progress) line() {
	p.last = time.Now()
	count := fmt.Sprint(p.done)
	if p.total > 0 {
		count = fmt.Sprintf("%d/%d (%d%%)", p.done, p.total, 100*p.done/p.total)
	}
	fmt.Fprintf(p.out, "%s %s %s\n", p.label, count, p.pace())
}

// fit cuts text to what the terminal has left beside the bar: a wrapped line
// could not be drawn over.
func (p *Progress) fit(text string) string {
	f, ok := p.out.(*os.File)
	if !ok {
		return text
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 {
		return text
	}
	const frame = len(" 100% || (/) ") + barWidth + 2
	left := width - frame - 2*len(fmt.Sprint(p.total))
	return text[:max(0, min(len(text), left))]
}

// pace says how fast it goes, how long it takes and the note.
func (p *Progress) pace() string {
	elapsed := time.Since(p.start)
	rate := float64(p.done-p.first) / max(elapsed.Seconds(), 1e-9)
	text := fmt.Sprintf("%.3g/s, ", rate)
	if p.total > p.done && rate > 0 {
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
		text += fmt.Sprintf("%v left", left.Round(time.Second))
	} else {
		text += fmt.Sprintf("%v elapsed", elapsed.Round(100*time.Millisecond))
	}
	if p.note != "" {
		text += ", " + p.note
	}
	return text
}

// Color tells whether f should carry colour: it is a terminal, TERM is not
// "dumb" and NO_COLOR (no-color.org) is unset or empty.
func Color(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}
