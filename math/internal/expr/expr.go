// Package expr holds mathematical expressions and decides whether two of them
// are equal, without computer algebra.
//
// An expression made of numbers, symbols and field operations is compared by
// its value in a prime field at pseudo-random points (Schwartz, J. ACM 27(4),
// 1980; Zippel, EUROSAM 1979): two different rational functions of degree d
// agree at a random point of a field of p elements with probability at most
// d/p. Anything with roots, logarithms or trigonometry is compared by its
// complex value at pseudo-random points, each value carried with a bound on
// its rounding error. The points depend on the symbol names only, so a verdict
// is reproducible. The work is bounded by the number of nodes, never by time.
package expr

import (
	"strings"
)

// Kind is the kind of a Node.
type Kind uint8

const (
	Number   Kind = iota // Name is the decimal literal, without sign
	Symbol               // Name
	Infinity             // the real positive infinity
	Pi                   // the number 3.14159...
	E                    // the number 2.71828...
	I                    // the imaginary unit
	Add                  // sum of Args
	Mul                  // product of Args
	Pow                  // Args[0] to the power Args[1]
	Func                 // the known function Name of Args, see numeric.go
	Apply                // the unknown function Name of Args
	Sum                  // sum over Args[1] from Args[2] to Args[3] of Args[0]
	Product              // product likewise
)

// Node is an expression; nodes are not changed once made and may be shared.
type Node struct {
	Kind Kind
	Name string
	Args []*Node
}

// Small numbers that parsers need all the time.
var (
	One      = Num("1")
	Two      = Num("2")
	Ten      = Num("10")
	Half     = Inverse(Two)
	MinusOne = &Node{Kind: Number, Name: "-1"}
)

// Num is the number with the given decimal literal, such as "12" or "0.5".
func Num(literal string) *Node { return &Node{Kind: Number, Name: literal} }

// Sym is the symbol with the given name.
func Sym(name string) *Node { return &Node{Kind: Symbol, Name: name} }

// New is the node of the given kind.
func New(kind Kind, args ...*Node) *Node { return &Node{Kind: kind, Args: args} }

// Call is the known function name of args.
func Call(name string, args ...*Node) *Node { return &Node{Kind: Func, Name: name, Args: args} }

// Neg is -n.
func Neg(n *Node) *Node { return New(Mul, MinusOne, n) }

// Inverse is 1/n.
func Inverse(n *Node) *Node { return New(Pow, n, MinusOne) }

// Sqrt is the square root of n.
func Sqrt(n *Node) *Node { return New(Pow, n, Half) }

// Constant reports whether n has neither symbols nor unknown functions.
func (n *Node) Constant() bool {
	if n.Kind == Symbol || n.Kind == Apply {
		return false
	}
	for _, a := range n.Args {
		if !a.Constant() {
			return false
		}
	}
	return true
}

// HasSymbol reports whether a symbol occurs in n.
func (n *Node) HasSymbol() bool {
	if n.Kind == Symbol {
		return true
	}
	for _, a := range n.Args {
		if a.HasSymbol() {
			return true
		}
	}
	return false
}

// String prints n as an expression with every compound part in brackets.
func (n *Node) String() string {
	var b strings.Builder
	n.print(&b)
	return b.String()
}

func (n *Node) print(b *strings.Builder) {
	switch n.Kind {
	case Number, Symbol:
		b.WriteString(n.Name)
	case Infinity:
		b.WriteString("oo")
	case Pi:
		b.WriteString("pi")
	case E:
		b.WriteString("e")
	case I:
		b.WriteString("i")
	case Add:
		printJoined(b, n.Args, " + ")
	case Mul:
		printJoined(b, n.Args, "*")
	case Pow:
		printJoined(b, n.Args, "^")
	default:
		b.WriteString(map[Kind]string{Sum: "sum", Product: "product"}[n.Kind] + n.Name)
		printJoined(b, n.Args, ", ")
	}
}

func printJoined(b *strings.Builder, args []*Node, sep string) {
	b.WriteByte('(')
	for i, a := range args {
		if i > 0 {
			b.WriteString(sep)
		}
		a.print(b)
	}
	b.WriteByte(')')
}
