package grade

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// qwenExtract is Qwen2.5-Math's extractor for MATH and GSM8K: Minerva's
// sentence, else the last box, else the text after a marker, else the last
// number. The answer is normalised.
func qwenExtract(text string) string {
	text = strings.ReplaceAll(text, "ки", "")
	answer := ""
	switch {
	case strings.Contains(text, "final answer is $") && strings.Contains(text, "$. I hope"):
		answer = strip(minervaAnswer(text))
	case strings.Contains(text, "boxed"):
		answer = lastBox(text)
		if answer == "" {
			return ""
		}
	default:
		answer = markedAnswer(text)
	}
	answer = joinLines(answer)
	answer = strings.TrimPrefix(answer, ":")
	answer = strings.TrimSuffix(answer, ".")
	answer = strings.TrimSuffix(answer, "/")
	return qwenStrip(qwenStrip(answer))
}

// lastBox is the content of the last box; one without braces ends at a dollar
// sign, one that never closes at the end of the text.
func lastBox(text string) string {
	text = text[strings.LastIndex(text, "boxed")+len("boxed"):]
	inner, braced := strings.CutPrefix(text, "{")
	if !braced {
		text, _, _ = strings.Cut(text, "$")
		return strip(text)
	}
	if n := matchingBrace(inner); n >= 0 {
		return inner[:n]
	}
	return inner
}

func markedAnswer(text string) string {
	for _, marker := range []string{"he answer is", "final answer is"} {
		if i := lastIndexOf(text, marker); i >= 0 {
			return strip(text[i+len(marker):])
		}
	}
	if _, after, found := strings.Cut(text, "答案是"); found {
		after, _, _ = strings.Cut(after, "答案是")
		after, _, _ = strings.Cut(strip(after), "\n\n")
		return strip(after)
	}
	return lastNumber(text)
}

// joinLines drops line breaks and the indentation after them.
func joinLines(s string) string {
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	var b strings.Builder
	for {
		first, rest, found := strings.Cut(s, "\n")
		b.WriteString(first)
		if !found {
			return b.String()
		}
		s = strings.TrimLeftFunc(rest, isSpace)
	}
}

var (
	qwenRelations = strings.NewReplacer(`\neq`, `\ne`, `\leq`, `\le`, `\geq`, `\ge`)
	qwenBrackets  = strings.NewReplacer(`\{`, "{", `\}`, "}")
	// qwenPrefixes are removed one after the other, each everywhere.
	qwenPrefixes = []string{"x=", "y=", "z=", `x\in`, `y\in`, `z\in`, `x\to`, `y\to`, `z\to`}
)

// qwenStrip is Qwen2.5-Math's normalisation of an answer string. It knows no
// mathematics: words that look like units go wherever they stand, the letters
// a, c, d, g, h, l, m, o, s and t among them.
func qwenStrip(s string) string {
	if len(s) > maxAnswer {
		return s
	}
	s = strings.TrimRight(strings.ReplaceAll(strip(s), "\n", ""), ".")
	if strings.IndexByte(s, '\\') >= 0 {
		s = qwenCommands(s)
	}
	s = dropUnits(s)
	if strings.IndexByte(s, '^') >= 0 {
		s = strings.ReplaceAll(s, `^{\circ}`, "")
		s = strings.ReplaceAll(s, `^\circ`, "")
	}
	for _, mark := range []string{`\$`, "$", `\(`, `\)`} {
		s = strings.ReplaceAll(s, mark, "")
	}
	if n, ok := wordNumber(s); ok {
		s = n
	}
	s = unwrapText(s)
	for _, prefix := range qwenPrefixes {
		s = strings.ReplaceAll(s, prefix, "")
	}
	s = strings.ReplaceAll(s, `\emptyset`, "{}")
	s = strings.ReplaceAll(s, `(-\infty,\infty)`, `\mathbb{R}`)
	s = strings.ReplaceAll(s, `\%`, "")
	s = strings.ReplaceAll(s, "%", "")
	s = strings.ReplaceAll(s, " .", " 0.")
	s = strings.ReplaceAll(s, "{.", "{0.")
	s = nameInfinity(s)
	s = strings.ReplaceAll(s, "and", "")
	s = strings.ReplaceAll(s, `\mathbf`, "")
	s = dropMbox(s)
	if strings.Contains(s, "j") && !strings.Contains(s, "i") {
		s = strings.ReplaceAll(s, "j", "i")
	}
	if s = dropZeroFraction(s, true); s == "" {
		return s
	}
	if s[0] == '.' {
		s = "0" + s
	}
	if left, right, ok := soleEquation(s); ok && utf8.RuneCountInString(left) <= 2 {
		s = right
	}
	s = braceRootWords(s)
	s = strings.ReplaceAll(s, " ", "")
	return slashToFraction(braceFractions(s))
}

// qwenCommands normalises the LaTeX commands.
func qwenCommands(s string) string {
	s = strings.ReplaceAll(s, `\!`, "")
	s = arrayToMatrix(s)
	s = strings.ReplaceAll(s, "bmatrix", "pmatrix")
	s = strings.ReplaceAll(s, "tfrac", "frac")
	s = strings.ReplaceAll(s, "dfrac", "frac")
	s = qwenRelations.Replace(s)
	s = strings.ReplaceAll(s, `\left`, "")
	s = strings.ReplaceAll(s, `\right`, "")
	s = qwenBrackets.Replace(s)
	if rest := dropTrailingText(s); rest != "" {
		s = rest
	}
	return s
}

// arrayToMatrix writes \begin{array}{...} as \begin{pmatrix}.
func arrayToMatrix(s string) string {
	s = dropBraced(s, `\begin{array}{`, `\begin{pmatrix}`)
	return strings.ReplaceAll(s, `\end{array}`, `\end{pmatrix}`)
}

// unwrapText replaces \text{...} by what is in it.
func unwrapText(s string) string {
	const open = `\text{`
	var b strings.Builder
	for {
		i := strings.Index(s, open)
		if i < 0 {
			break
		}
		n := strings.IndexByte(s[i:], '}')
		if n < 0 {
			break
		}
		b.WriteString(s[:i] + s[i+len(open):i+n])
		s = s[i+n+1:]
	}
	b.WriteString(s)
	return b.String()
}

// braceRootWords writes \sqrt2 as \sqrt{2}.
func braceRootWords(s string) string {
	const command = `\sqrt`
	if !strings.Contains(s, command) {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, command)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		i += len(command)
		word := s[i : len(s)-len(strings.TrimLeftFunc(s[i:], isWord))]
		b.WriteString(s[:i])
		if word != "" {
			b.WriteString("{" + word + "}")
		}
		s = s[i+len(word):]
	}
}

// unitWords are the words taken for units, from the MathQA data set by way of
// Qwen2.5-Math; in them a point stands for any character.
var unitWords = func() []string {
	list := strings.Split("east;degree;mph;kmph;ft;m sqaure; m east;sq m;deg;mile;q .;monkey;prime;ratio;"+
		"profit of rs;rd;o;gm;p . m;lb;tile;per;dm;lt;gain;ab;way;west;a .;b .;c .;d .;e .;f .;g .;h .;t;a;h;"+
		"no change;men;soldier;pie;bc;excess;st;inches;noon;percent;by;gal;kmh;c;acre;rise;a . m;th;π r 2;sq;"+
		"mark;l;toy;coin;sq . m;gallon;° f;profit;minw;yr;women;feet;am;pm;hr;cu cm;square;v â € ™;are;rupee;"+
		"rounds;cubic;cc;mtr;s;ohm;number;kmph;day;hour;minute;min;second;man;woman;sec;cube;mt;sq inch;mp;"+
		"∏ cm ³;hectare;more;sec;unit;cu . m;cm 2;rs .;rs;kg;g;month;km;m;cm;mm;apple;liter;loss;yard;pure;"+
		"year;increase;decrease;d;less;Surface;litre;pi sq m;s .;metre;meter;inch", ";")
	for _, w := range slices.Clone(list) {
		list = append(list, w+"s")
	}
	return list
}()

// dropUnits removes each unit word that stands between two characters that are
// not word characters, or an end; a word that would leave nothing stays.
func dropUnits(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return isWord(r) && !isDigit(r) || r == '°' || r == '∏' }) {
		return s
	}
	for range 2 {
		for _, unit := range unitWords {
			if !mayContain(s, unit) {
				continue
			}
			if rest := dropWord(s, unit); rest != "" {
				s = rest
			}
		}
	}
	return s
}

// mayContain is a quick test that a pattern can match: the part before its
// first wildcard occurs.
func mayContain(s, pattern string) bool {
	if i := strings.IndexByte(pattern, '.'); i >= 0 {
		pattern = pattern[:i]
	}
	return strings.Contains(s, pattern)
}

func dropWord(s, pattern string) string {
	var b strings.Builder
	free := true // whether the character before i may be the word's left edge
	edge := true // whether there is such an edge
	for i := 0; i < len(s); {
		if free && edge {
			if n := matchPattern(s[i:], pattern); n > 0 {
				next, size := utf8.DecodeRuneInString(s[i+n:])
				if size == 0 || !isWord(next) {
					b.WriteString(s[i+n : i+n+size])
					i += n + size
					// The character after the word is used up: it cannot be
					// the left edge of another.
					free = false
					continue
				}
			}
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		b.WriteString(s[i : i+size])
		i += size
		free, edge = true, !isWord(r)
	}
	return b.String()
}

// matchPattern is the length of the pattern's match at the start of s, or 0.
func matchPattern(s, pattern string) int {
	n := 0
	for _, want := range pattern {
		got, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || want != '.' && got != want {
			return 0
		}
		n += size
	}
	return n
}
