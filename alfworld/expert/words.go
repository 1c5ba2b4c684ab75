package expert

import (
	"cmp"
	"slices"
	"strings"
)

// moment is a situation that calls for a thought.
type moment int

const (
	sayStart moment = iota
	saySearch
	sayNext
	sayBack
	sayOpen
	sayTake
	sayTool
	sayTreat
	sayCarry
	sayPut
	sayPutLast
	sayLamp
	sayUse
	sayDrop
	sayCheck
)

// thoughts in several wordings. {x} is the thing at hand, {y} the place or tool,
// {z} the verb or the place it comes from, {task} the task as a whole.
var thoughts = map[moment][]string{
	sayStart: {
		"{task} First I have to find {a x}. I will look at {y}.",
		"{task} To begin with, where is {a x}? {y} is a good place to start.",
		"{task} That needs {a x}, so I begin my search at {y}.",
		"{task} I start by looking for {a x}, at {y}.",
	},
	saySearch: {
		"I need {a x}. I will try {y}.",
		"Now for {a x}: {y} may have one.",
		"Next I have to find {a x}, perhaps at {y}.",
	},
	sayNext: {
		"No {x} so far. I will check {y} next.",
		"I have not found {a x} yet, so on to {y}.",
		"There is no {x} here. {y} comes next.",
		"Still looking for {a x}. Let me see what {y} has.",
	},
	sayBack: {
		"I remember seeing {x} at {y}, so I go back there.",
		"There was {x} at {y}. I return to it.",
		"I already know where {x} is: at {y}.",
	},
	sayOpen: {
		"{x} is closed, I have to open it.",
		"I cannot see inside {x} until I open it.",
		"{x} is shut, so I open it.",
	},
	sayTake: {
		"Here is {x}. I take it from {z}.",
		"I see {x}, just what I need. I pick it up.",
		"{x} is here, so I take it.",
	},
	sayTool: {
		"I have {x} and must {z} it, for which I need {y}.",
		"To {z} {x} I go to {y}.",
		"With {x} in my hand I go to {y} to {z} it.",
	},
	sayTreat: {
		"I am at {y} and can {z} {x} now.",
		"Now I {z} {x} with {y}.",
		"{y} is here, so I {z} {x}.",
	},
	sayCarry: {
		"Now I bring {x} to {y}.",
		"{x} belongs at {y}, so I go there.",
		"Next I carry {x} to {y}.",
	},
	sayPut: {
		"I put {x} down at {y}; one more is needed.",
		"{y} gets {x}, then I look for another one.",
		"This is the first of two: {x} goes to {y}.",
	},
	sayPutLast: {
		"All that is left is to put {x} at {y}.",
		"I place {x} at {y}, which finishes the task.",
		"Putting {x} at {y} completes what I was asked to do.",
	},
	sayLamp: {
		"I hold {x} and need light: {y} is the lamp to use.",
		"Now I take {x} to {y}.",
		"With {x} in my hand I go where {y} is.",
	},
	sayUse: {
		"I turn on {y} to look at {x}.",
		"{y} is within reach, so I switch it on and see {x} in its light.",
		"Switching on {y} lets me examine {x}.",
	},
	sayDrop: {
		"I do not need {x}. I leave it at {y}.",
		"My hands must be free, so {x} goes to {y}.",
	},
	sayCheck: {
		"I check {y} once more.",
		"First I make sure of {y}.",
		"Before I go on I look at {y} again.",
	},
}

// say words a thought.
func (p *planner) say(m moment, z, x, y string) string {
	options := thoughts[m]
	s := options[p.words.IntN(len(options))]
	if p.cfg.Brief {
		s = slices.MinFunc(options, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	}
	s = strings.NewReplacer("{task}", p.taskWords(), "{a x}", article(x), "{x}", named(x), "{y}", named(y), "{z}", named(z)).Replace(s)
	sentences := strings.Split(s, ". ")
	for i, one := range sentences {
		sentences[i] = strings.ToUpper(one[:1]) + one[1:]
	}
	return strings.Join(sentences, ". ")
}

// named puts "the" before the name of a thing, which ends in a number.
func named(s string) string {
	if s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		return "the " + s
	}
	return s
}

func (p *planner) taskWords() string {
	o, r := p.task.Object, article(p.task.Receptacle)
	switch p.task.Type {
	case "look_at_obj_in_light":
		return "I have to hold " + article(o) + " and switch on " + article(p.task.Lamp) + "."
	case "pick_clean_then_place_in_recep":
		return "I have to clean " + article(o) + " and put it in or on " + r + "."
	case "pick_heat_then_place_in_recep":
		return "I have to heat " + article(o) + " and put it in or on " + r + "."
	case "pick_cool_then_place_in_recep":
		return "I have to cool " + article(o) + " and put it in or on " + r + "."
	case "pick_two_obj_and_place":
		return "I have to put two of the kind " + o + " in or on the same " + p.task.Receptacle + "."
	}
	return "I have to put " + article(o) + " in or on " + r + "."
}
