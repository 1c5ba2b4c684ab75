package grade

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// numberWords are the words the word2number library knows; "point" starts the
// decimals.
var numberWords = map[string]float64{
	"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
	"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
	"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
	"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
	"thousand": 1e3, "million": 1e6, "billion": 1e9, "point": 0,
}

// wordNumber replaces a text by the number its number words spell, as
// word2number 1.1 does: other words are passed over, so "the point (1,2)" is 0,
// and digits alone lose their leading zeros. ok is false where the library
// raises an error.
func wordNumber(s string) (number string, ok bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "-", " "))
	if digits, isNumber := wholeNumber(s); isNumber {
		return digits, true
	}
	if !strings.ContainsFunc(s, unicode.IsLetter) {
		return "", false
	}
	var words []string
	for _, w := range strings.FieldsFunc(s, isSpace) {
		if _, known := numberWords[w]; known {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return "", false
	}
	for _, w := range []string{"thousand", "million", "billion", "point"} {
		if slices.Index(words, w) != lastIndex(words, w) {
			return "", false
		}
	}
	decimals := 0.0
	if i := slices.Index(words, "point"); i >= 0 {
		words, decimals = words[:i], decimalWords(words[i+1:])
	}
	whole, ok := wholeWords(words)
	if !ok {
		return "", false
	}
	return strconv.FormatFloat(whole+decimals, 'f', -1, 64), true
}

func lastIndex(words []string, w string) int {
	for i := len(words) - 1; i >= 0; i-- {
		if words[i] == w {
			return i
		}
	}
	return -1
}

// wholeNumber strips the leading zeros of a string of digits.
func wholeNumber(s string) (string, bool) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isDigit(r) }) {
		return "", false
	}
	s = strings.TrimLeft(asciiDigits(s), "0")
	if s == "" {
		s = "0"
	}
	return s, len(s) <= 4300
}

// decimalWords reads the words after "point"; any but a digit makes them 0.
func decimalWords(words []string) float64 {
	digits := "0."
	for _, w := range words {
		v := numberWords[w]
		if v > 9 || w == "point" {
			return 0
		}
		digits += strconv.Itoa(int(v))
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0
	}
	return v
}

// wholeWords adds up the groups before billion, million, thousand and the rest.
func wholeWords(words []string) (float64, bool) {
	if len(words) == 0 {
		return 0, true
	}
	if len(words) == 1 {
		return numberWords[words[0]], true
	}
	total, previous := 0.0, -1
	for _, scale := range []string{"billion", "million", "thousand"} {
		i := slices.Index(words, scale)
		if i < 0 {
			continue
		}
		if i < previous || i == previous+1 {
			return 0, false
		}
		total += wordGroup(words[previous+1:i]) * numberWords[scale]
		previous = i
	}
	if previous < len(words)-1 {
		total += wordGroup(words[previous+1:])
	}
	return total, true
}

// wordGroup is the library's reading of up to four words, such as two hundred
// twenty three; of a longer group it takes the first word.
func wordGroup(words []string) float64 {
	n := make([]float64, len(words))
	for i, w := range words {
		n[i] = numberWords[w]
	}
	switch len(n) {
	case 4:
		return n[0]*n[1] + n[2] + n[3]
	case 3:
		return n[0]*n[1] + n[2]
	case 2:
		if n[0] == 100 || n[1] == 100 {
			return n[0] * n[1]
		}
		return n[0] + n[1]
	}
	return n[0]
}
