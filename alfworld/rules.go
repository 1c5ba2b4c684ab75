package alfworld

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oreo-go/oreo/alfworld/grammar"
	"github.com/oreo-go/oreo/alfworld/pddl"
)

// rules is what games with the same domain and the same grammar share, the task
// sentence aside. It never changes.
type rules struct {
	source  source
	domain  *pddl.Domain
	grammar *grammar.Grammar
	verbs   []*grammar.Action // by action

	schemas []schema
	kids    [][]int32          // subtypes, by type
	order   []int32            // types, each before its subtypes
	at      []int32            // by type: its place in order
	last    []int32            // by type: the place after its last subtype
	match   map[string][][]int // by typesOf a pattern: what its arguments may be

	texts    *texts // nil when declined says why
	declined error
}

// source is what rules are made from.
type source struct {
	domain     string
	head, tail string // of the grammar, around the task sentence
	hasTask    bool
}

// taskSymbol stands for the task sentence in a grammar that games share.
const taskSymbol = "/task/ (of the game)"

const taskWords = "Your task is to: "

// splitTask cuts the task sentence out of the text of a grammar. ok is false
// where it is not plain text, so that other sentences could not take its place.
func splitTask(text string) (head, goal, tail string, ok bool) {
	at := strings.Index(text, taskWords)
	if at < 0 {
		return text, "", "", false
	}
	at += len(taskWords)
	end := strings.IndexByte(text[at:], '"')
	if end < 0 {
		return text, "", "", false
	}
	goal = text[at : at+end]
	for i := range len(goal) {
		if c := goal[i]; c < ' ' || strings.IndexByte(`;|"<>[]#{}\`, c) >= 0 {
			return text, goal, "", false
		}
	}
	return text[:at], goal, text[at+end:], utf8.ValidString(goal)
}

// shelf keeps the rules used last: the games of a collection share one.
var shelf struct {
	sync.Mutex
	recent []*rules // the latest first
}

const (
	maxShelf = 8
	maxKept  = 256 << 10 // bytes of text that are kept on the shelf
)

// findRules parses domain and grammar unless some recent game had the same.
func findRules(domain, text string) (*rules, error) {
	head, _, tail, ok := splitTask(text)
	if !ok {
		head, tail = text, ""
	}
	src := source{domain, head, tail, ok}
	if r := src.onShelf(); r != nil {
		return r, nil
	}
	r, err := newRules(src)
	if ok && (err != nil || r.tasks() != 1) {
		src = source{domain, text, "", false}
		if r := src.onShelf(); r != nil {
			return r, nil
		}
		r, err = newRules(src)
	}
	if err != nil {
		return nil, err
	}
	if len(domain)+len(text) <= maxKept {
		r.source = source{strings.Clone(src.domain), strings.Clone(src.head), strings.Clone(src.tail), src.hasTask}
		shelf.Lock()
		defer shelf.Unlock()
		kept := shelf.recent[:min(len(shelf.recent), maxShelf-1)]
		shelf.recent = append([]*rules{r}, kept...)
	}
	return r, nil
}

func (s source) onShelf() *rules {
	shelf.Lock()
	defer shelf.Unlock()
	for i, r := range shelf.recent {
		if r.source == s {
			copy(shelf.recent[1:i+1], shelf.recent[:i])
			shelf.recent[0] = r
			return r
		}
	}
	return nil
}

func newRules(src source) (*rules, error) {
	d, err := pddl.ParseDomain(src.domain)
	if err != nil {
		return nil, err
	}
	text := src.head
	if src.hasTask {
		text += "#" + taskSymbol + "#" + src.tail
	}
	g, err := grammar.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("grammar: %w", err)
	}
	r := &rules{source: source{hasTask: src.hasTask}, domain: d, grammar: g}
	for _, a := range d.Actions {
		verb, known := g.Actions[a.Name]
		if !known {
			return nil, fmt.Errorf("grammar: action %q of pddl_domain has no template and feedback", a.Name)
		}
		r.verbs = append(r.verbs, &verb)
	}
	r.sortTypes()
	r.readSchemas()
	if err := r.readPatterns(); err != nil {
		return nil, err
	}
	if r.texts, r.declined = compileTexts(r, d.Predicates); r.declined != nil && !errors.Is(r.declined, errTooBig) {
		return nil, r.declined
	}
	return r, nil
}

// tasks counts where the task sentence is written.
func (r *rules) tasks() int {
	n := 0
	count := func(t grammar.Text) {
		for i := range t {
			if t[i].Symbol == taskSymbol {
				n++
			}
		}
	}
	for _, a := range r.grammar.Actions {
		count(a.Template)
		count(a.Feedback)
	}
	for _, alternatives := range r.grammar.Rules {
		for i := range alternatives {
			count(alternatives[i].Text)
		}
	}
	return n
}

// sortTypes puts each type before its subtypes, which follow it at once.
func (r *rules) sortTypes() {
	n := len(r.domain.Types)
	kids := make([][]int32, n)
	r.kids = kids
	for i, t := range r.domain.Types {
		if t.Parent >= 0 {
			kids[t.Parent] = append(kids[t.Parent], int32(i))
		}
	}
	r.at, r.last = make([]int32, n), make([]int32, n)
	open := []int32{0}
	for len(open) > 0 {
		t := open[len(open)-1]
		if t < 0 { // done with it
			r.last[^t] = int32(len(r.order))
			open = open[:len(open)-1]
			continue
		}
		r.at[t] = int32(len(r.order))
		r.order = append(r.order, t)
		open[len(open)-1] = ^t
		open = append(open, kids[t]...)
	}
}

// isA reports whether objects of type t are of type want.
func (r *rules) isA(t, want int32) bool { return r.at[t] >= r.at[want] && r.at[t] < r.last[want] }

// schema is a schema with its atoms sorted by what can change.
type schema struct {
	*pddl.Schema
	known  []pddl.Atom // positive preconditions that never change
	barred []pddl.Atom // negative ones
	pos    []pddl.Atom // positive preconditions that change
	neg    []pddl.Atom // negative ones
	slots  int
	simple bool // every effect is unconditional
}

func (r *rules) readSchemas() {
	fluent := func(a pddl.Atom) bool { return r.domain.Predicates[a.Pred].Fluent }
	for i := range r.domain.Schemas {
		s := schema{Schema: &r.domain.Schemas[i], simple: true}
		s.slots = r.domain.FrameSize(s.Schema)
		for _, a := range s.Pos {
			if fluent(a) {
				s.pos = append(s.pos, a)
			} else {
				s.known = append(s.known, a)
			}
		}
		for _, a := range s.Neg {
			if fluent(a) {
				s.neg = append(s.neg, a)
			} else {
				s.barred = append(s.barred, a)
			}
		}
		for _, e := range s.Effects {
			s.simple = s.simple && len(e.Vars) == 0 && e.Unconditional()
		}
		r.schemas = append(r.schemas, s)
	}
}

// maxSignatures bounds what the patterns of a grammar may match, in all.
const maxSignatures = 20_000

// readPatterns finds out what the patterns of the grammar match.
func (r *rules) readPatterns() error {
	r.match = map[string][][]int{}
	total := 0
	query := func(q grammar.Query) {
		for i := range q {
			key := typesOf(&q[i])
			if _, known := r.match[key]; !known && total < maxSignatures {
				r.match[key] = r.findSignatures(&q[i], maxSignatures-total)
				total += len(r.match[key])
			}
		}
	}
	text := func(t grammar.Text) {
		for i := range t {
			if t[i].Each != nil {
				query(*t[i].Each)
			}
		}
	}
	for _, a := range r.verbs {
		text(a.Template)
		text(a.Feedback)
	}
	for _, alternatives := range r.grammar.Rules {
		for i := range alternatives {
			query(alternatives[i].When)
			text(alternatives[i].Text)
		}
	}
	if total >= maxSignatures {
		return fmt.Errorf("grammar: not supported: patterns match more than %d combinations of types", maxSignatures)
	}
	return nil
}

// typesOf names the types of a pattern's arguments.
func typesOf(pat *grammar.Pattern) string {
	var key []byte
	for i := range pat.Args {
		key = append(append(key, pat.Args[i].Type...), ',')
	}
	return string(key)
}

// signatures lists the type signatures a pattern matches: its own first, then
// those with subtypes, breadth first.
func (r *rules) signatures(pat *grammar.Pattern) [][]int { return r.match[typesOf(pat)] }

// findSignatures stops at a limit.
func (r *rules) findSignatures(pat *grammar.Pattern, limit int) [][]int {
	if len(pat.Args) > maxSlots {
		return nil // no predicate has as many
	}
	first := make([]int, len(pat.Args))
	for i, a := range pat.Args {
		if first[i] = r.domain.TypeID(a.Type); first[i] < 0 {
			return nil
		}
	}
	all := [][]int{first}
	seen := map[string]bool{fmt.Sprint(first): true}
	for i := 0; i < len(all); i++ {
		for arg := range first {
			for _, sub := range r.kids[all[i][arg]] {
				next := slices.Clone(all[i])
				next[arg] = int(sub)
				if key := fmt.Sprint(next); !seen[key] {
					seen[key] = true
					if all = append(all, next); len(all) >= limit {
						return all
					}
				}
			}
		}
	}
	return all
}
