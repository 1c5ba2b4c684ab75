package react

import (
	"fmt"
	"regexp"
	"strings"
)

// Protocol lays a game out as a conversation. Both kinds start with the
// instruction and an "OK"; then, in ETO's, comes an example; then the task.
type Protocol struct {
	// Name is "oreo" or "eto".
	Name string
	// Instruction is the first message.
	Instruction string
	// Example holds the messages of a solved game; only ETO's protocol shows
	// one.
	Example []Message
	// MaxTurns is how many replies an episode has at most: 40 in both.
	MaxTurns int
	// Stop holds texts that end a reply.
	Stop []string
}

// DefaultInstruction says what the game is and how to answer, in words of our
// own. Evaluations that are compared with published ones load the published
// instruction instead.
const DefaultInstruction = `You act in a household to carry out a task. First you are told what the room looks like and what to do; after each of your actions you are told what happens.
In every turn think about where things stand and what to do next, then name one action, like this:

Thought: <what you think>
Action: <what you do>

These are the actions:
1. go to {recep}
2. take {obj} from {recep}
3. put {obj} in/on {recep}
4. open {recep}
5. close {recep}
6. use {obj}
7. clean {obj} with {recep}
8. heat {obj} with {recep}
9. cool {obj} with {recep}
Here {obj} and {recep} stand for an object and a receptacle with its number, such as mug 1 or shelf 3. The answer "Nothing happens." means that the action was not possible: try another one.`

// OREO is the protocol of the paper's evaluation: a reply without "Action: "
// is invalid and ends the episode.
func OREO() Protocol {
	return Protocol{Name: "oreo", Instruction: DefaultInstruction, MaxTurns: 40}
}

// ETO is the protocol of ETO's evaluation: an example is shown, and a reply
// without an action costs a turn and is answered with an error. Example is
// what it is given.
func ETO(example []Message) Protocol {
	return Protocol{
		Name: "eto", Instruction: DefaultInstruction, Example: example, MaxTurns: 40,
		Stop: []string{"\nObservation:", "\nTask:", "\n---"},
	}
}

// ProtocolNamed finds a protocol.
func ProtocolNamed(name string) (Protocol, error) {
	switch name {
	case "oreo":
		return OREO(), nil
	case "eto":
		return ETO(nil), nil
	}
	return Protocol{}, fmt.Errorf("protocol %q: want oreo or eto", name)
}

// WithSlip writes "task" for "take" in the second action of the instruction, as
// the paper's code does. Models trained with it may expect it.
func (p Protocol) WithSlip() Protocol {
	p.Instruction = strings.Replace(p.Instruction, "2. take {obj} from {recep}", "2. task {obj} from {recep}", 1)
	return p
}

const (
	welcome = "-= Welcome to TextWorld, ALFRED! =-\n\n"
	// missingAction is ETO's answer, to the letter.
	missingAction = "Observation: Error Input. Your input must contains 'Action: '"
)

var (
	arrival   = regexp.MustCompile(`^You arrive at loc \d+\. `)
	etoAction = regexp.MustCompile(`(?s)Action:\s?(.*)`)
)

// start lays out the messages before the first reply.
func (p Protocol) start(obs string) []Message {
	messages := []Message{{User, p.Instruction}, {Assistant, "OK"}}
	if p.Name == "eto" {
		messages = append(messages, p.Example...)
	}
	return append(messages, Message{User, p.task(obs)})
}

// task is the first observation without the greeting. The paper keeps the blank
// line before the task, ETO does not.
func (p Protocol) task(obs string) string {
	if p.Name == "eto" {
		_, rest, found := strings.Cut(obs, "\n\n")
		if !found {
			return ""
		}
		return strings.ReplaceAll(rest, "\n\n", "\n")
	}
	return strings.TrimPrefix(obs, welcome)
}

// action reads the command out of a reply.
func (p Protocol) action(reply string) (string, bool) {
	if p.Name == "eto" {
		if m := etoAction.FindStringSubmatch(reply); m != nil {
			return m[1], true
		}
		return "", false
	}
	parts := strings.Split(reply, "Action: ")
	if len(parts) < 2 {
		return "", false
	}
	return parts[1], true
}

// endsOnMissing reports whether a reply without an action ends the episode.
func (p Protocol) endsOnMissing() bool { return p.Name != "eto" }

// observation is the user's message after an action.
func (p Protocol) observation(obs string) string {
	return "Observation: " + arrival.ReplaceAllString(obs, "")
}

// Validate names what is wrong.
func (p Protocol) Validate() error {
	switch {
	case p.Name != "oreo" && p.Name != "eto":
		return fmt.Errorf("protocol %q: want oreo or eto", p.Name)
	case p.MaxTurns < 1:
		return fmt.Errorf("protocol %s: %d turns: want at least 1", p.Name, p.MaxTurns)
	case p.Instruction == "":
		return fmt.Errorf("protocol %s: the instruction is empty", p.Name)
	}
	return nil
}
