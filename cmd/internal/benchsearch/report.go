package main

import (
	"fmt"
	"math"
	"os"
	"text/tabwriter"
)

// The two ways of ours among the players.
const (
	single = iota
	together
	others
)

// report prints the table, whether one beam gave the same tokens, and the ratios:
// the first peer's last.
func report(rows []row, players []player) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "B\tquestions\t\ts\ttokens\tsame answer\ttimes ours\tper token\ttimes ours at once\tper token\t")
	for _, r := range rows {
		for i, p := range players {
			fmt.Fprintf(t, "%d\t%d\t%s\t%.1f\t%d\t%d of %d\t%.2f\t%.2f\t%.2f\t%.2f\t\n",
				r.width, r.questions, p.name(), r.cpu[i], r.tokens[i], r.same[i], r.questions,
				r.seconds(single, i), r.perToken(single, i), r.seconds(together, i), r.perToken(together, i))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println("CPU seconds of the search alone, models being open, and tokens drawn; then how many times ours they are, in all and per token, one question after the other and all at once")
	for i, p := range players {
		if n := rows[0].same[i]; n < rows[0].questions {
			fmt.Printf("DIFFERENT TOKENS: B = 1, %s: %d of %d questions are as ours\n", p.name(), n, rows[0].questions)
		}
	}
	for i := len(players) - 1; i >= others; i-- {
		name := "bench-search"
		if i > others {
			name += "-" + players[i].name()
		}
		wide := rows[1:]
		fmt.Printf("ratio %s-one-by-one %.2f\n", name, mean(wide, func(r row) float64 { return r.perToken(single, i) }))
		fmt.Printf("ratio %s-seconds %.2f\n", name, mean(wide, func(r row) float64 { return r.seconds(together, i) }))
		fmt.Printf("ratio %s %.2f\n", name, mean(wide, func(r row) float64 { return r.perToken(together, i) }))
	}
	return nil
}

// mean is the geometric mean of a ratio over rows.
func mean(rows []row, ratio func(row) float64) float64 {
	logs := 0.0
	for _, r := range rows {
		logs += math.Log(ratio(r))
	}
	return math.Exp(logs / float64(len(rows)))
}
