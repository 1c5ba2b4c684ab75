package grade

import (
	"strings"
	"unicode/utf8"
)

// maxAnswer is the longest answer, in bytes, that is normalised; a longer one
// is compared as it is.
const maxAnswer = 1 << 14

// stripString is DeepSeekMath's normalisation of an answer string, with its
// surprises: "\cdot" vanishes (2\cdot3 becomes 23), a trailing \text{...} is
// taken for a unit, a "t" after the last digit goes, 1/2 becomes \frac{1}{2}.
func stripString(s string) string {
	if len(s) > maxAnswer {
		return s
	}
	s = strings.TrimRight(strings.ReplaceAll(strip(s), "\n", ""), ".")
	s = strings.ReplaceAll(s, `\!`, "")
	if strings.HasPrefix(s, `\text{`) && strings.HasSuffix(s, "}") {
		s = s[len(`\text{`) : len(s)-1]
	}
	if strings.Contains(s, "frac") {
		s = strings.ReplaceAll(s, "tfrac", "frac")
		s = strings.ReplaceAll(s, "dfrac", "frac")
		s = strings.ReplaceAll(s, "cfrac", "frac")
	}
	if strings.IndexByte(s, '\\') >= 0 {
		s = strings.ReplaceAll(s, `\left`, "")
		s = strings.ReplaceAll(s, `\right`, "")
		s = dropTrailingText(s)
		s = strip(strings.ReplaceAll(s, `^{\circ}`, ""))
		s = strip(strings.ReplaceAll(s, `^\circ`, ""))
	}
	s = dropMetres(s)
	s = strip(strings.TrimSuffix(s, "p.m."))
	s = dropTonnes(s)
	s = strings.ReplaceAll(s, `\$`, "")
	s = strings.ReplaceAll(s, "$", "")
	s = strings.ReplaceAll(s, `x\in`, "")
	s = strings.ReplaceAll(s, `\%`, "%")
	s = strings.ReplaceAll(s, `\%`, "%") // the script does so twice: \\% is a plain sign too
	s = strings.ReplaceAll(s, " .", " 0.")
	s = strings.ReplaceAll(s, "{.", "{0.")
	s = strings.ReplaceAll(s, `\cdot`, "")
	s = nameInfinity(s)
	s = strings.ReplaceAll(s, `\mathbf`, "")
	s = strings.ReplaceAll(s, `\mathrm`, "")
	s = dropMbox(s)
	if strings.Contains(s, "j") && !strings.Contains(s, "i") {
		s = strings.ReplaceAll(s, "j", "i")
	}
	s = dropZeroFraction(s, false)
	if s == "" {
		return s
	}
	if s[0] == '.' {
		s = "0" + s
	}
	s = braceArguments(s, `\sqrt`)
	s = braceArguments(s, `\tan`)
	s = strings.ReplaceAll(s, " ", "")
	s = braceFractions(s)
	s = slashToFraction(s)
	return strings.TrimRight(s, `\,.`)
}

// dropTrailingText removes everything from the first `\text{` on when the
// string ends with a brace and something is left before it.
func dropTrailingText(s string) string {
	if strings.HasSuffix(s, "}") {
		if i := strings.Index(s, `\text{`); i >= 0 {
			if rest := strip(s[:i]); rest != "" {
				return rest
			}
			return s
		}
	}
	return strip(s)
}

// dropMetres removes {m}, {cm}, {mm} and a following ^2 or ^3.
func dropMetres(s string) string {
	if !strings.Contains(s, "m}") {
		return strip(s)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		n := metresAt(s[i:])
		if n == 0 {
			b.WriteByte(s[i])
			n = 1
		}
		i += n
	}
	return strip(b.String())
}

func metresAt(s string) int {
	n := 0
	for _, unit := range []string{"{cm}", "{mm}", "{m}"} {
		if strings.HasPrefix(s, unit) {
			n = len(unit)
		}
	}
	if n > 0 && len(s) >= n+2 && s[n] == '^' && (s[n+1] == '2' || s[n+1] == '3') {
		n += 2
	}
	return n
}

// dropTonnes removes a final "t" that follows a digit.
func dropTonnes(s string) string {
	if strings.HasSuffix(s, "t") {
		rest := strings.TrimRightFunc(s[:len(s)-1], isSpace)
		if r, _ := utf8.DecodeLastRuneInString(rest); rest != "" && isDigit(r) {
			s = rest
		}
	}
	return strip(s)
}

func nameInfinity(s string) string {
	if !strings.Contains(s, "in") {
		return s
	}
	s = strings.ReplaceAll(s, "infinity", `\infty`)
	if !strings.Contains(s, `\infty`) {
		s = strings.ReplaceAll(s, "inf", `\infty`)
	}
	return strings.ReplaceAll(s, `+\inity`, `\infty`)
}

// dropMbox removes \mbox{...} up to the first closing brace.
func dropMbox(s string) string { return dropBraced(s, `\mbox{`, "") }

// dropBraced replaces open up to the next closing brace.
func dropBraced(s, open, by string) string {
	if !strings.Contains(s, open) {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, open)
		if i < 0 {
			break
		}
		n := strings.IndexByte(s[i+len(open):], '}')
		if n < 0 {
			break
		}
		b.WriteString(s[:i] + by)
		s = s[i+len(open)+n+1:]
	}
	b.WriteString(s)
	return b.String()
}

// dropZeroFraction turns 5.000 into 5 where no further digit follows. With
// bare set, "5." followed by a non-digit or the end loses its point too
// (Qwen2.5-Math). What follows the zeros is consumed, so in "1.0.0" only the
// first point goes in the first pass.
func dropZeroFraction(s string, bare bool) string {
	if !strings.Contains(s, ".") {
		return s
	}
	var b strings.Builder
	prev := rune(0) // the rune before position i, 0 where a match consumed it
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == '.' && isDigit(prev) {
			end := i + 1
			for end < len(s) && s[end] == '0' {
				end++
			}
			next, nextSize := utf8.DecodeRuneInString(s[end:])
			if (end > i+1 || bare) && nextSize > 0 && !isDigit(next) {
				b.WriteString(s[end : end+nextSize])
				i, prev = end+nextSize, 0
				continue
			}
		}
		b.WriteString(s[i : i+size])
		i, prev = i+size, r
	}
	s = b.String()
	rest := strings.TrimRight(s, "0")
	if strings.HasSuffix(rest, ".") && (len(rest) < len(s) || bare) {
		if r, _ := utf8.DecodeLastRuneInString(rest[:len(rest)-1]); isDigit(r) {
			return rest[:len(rest)-1]
		}
	}
	return s
}

// braceArguments writes \sqrt2 as \sqrt{2}, and \sqrt 2 at the end likewise.
func braceArguments(s, command string) string {
	if !strings.Contains(s, command) {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, command)
		if i < 0 {
			b.WriteString(s)
			break
		}
		i += len(command)
		b.WriteString(s[:i])
		s = s[i:]
		n := argumentLen(s)
		if n > 0 {
			b.WriteString("{" + s[:n] + "}")
			s = s[n:]
		}
	}
	return braceLastWord(b.String(), command)
}

// argumentLen is the length of -?[0-9.a-zA-Z]+ at the start of s.
func argumentLen(s string) int {
	i := 0
	if strings.HasPrefix(s, "-") {
		i = 1
	}
	n := i
	for n < len(s) && (isASCIIAlnum(s[n]) || s[n] == '.') {
		n++
	}
	if n == i {
		return 0
	}
	return n
}

// braceLastWord writes "\sqrt word" at the end of s as "\sqrt{word}".
func braceLastWord(s, command string) string {
	rest := strings.TrimRightFunc(s, isWord)
	word := s[len(rest):]
	before := strings.TrimRightFunc(rest, isSpace)
	if word == "" || len(before) == len(rest) || !strings.HasSuffix(before, command) {
		return s
	}
	return before + "{" + word + "}"
}

// braceFractions gives \frac12, \frac1{2} and the like their braces. A \frac
// with fewer than two characters after it leaves the whole string alone.
func braceFractions(s string) string {
	const command = `\frac`
	if !strings.Contains(s, command) {
		return s
	}
	parts := strings.Split(s, command)
	var b strings.Builder
	b.WriteString(parts[0])
	for _, part := range parts[1:] {
		b.WriteString(command)
		if strings.HasPrefix(part, "{") {
			b.WriteString(part)
			continue
		}
		_, first := utf8.DecodeRuneInString(part)
		_, second := utf8.DecodeRuneInString(part[first:])
		if second == 0 {
			return s
		}
		b.WriteString("{" + part[:first] + "}")
		if part[first] == '{' {
			b.WriteString(part[first:])
		} else {
			b.WriteString("{" + part[first:first+second] + "}" + part[first+second:])
		}
	}
	return b.String()
}

// slashToFraction writes a/b as \frac{a}{b} when each side is an integer in
// its shortest form or mentions sqrt.
func slashToFraction(s string) string {
	a, b, ok := strings.Cut(s, "/")
	if !ok || strings.Contains(b, "/") || !slashSide(a) || !slashSide(b) {
		return s
	}
	return `\frac{` + a + "}{" + b + "}"
}

func slashSide(s string) bool {
	if strings.Contains(s, "sqrt") {
		return true
	}
	digits := strings.TrimPrefix(s, "-")
	// Python refuses int() of more than 4300 digits.
	if digits == "" || len(digits) > 4300 || (digits[0] == '0' && s != "0") {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
