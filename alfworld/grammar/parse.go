// Package grammar reads twl2 text grammars: for each action a command template
// and a feedback text, and rules that rewrite symbols depending on facts.
//
//	grammar :: """{ "symbol": [ {"rhs": "text", "condition": "p(x:type)"} ] }""";
//	action NAME { template :: "open {r}"; feedback :: "#symbol#"; grammar :: """..."""; }
//
// All rule blocks of a file form one table; a later block replaces a symbol of
// an earlier one.
package grammar

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Grammar is one parsed file. Rules are parsed too, all of them: a mistake
// shows when the file is loaded.
type Grammar struct {
	Actions map[string]Action // by lower-case name
	Rules   map[string][]Rule
}

// Action is how an action of the domain is asked for and answered.
type Action struct {
	Name     string
	Template Text
	Feedback Text
}

// Rule is one alternative of a symbol: the first whose condition has a match
// is taken. An empty condition always matches.
type Rule struct {
	When Query
	Text Text
}

// Parse reads a grammar. Errors name the line, or the symbol and the rule.
func Parse(text string) (*Grammar, error) {
	s := &scanner{text: text, line: 1}
	g := &Grammar{Actions: map[string]Action{}, Rules: map[string][]Rule{}}
	for {
		word := s.word()
		var err error
		switch word {
		case "":
			if s.skip(); s.pos < len(s.text) {
				return nil, s.errorf("want grammar or action, got %.20q", s.text[s.pos:])
			}
			return g, nil
		case "grammar":
			err = g.readRules(s)
		case "action":
			err = g.readAction(s)
		default:
			err = s.errorf("want grammar or action, got %q", word)
		}
		if err != nil {
			return nil, err
		}
	}
}

// Indefinite is the article of every noun, whatever its first letter.
const Indefinite = "a"

func (g *Grammar) readAction(s *scanner) error {
	a := Action{Name: s.word()}
	if a.Name == "" {
		return s.errorf("an action without a name")
	}
	if err := s.expect("{"); err != nil {
		return err
	}
	for !s.accept("}") {
		key := s.word()
		if key == "grammar" {
			if err := g.readRules(s); err != nil {
				return err
			}
			continue
		}
		if err := s.expect("::"); err != nil {
			return err
		}
		quote := `"`
		if key == "pddl" {
			quote = `"""`
		}
		val, err := s.quoted(quote)
		if err != nil {
			return err
		}
		switch key {
		case "template":
			a.Template, err = ParseText(val)
		case "feedback":
			a.Feedback, err = ParseText(val)
		case "pddl":
		default:
			err = fmt.Errorf("not supported: section %q", key)
		}
		if err != nil {
			return s.errorf("action %s: %s: %v", a.Name, key, err)
		}
		if err := s.expect(";"); err != nil {
			return err
		}
	}
	g.Actions[strings.ToLower(a.Name)] = a
	return nil
}

func (g *Grammar) readRules(s *scanner) error {
	if err := s.expect("::"); err != nil {
		return err
	}
	block, err := s.quoted(`"""`)
	if err != nil {
		return err
	}
	if err := s.expect(";"); err != nil {
		return err
	}
	var raw map[string][]struct {
		Rhs       *string `json:"rhs"`
		Condition string  `json:"condition"`
	}
	if err := json.Unmarshal([]byte(block), &raw); err != nil {
		return s.errorf("rule block: %v", err)
	}
	for symbol, alternatives := range raw {
		rules := make([]Rule, len(alternatives))
		for i, alt := range alternatives {
			if alt.Rhs == nil {
				return s.errorf("symbol %q, rule %d: no rhs", symbol, i+1)
			}
			if rules[i].Text, err = ParseText(*alt.Rhs); err == nil {
				rules[i].When, err = ParseQuery(alt.Condition)
			}
			if err != nil {
				return s.errorf("symbol %q, rule %d: %v", symbol, i+1, err)
			}
		}
		g.Rules[symbol] = rules
	}
	return nil
}

// scanner reads the outer syntax. '#' starts a comment between tokens.
type scanner struct {
	text string
	pos  int
	line int
}

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", s.line, fmt.Sprintf(format, args...))
}

func (s *scanner) advance(n int) {
	s.line += strings.Count(s.text[s.pos:s.pos+n], "\n")
	s.pos += n
}

func (s *scanner) skip() {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == ' ' || c >= '\t' && c <= '\r':
			s.advance(1)
		case c == '#':
			end := strings.IndexByte(s.text[s.pos:], '\n')
			if end < 0 {
				end = len(s.text) - s.pos
			}
			s.advance(end)
		default:
			return
		}
	}
}

func (s *scanner) word() string {
	s.skip()
	from := s.pos
	for s.pos < len(s.text) && (isWord(s.text[s.pos]) || s.text[s.pos] == '/' || s.text[s.pos] == '-') {
		s.pos++
	}
	return s.text[from:s.pos]
}

func (s *scanner) accept(token string) bool {
	s.skip()
	if !strings.HasPrefix(s.text[s.pos:], token) {
		return false
	}
	s.advance(len(token))
	return true
}

func (s *scanner) expect(token string) error {
	if !s.accept(token) {
		return s.errorf("want %q, got %.20q", token, s.text[s.pos:])
	}
	return nil
}

func (s *scanner) quoted(quote string) (string, error) {
	if err := s.expect(quote); err != nil {
		return "", err
	}
	end := strings.Index(s.text[s.pos:], quote)
	if end < 0 {
		return "", s.errorf("the closing %s is missing", quote)
	}
	val := s.text[s.pos : s.pos+end]
	s.advance(end + len(quote))
	return val, nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
