package grade

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gradeStrict compares the answer of the generation with the reference by what
// they mean.
func gradeStrict(in Input) Verdict {
	pred := strictAnswers(in.Generation)
	v := Verdict{Extracted: pred, Gold: []string{in.Gold}}
	if strings.Contains(in.Gold, "boxed") {
		v.Gold = strictAnswers(in.Gold)
	} else if answer, found := markedByWords(in.Gold); found && len(in.Gold) > maxWholeText {
		v.Gold = []string{answer}
	}
	if len(pred) == 0 {
		return v.settle()
	}
	p := parseAnswers(pred)
	v.Rule = (&strictComparer{work: maxStrictWork}).equal(p, parseAnswers(v.Gold))
	if boxes := unique(in.GoldBoxed); v.Rule == "" && len(boxes) > 1 {
		if v.Rule = (&strictComparer{work: maxStrictWork}).equal(p, parseAnswers(boxes)); v.Rule != "" {
			v.Gold = boxes
		}
	}
	v.Correct = v.Rule != ""
	return v.settle()
}

// maxBoxes bounds the answers that are compared as a list.
const maxBoxes = 50

// parseAnswers parses several boxes as one list.
func parseAnswers(answers []string) value {
	if len(answers) == 1 {
		return parseValue(answers[0])
	}
	v := value{kind: listValue}
	for _, s := range answers {
		v.items = append(v.items, parseValue(s))
	}
	return v
}

// maxWholeText is the length up to which a text without any marker may itself
// be the answer.
const maxWholeText = 200

// maxClosing is the length of a closing sentence that overrules a box before it.
const maxClosing = 80

// strictAnswers finds the answer in a text: the last group of boxes, what
// follows the last marker, the whole of a short text that is a formula, the
// last formula between dollar signs, the last number.
func strictAnswers(text string) []string {
	if i := strings.LastIndex(text, "<|"); i > 0 && strings.Contains(text[i:], "|>") && strings.Contains(text, "<|im_") {
		text, _, _ = strings.Cut(text, "<|im_")
	}
	boxes := lastBoxes(text)
	answer, marked := markedByWords(text)
	last := markerIndex(text)
	closing := marked && last > strings.LastIndex(text, "boxed{") && len(text)-last <= maxClosing
	switch {
	case len(boxes) > 0 && !closing:
		return boxes
	case marked:
		return []string{answer}
	}
	if output := programOutput(text); output != "" {
		return []string{output}
	}
	if len(text) <= maxWholeText && !isProse(text) && parseValue(text).kind != wordsValue {
		return []string{text}
	}
	if formula := lastFormula(text); formula != "" {
		return []string{formula}
	}
	if number := lastFigure(text); number != "" {
		return []string{number}
	}
	if text = strip(text); text == "" || len(text) > maxWholeText {
		return nil
	}
	return []string{text}
}

// isProse reports whether a text has at least three words outside commands.
func isProse(text string) bool {
	words := 0
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '\\' }) {
		if len(w) > 1 && w[0] != '\\' && !functionNames[w] {
			words++
		}
	}
	return words > 2
}

// lastBoxes returns the last box, and the boxes before it that are separated
// from it by a few words at most: they are parts of one answer.
func lastBoxes(text string) []string {
	const open = "boxed{"
	end := len(text)
	var boxes []string
	for len(boxes) < maxBoxes {
		i := strings.LastIndex(text[:end], open)
		if i < 0 {
			break
		}
		box := text[i+len(open) : end]
		n := matchingBrace(box)
		if n < 0 {
			// Only the last box may be cut off by the end of the text.
			if end < len(text) || len(box) > maxWholeText {
				break
			}
			n = len(box)
		} else if len(boxes) > 0 && !partsOfOne(box[n+1:]) {
			break
		}
		boxes = append(boxes, box[:n])
		end = strings.LastIndexFunc(text[:i], func(r rune) bool { return r != '\\' }) + 1
	}
	slices.Reverse(boxes)
	return slices.DeleteFunc(unique(boxes), func(s string) bool { return strip(s) == "" })
}

// partsOfOne reports whether the text between two boxes is short enough for
// both to be one answer: at most four words.
func partsOfOne(between string) bool {
	if len(between) > 80 || strings.Contains(between, "\n\n") || strings.Contains(between, "=") {
		return false
	}
	words := strings.FieldsFunc(between, func(r rune) bool { return !isWord(r) })
	words = slices.DeleteFunc(words, func(w string) bool { return w == "text" || w == "quad" || w == "qquad" })
	return len(words) <= 4
}

var answerMarkers = []string{"inal answer is", "he answer is", "#### ", "nswer:"}

// markerIndex is where the text after the last marker begins, or -1.
func markerIndex(text string) int {
	last := -1
	for _, m := range answerMarkers {
		if i := lastIndexOf(text, m); i >= 0 {
			last = max(last, i+len(m))
		}
	}
	return last
}

// markedByWords is the text after the last marker, up to the end of its
// sentence or line.
func markedByWords(text string) (string, bool) {
	last := markerIndex(text)
	if last < 0 {
		return "", false
	}
	answer := strings.TrimLeft(text[last:], ": \n*")
	for _, stop := range []string{". I hope", "<|", "\n"} {
		answer, _, _ = strings.Cut(answer, stop)
	}
	answer = strings.TrimSuffix(strip(strings.TrimRight(strip(answer), "*")), ".")
	if parseValue(answer).kind == wordsValue {
		if formula := lastFormula(answer); formula != "" {
			return formula, true
		}
		if number := lastFigure(answer); number != "" {
			return number, true
		}
	}
	return answer, answer != ""
}

// lastFormula is the last formula in a text, unless a number in words follows
// it.
func lastFormula(text string) string {
	formula, after := "", text
	for _, d := range []struct{ open, close string }{{"$$", "$$"}, {"$", "$"}, {`\(`, `\)`}, {`\[`, `\]`}} {
		end := strings.LastIndex(text, d.close)
		if end < len(d.open) || end > 0 && d.close == "$" && text[end-1] == '\\' {
			continue
		}
		if start := lastOpening(text[:end], d.open); start >= 0 && len(text)-end < len(after) {
			formula, after = strip(text[start+len(d.open):end]), text[end+len(d.close):]
		}
	}
	if formula == "" || lastFigure(after) != "" {
		return ""
	}
	return formula
}

// lastOpening is the last place of open that no backslash precedes.
func lastOpening(s, open string) int {
	for {
		i := strings.LastIndex(s, open)
		if i <= 0 || open != "$" || s[i-1] != '\\' {
			return i
		}
		s = s[:i]
	}
}

// lastFigure is the last number in a text with its sign, separators, fraction
// bar and percent sign.
func lastFigure(text string) string {
	end := strings.LastIndexAny(text, "0123456789") + 1
	if end == 0 {
		return ""
	}
	start := strings.LastIndexFunc(text[:end], func(r rune) bool { return !strings.ContainsRune("0123456789.,/-", r) })
	if start >= 0 {
		_, size := utf8.DecodeRuneInString(text[start:])
		start += size
	} else {
		start = 0
	}
	if before, _ := utf8.DecodeLastRuneInString(text[:start]); unicode.IsLetter(before) {
		return "" // part of a name
	}
	figure := strings.TrimLeft(text[start:end], ".,/")
	if i := strings.LastIndexByte(figure, '-'); i > 0 {
		figure = figure[i+1:] // 3-4 is no negative number
	}
	if strings.HasPrefix(text[end:], "%") || strings.HasPrefix(text[end:], `\%`) {
		figure += "%"
	}
	return figure
}
