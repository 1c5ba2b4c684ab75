package data

import (
	"fmt"

	"github.com/oreo-go/oreo/math/step"
)

// SetSteps chooses by name what a step of a trajectory is; it sets Split and
// OneStep.
//
//	newline   a line of a response or of an assistant turn
//	period    a line or sentence, as math/step defines it
//	turn      a response, an assistant turn
//	response  all actions of the trajectory together
//
// The state of a step is at the token before its first one.
func (e *Encoder) SetSteps(name string) error {
	e.Split, e.OneStep = nil, false
	switch name {
	case "turn":
		return nil
	case "response":
		e.OneStep = true
		return nil
	}
	mode, err := step.ParseMode(name)
	if err != nil {
		return fmt.Errorf("steps %q: want newline, period, turn or response", name)
	}
	e.Split = func(text string) []int { return step.Split(text, mode) }
	return nil
}
