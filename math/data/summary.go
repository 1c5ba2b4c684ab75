package data

import "strconv"

// Summary counts what became of the samples.
type Summary struct {
	Queries          int // all queries
	NoSamples        int // queries without samples
	AllCorrect       int // queries without a negative sample
	AllWrong         int // queries without a positive sample
	Positives        int // kept
	Negatives        int // kept
	Pairs            int
	Surplus          int // samples beyond the number the recipe looks at
	DroppedTruncated int // cut by a length limit
	DroppedFailed    int // episodes that were not played to their end
	DroppedCap       int // beyond the limit for each kind
	DroppedBalance   int // positives beyond the number of negatives
}

func (s *Summary) count(positives, negatives int) {
	switch {
	case positives > 0 && negatives == 0:
		s.AllCorrect++
	case positives == 0 && negatives > 0:
		s.AllWrong++
	}
}

// Table is the summary as rows of a name and a number.
func (s Summary) Table() (header []string, rows [][]string) {
	for _, r := range []struct {
		name  string
		value int
	}{
		{"queries", s.Queries},
		{"queries without samples", s.NoSamples},
		{"queries with correct samples only", s.AllCorrect},
		{"queries with wrong samples only", s.AllWrong},
		{"positive trajectories", s.Positives},
		{"negative trajectories", s.Negatives},
		{"preference pairs", s.Pairs},
		{"left out: beyond the recipe's number of samples", s.Surplus},
		{"left out: truncated", s.DroppedTruncated},
		{"left out: the actor failed", s.DroppedFailed},
		{"left out: beyond the limit for each kind", s.DroppedCap},
		{"left out: more positives than negatives", s.DroppedBalance},
	} {
		rows = append(rows, []string{r.name, strconv.Itoa(r.value)})
	}
	return []string{"", "number"}, rows
}
