// Package traj holds the records that all commands exchange, a line of JSONL
// each: a sampled trajectory with its reward or label, and a preference between
// two trajectories.
package traj

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/oreo-go/oreo/runtime/chat"
)

// Record is a trajectory: either Prompt and Response, plain text as the model
// saw and wrote it (chat markup included, end token not), or Conversations.
type Record struct {
	ID            string         `json:"id,omitempty"`
	Prompt        string         `json:"prompt,omitempty"`
	Response      string         `json:"response,omitempty"`
	Conversations []chat.Message `json:"conversations,omitempty"`
	Reward        *float64       `json:"reward,omitempty"`    // nil in demonstrations; the paper's rewards are 0 and 1
	Label         *bool          `json:"label,omitempty"`     // desirable or not: what KTO learns from in place of a reward
	Truncated     bool           `json:"truncated,omitempty"` // cut by a length limit: no end token follows
	Question      string         `json:"question,omitempty"`  // the problem without markup
	Answer        string         `json:"answer,omitempty"`    // the gold answer that graded it
	Dataset       string         `json:"dataset,omitempty"`
	Game          string         `json:"game,omitempty"`  // the task of an agent's episode
	Error         string         `json:"error,omitempty"` // why an episode was not played to its end; nobody learns from such a one
}

// Check tells what makes a record unusable for training. Methods that learn
// from rewards ask for needReward.
func (r *Record) Check(needReward bool) error {
	switch {
	case len(r.Conversations) > 0 && (r.Prompt != "" || r.Response != ""):
		return errors.New("has both conversations and prompt/response; keep one")
	case len(r.Conversations) == 0 && r.Prompt == "":
		return errors.New(`field "prompt" is missing or empty; a record has "prompt" and "response", or "conversations"`)
	case len(r.Conversations) == 0 && r.Response == "":
		return errors.New(`field "response" is missing or empty; a record has "prompt" and "response", or "conversations"`)
	case needReward && r.Reward == nil:
		return errors.New(`field "reward" is missing or null: this method learns from rewards, 1 for right and 0 for wrong`)
	case r.Reward != nil && (math.IsNaN(*r.Reward) || math.IsInf(*r.Reward, 0)):
		return fmt.Errorf(`field "reward" is %v`, *r.Reward)
	}
	return checkMessages("conversations", r.Conversations)
}

// checkMessages finds messages of another layout, which decode to nothing.
func checkMessages(field string, msgs []chat.Message) error {
	for i, m := range msgs {
		if m.Role == "" {
			return fmt.Errorf(`field %q: message %d has no role; a message is {"role": "user" or "assistant" or …, "content": …}`, field, i+1)
		}
	}
	return nil
}

// Desirable is the record's label: as given, or whether its reward is above 1/2.
func (r *Record) Desirable() (bool, error) {
	switch {
	case r.Label == nil && r.Reward == nil:
		return false, errors.New(`fields "label" and "reward" are missing: this method learns from one of them`)
	case r.Label != nil && r.Reward != nil && *r.Label != (*r.Reward > 0.5):
		return false, fmt.Errorf(`field "label" is %v, but field "reward" is %v; keep one`, *r.Label, *r.Reward)
	case r.Label != nil:
		return *r.Label, nil
	}
	return *r.Reward > 0.5, nil
}

// Read yields the records of a JSONL file, each checked; errors name the file
// and the record's place in it.
func Read(path string, needReward bool) iter.Seq2[Record, error] {
	return read(path, func(r *Record) error { return r.Check(needReward) }, func(r *Record) bool { return len(r.Conversations) > 0 })
}
