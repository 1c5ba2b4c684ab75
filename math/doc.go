// Package math groups what OREO needs to know about mathematical problems: the
// data sets, the prompts, how a solution splits into reasoning steps, how an
// answer is graded, and how graded samples become training sets.
//
// Nothing here knows a model: text goes in, text and verdicts come out. The
// packages build without cgo.
//
//	dataset  GSM8K, MATH and MATH500 readers
//	prompt   prompt forms with their stop strings and answer markers
//	step     reasoning steps as byte offsets into a response
//	grade    answer extraction and equivalence
//	data     training sets from graded samples
//	wordgen  a generator of multi-step arithmetic word problems
package math
