package alfworld

import "math/bits"

// atomTable maps atoms to numbers. It is a hash table with open addressing: one
// is filled and asked some ten thousand times while a game loads.
type atomTable struct {
	slots []atomSlot // a power of two
	shift int        // 64 less the binary logarithm of their number
	used  int
}

// atomSlot is empty where id is 0, else it holds the number id-1.
type atomSlot struct {
	key atomKey
	id  int32
}

// newAtomTable has room for half of size, a power of two, before it grows.
func newAtomTable(size int) atomTable {
	return atomTable{slots: make([]atomSlot, size), shift: 64 - bits.TrailingZeros(uint(size))}
}

// find gives the slot of key, or the empty one where it belongs.
func (t *atomTable) find(key atomKey) *atomSlot {
	mask := uint64(len(t.slots) - 1)
	for i := uint64(key) * 0x9e3779b97f4a7c15 >> t.shift; ; i++ { // Fibonacci hashing
		if s := &t.slots[i&mask]; s.id == 0 || s.key == key {
			return s
		}
	}
}

// get is -1 for an atom that is not there.
func (t *atomTable) get(key atomKey) int32 { return t.find(key).id - 1 }

func (t *atomTable) has(key atomKey) bool { return t.find(key).id != 0 }

func (t *atomTable) put(key atomKey, id int32) {
	if t.used++; 2*t.used > len(t.slots) {
		old := t.slots
		t.slots = make([]atomSlot, 2*len(old))
		t.shift--
		for _, s := range old {
			if s.id != 0 {
				*t.find(s.key) = s
			}
		}
	}
	*t.find(key) = atomSlot{key, id + 1}
}
