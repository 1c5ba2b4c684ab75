package grade

import (
	"strings"
	"unicode/utf8"
)

// extractAnswers is DeepSeekMath's extractor: Minerva's sentence, else every
// \boxed{}, else what follows the last "he answer is", else the last program
// output, else the last number. Each answer is normalised.
func extractAnswers(text string) []string {
	var raw []string
	switch {
	case strings.Contains(text, "final answer is $") && strings.Contains(text, "$. I hope"):
		raw = []string{minervaAnswer(text)}
	case strings.Contains(text, "boxed"):
		raw = boxedAnswers(text)
	default:
		if i := lastIndexOf(text, "he answer is"); i >= 0 {
			raw = []string{text[i+len("he answer is"):]}
		} else if output := programOutput(text); output != "" {
			raw = []string{output}
		} else if number := lastNumber(text); number != "" {
			raw = []string{number}
		}
	}
	for i, s := range raw {
		raw[i] = cleanAnswer(s)
	}
	return raw
}

// cleanAnswer keeps the first line and drops the punctuation around it.
func cleanAnswer(s string) string {
	s, _, _ = strings.Cut(strip(s), "\n")
	s = strings.TrimLeft(s, ":")
	s = strings.TrimRight(s, ".")
	s = strings.TrimRight(s, "/")
	return stripString(s)
}

// minervaAnswer is the text between the two halves of Minerva's closing
// sentence, "The final answer is $...$. I hope it is correct."
func minervaAnswer(text string) string {
	_, answer, _ := strings.Cut(text, "final answer is $")
	answer, _, _ = strings.Cut(answer, "$. I hope")
	return answer
}

// boxedAnswers returns the content of each box up to its matching brace. A box
// whose brace does not close before the next box gives nothing; a percent sign
// right after a box keeps the closing brace (as the script does).
func boxedAnswers(text string) []string {
	const open = "boxed{"
	var answers []string
	_, text, found := strings.Cut(text, open)
	for found {
		var box string
		box, text, found = strings.Cut(text, open)
		if n := matchingBrace(box); n >= 0 {
			if strings.HasPrefix(box[n+1:], "%") {
				n++
			}
			answers = append(answers, box[:n])
		}
	}
	return answers
}

// matchingBrace is the index of the brace that closes the one before s, or -1.
func matchingBrace(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return -1
}

// programOutput is the last ```output block of a tool-integrated solution.
func programOutput(text string) string {
	const fence = "```output"
	i := lastIndexOf(text, fence)
	if i < 0 {
		return ""
	}
	output, _, _ := strings.Cut(text[i+len(fence):], "```")
	return strip(output)
}

// lastIndexOf is strings.LastIndex, faster where there is no match, as for most
// markers in most texts: only the search forward is vectorised.
func lastIndexOf(s, substr string) int {
	last := strings.Index(s, substr)
	if last < 0 {
		return -1
	}
	return last + strings.LastIndex(s[last:], substr)
}

// lastNumber is the last match of -?\d*\.?\d+ once commas are gone. A match
// lies in one run of digits, points, signs and commas, so only the last run
// with a digit is searched, from its start.
func lastNumber(text string) string {
	end := strings.LastIndexFunc(text, isDigit)
	if end < 0 {
		return ""
	}
	for end++; end < len(text) && text[end]&0xc0 == 0x80; end++ {
		// the rest of a digit of several bytes
	}
	start := strings.LastIndexFunc(text[:end], func(r rune) bool {
		return !isDigit(r) && r != '.' && r != '-' && r != ','
	})
	if start < 0 {
		start = 0
	}
	run := strings.ReplaceAll(text[start:end], ",", "")
	last := ""
	for run != "" {
		n := numberLen(run)
		if n > 0 {
			last = run[:n]
		} else {
			_, n = utf8.DecodeRuneInString(run)
		}
		run = run[n:]
	}
	return last
}

// numberLen is the length in bytes of -?\d*\.?\d+ at the start of s.
func numberLen(s string) int {
	digits := func(i int) int { return len(s) - len(strings.TrimLeftFunc(s[i:], isDigit)) }
	whole := 0
	if strings.HasPrefix(s, "-") {
		whole = 1
	}
	point := digits(whole)
	if strings.HasPrefix(s[point:], ".") {
		if end := digits(point + 1); end > point+1 {
			return end
		}
	}
	if point > whole {
		return point
	}
	return 0
}

// extractMath is the extractor for MATH: the answers of extractAnswers, split
// at commas where the question asks for a list, and at \text{ and }.
func extractMath(problem, text string) []string {
	list := strings.Contains(problem, "separated by commas")
	answers := []string{}
	for _, s := range extractAnswers(text) {
		switch {
		case list && !strings.ContainsAny(s, "()[]"):
			for part := range strings.SplitSeq(s, ",") {
				answers = append(answers, strip(part))
			}
		case strings.Contains(s, `\text{`):
			for _, part := range splitTextAnd(s) {
				answers = append(answers, strip(part))
			}
		default:
			answers = append(answers, strip(s))
		}
	}
	return answers
}

// splitTextAnd splits at \text{and} with any space around the word.
func splitTextAnd(s string) []string {
	const open = `\text{`
	var parts []string
	start, from := 0, 0
	for {
		i := strings.Index(s[from:], open)
		if i < 0 {
			return append(parts, s[start:])
		}
		i += from
		from = i + len(open)
		word, _, closed := strings.Cut(s[from:], "}")
		if closed && strip(word) == "and" {
			parts = append(parts, s[start:i])
			start = from + len(word) + 1
			from = start
		}
	}
}

// extractSingle is the extractor for GSM8K: the last answer, or "".
func extractSingle(text string) string {
	answers := extractAnswers(text)
	if len(answers) == 0 {
		return ""
	}
	return answers[len(answers)-1]
}
