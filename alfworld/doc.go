// Package alfworld plays the household text games of ALFWorld: byte for byte
// what Python TextWorld prints, without its planner, and some hundred thousand
// steps a second.
//
// A game file holds three texts: a PDDL domain and problem, which say what can
// be done, and a twl2 grammar, which says how it reads. All of it is
// interpreted from the file, so every text edition works. [Load] reads a file,
// [Specs] a tree or a compact collection of them; a [Game] is shared, an [Env]
// is one play of it:
//
//	game, err := alfworld.Load("game.tw-pddl")
//	env := game.NewEnv()
//	obs, err := env.Reset()
//	for !env.Won() {
//		obs, err = env.Step(choose(obs, env.Admissible()))
//	}
//
// Two engines stand behind Env: an interpreter that works on the parsed texts
// as they are (see Game.Interpret) and a compiled path that does the same two
// orders of magnitude faster: every fact is a bit, and what can be done at some
// place is worked out when a play first gets there. Games with the same domain
// and grammar share what those are compiled to; the few used last are kept.
// Tests compare the two engines step by step, and both with recordings of the
// Python engine.
//
// Subpackages: pddl and grammar read the two languages, expert solves games,
// worldgen makes new ones, react is the agent's side: protocols, actors,
// rollouts and their evaluation.
package alfworld
