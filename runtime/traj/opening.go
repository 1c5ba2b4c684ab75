package traj

import "github.com/oreo-go/oreo/runtime/chat"

// Opening is what all conversations of a data set begin with, such as an agent's
// instruction and the "OK" to it: assistant turns in it were given, not chosen,
// and the task comes after them. The zero value has seen none.
type Opening struct {
	shared []chat.Message
	seen   bool
	turns  int // assistant turns of the shortest conversation
}

// Add takes one more conversation into account.
func (o *Opening) Add(msgs []chat.Message) {
	turns := 0
	for _, m := range msgs {
		if m.Role == assistant {
			turns++
		}
	}
	if !o.seen {
		o.shared, o.turns, o.seen = msgs, turns, true
		return
	}
	n := 0
	for n < min(len(o.shared), len(msgs)) && o.shared[n] == msgs[n] {
		n++
	}
	o.shared, o.turns = o.shared[:n], min(o.turns, turns)
}

// Turns counts the assistant turns of the opening; every conversation has one
// more at least.
func (o *Opening) Turns() int {
	n := 0
	for _, m := range o.shared {
		if m.Role == assistant {
			n++
		}
	}
	return max(0, min(n, o.turns-1))
}

// Before returns the messages before assistant turn n, counted from 0; all of
// them if there is none.
func Before(msgs []chat.Message, n int) []chat.Message {
	for i, m := range msgs {
		if m.Role == assistant {
			if n == 0 {
				return msgs[:i]
			}
			n--
		}
	}
	return msgs
}

const assistant = "assistant"
