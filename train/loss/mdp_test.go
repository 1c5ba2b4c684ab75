package loss

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oreo-go/oreo/train/torch"
)

// TestOptimum proves Theorem 2 in practice: on decision processes small enough for
// exact soft Bellman backup, tables of logits and values that are trained by the
// objectives arrive at pi* and V*, on trajectories of different length, with
// observations between the actions and steps of several tokens.
func TestOptimum(t *testing.T) {
	tree := randomTree(rand.New(rand.NewPCG(5, 0)), 3, 4)
	joined, half := joinedPaths()
	for _, c := range []struct {
		name    string
		process *process
		data    []path
		learn   method
	}{
		{"token, Eq. 8 and 9", tree, tree.paths(0), tokenLevel},
		{"step, Eq. 8 and 9, section 4.2", tree, tree.paths(0), stepLevel},
		{"response, Eq. 8 and 10, every trajectory seen", tree, tree.paths(0), responseLevel},
		{"token, Eq. 8 and Eq. 3 one step at a time", tree, tree.paths(0), oneStep},
		{"DQO, lambda 0", tree, tree.paths(0), dqo(0)},
		{"DQO, lambda 0.7", tree, tree.paths(0), dqo(0.7)},
		{"token, paths that meet, half of them seen", joined, half, tokenLevel},
		{"step, paths that meet, half of them seen", joined, half, stepLevel},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.process.train(t, c.data, c.learn)
			optimum := c.process.solve()
			kl, value := got.distance(optimum, c.learn.valued(c.process))
			t.Logf("%d states, %d trajectories: policy KL %.2g, value error %.2g", len(c.process.next), len(c.data), kl, value)
			if !(kl < 1e-3) || !(value < 1e-2) {
				t.Errorf("policy KL %.3g, value error %.3g, want < 1e-3 and < 1e-2", kl, value)
			}
			if got.values[len(c.process.next)] != 0 {
				t.Error("an observation was taught something")
			}
		})
	}
}

// TestResponseLevelAssignsNoCredit shows what Eq. 10 leaves open: where several
// paths lead to a state and only some continuations of each were seen, the sums
// over whole responses are met with the credit in the wrong place. Token and step
// level get the same data right (TestOptimum).
func TestResponseLevelAssignsNoCredit(t *testing.T) {
	joined, half := joinedPaths()
	got, optimum := joined.train(t, half, responseLevel), joined.solve()
	for _, p := range half {
		sum := 0.0
		for _, a := range p {
			sum += math.Log(got.policy[a.state][a.action] / joined.reference[a.state][a.action])
		}
		if r := got.values[0] - joined.payoff(p) + tableBeta*sum; math.Abs(r) > 1e-2 {
			t.Errorf("the first state's consistency (Eq. 10) is off by %.3g", r)
		}
	}
	kl, value := got.distance(optimum, everyState(joined))
	t.Logf("policy KL %.3f, value error %.3f", kl, value)
	if kl < 0.1 || value < 0.1 {
		t.Error("the response level was expected to miss pi* and V*")
	}
}

const tableBeta = 0.5 // sharp enough to move the policy, mild enough for tables of logits

// process is a deterministic decision process: state 0 is the first, each state has
// the same number of actions, -1 is the end, where the reward is paid.
type process struct {
	next      [][]int
	reward    [][]float64
	reference [][]float64
	observed  []bool // an observation comes before the state
	boundary  []bool // a step begins at the state
}

type action struct{ state, action int }

type path []action

// table is a policy and a value for every state.
type table struct {
	policy [][]float64
	values []float64
}

// randomTree has up to depth actions in a row. Action 0 ends a step, as a line
// break does.
func randomTree(r *rand.Rand, actions, depth int) *process {
	p := &process{}
	var grow func(left int, boundary bool) int
	grow = func(left int, boundary bool) int {
		s := len(p.next)
		p.next, p.reward = append(p.next, make([]int, actions)), append(p.reward, make([]float64, actions))
		p.reference = append(p.reference, randomPolicy(r, actions))
		p.observed, p.boundary = append(p.observed, s > 0 && r.IntN(3) == 0), append(p.boundary, boundary)
		for a := range actions {
			if left == 1 || s > 0 && r.IntN(3) == 0 {
				p.next[s][a], p.reward[s][a] = -1, float64(r.IntN(2))
				continue
			}
			n := grow(left-1, a == 0)
			p.next[s][a] = n
		}
		return s
	}
	grow(depth, true)
	return p
}

func randomPolicy(r *rand.Rand, n int) []float64 {
	p, sum := make([]float64, n), 0.0
	for i := range p {
		p[i] = 0.2 + r.Float64()
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// joinedPaths is a process of two steps of two tokens: any of four beginnings leads
// to state 3, any of four ends follows. The data has each beginning with one
// end and each end with one beginning.
func joinedPaths() (*process, []path) {
	r := rand.New(rand.NewPCG(11, 0))
	p := &process{
		next:     [][]int{{1, 2}, {3, 3}, {3, 3}, {4, 5}, {-1, -1}, {-1, -1}},
		reward:   [][]float64{{0, 0}, {0, 0}, {0, 0}, {0, 0}, {1, 0}, {0.3, 0.8}},
		observed: make([]bool, 6),
		boundary: []bool{true, false, false, true, false, false},
	}
	for range p.next {
		p.reference = append(p.reference, randomPolicy(r, 2))
	}
	var data []path
	for begin := range 4 {
		end := (begin + 1) % 4
		data = append(data, path{{0, begin / 2}, {1 + begin/2, begin % 2}, {3, end / 2}, {4 + end/2, end % 2}})
	}
	return p, data
}

// paths are all trajectories from state s on.
func (p *process) paths(s int) []path {
	var all []path
	for a, n := range p.next[s] {
		head := action{s, a}
		if n < 0 {
			all = append(all, path{head})
			continue
		}
		for _, rest := range p.paths(n) {
			all = append(all, append(path{head}, rest...))
		}
	}
	return all
}

func (p *process) payoff(steps path) float64 {
	last := steps[len(steps)-1]
	return p.reward[last.state][last.action]
}

// solve does the soft Bellman backup (Eq. 14 and 15 of the paper's appendix B):
//
//	V*(s) = beta log sum_a pi_ref(a|s) exp((r(s,a) + V*(s')) / beta)
//	pi*(a|s) = pi_ref(a|s) exp((r(s,a) + V*(s') - V*(s)) / beta)
func (p *process) solve() table {
	best := table{make([][]float64, len(p.next)), make([]float64, len(p.next))}
	for s := len(p.next) - 1; s >= 0; s-- { // a state's successors have higher numbers
		q, sum := make([]float64, len(p.next[s])), 0.0
		for a, n := range p.next[s] {
			q[a] = p.reward[s][a]
			if n >= 0 {
				q[a] += best.values[n]
			}
			sum += p.reference[s][a] * math.Exp(q[a]/tableBeta)
		}
		best.values[s] = tableBeta * math.Log(sum)
		for a := range q {
			best.policy[s] = append(best.policy[s], p.reference[s][a]*math.Exp((q[a]-best.values[s])/tableBeta))
		}
	}
	return best
}

// distance is the largest KL(pi || pi*) of a state and the largest value error of
// the states that valued names.
func (got table) distance(want table, valued []bool) (kl, value float64) {
	for s := range want.policy {
		kl = max(kl, divergence(got.policy[s], want.policy[s]))
		if valued[s] {
			value = max(value, math.Abs(got.values[s]-want.values[s]))
		}
	}
	return kl, value
}

func divergence(p, q []float64) float64 {
	kl := 0.0
	for i := range p {
		kl += p[i] * math.Log(p[i]/q[i])
	}
	return kl
}

// method is the sum of a critic's and a policy's objective, [B], and the states
// whose values it teaches.
type method struct {
	loss   func(x batch) *torch.Tensor
	valued func(*process) []bool
}

var (
	tokenLevel = method{valued: everyState, loss: func(x batch) *torch.Tensor {
		return Value(x.values, x.d, x.reward, x.mask, tableBeta).Add(Policy(x.values, x.d, x.reward, x.mask, tableBeta))
	}}
	stepLevel = method{valued: func(p *process) []bool { return p.boundary }, loss: func(x batch) *torch.Tensor {
		a := x.byStep()
		return Value(a.values, a.d, x.reward, a.mask, tableBeta).Add(Policy(a.values, a.d, x.reward, a.mask, tableBeta))
	}}
	responseLevel = method{valued: everyState, loss: func(x batch) *torch.Tensor {
		a := x.byResponse()
		return Value(x.values, x.d, x.reward, x.mask, tableBeta).Add(Policy(a.values, a.d, x.reward, a.mask, tableBeta))
	}}
	oneStep = method{valued: everyState, loss: func(x batch) *torch.Tensor {
		return Value(x.values, x.d, x.reward, x.mask, tableBeta).Add(Bellman(x.values, x.d, x.reward, x.mask, tableBeta))
	}}
)

func dqo(lambda float64) method {
	return method{valued: everyState, loss: func(x batch) *torch.Tensor {
		return DQOValue(x.values, x.d, x.reward, x.mask, tableBeta, lambda).
			Add(DQOPolicy(x.values, x.d, x.reward, x.mask, tableBeta, lambda))
	}}
}

func everyState(p *process) []bool {
	all := make([]bool, len(p.next))
	for s := range all {
		all[s] = true
	}
	return all
}

// train fits tables to the trajectories by full-batch AdamW: the policy starts at
// the reference, values at 0. The last row of the tables is for observations.
func (p *process) train(t *testing.T, data []path, m method) table {
	t.Helper()
	const updates, rate = 500, 0.1
	n, width := len(p.next), len(p.next[0])
	got := table{values: make([]float64, n+1)}
	err := torch.Scope(func() {
		states, x := p.encode(data)
		logits := torch.FromFloat64(p.logReference(), int64(n+1), int64(width))
		refLogits := torch.Embedding(logits.Times(1), states)
		values := torch.FromFloat64(got.values, int64(n+1), 1)
		params := []*torch.Tensor{logits, values}
		m1 := []*torch.Tensor{logits.Times(0), values.Times(0)}
		m2 := []*torch.Tensor{logits.Times(0), values.Times(0)}
		logits.SetRequiresGrad(true)
		values.SetRequiresGrad(true)
		for u := 1; u <= updates; u++ {
			err := torch.Scope(func() {
				x := x
				x.logits, x.values = torch.Embedding(logits, states), torch.Embedding(values, states).Squeeze(-1)
				torch.ZeroGrad(params)
				m.loss(x.forward(refLogits)).Sum().Times(1 / float64(len(data))).Backward()
				torch.AdamW(params, m1, m2, u, rate*(1-float64(u-1)/updates), 0.9, 0.95, 0, 1e-8)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		probabilities := logits.LogSoftmax().Exp().Float64s()
		for s := range n {
			got.policy = append(got.policy, probabilities[s*width:(s+1)*width])
		}
		got.values = values.Float64s()
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (p *process) logReference() []float64 {
	var logs []float64
	for _, probabilities := range p.reference {
		for _, q := range probabilities {
			logs = append(logs, math.Log(q))
		}
	}
	return append(logs, make([]float64, len(p.next[0]))...)
}

// encode lays trajectories out as data.Collate does: the state of position t [B, T]
// and the arrays of a batch. An observation is a position without an action.
func (p *process) encode(data []path) (states *torch.Tensor, x batch) {
	rows := make([][]action, len(data)) // state -1 for an observation
	T, S := 0, 0
	for b, steps := range data {
		count := 0
		for _, a := range steps {
			if p.observed[a.state] {
				rows[b] = append(rows[b], action{-1, 0})
			}
			rows[b] = append(rows[b], a)
			if p.boundary[a.state] {
				count++
			}
		}
		T, S = max(T, len(rows[b])), max(S, count)
	}
	B := len(data)
	ids, acts, stepOf, stepState := make([]int64, B*T), make([]int64, B*T), make([]int64, B*T), make([]int64, B*S)
	mask, stepMask, reward := make([]float64, B*T), make([]float64, B*S), make([]float64, B)
	for b, row := range rows {
		reward[b] = p.payoff(data[b])
		step := -1
		for t := range T {
			ids[b*T+t], stepOf[b*T+t] = int64(len(p.next)), int64(S)
			if t >= len(row) || row[t].state < 0 {
				continue
			}
			if p.boundary[row[t].state] {
				step++
				stepState[b*S+step], stepMask[b*S+step] = int64(t), 1
			}
			ids[b*T+t], acts[b*T+t], mask[b*T+t], stepOf[b*T+t] = int64(row[t].state), int64(row[t].action), 1, int64(step)
		}
	}
	b, t, s := int64(B), int64(T), int64(S)
	return torch.FromInt64(ids, b, t), batch{
		actions: torch.FromInt64(acts, b, t), reward: torch.FromFloat64(reward, b), mask: torch.FromFloat64(mask, b, t),
		stepOf: torch.FromInt64(stepOf, b, t), stepState: torch.FromInt64(stepState, b, s), stepMask: torch.FromFloat64(stepMask, b, s),
	}
}
