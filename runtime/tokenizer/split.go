package tokenizer

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// splitter cuts a piece into smaller ones (a pre-tokenizer).
type splitter interface {
	split(p piece, yield func(piece))
}

// scanSplitter cuts with a hand-written scanner that covers every character.
type scanSplitter struct{ next scanner }

func (s scanSplitter) split(p piece, yield func(piece)) {
	for i := 0; i < len(p.text); {
		end := s.next(p.text, i)
		yield(p.cut(i, end))
		i = end
	}
}

// prefixSpaceSplitter puts a space before a piece that has none: add_prefix_space of ByteLevel.
type prefixSpaceSplitter struct{}

func (prefixSpaceSplitter) split(p piece, yield func(piece)) {
	if !strings.HasPrefix(p.text, " ") {
		p = p.prepend(" ")
	}
	yield(p)
}

// digitSplitter isolates digits (all of Unicode's N), each alone or in runs.
type digitSplitter struct{ individual bool }

func (d digitSplitter) split(p piece, yield func(piece)) {
	start, inDigits := 0, false
	for i, r := range p.text {
		digit := unicode.IsNumber(r)
		if i > start && (digit != inDigits || digit && d.individual) {
			yield(p.cut(start, i))
			start = i
		}
		inDigits = digit
	}
	if start < len(p.text) {
		yield(p.cut(start, len(p.text)))
	}
}

// metaspaceSplitter writes spaces as mark, puts a mark in front, and cuts before each mark.
type metaspaceSplitter struct {
	mark    string
	prepend string // always, first, never
	cut     bool
}

func (m metaspaceSplitter) split(p piece, yield func(piece)) {
	p = replaceNormalizer{literal(" "), m.mark}.apply(p)
	if !strings.HasPrefix(p.text, m.mark) && (m.prepend == "always" || m.prepend == "first" && p.first) {
		p = p.prepend(m.mark)
	}
	if !m.cut {
		yield(p)
		return
	}
	patternSplitter{literal(m.mark), "MergedWithNext", false}.split(p, yield)
}

// patternSplitter is Split: behavior says where the matches of pattern go.
type patternSplitter struct {
	pattern  matcher
	behavior string
	invert   bool
}

func (s patternSplitter) split(p piece, yield func(piece)) {
	found := s.pattern.find(p.text)
	if s.invert {
		for i := range found {
			found[i].hit = !found[i].hit
		}
	}
	for _, m := range arrange(found, s.behavior) {
		if m.start < m.end {
			yield(p.cut(m.start, m.end))
		}
	}
}

var splitBehaviors = []string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}

// arrange groups matches and gaps into the pieces a behavior asks for. A match joins the gap before (or after) it unless that neighbour
// is itself a match.
func arrange(found []match, behavior string) []match {
	var out []match
	for i, m := range found {
		afterHit := i > 0 && found[i-1].hit
		join := false // with the piece before
		switch behavior {
		case "Removed":
			if m.hit {
				continue
			}
		case "MergedWithPrevious":
			join = m.hit && !afterHit
		case "MergedWithNext":
			join = !m.hit && afterHit
		case "Contiguous":
			join = m.hit == afterHit
		}
		if join && len(out) > 0 {
			out[len(out)-1].end = m.end
		} else {
			out = append(out, m)
		}
	}
	return out
}

// regex matches a pattern that has no scanner. Its engine backtracks, so it works against a clock: text on which the pattern runs away
// stays one piece from the last match on.
type regex struct{ re *regexp2.Regexp }

const regexPatience = 5 * time.Second

func compileRegex(pattern string) (regex, error) {
	re, err := regexp2.Compile(pattern, regexp2.None)
	if err != nil {
		return regex{}, err
	}
	re.MatchTimeout = regexPatience
	return regex{re}, nil
}

func (x regex) find(text string) []match {
	var out []match
	at, atRune := 0, 0 // the engine counts runes
	advance := func(runes int) int {
		i := at
		for ; atRune < runes && i < len(text); atRune++ {
			_, n := utf8.DecodeRuneInString(text[i:])
			i += n
		}
		return i
	}
	begun := time.Now()
	m, err := x.re.FindStringMatch(text)
	for ; m != nil && err == nil && time.Since(begun) < regexPatience; m, err = x.re.FindNextMatch(m) {
		start := advance(m.Index)
		if start > at {
			out = append(out, match{at, start, false})
		}
		at = start
		end := advance(m.Index + m.Length)
		if end > start {
			out = append(out, match{start, end, true})
		}
		at = end
	}
	if at < len(text) {
		out = append(out, match{at, len(text), false})
	}
	return out
}
