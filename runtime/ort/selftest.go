//go:build cgo

package ort

import (
	"errors"
	"fmt"
	"math"

	"github.com/oreo-go/oreo/runtime/engine"
)

// Self-test: ten tokens at once, then four and, when the cache has grown, six on
// top of them, must answer alike. The bugs it looks for change answers by half their size; rounding
// and 8-bit arithmetic change them by far less than a fiftieth.
const (
	selfTestTokens = 10
	selfTestCut    = 4
	selfTestTol    = 0.02 // of the largest answer
)

func (s *Session) selfTest() error {
	n := min(selfTestTokens, s.spec.MaxPositions)
	cut := min(selfTestCut, n-1)
	if err := s.cache.Resize(1, selfTestTokens, nil); err != nil {
		return err
	}
	whole, err := s.testPass(0, n)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	whole = append([]float32(nil), whole...) // the next pass reuses its memory
	if cut > 0 {
		if _, err := s.testPass(0, cut); err != nil {
			return fmt.Errorf("self-test: %w", err)
		}
	}
	if err := s.cache.Resize(2, selfTestTokens+1, []int{cut}); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	chunk, err := s.testPass(cut, n)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	largest, diff := 0.0, 0.0
	for i, w := range whole[cut*s.spec.Width:] {
		largest = max(largest, math.Abs(float64(w)))
		diff = max(diff, math.Abs(float64(w-chunk[i])))
	}
	if math.IsNaN(largest) || math.IsInf(largest, 0) || math.IsNaN(diff) {
		return errors.New("self-test: the graph answers NaN or infinity: its weights are damaged, or too large for its precision")
	}
	if diff > selfTestTol*max(1, largest) {
		return fmt.Errorf("self-test: answers differ by %.3g of %.3g between one pass and two: this onnxruntime computes attention wrongly on %s", diff, largest, s.device)
	}
	return s.cache.Resize(0, 0, nil)
}

// testPass runs tokens [from, to) of the test sequence and answers for all.
func (s *Session) testPass(from, to int) ([]float32, error) {
	b := &engine.Batch{B: 1, S: to - from, Write: []int64{int64(from)}, Used: []int64{int64(to)}}
	for i := from; i < to; i++ {
		b.IDs = append(b.IDs, int64((i*7919+11)%s.spec.Vocab))
		b.Pos = append(b.Pos, int64(i))
		b.Out = append(b.Out, int64(i-from))
	}
	return s.Forward(b)
}
