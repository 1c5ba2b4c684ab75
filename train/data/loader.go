package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// LoaderConfig says how sequences become batches. Only Seed and GlobalBatch
// decide which sequences are in which update; the rest only decides how an
// update is cut into pieces. Sequences are never sorted by length across
// updates: where length goes with content, updates of one kind each would learn
// another distribution than the data's.
//
// Where Group is above 1, so many consecutive sequences are one item, such as a
// pair: they are neighbours in one batch, in their order, and the numbers below
// and Update.Sequences count items.
type LoaderConfig struct {
	GlobalBatch int    // sequences of one update, over all ranks
	MicroBatch  int    // most sequences of one batch; 0: GlobalBatch
	MicroTokens int    // most tokens of one batch, padding included; 0: no limit; one item may exceed it
	Group       int    // sequences that stay together; 0 is 1
	DropLast    bool   // leave out the last update of an epoch where it is smaller; the epoch's order decides which items
	Seed        uint64 // of the shuffling
	Rank, World int    // this process among World (0 is 1)
}

// Loader deals out the sequences, each once an epoch, in an order that depends
// on (seed, epoch). It is not safe for concurrent use.
type Loader struct {
	cfg   LoaderConfig
	seqs  []Sequence
	items int    // len(seqs) / Group
	hash  string // of seqs and of what decides their order
	epoch int
	index int   // updates of the epoch already dealt
	order []int // of the epoch; nil until asked for
}

// Update is the data of one optimizer step. The counts are over all ranks, so
// that accumulated gradients equal the big batch's whatever the cut: a mean
// over sequences is the sum over batches of their means times B/Sequences, a
// mean over states the sum over batches of their sums divided by States.
type Update struct {
	Micro []*Batch // this rank's; every rank has the same number, of which the last may have B = 0

	Epoch, Index int // from 0
	Sequences    int // items, where the loader groups
	States       int // of all sequences
	Tokens       int // without padding
}

// Position is where a loader stands, for checkpoints.
type Position struct {
	Epoch int    `json:"epoch"`
	Index int    `json:"index"` // updates done in the epoch
	Data  string `json:"data"`  // hash of the sequences and of what decides their order
}

// NewLoader starts at the first update of epoch 0. It keeps seqs.
func NewLoader(seqs []Sequence, cfg LoaderConfig) (*Loader, error) {
	cfg.World, cfg.Group = max(cfg.World, 1), max(cfg.Group, 1)
	if cfg.MicroBatch == 0 {
		cfg.MicroBatch = cfg.GlobalBatch
	}
	switch {
	case len(seqs) == 0:
		return nil, errors.New("no sequences to load")
	case cfg.GlobalBatch < 1:
		return nil, fmt.Errorf("global batch of %d sequences: want at least 1", cfg.GlobalBatch)
	case cfg.MicroBatch < 1 || cfg.MicroTokens < 0:
		return nil, fmt.Errorf("micro batch of %d sequences, %d tokens: want no negative number", cfg.MicroBatch, cfg.MicroTokens)
	case len(seqs)%cfg.Group != 0:
		return nil, fmt.Errorf("%d sequences are no whole number of groups of %d", len(seqs), cfg.Group)
	case cfg.Rank < 0 || cfg.Rank >= cfg.World:
		return nil, fmt.Errorf("rank %d of %d processes", cfg.Rank, cfg.World)
	}
	return &Loader{cfg: cfg, seqs: seqs, items: len(seqs) / cfg.Group, hash: fingerprint(seqs, cfg)}, nil
}

// UpdatesPerEpoch counts the updates of an epoch; the last may be smaller.
func (l *Loader) UpdatesPerEpoch() int {
	if l.cfg.DropLast {
		return max(1, l.items/l.cfg.GlobalBatch)
	}
	return (l.items + l.cfg.GlobalBatch - 1) / l.cfg.GlobalBatch
}

// Next deals the next update; after the last one of an epoch the next epoch begins.
func (l *Loader) Next() *Update {
	if l.order == nil {
		l.order = l.shuffle(l.epoch)
	}
	start := l.index * l.cfg.GlobalBatch
	update := l.update(l.order[start:min(start+l.cfg.GlobalBatch, len(l.order))])
	l.index++
	if l.index == l.UpdatesPerEpoch() {
		l.epoch, l.index, l.order = l.epoch+1, 0, nil
	}
	return update
}

// Position is what Seek takes to continue from here with the same data.
func (l *Loader) Position() Position {
	return Position{l.epoch, l.index, l.hash}
}

// Seek continues from p. It fails if the data or what decides its order is not
// what p was taken with; the number of ranks and the micro batch may differ.
func (l *Loader) Seek(p Position) error {
	if p.Data != l.hash {
		return fmt.Errorf("the training data, seed or batch size is not that of the checkpoint (hash %s, now %s)", p.Data, l.hash)
	}
	if p.Epoch < 0 || p.Index < 0 || p.Index >= l.UpdatesPerEpoch() {
		return fmt.Errorf("data position: update %d of epoch %d; an epoch has %d updates", p.Index, p.Epoch, l.UpdatesPerEpoch())
	}
	l.epoch, l.index, l.order = p.Epoch, p.Index, nil
	return nil
}

// shuffle returns the order of an epoch: all items, an update after the other.
func (l *Loader) shuffle(epoch int) []int {
	return rand.New(rand.NewPCG(l.cfg.Seed, uint64(epoch))).Perm(l.items)
}

// update cuts the items of one update, given by their indices, into micro
// batches. Sorted by length they are dealt to the ranks a row of World at a
// time, and every rank cuts at the same rows: so all have the same number of
// batches, of nearly the same shape, the largest first.
func (l *Loader) update(members []int) *Update {
	u := &Update{Epoch: l.epoch, Index: l.index, Sequences: len(members)}
	members = slices.Clone(members)
	l.longestFirst(members)
	var mine []*Sequence
	flush := func() {
		u.Micro = append(u.Micro, Collate(mine))
		mine = mine[:0]
	}
	rows, longest := 0, 0
	for row := range slices.Chunk(members, l.cfg.World) {
		if rows == l.cfg.MicroBatch || rows > 0 && l.cfg.MicroTokens > 0 && (rows+1)*l.cfg.Group*longest > l.cfg.MicroTokens {
			flush()
			rows = 0
		}
		if rows == 0 {
			longest = l.longest(row[0])
		}
		rows++
		for rank, i := range row {
			item := l.item(i)
			for k := range item {
				if rank == l.cfg.Rank {
					mine = append(mine, &item[k])
				}
				u.States += item[k].Actions()
				u.Tokens += len(item[k].Tokens)
			}
		}
	}
	flush()
	return u
}

// item returns the sequences of item i.
func (l *Loader) item(i int) []Sequence { return l.seqs[i*l.cfg.Group : (i+1)*l.cfg.Group] }

// longest is the length of the longest sequence of item i, tokens.
func (l *Loader) longest(i int) int {
	n := 0
	for _, s := range l.item(i) {
		n = max(n, len(s.Tokens))
	}
	return n
}

// longestFirst sorts items by their lengths, longest first.
func (l *Loader) longestFirst(members []int) {
	slices.SortStableFunc(members, func(a, b int) int { return l.longest(b) - l.longest(a) })
}

// fingerprint hashes all that decides which sequences are in which update.
func fingerprint(seqs []Sequence, cfg LoaderConfig) string {
	h := fnv.New64a()
	var buf []byte
	for _, n := range []uint64{cfg.Seed, uint64(cfg.GlobalBatch), uint64(cfg.Group), uint64(len(seqs))} {
		buf = binary.LittleEndian.AppendUint64(buf, n)
	}
	if cfg.DropLast {
		buf = append(buf, 1)
	}
	h.Write(buf)
	for i := range seqs {
		s := &seqs[i]
		buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(len(s.Tokens)))
		for t, id := range s.Tokens {
			id <<= 1 // a vocabulary needs no 31 bits
			if s.Action[t] {
				id |= 1
			}
			buf = binary.LittleEndian.AppendUint32(buf, uint32(id))
		}
		buf = fmt.Appendf(buf, "%v %v", s.Reward, s.Steps)
		h.Write(buf)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
