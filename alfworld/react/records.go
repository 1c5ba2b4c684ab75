package react

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// Record is a conversation to learn from.
type Record struct {
	ID            string    `json:"id,omitempty"`
	Game          string    `json:"game,omitempty"`
	Conversations []Message `json:"conversations"`
	Reward        *float64  `json:"reward,omitempty"`
}

// foreign is a conversation as others write it: ETO's annotated trajectories
// name a game_file and role/content, ShareGPT's from/value.
type foreign struct {
	ID            json.RawMessage `json:"id"`
	Game          string          `json:"game"`
	GameFile      string          `json:"game_file"`
	Reward        *float64        `json:"reward"`
	Conversations []struct {
		Role    string  `json:"role"`
		From    string  `json:"from"`
		Content *string `json:"content"`
		Value   *string `json:"value"`
	} `json:"conversations"`
}

var roles = map[string]string{"user": User, "human": User, "assistant": Assistant, "gpt": Assistant, "system": "system"}

// ReadConversations yields the conversations of a file: JSON lines, or one JSON
// array as ETO publishes them. Errors name the record and the message.
func ReadConversations(path string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n := 0
		for f, err := range foreignRecords(path) {
			n++
			var r Record
			if err == nil {
				if r, err = f.record(); err != nil {
					err = fmt.Errorf("%s: record %d: %w", path, n, err)
				}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func foreignRecords(path string) iter.Seq2[foreign, error] {
	if !strings.HasSuffix(path, ".json") {
		return jsonl.Read[foreign](path)
	}
	return func(yield func(foreign, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(foreign{}, err)
			return
		}
		defer f.Close()
		d := json.NewDecoder(f)
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			yield(foreign{}, fmt.Errorf("%s: want a JSON array of conversations (JSON lines are named .jsonl)", path))
			return
		}
		for d.More() {
			var r foreign
			if err := d.Decode(&r); err != nil {
				yield(r, fmt.Errorf("%s: %w", path, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (f *foreign) record() (Record, error) {
	r := Record{ID: strings.Trim(string(f.ID), `"`), Game: f.Game, Reward: f.Reward}
	if f.GameFile != "" {
		r.Game = f.GameFile
	}
	if len(f.Conversations) == 0 {
		return r, fmt.Errorf(`field "conversations" is missing or empty`)
	}
	for i, m := range f.Conversations {
		name, text := m.Role, m.Content
		if name == "" {
			name = m.From
		}
		if text == nil {
			text = m.Value
		}
		role, known := roles[name]
		if !known {
			return r, fmt.Errorf("message %d: role %q: want user or assistant (human, gpt)", i+1, name)
		}
		if text == nil {
			return r, fmt.Errorf("message %d: no content", i+1)
		}
		r.Conversations = append(r.Conversations, Message{role, *text})
	}
	return r, nil
}
