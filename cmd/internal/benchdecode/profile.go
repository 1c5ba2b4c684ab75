package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oreo-go/oreo/export/graph"
)

// profile prints, for every cell of one precision, which share of a step's time
// onnxruntime spends in which operator.
func (c config) profile(dir string, dtype graph.Precision) error {
	for _, p := range c.lengths {
		for _, b := range c.rows {
			events, err := c.trace(dir, p, b)
			if err != nil {
				return err
			}
			fmt.Printf("%s P %d B %d: %s\n", dtype, p, b, shares(events, c.steps))
		}
	}
	return nil
}

// event is one of onnxruntime's trace; times are in microseconds.
type event struct {
	Name    string
	Start   int `json:"ts"`
	Took    int `json:"dur"`
	Details struct {
		Operator string `json:"op_name"`
	} `json:"args"`
}

// trace runs a task in a session of its own.
func (c config) trace(dir string, p, b int) (events []event, err error) {
	to, err := os.MkdirTemp("", "bench-decode")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	o, err := openOurs(dir, c.threads, filepath.Join(to, "trace"))
	if err != nil {
		return nil, err
	}
	_, err = o.run(o.task(p, b, c.steps))
	o.close() // writes the trace
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(to, "trace*.json"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("onnxruntime left %d traces, want 1", len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	return events, json.Unmarshal(text, &events)
}

// shares lists the operators by what they took in the last passes, a node's time
// being the least of its times: another program may have had the processor during
// the others.
func shares(events []event, passes int) string {
	var starts []int
	for _, e := range events {
		if e.Name == "model_run" {
			starts = append(starts, e.Start)
		}
	}
	slices.Sort(starts)
	first := starts[max(len(starts)-passes, 0)]
	nodes, operator := map[string]int{}, map[string]string{}
	for _, e := range events {
		if strings.HasSuffix(e.Name, "_kernel_time") && e.Start >= first {
			if least, known := nodes[e.Name]; !known || e.Took < least {
				nodes[e.Name] = e.Took
			}
			operator[e.Name] = e.Details.Operator
		}
	}
	total, by := 0, map[string]int{}
	for name, took := range nodes {
		by[operator[name]] += took
		total += took
	}
	order := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(by[b]-by[a], cmp.Compare(a, b)) })
	line := fmt.Sprintf("%.1f ms a step", float64(total)/1000)
	for _, op := range order[:min(5, len(order))] {
		line += fmt.Sprintf(", %s %.0f %%", op, 100*float64(by[op])/float64(total))
	}
	return line
}
