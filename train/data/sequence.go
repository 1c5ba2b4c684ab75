// Package data turns records into what the trainers compute on: token
// sequences with their actions marked, and padded batches of them in an order
// that depends on nothing but the seed and the epoch.
//
// A trajectory's actions are the tokens the model wrote; the state of an action
// is the position before it. With idx the first and last the final token of a
// response, the actions are at idx..last and the states at idx-1..last-1
// (arXiv 2412.16145, section 3.1). In a conversation every assistant turn is
// action, everything else is not.
package data

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/traj"
)

// Sequence is one trajectory in tokens. It ends with an action: what follows
// the last one teaches nothing.
type Sequence struct {
	ID     string
	Tokens []int32
	Action []bool  // per token: written by the model; never true at 0, which has no state before it
	Steps  []int   // index of each step's first token, ascending; all actions, the first one among them
	Reward float64 // of the whole trajectory, 0 where the record has none

	// Reference has the log-probability under the reference policy of each action,
	// in order; nil where nobody computed it.
	Reference []float32
}

// Overlong says what happens to a sequence longer than Encoder.MaxLen.
type Overlong string

// The ways to treat an overlong sequence. All are counted in Stats.
const (
	Drop     Overlong = "drop"
	Truncate Overlong = "truncate" // keep the first MaxLen tokens
	Fail     Overlong = "error"
)

// Encoder turns records into sequences.
type Encoder struct {
	Tokenizer Tokenizer
	Chat      Renderer                // nil: conversations are an error
	Split     func(text string) []int // end offsets in bytes of the steps in a response or an assistant turn; nil: it is one step
	OneStep   bool                    // all actions of a trajectory are one step, those of later turns too; Split has no say
	EOS       []int                   // end tokens of the model; the first one ends complete responses
	MaxLen    int                     // tokens, 0 for no limit
	Overlong  Overlong                // "" is Fail

	// Original encodes as the authors' code does, github.com/jwhj/OREO: a space
	// stands between a plain response and its end token; the actions of a
	// conversation begin with its fourth message, and no end token is added to it.
	Original bool
}

// Tokenizer is what this package needs of runtime/tokenizer: text to ids with
// nothing added, and the byte range of each id.
type Tokenizer interface {
	EncodeOffsets(text string) ([]int, [][2]int)
	Decode(ids []int, skipSpecial bool) string
	IsSpecial(id int) bool
}

// Renderer is what the encoder needs of runtime/chat.
type Renderer interface {
	Render(msgs []chat.Message, addGenerationPrompt bool) (string, error)
}

// Stats counts what reading a data set did. A record is a trajectory or a pair;
// a pair is dropped or cut if one of its sequences is.
type Stats struct {
	Records      int
	Sequences    int // kept; of labelled records the samples alone
	Dropped      int // longer than MaxLen
	Truncated    int // longer than MaxLen, cut
	NoAction     int // nothing left to learn after the cut
	Failed       int // episodes that were not played to their end
	Tokens       int // of the sequences kept
	ActionTokens int
	Steps        int
	Longest      int // tokens, before dropping and cutting

	Pairs int // kept
	Same  int // pairs left out: chosen and rejected are the same, or are after the cut

	Desirable, Undesirable int // labels kept
	SamePrompt             int // mismatched responses that come from the same prompt, where a prompt has most of the records
	MismatchedCut          int // mismatched responses cut to MaxLen
}

func (s Stats) String() string {
	text := fmt.Sprintf("%d sequences, %d tokens, %d of them actions in %d steps; longest %d",
		s.Sequences, s.Tokens, s.ActionTokens, s.Steps, s.Longest)
	if s.Pairs > 0 {
		text = fmt.Sprintf("%d pairs: %s", s.Pairs, text)
	}
	if s.Desirable+s.Undesirable > 0 {
		text = fmt.Sprintf("%d desirable and %d undesirable: %s", s.Desirable, s.Undesirable, text)
	}
	for _, c := range []struct {
		n    int
		what string
	}{
		{s.Dropped, "dropped as too long"},
		{s.Truncated, "cut to the longest length"},
		{s.NoAction, "dropped with no action left"},
		{s.Failed, "dropped: the actor failed, so the episode has no outcome"},
		{s.Same, "dropped: chosen and rejected are the same"},
		{s.SamePrompt, "mismatched with a response to the same prompt"},
		{s.MismatchedCut, "mismatched with a response that was cut"},
	} {
		if c.n > 0 {
			text += fmt.Sprintf("; %d of %d %s", c.n, s.Records, c.what)
		}
	}
	return text
}

// Read encodes the records of the JSONL files in order. needReward asks every
// record for one. No sequence left is an error.
func (e *Encoder) Read(paths []string, needReward bool) ([]Sequence, Stats, error) {
	return readAll(paths, func(path string) iter.Seq2[traj.Record, error] { return traj.Read(path, needReward) },
		func(rec *traj.Record, id string, stats *Stats) ([]Sequence, error) {
			if rec.Error != "" {
				stats.Failed++
				return nil, nil
			}
			seq, err := e.encodeAs(rec, id)
			if err != nil {
				return nil, err
			}
			return e.fit([]Sequence{seq}, stats)
		})
}

// readAll collects the sequences that encode makes of each record; id names a
// record that has no name of its own.
func readAll[R any](paths []string, open func(path string) iter.Seq2[R, error],
	encode func(rec *R, id string, stats *Stats) ([]Sequence, error)) ([]Sequence, Stats, error) {
	var all []Sequence
	var stats Stats
	for _, path := range paths {
		n := 0
		for rec, err := range open(path) {
			if err != nil {
				return nil, stats, err
			}
			n++
			stats.Records++
			seqs, err := encode(&rec, fmt.Sprintf("%s:%d", path, n), &stats)
			if err != nil {
				return nil, stats, fmt.Errorf("%s: record %d: %w", path, n, err)
			}
			all = append(all, seqs...)
		}
	}
	if len(all) == 0 {
		return nil, stats, fmt.Errorf("no sequence to train on in %s: %d records, %d too long, %d without actions, %d failed episodes, %d pairs of equals",
			strings.Join(paths, ", "), stats.Records, stats.Dropped, stats.NoAction, stats.Failed, stats.Same)
	}
	return all, stats, nil
}

func (e *Encoder) encodeAs(rec *traj.Record, id string) (Sequence, error) {
	seq, err := e.Encode(rec)
	if seq.ID == "" {
		seq.ID = id
	}
	return seq, err
}

// Encode turns a record that traj.Record.Check accepts into a sequence of any
// length.
func (e *Encoder) Encode(rec *traj.Record) (Sequence, error) {
	seq := Sequence{ID: rec.ID}
	if rec.Reward != nil {
		seq.Reward = *rec.Reward
	}
	var err error
	if len(rec.Conversations) > 0 {
		err = e.conversation(&seq, rec)
	} else {
		err = e.response(&seq, rec)
	}
	return seq, err
}

// response encodes prompt and response on their own, so that the boundary
// between them is where it was when the model wrote the response.
func (e *Encoder) response(seq *Sequence, rec *traj.Record) error {
	prompt, _ := e.Tokenizer.EncodeOffsets(rec.Prompt)
	if len(prompt) == 0 {
		return errors.New(`field "prompt" has no tokens: the first action needs a state before it`)
	}
	seq.append(prompt, false)
	text := rec.Response
	if e.Original && !rec.Truncated {
		text += " "
	}
	ids, offsets := e.Tokenizer.EncodeOffsets(text)
	if len(ids) == 0 {
		return errors.New(`field "response" has no tokens`)
	}
	e.steps(seq, rec.Response, offsets)
	seq.append(ids, true)
	if !rec.Truncated && len(e.EOS) > 0 && !slices.Contains(e.EOS, ids[len(ids)-1]) {
		seq.append(e.EOS[:1], true)
	}
	return nil
}

// conversation encodes each assistant turn on its own and the text between two
// of them as one piece. A turn's actions end with its end token; what the
// template writes after that is the beginning of the next piece. Where the
// template writes no end token, the last turn gets EOS[0]. A truncated
// conversation has no end token after its last turn.
func (e *Encoder) conversation(seq *Sequence, rec *traj.Record) error {
	if e.Chat == nil {
		return errors.New(`has conversations, but the model has no chat template`)
	}
	last := -1
	first := 0
	if e.Original {
		first = 3
	}
	for i, m := range rec.Conversations {
		if m.Role == "assistant" && i >= first {
			last = i
		}
	}
	if last < 0 {
		return errors.New(`field "conversations" has no assistant turn` + map[bool]string{true: " from the fourth message on"}[e.Original])
	}
	done := "" // the text encoded so far
	for i, m := range rec.Conversations[:last+1] {
		if m.Role != "assistant" || i < first {
			continue
		}
		given, turn, err := e.renderTurn(rec.Conversations, i, done)
		if err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
		context, _ := e.Tokenizer.EncodeOffsets(given)
		seq.append(context, false)
		if len(seq.Tokens) == 0 {
			return fmt.Errorf("turn %d: nothing stands before it: the first action needs a state before it", i+1)
		}
		ids, offsets := e.Tokenizer.EncodeOffsets(turn)
		content := strings.TrimSpace(m.Content) // as most templates do
		at := strings.LastIndex(turn, content)
		if at < 0 {
			return fmt.Errorf("turn %d: the chat template does not write the content as it is", i+1)
		}
		if content == "" {
			at = 0
		}
		end, ended := e.turnEnd(at+len(content), ids, offsets)
		if ended && i == last && rec.Truncated {
			end--
		}
		if end == 0 {
			return fmt.Errorf("turn %d: the assistant's content is empty", i+1)
		}
		written := turn[:at+len(content)]
		e.steps(seq, written, offsets[:end])
		seq.append(ids[:end], true)
		if i == last && !ended && !rec.Truncated && !e.Original && len(e.EOS) > 0 {
			seq.append(e.EOS[:1], true)
		}
		done += given + turn[:offsets[end-1][1]]
	}
	return nil
}

// renderTurn returns what stands between done, the text so far, and message i,
// and the text of that message.
func (e *Encoder) renderTurn(msgs []chat.Message, i int, done string) (given, turn string, err error) {
	before, err := e.Chat.Render(msgs[:i], true)
	if err != nil {
		return "", "", err
	}
	after, err := e.Chat.Render(msgs[:i+1], false)
	if err != nil {
		return "", "", err
	}
	given, ok := strings.CutPrefix(before, done)
	turn, same := strings.CutPrefix(after, before)
	if !ok || !same {
		return "", "", errors.New("the chat template rewrites earlier text when a turn is added, so no prefix of it is a state")
	}
	return given, turn, nil
}

// turnEnd counts the tokens of a rendered assistant turn that the model writes:
// those that start within the content, and the first end token behind it, if
// the template writes one (ended).
func (e *Encoder) turnEnd(contentEnd int, ids []int, offsets [][2]int) (end int, ended bool) {
	for end < len(ids) && offsets[end][0] < contentEnd {
		end++
	}
	for k := end; k < len(ids); k++ {
		if slices.Contains(e.EOS, ids[k]) || e.Tokenizer.IsSpecial(ids[k]) {
			return k + 1, true
		}
	}
	return end, false
}

// steps notes where the steps of text begin, whose tokens, at offsets, are
// about to be appended. A token across a boundary belongs to the step it starts
// in: it was one choice of the model, and writing it ended that step. An end
// token behind the text belongs to the last step.
func (e *Encoder) steps(seq *Sequence, text string, offsets [][2]int) {
	first := len(seq.Tokens)
	if e.OneStep && len(seq.Steps) > 0 {
		return
	}
	seq.Steps = append(seq.Steps, first)
	if e.OneStep || e.Split == nil {
		return
	}
	for _, end := range e.Split(text) {
		next, _ := slices.BinarySearchFunc(offsets, end, func(o [2]int, end int) int { return o[0] - end })
		if end < len(text) && next < len(offsets) && first+next > seq.Steps[len(seq.Steps)-1] {
			seq.Steps = append(seq.Steps, first+next)
		}
	}
}

func (s *Sequence) append(ids []int, action bool) {
	for _, id := range ids {
		s.Tokens = append(s.Tokens, int32(id))
		s.Action = append(s.Action, action)
	}
}

// fit applies the length limit to the sequences of one record, which stay or go
// together, and counts them.
func (e *Encoder) fit(group []Sequence, stats *Stats) ([]Sequence, error) {
	longest := 0
	for i := range group {
		longest = max(longest, len(group[i].Tokens))
	}
	stats.Longest = max(stats.Longest, longest)
	if e.MaxLen > 0 && longest > e.MaxLen {
		switch e.Overlong {
		case Drop:
			stats.Dropped++
			return nil, nil
		case Truncate:
		default:
			return nil, fmt.Errorf("%d tokens, over the limit of %d: raise it, or choose to drop or to truncate such records", longest, e.MaxLen)
		}
		for i := range group {
			if group[i].cut(e.MaxLen); len(group[i].Tokens) == 0 {
				stats.NoAction++
				return nil, nil
			}
		}
		stats.Truncated++
	}
	for i := range group {
		stats.count(&group[i])
	}
	return group, nil
}

func (s *Stats) count(seq *Sequence) {
	s.Sequences++
	s.Tokens += len(seq.Tokens)
	s.Steps += len(seq.Steps)
	s.ActionTokens += seq.Actions()
}

// cut keeps the first n tokens, up to the last action among them.
func (s *Sequence) cut(n int) {
	n = min(n, len(s.Tokens))
	for n > 0 && !s.Action[n-1] {
		n--
	}
	s.Tokens, s.Action = s.Tokens[:n:n], s.Action[:n:n]
	s.Steps = slices.DeleteFunc(s.Steps, func(i int) bool { return i >= n })
}

// Actions counts the action tokens, which is also the number of states.
func (s *Sequence) Actions() int {
	n := 0
	for _, a := range s.Action {
		if a {
			n++
		}
	}
	return n
}
