// Package traj holds the record that all commands exchange: one sampled
// trajectory with its reward, a line of JSONL.
package traj

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// Record is a trajectory: either Prompt and Response, plain text as the model
// saw and wrote it (chat markup included, end token not), or Conversations.
type Record struct {
	ID            string         `json:"id,omitempty"`
	Prompt        string         `json:"prompt,omitempty"`
	Response      string         `json:"response,omitempty"`
	Conversations []chat.Message `json:"conversations,omitempty"`
	Reward        *float64       `json:"reward,omitempty"`    // nil in demonstrations; the paper's rewards are 0 and 1
	Truncated     bool           `json:"truncated,omitempty"` // cut by a length limit: no end token follows
	Question      string         `json:"question,omitempty"`  // the problem without markup
	Answer        string         `json:"answer,omitempty"`    // the gold answer that graded it
	Dataset       string         `json:"dataset,omitempty"`
}

// Check tells what makes a record unusable for training. Methods that learn
// from rewards ask for needReward.
func (r *Record) Check(needReward bool) error {
	switch {
	case len(r.Conversations) > 0 && (r.Prompt != "" || r.Response != ""):
		return errors.New("has both conversations and prompt/response; keep one")
	case len(r.Conversations) == 0 && r.Prompt == "":
		return errors.New(`field "prompt" is missing or empty`)
	case len(r.Conversations) == 0 && r.Response == "":
		return errors.New(`field "response" is missing or empty`)
	case needReward && r.Reward == nil:
		return errors.New(`field "reward" is missing: this method learns from rewards`)
	case r.Reward != nil && (math.IsNaN(*r.Reward) || math.IsInf(*r.Reward, 0)):
		return fmt.Errorf(`field "reward" is %v`, *r.Reward)
	}
	return nil
}

// Read yields the records of a JSONL file, each checked; errors name the file
// and the record's place in it.
func Read(path string, needReward bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n := 0
		for r, err := range jsonl.Read[Record](path) {
			n++
			if err == nil {
				if bad := r.Check(needReward); bad != nil {
					err = fmt.Errorf("%s: record %d: %w", path, n, bad)
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
