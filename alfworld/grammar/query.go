package grammar

import (
	"fmt"
	"strings"
)

// Query is a conjunction of patterns over facts. A placeholder is its name and
// its type. Those that are bound already stay; each other one takes every
// entity of a matching fact that no other placeholder has.
type Query []Pattern

// Pattern is p(x:type, ...). A negative effect of an action leaves a fact
// whose predicate is "not_" and the name.
type Pattern struct {
	Pred string
	Args []Arg
}

// Arg is a placeholder with the type the entity must have.
type Arg struct {
	Var  string
	Type string
}

// ParseQuery reads "p(x:type, y:type) & q(x:type)"; the empty string is the
// empty query, which always matches once.
func ParseQuery(s string) (Query, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var q Query
	for _, piece := range strings.Split(s, "&") {
		p, err := parsePattern(strings.TrimSpace(piece))
		if err != nil {
			return nil, fmt.Errorf("condition %q: %w", s, err)
		}
		q = append(q, p)
	}
	return q, nil
}

func parsePattern(s string) (Pattern, error) {
	name, args, found := strings.Cut(s, "(")
	name = strings.TrimSpace(name)
	if !found || name == "" || !strings.HasSuffix(args, ")") || strings.ContainsAny(name, " \t\n,:)") {
		return Pattern{}, fmt.Errorf("want predicate(x:type, ...), got %q", s)
	}
	p := Pattern{Pred: name}
	args = strings.TrimSpace(strings.TrimSuffix(args, ")"))
	if args == "" {
		return p, nil
	}
	for _, piece := range strings.Split(args, ",") {
		v, typ, typed := strings.Cut(piece, ":")
		a := Arg{Var: strings.TrimSpace(v), Type: strings.TrimSpace(typ)}
		if !typed || !isName(a.Var) || !isName(a.Type) {
			return Pattern{}, fmt.Errorf("%s: want placeholder:type, got %q", name, strings.TrimSpace(piece))
		}
		p.Args = append(p.Args, a)
	}
	return p, nil
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isWord(s[i]) && s[i] != '-' && s[i] != '\'' {
			return false
		}
	}
	return s != ""
}
