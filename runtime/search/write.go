package search

import (
	"strings"

	"github.com/oreo-go/oreo/runtime/engine"
	"github.com/oreo-go/oreo/runtime/sample"
)

// writer draws the tokens of one step, or of a whole answer.
type writer struct {
	t       *tree
	n       *node
	whole   bool // steps that end are noted, and it goes on
	limit   int  // tokens it may draw
	sampler *sample.Sampler
	allowed sample.Constraint // nil if anything may be said
	decode  func(id int) string
	text    strings.Builder // of the response, as far as characters are whole
	offsets []int           // bytes of text behind each token of the response
	broke   bool            // the limit ended it
	err     error
}

// newWriter continues n; draw is its place among the draws of a step, from which
// its random numbers come.
func (t *tree) newWriter(n *node, draw, limit int, whole bool) *writer {
	rng := sample.Rand(t.cfg.Seed, t.cfg.Question, uint64(draw), uint64(n.Step))
	w := &writer{t: t, n: n, whole: whole, limit: limit, sampler: sample.New(t.cfg.Sample, rng), decode: t.m.NewDecoder()}
	w.sampler.Saw(t.prompt...)
	w.sampler.Saw(n.ids...)
	if t.cfg.Constraint != nil {
		w.allowed = t.cfg.Constraint()
		w.sampler.Constrain(w.allowed)
	}
	for _, id := range n.ids {
		w.put(id)
		if w.allowed != nil {
			w.allowed.Accept(id)
		}
	}
	return w
}

func (w *writer) put(id int) {
	w.text.WriteString(w.decode(id))
	w.offsets = append(w.offsets, w.text.Len())
}

// job is the engine's work on seq that draws.
func (w *writer) job(seq *engine.Seq) engine.Job {
	return engine.Job{Seq: seq, Step: w.step, Value: w.t.note(w.n)}
}

func (w *writer) step(_ int, logits []float32) (next int, more bool) {
	n := w.n
	id, logProb, err := w.sampler.Pick(logits)
	if err != nil {
		w.err = err
		return 0, false
	}
	n.ids = append(n.ids, id)
	n.probs = append(n.probs, logProb)
	n.Tokens++
	n.LogProb += logProb
	n.total += logProb
	if w.t.m.EOS(id) {
		n.Finished = true
		return 0, false
	}
	before := w.text.Len()
	w.put(id)
	n.text = w.text.String()
	n.read = append(n.read, id)
	if cut := w.stopAt(before); cut >= 0 {
		w.cut(cut)
		return 0, false
	}
	if w.allowed != nil && w.allowed.Complete() {
		n.Finished = true
		return 0, false
	}
	ended := false
	if w.t.cfg.Rule != nil {
		if to := w.t.cfg.Rule.StepEnd(n.text, n.from); to > 0 {
			// A token across the border belongs to the step it ends, as in training.
			n.from, ended = to, true
			n.ends = append(n.ends, mark{len(n.ids), len(n.text), n.total})
		}
	}
	n.cutOff = len(n.ids) >= w.t.cfg.MaxNewTokens
	if ended && !w.whole {
		return 0, false
	}
	if !n.cutOff && n.Tokens >= w.limit {
		n.cutOff, w.broke = true, true
	}
	return id, !n.cutOff
}

// stopAt finds where the first stop text begins that the text behind byte before
// completes, -1 if none does.
func (w *writer) stopAt(before int) int {
	at := -1
	for _, stop := range w.t.cfg.Stop {
		from := max(0, before-len(stop)+1)
		if i := strings.Index(w.n.text[from:], stop); i >= 0 && stop != "" && (at < 0 || from+i < at) {
			at = from + i
		}
	}
	return at
}

// cut ends the response at byte at of its text. The critic reads the tokens
// before, and what is left of one that the cut divides.
func (w *writer) cut(at int) {
	n := w.n
	n.Finished = true
	n.text = n.text[:at]
	whole, upTo := 0, 0
	for whole < len(w.offsets) && w.offsets[whole] <= at {
		upTo = w.offsets[whole]
		whole++
	}
	n.read = n.read[:whole]
	if w.t.m.Encode != nil && upTo < at {
		rest := w.t.m.Encode(n.text[upTo:])
		room := w.t.cfg.MaxNewTokens - whole
		n.read = append(n.read, rest[:min(len(rest), room)]...)
	}
	for len(n.ends) > 0 && n.ends[len(n.ends)-1].tokens > whole {
		n.ends = n.ends[:len(n.ends)-1] // the stop text had ended a step
	}
}

// share is how many tokens each of rows draws may take of what is left of the
// token budget: an even part, so that no draw depends on another's luck.
func (t *tree) share(rows int) int {
	if t.cfg.Budget.Tokens == 0 {
		return t.cfg.MaxNewTokens
	}
	return min(t.cfg.MaxNewTokens, (t.cfg.Budget.Tokens-t.result.Tokens)/rows)
}
