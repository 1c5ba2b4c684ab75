package data

import "slices"

// Batch is B sequences padded on the right to T tokens, with at most S steps
// each; arrays are row-major. The shapes' letters are those of package train.
type Batch struct {
	B, T, S int

	Tokens    []int64   // [B, T], 0 behind a row's end
	Targets   []int64   // [B, T] the token at t+1, 0 where there is none
	StateMask []float32 // [B, T] 1 where the target is an action: position t is its state
	Length    []int64   // [B] tokens of the row
	Reward    []float32 // [B]
	Reference []float32 // [B, T] the reference policy's log-probability of the target, 0 where it is no action or not known

	// For the step level: sums over a step's tokens are a scatter of [B, T] by
	// StepOf into [B, S+1], whose last column collects what is no action.
	StepOf    []int64   // [B, T] the step of the target at t, S where it is no action
	StepState []int64   // [B, S] position of the state before each step, 0 behind the last step
	StepMask  []float32 // [B, S] 1 for the row's steps

	ID []string // [B]

	States      int // sum of StateMask
	ValidTokens int // sum of Length: B*T less the padding

	seqs []*Sequence
}

// Collate builds a batch of the sequences, in their order.
func Collate(seqs []*Sequence) *Batch {
	b := &Batch{B: len(seqs), seqs: slices.Clone(seqs)}
	for _, s := range seqs {
		b.T = max(b.T, len(s.Tokens))
		b.S = max(b.S, len(s.Steps))
	}
	b.Tokens, b.Targets = make([]int64, b.B*b.T), make([]int64, b.B*b.T)
	b.StateMask = make([]float32, b.B*b.T)
	b.Reference = make([]float32, b.B*b.T)
	b.Length, b.Reward, b.ID = make([]int64, b.B), make([]float32, b.B), make([]string, b.B)
	b.StepOf = make([]int64, b.B*b.T)
	b.StepState, b.StepMask = make([]int64, b.B*b.S), make([]float32, b.B*b.S)
	for i := range b.StepOf {
		b.StepOf[i] = int64(b.S)
	}
	for i, s := range seqs {
		b.fill(i, s)
	}
	return b
}

// Half is the batch of every second row: the first sequences of groups of two,
// or the second ones.
func (b *Batch) Half(second bool) *Batch {
	var half []*Sequence
	for i, s := range b.seqs {
		if (i%2 == 1) == second {
			half = append(half, s)
		}
	}
	return Collate(half)
}

// fill writes s into row i.
func (b *Batch) fill(i int, s *Sequence) {
	row, step, reference := i*b.T, -1, s.Reference
	for t, id := range s.Tokens {
		b.Tokens[row+t] = int64(id)
		if t == 0 {
			continue
		}
		b.Targets[row+t-1] = int64(id)
		if step+1 < len(s.Steps) && t == s.Steps[step+1] {
			step++
		}
		if s.Action[t] {
			b.StateMask[row+t-1] = 1
			b.StepOf[row+t-1] = int64(step)
			b.States++
			if len(reference) > 0 {
				b.Reference[row+t-1], reference = reference[0], reference[1:]
			}
		}
	}
	for k, start := range s.Steps {
		b.StepState[i*b.S+k] = int64(start - 1)
		b.StepMask[i*b.S+k] = 1
	}
	b.Length[i], b.Reward[i], b.ID[i] = int64(len(s.Tokens)), float32(s.Reward), s.ID
	b.ValidTokens += len(s.Tokens)
}
