package kv

import (
	"math/rand/v2"
	"testing"
)

var small = Shape{Tensors: 2, Heads: 3, Dim: 2, Elem: 4}

// mirror keeps beside a pool what each row should hold.
type mirror struct {
	t    *testing.T
	p    *Pool
	h    *Host
	want map[*Row][]byte
}

// write appends one token of value v to r, as a forward pass would.
func (m *mirror) write(r *Row, v byte) {
	if err := m.p.Grow(r.Len() + 1); err != nil {
		m.t.Fatal(err)
	}
	for t := range small.Tensors {
		row := m.h.View(t, r.Slot(), r.Slot()+1)
		for head := range small.Heads {
			token := row[(head*m.h.Tokens()+r.Len())*8:][:8]
			for i := range token {
				token[i] = v + byte(t*16+head)
			}
		}
	}
	m.p.Advance(r, 1)
	m.want[r] = append(m.want[r][:len(m.want[r]):len(m.want[r])], v)
}

// some chooses tokens of r, and tells what they hold.
func (m *mirror) some(r *Row, rng *rand.Rand) (tokens []int, want []byte) {
	for i, v := range m.want[r] {
		if rng.IntN(3) > 0 {
			tokens, want = append(tokens, i), append(want, v)
		}
	}
	return tokens, want
}

func (m *mirror) check() {
	m.t.Helper()
	for r, want := range m.want {
		if r.Len() != len(want) {
			m.t.Fatalf("row of %d tokens, want %d", r.Len(), len(want))
		}
		for t := range small.Tensors {
			row := m.h.View(t, r.Slot(), r.Slot()+1)
			for head := range small.Heads {
				for i, v := range want {
					if got := row[(head*m.h.Tokens()+i)*8+7]; got != v+byte(t*16+head) {
						m.t.Fatalf("tensor %d head %d token %d holds %d, want %d", t, head, i, got, v+byte(t*16+head))
					}
				}
			}
		}
	}
}

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Any order of new, write, fork, rewind, replace, free and gather leaves every
// row with its own tokens.
func TestRowsKeepTheirTokens(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := NewHost(small, GoMemory{})
		m := &mirror{t, NewPool(h), h, map[*Row][]byte{}}
		var rows []*Row
		pick := func() *Row { return rows[rng.IntN(len(rows))] }
		for step := range 300 {
			switch op := rng.IntN(8); {
			case op == 0 || len(rows) == 0:
				r := ok(m.p.New())
				rows, m.want[r] = append(rows, r), nil
			case op == 1:
				src := pick()
				some, want := m.some(src, rng)
				r := ok(m.p.ForkOf(src, some))
				rows, m.want[r] = append(rows, r), want
			case op == 2:
				r := pick()
				n := rng.IntN(r.Len() + 1)
				m.p.Rewind(r, n)
				m.want[r] = m.want[r][:n]
			case op == 3:
				r := pick()
				some, want := m.some(r, rng)
				if err := m.p.Keep(r, some); err != nil {
					t.Fatal(err)
				}
				m.want[r] = want
			case op == 4 && len(rows) > 3:
				i := rng.IntN(len(rows))
				m.p.Free(rows[i])
				delete(m.want, rows[i])
				rows = append(rows[:i], rows[i+1:]...)
			case op == 5:
				perm := rng.Perm(len(rows))[:1+rng.IntN(len(rows))]
				var group []*Row
				for _, i := range perm {
					group = append(group, rows[i])
				}
				lo := ok(m.p.Gather(group))
				for i, r := range group {
					if r.Slot() != lo+i {
						t.Fatalf("gathered row %d lies in slot %d, want %d", i, r.Slot(), lo+i)
					}
				}
			default:
				for range rng.IntN(40) {
					m.write(pick(), byte(step))
				}
			}
			m.check()
		}
		for _, r := range rows {
			m.p.Free(r)
		}
		if b, tokens := m.p.Cap(); b != 0 || tokens != 0 || h.data[0] != nil {
			t.Errorf("an empty pool keeps %d rows of %d tokens", b, tokens)
		}
	}
}

func TestGatherMovesLittle(t *testing.T) {
	h := NewHost(small, GoMemory{})
	m := &mirror{t, NewPool(h), h, map[*Row][]byte{}}
	var rows []*Row
	for i := range 6 {
		r := ok(m.p.New())
		m.write(r, byte(i))
		rows = append(rows, r)
	}
	group := []*Row{rows[1], rows[2], rows[4]} // 3 is in the way
	before := [2]int{rows[1].Slot(), rows[2].Slot()}
	ok(m.p.Gather(group))
	if rows[1].Slot() != before[0] || rows[2].Slot() != before[1] {
		t.Error("two rows that lay together moved instead of the third")
	}
	m.check()
}

func TestCapacityGrowsInSteps(t *testing.T) {
	p := NewPool(NewHost(small, GoMemory{}))
	r := ok(p.New())
	if err := p.Grow(1); err != nil || p.tokens != 64 {
		t.Errorf("Grow(1): %d tokens, %v", p.tokens, err)
	}
	if err := p.Grow(65); err != nil || p.tokens != 128 {
		t.Errorf("Grow(65): %d tokens, %v", p.tokens, err)
	}
	if err := p.Grow(1 << 60); err == nil {
		t.Error("an absurd length was granted")
	}
	p.Free(r)
}

// TestReserve: rows that were reserved together take one resize.
func TestReserve(t *testing.T) {
	p := NewPool(NewHost(small, GoMemory{}))
	first := ok(p.New())
	if err := p.Reserve(25); err != nil {
		t.Fatal(err)
	}
	before, _ := p.Cap()
	rows := []*Row{first}
	for range 25 {
		rows = append(rows, ok(p.New()))
	}
	if after, _ := p.Cap(); before != 26 || after != before {
		t.Errorf("room for %d rows, then %d", before, after)
	}
	for _, r := range rows {
		p.Free(r)
	}
}

func TestMisuseIsCaught(t *testing.T) {
	p := NewPool(NewHost(small, GoMemory{}))
	r := ok(p.New())
	for name, f := range map[string]func(){
		"rewind forward": func() { p.Rewind(r, 1) },
		"no room":        func() { p.Advance(r, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name, "went unnoticed")
				}
			}()
			f()
		}()
	}
}

func BenchmarkFork(b *testing.B) { // SmolLM2-135M in float32, 512 tokens
	shape := Shape{Tensors: 60, Heads: 3, Dim: 64, Elem: 4}
	p := NewPool(NewHost(shape, GoMemory{}))
	r := ok(p.New())
	_ = p.Grow(576)
	p.Advance(r, 512)
	all := make([]int, r.Len())
	for i := range all {
		all[i] = i
	}
	b.SetBytes(int64(512 * shape.TokenBytes()))
	for b.Loop() {
		p.Free(ok(p.ForkOf(r, all)))
	}
}
