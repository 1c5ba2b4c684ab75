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
	fmt.Fprintln(t, "B\tquestions\ttokens drawn\tours, s\tpeer\t \tratio\tsame answer\t")
	for _, r := range rows {
		for i, name := range c.peers {
			fmt.Fprintf(t, "%d\t%d\t%d\t%.1f\t%s\t%.1f\t%.2f\t%d of %d\t\n",
				r.width, r.questions, r.tokens, r.cpu[0], name, r.cpu[i+1], r.cpu[i+1]/r.cpu[0], r.same[i+1], r.questions)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println("CPU seconds of the search alone, models being open")
	for i, name := range c.peers {
		if n := rows[0].same[i+1]; n < rows[0].questions {
			fmt.Printf("DIFFERENT TOKENS: B = 1, %s: %d of %d questions are as ours\n", name, n, rows[0].questions)
		}
	}
	for i := len(c.peers) - 1; i >= 0; i-- {
		logs := 0.0
		for _, r := range rows[1:] {
			logs += math.Log(r.cpu[i+1] / r.cpu[0])
		}
		suffix := ""
		if i > 0 {
			suffix = "-" + c.peers[i]
		}
		fmt.Printf("ratio bench-search%s %.2f\n", suffix, math.Exp(logs/float64(len(rows)-1)))
	}
	return nil
}
