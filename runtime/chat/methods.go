package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// stringMethods and dictMethods are the methods of Python's str and dict that read; those that change a value are closed to templates.
var stringMethods = map[string]func(m *machine, s string, a arguments) any{
	"strip":        func(_ *machine, s string, a arguments) any { return strip(s, a.at(0, "chars", nil), true, true) },
	"lstrip":       func(_ *machine, s string, a arguments) any { return strip(s, a.at(0, "chars", nil), true, false) },
	"rstrip":       func(_ *machine, s string, a arguments) any { return strip(s, a.at(0, "chars", nil), false, true) },
	"upper":        func(_ *machine, s string, _ arguments) any { return strings.ToUpper(s) },
	"lower":        func(_ *machine, s string, _ arguments) any { return strings.ToLower(s) },
	"capitalize":   func(_ *machine, s string, _ arguments) any { return capitalize(s) },
	"title":        func(_ *machine, s string, _ arguments) any { return pythonTitle(s) },
	"startswith":   func(_ *machine, s string, a arguments) any { return affix(strings.HasPrefix, s, a) },
	"endswith":     func(_ *machine, s string, a arguments) any { return affix(strings.HasSuffix, s, a) },
	"removeprefix": func(_ *machine, s string, a arguments) any { return strings.TrimPrefix(s, a.str(0, "prefix", "")) },
	"removesuffix": func(_ *machine, s string, a arguments) any { return strings.TrimSuffix(s, a.str(0, "suffix", "")) },
	"replace": func(m *machine, s string, a arguments) any {
		return replace(m, s, a.str(0, "old", ""), a.str(1, "new", ""), a.at(2, "count", nil))
	},
	"split":  func(m *machine, s string, a arguments) any { return split(m, s, a, false) },
	"rsplit": func(m *machine, s string, a arguments) any { return split(m, s, a, true) },
	"splitlines": func(_ *machine, s string, a arguments) any {
		return stringList(splitLines(s, truth(a.at(0, "keepends", false))))
	},
	"join": func(m *machine, s string, a arguments) any {
		return joinText(m, iterate(defined(a.at(0, "iterable", nil))), s)
	},
	"count": func(_ *machine, s string, a arguments) any { return strings.Count(s, a.str(0, "sub", "")) },
	"find":  func(_ *machine, s string, a arguments) any { return place(s, strings.Index(s, a.str(0, "sub", ""))) },
	"rfind": func(_ *machine, s string, a arguments) any {
		return place(s, strings.LastIndex(s, a.str(0, "sub", "")))
	},
	"isdigit": func(_ *machine, s string, _ arguments) any { return all(s, unicode.IsDigit) },
	"isalpha": func(_ *machine, s string, _ arguments) any { return all(s, unicode.IsLetter) },
	"isalnum": func(_ *machine, s string, _ arguments) any {
		return all(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) })
	},
	"isspace": func(_ *machine, s string, _ arguments) any { return all(s, isSpace) },
	"isupper": func(_ *machine, s string, _ arguments) any { return strings.ToUpper(s) == s && strings.ToLower(s) != s },
	"islower": func(_ *machine, s string, _ arguments) any { return strings.ToLower(s) == s && strings.ToUpper(s) != s },
}

var dictMethods = map[string]func(d *dict, a arguments) any{
	"items":  func(d *dict, _ arguments) any { return pairs(d) },
	"keys":   func(d *dict, _ arguments) any { return newList(d.keys...) },
	"values": func(d *dict, _ arguments) any { return newList(attributeValues(d)...) },
	"get": func(d *dict, a arguments) any {
		if v, ok := d.get(a.at(0, "key", nil)); ok {
			return v
		}
		return a.at(1, "default", nil)
	},
}

func attributeValues(d *dict) []any {
	out := make([]any, len(d.keys))
	for i, k := range d.keys {
		out[i] = d.values[k]
	}
	return out
}

// strip takes white space, or any of chars, off the ends of s.
func strip(s string, chars any, left, right bool) string {
	cut := isSpace
	if c, ok := defined(chars).(string); ok {
		cut = func(r rune) bool { return strings.ContainsRune(c, r) }
	} else if chars != nil {
		fail("strip needs a str, not %s", typeName(chars))
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return s
}

// affix tests one prefix (suffix) or a tuple of them.
func affix(has func(s, affix string) bool, s string, a arguments) bool {
	if l, ok := a.at(0, "prefix", nil).(*list); ok && l.tuple {
		for i := range l.items {
			if has(s, arguments{list: l.items}.str(i, "prefix", "")) {
				return true
			}
		}
		return false
	}
	return has(s, a.str(0, "prefix", ""))
}

func stringList(parts []string) *list {
	items := make([]any, len(parts))
	for i, p := range parts {
		items[i] = p
	}
	return newList(items...)
}

// split is str.split and, from the right, str.rsplit.
func split(m *machine, s string, a arguments, right bool) any {
	limit := a.int(1, "maxsplit", -1)
	sep, ok := a.at(0, "sep", nil).(string)
	if !ok {
		return stringList(fields(s, limit, right))
	}
	if sep == "" {
		fail("empty separator")
	}
	m.spend(stepCost * strings.Count(s, sep))
	if limit < 0 {
		return stringList(strings.Split(s, sep))
	}
	if !right {
		return stringList(strings.SplitN(s, sep, limit+1))
	}
	var parts []string
	for ; limit > 0; limit-- {
		at := strings.LastIndex(s, sep)
		if at < 0 {
			break
		}
		parts = append([]string{s[at+len(sep):]}, parts...)
		s = s[:at]
	}
	return stringList(append([]string{s}, parts...))
}

// fields splits at white space, at most limit times if limit is not negative.
func fields(s string, limit int, right bool) []string {
	all := strings.FieldsFunc(s, isSpace)
	if limit < 0 || len(all) <= limit+1 {
		return all
	}
	if right {
		rest := strings.TrimRightFunc(s, isSpace)
		for range limit {
			at := strings.LastIndexFunc(rest, isSpace)
			rest = strings.TrimRightFunc(rest[:at+1], isSpace)
		}
		return append([]string{rest}, all[len(all)-limit:]...)
	}
	rest := strings.TrimLeftFunc(s, isSpace)
	for range limit {
		rest = strings.TrimLeftFunc(rest[strings.IndexFunc(rest, isSpace):], isSpace)
	}
	return append(all[:limit:limit], rest)
}

// splitLines cuts at the line ends of Python's str.splitlines.
func splitLines(s string, keepEnds bool) []string {
	var lines []string
	for s != "" {
		at := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if at < 0 {
			return append(lines, s)
		}
		_, n := utf8.DecodeRuneInString(s[at:])
		if strings.HasPrefix(s[at:], "\r\n") {
			n = 2
		}
		if keepEnds {
			lines = append(lines, s[:at+n])
		} else {
			lines = append(lines, s[:at])
		}
		s = s[at+n:]
	}
	return lines
}

// place turns a byte offset into one in characters.
func place(s string, at int) int {
	if at < 0 {
		return -1
	}
	return utf8.RuneCountInString(s[:at])
}

func all(s string, is func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !is(r) }) < 0
}

// pythonTitle begins every run of letters with a capital.
func pythonTitle(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		was := inWord
		inWord = unicode.IsLetter(r)
		if was {
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}
