package alfworld

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// commandTable numbers the commands of a game as they come up. The list only
// grows: whoever has seen a number finds it in the list.
type commandTable struct {
	list  atomic.Pointer[[]string]
	slots []uint32 // a power of two, open addressing; 0 is empty, else number + 1
}

var commandSeed = maphash.MakeSeed()

// namer writes the commands of a group.
type namer struct {
	p    *program
	r    *runner
	old  []string // those known before
	text strings.Builder
	ends []int
}

func newNamer(p *program) *namer {
	n := &namer{p: p, r: &runner{p: p, yes: p.start}}
	if old := p.names.list.Load(); old != nil {
		n.old = *old
	}
	return n
}

// name numbers the command of an action.
func (n *namer) name(action int, b []int32) (int32, error) {
	if err := n.r.expand(n.p.texts.templates[action], b[:len(n.p.rules.domain.Actions[action].Params)]); err != nil {
		return 0, err
	}
	t := &n.p.names
	if total := len(n.old) + len(n.ends); 2*(total+1) > len(t.slots) {
		n.grow()
	}
	slot := t.slot(n.r.out, n)
	if *slot == 0 {
		n.text.Write(n.r.out)
		n.ends = append(n.ends, n.text.Len())
		*slot = uint32(len(n.old) + len(n.ends))
	}
	return int32(*slot - 1), nil
}

// at is a numbered command.
func (n *namer) at(id uint32) string {
	if int(id) < len(n.old) {
		return n.old[id]
	}
	i, from := int(id)-len(n.old), 0
	if i > 0 {
		from = n.ends[i-1]
	}
	return n.text.String()[from:n.ends[i]]
}

func (t *commandTable) slot(cmd []byte, n *namer) *uint32 {
	mask := uint64(len(t.slots) - 1)
	for i := maphash.Bytes(commandSeed, cmd); ; i++ {
		s := &t.slots[i&mask]
		if *s == 0 || n.at(*s-1) == string(cmd) {
			return s
		}
	}
}

func (n *namer) grow() {
	t := &n.p.names
	old := t.slots
	t.slots = make([]uint32, max(64, 2*len(old)))
	for _, id := range old {
		if id != 0 {
			*t.slot([]byte(n.at(id-1)), n) = id
		}
	}
}

// publish makes the new commands known.
func (n *namer) publish() {
	list := n.old
	from := 0
	for _, end := range n.ends {
		list = append(list, n.text.String()[from:end])
		from = end
	}
	n.p.names.list.Store(&list)
}
