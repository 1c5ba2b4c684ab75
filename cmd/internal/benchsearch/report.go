package main

import (
	"fmt"
	"math"
	"os"
	"text/tabwriter"
)

// report prints the table, whether one beam gave the same tokens, and the ratios:
// the first peer's last.
func report(rows []row, c config) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "B\tquestions\tours, s\ttokens\tpeer\ts\ttokens\tseconds\tper token\tsame answer\t")
	for _, r := range rows {
		for i, name := range c.peers {
			fmt.Fprintf(t, "%d\t%d\t%.1f\t%d\t%s\t%.1f\t%d\t%.2f\t%.2f\t%d of %d\t\n",
				r.width, r.questions, r.cpu[0], r.tokens[0], name, r.cpu[i+1], r.tokens[i+1], r.seconds(i+1), r.perToken(i+1), r.same[i+1], r.questions)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println("CPU seconds of the search alone, models being open, and tokens drawn; then how many times ours the peer's seconds are, in all and per token")
	for i, name := range c.peers {
		if n := rows[0].same[i+1]; n < rows[0].questions {
			fmt.Printf("DIFFERENT TOKENS: B = 1, %s: %d of %d questions are as ours\n", name, n, rows[0].questions)
		}
	}
	for i := len(c.peers) - 1; i >= 0; i-- {
		suffix := ""
		if i > 0 {
			suffix = "-" + c.peers[i]
		}
		fmt.Printf("ratio bench-search%s-seconds %.2f\n", suffix, mean(rows[1:], func(r row) float64 { return r.seconds(i + 1) }))
		fmt.Printf("ratio bench-search%s %.2f\n", suffix, mean(rows[1:], func(r row) float64 { return r.perToken(i + 1) }))
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
