package chat

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Bounds on a template and its work: templates come with models and are not trusted.
const (
	maxTemplate = 256 << 10 // bytes of source
	maxDepth    = 128       // nesting of the source, of values and of macro calls
	maxRange    = 100_000   // as in Jinja's sandbox
	maxOutput   = 256 << 20 // bytes of any text
	baseBudget  = 64 << 20  // see machine.spend
	perByte     = 64        // more budget for each byte of the messages
	stepCost    = 16
)

// templateError travels as a panic from where it happens to Parse or Render.
type templateError string

func fail(format string, args ...any) {
	panic(templateError(fmt.Sprintf(format, args...)))
}

// rescue turns the panic of fail into an error; use it in a defer.
func rescue(err *error) {
	switch r := recover().(type) {
	case nil:
	case templateError:
		*err = fmt.Errorf("%s", string(r))
	default:
		panic(r)
	}
}

// machine is one run of a template.
type machine struct {
	out    *strings.Builder // what print writes to
	line   int              // of the statement being run
	depth  int              // of macro calls
	budget int
	now    func() time.Time
}

// spend charges one step and bytes of new text, so that neither time nor memory runs away.
func (m *machine) spend(bytes int) {
	if m.budget -= bytes + stepCost; m.budget < 0 || bytes > maxOutput {
		fail("the template does too much work for these messages")
	}
}

func (m *machine) write(s string) {
	m.spend(len(s))
	m.out.WriteString(s)
}

// scope holds the variables of a block; set writes to the innermost.
type scope struct {
	m      *machine
	vars   map[string]any
	parent *scope
}

func (s *scope) child() *scope { return &scope{s.m, map[string]any{}, s} }

func (s *scope) get(name string) any {
	for at := s; at != nil; at = at.parent {
		if v, ok := at.vars[name]; ok {
			return v
		}
	}
	if f, ok := globals[name]; ok {
		return f
	}
	return &undefined{fmt.Sprintf("'%s' is undefined", name)}
}

// capture runs body in a scope of its own and returns what it prints.
func (s *scope) capture(body []stmt, inner *scope) string {
	outer := s.m.out
	s.m.out = &strings.Builder{}
	defer func() { s.m.out = outer }()
	run(body, inner)
	return s.m.out.String()
}

type expr interface{ eval(s *scope) any }

type constExpr struct{ v any }

func (c *constExpr) eval(*scope) any { return c.v }

type nameExpr struct{ name string }

func (n *nameExpr) eval(s *scope) any {
	s.m.spend(0)
	return s.get(n.name)
}

// captured is the printed text of a set or filter block.
type captured struct{ body []stmt }

func (c *captured) eval(s *scope) any { return s.capture(c.body, s.child()) }

type listExpr struct {
	items []expr
	tuple bool
}

func (l *listExpr) eval(s *scope) any {
	s.m.spend(stepCost * len(l.items))
	items := make([]any, len(l.items))
	for i, e := range l.items {
		items[i] = e.eval(s)
	}
	out := newList(items...)
	out.tuple = l.tuple
	return out
}

type dictExpr struct{ keys, values []expr }

func (d *dictExpr) eval(s *scope) any {
	s.m.spend(4 * stepCost * len(d.keys))
	out := newDict()
	for i := range d.keys {
		out.set(d.keys[i].eval(s), d.values[i].eval(s))
	}
	return out
}

type condExpr struct{ cond, then, otherwise expr }

func (c *condExpr) eval(s *scope) any {
	switch {
	case truth(c.cond.eval(s)):
		return c.then.eval(s)
	case c.otherwise != nil:
		return c.otherwise.eval(s)
	}
	return &undefined{"the inline if-expression evaluated to false and no else section was defined"}
}

type logicExpr struct {
	left, right expr
	or          bool
}

func (l *logicExpr) eval(s *scope) any {
	v := l.left.eval(s)
	if truth(v) == l.or {
		return v
	}
	return l.right.eval(s)
}

type notExpr struct{ e expr }

func (n *notExpr) eval(s *scope) any { return !truth(n.e.eval(s)) }

type compareExpr struct {
	first expr
	ops   []string
	rest  []expr
}

func (c *compareExpr) eval(s *scope) any {
	left := c.first.eval(s)
	for i, op := range c.ops {
		right := c.rest[i].eval(s)
		s.m.spend(stepCost * (cost(left) + cost(right)))
		if !compare(op, left, right) {
			return false
		}
		left = right
	}
	return true
}

func compare(op string, a, b any) bool {
	switch op {
	case "==":
		return equal(a, b)
	case "!=":
		return !equal(a, b)
	case "<":
		return less(a, b)
	case ">":
		return less(b, a)
	case "<=":
		return !less(b, a)
	case ">=":
		return !less(a, b)
	case "in":
		return contains(b, a)
	}
	return !contains(b, a)
}

type signExpr struct {
	e        expr
	negative bool
}

func (n *signExpr) eval(s *scope) any {
	v := defined(n.e.eval(s))
	i, f, isInt, ok := number(v)
	switch {
	case !ok:
		fail("a %s has no sign", typeName(v))
	case !n.negative && isInt:
		return i
	case !n.negative:
		return f
	case isInt:
		return -i
	}
	return -f
}

type binaryExpr struct {
	at
	op          string
	left, right expr
}

func (b *binaryExpr) eval(s *scope) any {
	left, right := b.left.eval(s), b.right.eval(s)
	b.here(s)
	s.m.spend(0)
	if b.op == "~" {
		s.m.spend(stepCost * (cost(left) + cost(right)))
		l, r := text(left), text(right)
		s.m.spend(len(l) + len(r))
		return l + r
	}
	if v, ok := arithmetic(b.op, defined(left), defined(right)); ok {
		return v
	}
	if _, _, isInt, _ := number(left); isInt && b.op == "*" {
		left, right = right, left
	}
	switch l := left.(type) {
	case string:
		if r, ok := right.(string); ok && b.op == "+" {
			s.m.spend(len(l) + len(r))
			return l + r
		}
		if n, _, isInt, ok := number(right); ok && isInt && b.op == "*" {
			n = max(n, 0)
			if len(l) > 0 && n > maxOutput/len(l) {
				fail("text of more than %d bytes", maxOutput)
			}
			s.m.spend(len(l) * n)
			return strings.Repeat(l, n)
		}
	case *list:
		if r, ok := right.(*list); ok && b.op == "+" && l.tuple == r.tuple {
			s.m.spend(stepCost * (len(l.items) + len(r.items)))
			sum := newList(append(append([]any{}, l.items...), r.items...)...)
			sum.tuple = l.tuple
			return sum
		}
	}
	fail("unsupported operand types for %s: %s and %s", b.op, typeName(left), typeName(right))
	return nil
}

// arithmetic computes on numbers, with Python's rules for signs; ok is false for other values.
func arithmetic(op string, a, b any) (v any, ok bool) {
	ai, af, aInt, ok1 := number(a)
	bi, bf, bInt, ok2 := number(b)
	if !ok1 || !ok2 {
		return nil, false
	}
	if (op == "/" || op == "//" || op == "%") && bf == 0 {
		fail("division by zero")
	}
	if aInt && bInt {
		switch op {
		case "+":
			return ai + bi, true
		case "-":
			return ai - bi, true
		case "*":
			return ai * bi, true
		case "//":
			return int(math.Floor(af / bf)), true
		case "%":
			return ((ai % bi) + bi) % bi, true
		case "**":
			if p := math.Pow(af, bf); bi >= 0 && math.Abs(p) < 1<<53 {
				return int(p), true
			}
		}
	}
	switch op {
	case "+":
		return af + bf, true
	case "-":
		return af - bf, true
	case "*":
		return af * bf, true
	case "/":
		return af / bf, true
	case "//":
		return math.Floor(af / bf), true
	case "%":
		return af - bf*math.Floor(af/bf), true
	}
	return math.Pow(af, bf), true
}

type attrExpr struct {
	at
	of   expr
	name string
}

func (a *attrExpr) eval(s *scope) any {
	v := defined(a.of.eval(s))
	a.here(s)
	s.m.spend(0)
	if x, ok := attribute(v, a.name); ok {
		return x
	}
	if d, ok := v.(*dict); ok {
		if x, ok := d.get(a.name); ok {
			return x
		}
	}
	return missing(v, a.name)
}

func missing(v any, name string) *undefined {
	return &undefined{fmt.Sprintf("'%s object' has no attribute '%s'", typeName(v), name)}
}

// attribute finds what Python's getattr finds: methods, and the attributes of namespaces and loops.
func attribute(v any, name string) (any, bool) {
	switch v := v.(type) {
	case *namespace:
		x, ok := v.attrs[name]
		return x, ok
	case *loop:
		return v.attr(name)
	case string:
		if f, ok := stringMethods[name]; ok {
			return function(func(m *machine, a arguments) any {
				m.spend(len(v))
				return f(m, v, a)
			}), true
		}
	case *dict:
		if f, ok := dictMethods[name]; ok {
			return function(func(m *machine, a arguments) any {
				m.spend(stepCost * len(v.keys))
				return f(v, a)
			}), true
		}
	}
	return nil, false
}

type indexExpr struct {
	at
	of, key expr
}

func (x *indexExpr) eval(s *scope) any {
	v := defined(x.of.eval(s))
	key := x.key.eval(s)
	x.here(s)
	s.m.spend(0)
	if i, ok := key.(int); ok {
		if item, ok := itemAt(s.m, v, i); ok {
			return item
		}
	}
	if d, ok := v.(*dict); ok {
		if item, ok := d.get(key); ok {
			return item
		}
	}
	if name, ok := key.(string); ok {
		if item, ok := attribute(v, name); ok {
			return item
		}
	}
	return missing(v, text(key))
}

func itemAt(m *machine, v any, i int) (any, bool) {
	switch v := v.(type) {
	case *list:
		if i < 0 {
			i += len(v.items)
		}
		if i >= 0 && i < len(v.items) {
			return v.items[i], true
		}
	case string:
		m.spend(len(v))
		chars := iterate(v)
		if i < 0 {
			i += len(chars)
		}
		if i >= 0 && i < len(chars) {
			return chars[i], true
		}
	}
	return nil, false
}

type sliceExpr struct {
	at
	of    expr
	parts [3]expr
}

func (x *sliceExpr) eval(s *scope) any {
	v := defined(x.of.eval(s))
	x.here(s)
	switch v.(type) {
	case string, *list:
	default:
		return missing(v, "slice")
	}
	var bounds [3]*int
	for i, e := range x.parts {
		if e == nil {
			continue
		}
		switch n := e.eval(s).(type) {
		case int:
			bounds[i] = &n
		case nil:
		default:
			fail("slice indices must be integers, not %s", typeName(n))
		}
	}
	items := iterate(v)
	s.m.spend(stepCost * len(items))
	picked := slice(items, bounds[0], bounds[1], bounds[2])
	if _, ok := v.(string); ok {
		return concat(picked)
	}
	out := newList(picked...)
	out.tuple = v.(*list).tuple
	return out
}

// slice is Python's items[start:stop:step].
func slice(items []any, start, stop, step *int) []any {
	by, n := 1, len(items)
	if step != nil {
		by = *step
	}
	if by == 0 {
		fail("slice step cannot be zero")
	}
	by = min(max(by, -n-1), n+1)
	low, high := 0, n // where start and stop are held
	from, to := 0, n
	if by < 0 {
		low, high = -1, n-1
		from, to = n-1, -1
	}
	clamp := func(p *int, preset int) int {
		if p == nil {
			return preset
		}
		i := *p
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	from, to = clamp(start, from), clamp(stop, to)
	var out []any
	for i := from; by > 0 && i < to || by < 0 && i > to; i += by {
		out = append(out, items[i])
	}
	return out
}

// arguments of a call.
type arguments struct {
	list  []any
	named map[string]any
}

// at returns the argument given by place or by name, else preset.
func (a arguments) at(i int, name string, preset any) any {
	if i < len(a.list) {
		return a.list[i]
	}
	if v, ok := a.named[name]; ok {
		return v
	}
	return preset
}

func (a arguments) str(i int, name string, preset string) string {
	v := defined(a.at(i, name, preset))
	s, ok := v.(string)
	if !ok {
		fail("argument %q must be a str, not %s", name, typeName(v))
	}
	return s
}

func (a arguments) int(i int, name string, preset int) int {
	v := defined(a.at(i, name, preset))
	n, _, isInt, ok := number(v)
	if !ok || !isInt {
		fail("argument %q must be an int, not %s", name, typeName(v))
	}
	return n
}

type argExprs struct {
	list  []expr
	names []string
	named []expr
}

func (a argExprs) eval(s *scope) arguments {
	out := arguments{list: make([]any, len(a.list)), named: map[string]any{}}
	for i, e := range a.list {
		out.list[i] = e.eval(s)
	}
	for i, e := range a.named {
		out.named[a.names[i]] = e.eval(s)
	}
	return out
}

type callExpr struct {
	at
	of   expr
	args argExprs
}

func (c *callExpr) eval(s *scope) any {
	v := defined(c.of.eval(s))
	args := c.args.eval(s)
	c.here(s)
	s.m.spend(stepCost * len(args.list))
	switch f := v.(type) {
	case function:
		return f(s.m, args)
	case *loop:
		if f.again != nil {
			return f.again(s.m, args)
		}
	}
	fail("'%s' object is not callable", typeName(v))
	return nil
}

type filterExpr struct {
	at
	of   expr
	f    filter
	args argExprs
}

func (x *filterExpr) eval(s *scope) any {
	v := x.of.eval(s)
	args := x.args.eval(s)
	x.here(s)
	s.m.spend(stepCost * cost(v))
	return x.f(s.m, v, args)
}

type testExpr struct {
	at
	of   expr
	f    test
	args argExprs
}

func (x *testExpr) eval(s *scope) any {
	v := x.of.eval(s)
	args := x.args.eval(s)
	x.here(s)
	s.m.spend(stepCost * cost(v))
	return x.f(v, args)
}
