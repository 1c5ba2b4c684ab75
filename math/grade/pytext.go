package grade

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The reference graders are Python programs. The helpers here follow Python's
// rules for text where Go's differ: what counts as white space or a digit, and
// what float() accepts.

// isSpace is str.isspace: Unicode white space and the four ASCII separators.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
}

func strip(s string) string { return strings.TrimFunc(s, isSpace) }

// isDigit is \d of Python's re on text: any decimal digit of any script.
func isDigit(r rune) bool {
	return '0' <= r && r <= '9' || r >= utf8.RuneSelf && unicode.IsDigit(r)
}

// isWord is \w of Python's re on text.
func isWord(r rune) bool {
	return r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsNumber(r))
}

func isASCIIAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// pyFloat is float(s): surrounding space, a sign, digits with single
// underscores between them, an exponent, or inf, infinity and nan in any case.
func pyFloat(s string) (float64, bool) {
	s = strip(s)
	if s == "" {
		return 0, false
	}
	if c := s[len(s)-1]; c < utf8.RuneSelf && c != '.' && (c < '0' || c > '9') {
		return pyNamedFloat(s)
	}
	if s = asciiDigits(s); !pyNumeral(s) {
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

func pyNamedFloat(s string) (float64, bool) {
	sign := 1.0
	if s[0] == '+' || s[0] == '-' {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	switch strings.ToLower(s) {
	case "inf", "infinity":
		return math.Inf(int(sign)), true
	case "nan":
		return math.NaN(), true
	}
	return 0, false
}

// pyNumeral checks the shape sign? (digits [. digits?] | . digits) exponent?
// where digits may hold single underscores between digits.
func pyNumeral(s string) bool {
	i := 0
	if s[0] == '+' || s[0] == '-' {
		i = 1
	}
	i, whole := digitsAt(s, i)
	fraction := false
	if i < len(s) && s[i] == '.' {
		i, fraction = digitsAt(s, i+1)
	}
	if !whole && !fraction {
		return false
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		var exponent bool
		if i, exponent = digitsAt(s, i); !exponent {
			return false
		}
	}
	return i == len(s)
}

func digitsAt(s string, i int) (end int, found bool) {
	for i < len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			found = true
		case c == '_' && found && s[i-1] != '_' && i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9':
		default:
			return i, found
		}
		i++
	}
	return i, found
}

// asciiDigits maps the decimal digits of other scripts to 0-9, as float() does.
func asciiDigits(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf || !unicode.IsDigit(r) {
			return r
		}
		// Every decimal digit lies in a run of ten that starts at a multiple
		// found by walking down to the run's zero.
		d := rune(0)
		for d < 9 && unicode.IsDigit(r-d-1) {
			d++
		}
		return '0' + d
	}, s)
}
