package sample

import "strings"

// Stopper finds stop strings in text that arrives in pieces, across the borders
// of the pieces. Text that may be the start of a stop string is held back until
// it is clear that it is not.
type Stopper struct {
	stops []string
	held  string
}

// NewStopper watches for stops; empty strings among them are passed over.
func NewStopper(stops []string) *Stopper {
	s := &Stopper{}
	for _, stop := range stops {
		if stop != "" {
			s.stops = append(s.stops, stop)
		}
	}
	return s
}

// Push takes the next piece and returns the text that is safe to show. Once
// stopped is true, text ends before the stop string that begins first, and the
// stopper is spent.
func (s *Stopper) Push(piece string) (text string, stopped bool) {
	s.held += piece
	cut := -1
	for _, stop := range s.stops {
		if i := strings.Index(s.held, stop); i >= 0 && (cut < 0 || i < cut) {
			cut = i
		}
	}
	if cut >= 0 {
		text, s.held = s.held[:cut], ""
		return text, true
	}
	keep := 0
	for _, stop := range s.stops {
		keep = max(keep, overlap(s.held, stop))
	}
	text, s.held = s.held[:len(s.held)-keep], s.held[len(s.held)-keep:]
	return text, false
}

// Flush returns what was held back, when no more text comes.
func (s *Stopper) Flush() string {
	text := s.held
	s.held = ""
	return text
}

// overlap is the length of the longest end of text that begins stop.
func overlap(text, stop string) int {
	for n := min(len(text), len(stop)-1); n > 0; n-- {
		if strings.HasPrefix(stop, text[len(text)-n:]) {
			return n
		}
	}
	return 0
}
