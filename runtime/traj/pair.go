package traj

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// Pair is a preference: two trajectories of one task, of which the first is the
// better one. Three layouts are read: Prompt, Chosen and Rejected as plain text;
// Chosen and Rejected as whole conversations; and these with the messages that
// both begin with in Prompt.
type Pair struct {
	ID                string `json:"id,omitempty"`
	Prompt            Text   `json:"prompt,omitzero"`
	Chosen            Text   `json:"chosen"`
	Rejected          Text   `json:"rejected"`
	ChosenTruncated   bool   `json:"chosen_truncated,omitempty"` // as Record.Truncated
	RejectedTruncated bool   `json:"rejected_truncated,omitempty"`
}

// Text is plain text or, where Messages is not empty, a conversation.
type Text struct {
	Plain    string
	Messages []chat.Message
	wrong    string // what was read in place of both, for Check, which knows the field
}

// Equal tells whether both say the same.
func (t Text) Equal(other Text) bool {
	return t.Plain == other.Plain && slices.Equal(t.Messages, other.Messages)
}

// IsZero tells whether there is neither text nor message.
func (t Text) IsZero() bool { return t.Plain == "" && len(t.Messages) == 0 }

// MarshalJSON writes a string or a list of messages.
func (t Text) MarshalJSON() ([]byte, error) {
	if len(t.Messages) > 0 {
		return json.Marshal(t.Messages)
	}
	return json.Marshal(t.Plain)
}

// UnmarshalJSON reads a string or a list of messages; null is empty.
func (t *Text) UnmarshalJSON(raw []byte) error {
	*t = Text{}
	ok := false
	switch raw[0] {
	case '"':
		ok = json.Unmarshal(raw, &t.Plain) == nil
	case '[':
		ok = json.Unmarshal(raw, &t.Messages) == nil
	case 'n':
		ok = true
	}
	if !ok {
		t.wrong = fmt.Sprintf("%.40s", raw)
	}
	return nil
}

// Check tells what makes a pair unusable.
func (p *Pair) Check() error {
	for _, side := range []struct {
		name string
		text Text
	}{{"prompt", p.Prompt}, {"chosen", p.Chosen}, {"rejected", p.Rejected}} {
		if side.text.wrong != "" {
			return fmt.Errorf("field %q: want a string or a list of messages, have %s", side.name, side.text.wrong)
		}
		if err := checkMessages(side.name, side.text.Messages); err != nil {
			return err
		}
		if side.text.IsZero() && side.name != "prompt" {
			return fmt.Errorf("field %q is missing or empty: a pair has a better trajectory, \"chosen\", and a worse one, \"rejected\"", side.name)
		}
	}
	chats := len(p.Chosen.Messages) > 0
	switch {
	case chats != (len(p.Rejected.Messages) > 0):
		return errors.New(`of "chosen" and "rejected" one is text and one a list of messages; write both in one form`)
	case chats && p.Prompt.Plain != "":
		return errors.New(`field "prompt" is text, but "chosen" a list of messages; write the prompt as messages too`)
	case !chats && len(p.Prompt.Messages) > 0:
		return errors.New(`field "prompt" is a list of messages, but "chosen" is text; write the answers as messages too`)
	case !chats && p.Prompt.Plain == "":
		return errors.New(`field "prompt" is missing or empty`)
	}
	if chats {
		chosen, rejected := p.Records()
		if !slices.Equal(Before(chosen.Conversations, 0), Before(rejected.Conversations, 0)) {
			return errors.New(`"chosen" and "rejected" differ before the first assistant turn: they belong to different tasks`)
		}
	}
	return nil
}

// Same tells whether there is nothing to prefer: both sides say the same.
func (p *Pair) Same() bool { return p.Chosen.Equal(p.Rejected) }

// Records returns both sides as trajectories, with the rewards 1 and 0.
func (p *Pair) Records() (chosen, rejected Record) {
	side := func(t Text, truncated bool, reward float64) Record {
		r := Record{ID: p.ID, Reward: &reward, Truncated: truncated}
		if len(t.Messages) > 0 {
			r.Conversations = slices.Concat(p.Prompt.Messages, t.Messages)
		} else {
			r.Prompt, r.Response = p.Prompt.Plain, t.Plain
		}
		return r
	}
	return side(p.Chosen, p.ChosenTruncated, 1), side(p.Rejected, p.RejectedTruncated, 0)
}

// Form is what a record teaches.
type Form string

// The forms of records.
const (
	Trajectories Form = "trajectories" // responses, with rewards or without
	Pairs        Form = "pairs"        // chosen and rejected
	Labels       Form = "labels"       // responses with a label
)

// FormOf looks at the first record of a JSONL file.
func FormOf(path string) (Form, error) {
	type fields struct {
		Chosen, Rejected, Label json.RawMessage
	}
	for f, err := range jsonl.Read[fields](path) {
		switch {
		case err != nil:
			return "", err
		case f.Chosen != nil || f.Rejected != nil:
			return Pairs, nil
		case f.Label != nil:
			return Labels, nil
		}
		break
	}
	return Trajectories, nil
}

// ReadPairs yields the pairs of a JSONL file, each checked; errors name the file
// and the record's place in it.
func ReadPairs(path string) iter.Seq2[Pair, error] {
	return read(path, (*Pair).Check, func(p *Pair) bool { return len(p.Chosen.Messages) > 0 })
}

// read yields records that pass check and are all of one form, chat or plain.
func read[T any](path string, check func(*T) error, isChat func(*T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n, chats := 0, false
		for r, err := range jsonl.Read[T](path) {
			n++
			if err == nil {
				if bad := check(&r); bad != nil {
					err = fmt.Errorf("%s: record %d: %w", path, n, bad)
				} else if n == 1 {
					chats = isChat(&r)
				} else if isChat(&r) != chats {
					form := map[bool]string{true: "conversations", false: "plain text"}
					err = fmt.Errorf("%s: record %d is %s, the records before it are %s; put them into two files", path, n, form[!chats], form[chats])
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
