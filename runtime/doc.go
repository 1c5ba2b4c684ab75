// Package runtime is what programs embed: it opens the folders that oreo-export
// makes and generates with a policy, scores with a critic, and searches with
// both. It needs one shared library, onnxruntime, loaded at run time; neither
// Python nor libtorch.
//
//	policy, err := oreo.OpenPolicy("out/policy", oreo.Options{})
//	critic, err := oreo.OpenValue("out/critic", oreo.Options{})
//	result, err := oreo.Search(ctx, policy, critic, oreo.Text("1+1=?\n"), oreo.SearchConfig{Width: 3})
//
// OpenPair opens both where they share their weights (oreo-export policy --critic).
//
// Policy.Generate streams an answer, Policy.Sample draws several, Value.Score
// values a text, Search finds an answer, ChooseAction an agent's next action, and
// a Dialogue the actions of an episode. Policy.Choices, Regexp and JSONSchema make
// grammars that restrict what is written.
//
// Work ends when its context does, between two passes of the model: Sample, Search
// and ChooseAction then return what they have, with the context's error. Errors
// that a program may want to tell apart are the Err values, for errors.Is; why a
// search ended is its Reason.
//
// Everything is safe for concurrent use, and concurrent calls share the models'
// batches. Nothing is written to the terminal. Results depend on the seed and
// the question's index, not on what else runs (up to the rounding of the
// library's kernels, which may take another path in a batch of another size).
package runtime
