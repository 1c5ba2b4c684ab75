// Package schedule gives the learning rate of a step as a share of the
// configured one: linear warm-up, then half a cosine down to zero, the schedule
// of transformers' get_cosine_schedule_with_warmup.
package schedule

import "math"

// Cosine is the factor at step, counted from 0, of total steps with warmup
// steps of warm-up:
//
//	step < warmup:  step / warmup
//	else:           (1 + cos(pi * (step - warmup) / (total - warmup))) / 2
//
// Step 0 of a run with warm-up has factor 0, as in transformers. At and behind
// total the factor is 0 (transformers lets it rise again).
func Cosine(step, total, warmup int) float64 {
	if step < warmup {
		return float64(step) / float64(warmup)
	}
	if step >= total {
		return 0
	}
	progress := float64(step-warmup) / float64(total-warmup)
	return 0.5 * (1 + math.Cos(math.Pi*progress))
}

// Warmup is the number of warm-up steps that a ratio of total asks for, rounded
// up as transformers does.
func Warmup(total int, ratio float64) int {
	return int(math.Ceil(float64(total) * ratio))
}
