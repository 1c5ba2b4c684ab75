package chat

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

type (
	filter func(m *machine, v any, a arguments) any
	test   func(v any, a arguments) bool
)

// globals are the functions that transformers and Jinja offer to chat templates.
var globals map[string]function

// filters and tests are those of Jinja that published chat templates use, with their closest relatives.
var (
	filters map[string]filter
	tests   map[string]test
)

func init() { // the tables refer to themselves through map and select
	globals, filters, tests = globalTable(), filterTable(), testTable()
}

func globalTable() map[string]function {
	return map[string]function{
		"raise_exception": func(_ *machine, a arguments) any {
			fail("%s", text(a.at(0, "message", "")))
			return nil
		},
		"strftime_now": func(m *machine, a arguments) any { return strftime(m.now(), a.str(0, "format", "")) },
		"namespace": func(_ *machine, a arguments) any {
			ns := &namespace{map[string]any{}}
			for _, v := range a.list {
				if d, ok := v.(*dict); ok {
					for _, k := range d.keys {
						ns.attrs[text(k)] = d.values[k]
					}
				}
			}
			for k, v := range a.named {
				ns.attrs[k] = v
			}
			return ns
		},
		"dict": func(_ *machine, a arguments) any {
			d := newDict()
			for _, k := range slices.Sorted(mapKeys(a.named)) {
				d.set(k, a.named[k])
			}
			return d
		},
		"range": rangeOf,
	}
}

func filterTable() map[string]filter {
	return map[string]filter{
		"abs": func(_ *machine, v any, _ arguments) any {
			i, f, isInt, ok := number(defined(v))
			if !ok {
				fail("bad operand type for abs(): %s", typeName(v))
			}
			if isInt {
				return max(i, -i)
			}
			return math.Abs(f)
		},
		"capitalize": func(_ *machine, v any, _ arguments) any { return capitalize(text(v)) },
		"count":      func(_ *machine, v any, _ arguments) any { return length(v) },
		"d":          preset,
		"default":    preset,
		"dictsort":   dictSort,
		"e":          func(_ *machine, v any, _ arguments) any { return htmlEscaper.Replace(text(v)) },
		"escape":     func(_ *machine, v any, _ arguments) any { return htmlEscaper.Replace(text(v)) },
		"first":      func(m *machine, v any, _ arguments) any { return edge(iterate(v), 0) },
		"float":      toFloat,
		"indent":     indent,
		"int":        toInt,
		"items": func(_ *machine, v any, _ arguments) any {
			if _, ok := v.(*undefined); ok {
				return newList()
			}
			d, ok := v.(*dict)
			if !ok {
				fail("can only get item pairs from a mapping")
			}
			return pairs(d)
		},
		"join":       join,
		"last":       func(m *machine, v any, _ arguments) any { return edge(iterate(v), -1) },
		"length":     func(_ *machine, v any, _ arguments) any { return length(v) },
		"list":       func(_ *machine, v any, _ arguments) any { return newList(iterate(v)...) },
		"lower":      func(_ *machine, v any, _ arguments) any { return strings.ToLower(text(v)) },
		"map":        mapFilter,
		"max":        func(_ *machine, v any, _ arguments) any { return extreme(v, func(a, b any) bool { return less(b, a) }) },
		"min":        func(_ *machine, v any, _ arguments) any { return extreme(v, less) },
		"reject":     selection(false, false),
		"rejectattr": selection(true, false),
		"replace": func(m *machine, v any, a arguments) any {
			return replace(m, text(v), text(a.at(0, "old", "")), text(a.at(1, "new", "")), a.at(2, "count", nil))
		},
		"reverse": func(_ *machine, v any, _ arguments) any {
			items := slices.Clone(iterate(v))
			slices.Reverse(items)
			if _, ok := v.(string); ok {
				return concat(items)
			}
			return newList(items...)
		},
		"round":      round,
		"safe":       func(_ *machine, v any, _ arguments) any { return text(v) },
		"select":     selection(false, true),
		"selectattr": selection(true, true),
		"sort":       sortFilter,
		"string":     func(_ *machine, v any, _ arguments) any { return text(v) },
		"sum": func(_ *machine, v any, a arguments) any {
			total := a.at(1, "start", 0)
			for _, x := range attributeOf(iterate(v), a.at(0, "attribute", nil)) {
				t, ok := arithmetic("+", total, defined(x))
				if !ok {
					fail("cannot add a %s", typeName(x))
				}
				total = t
			}
			return total
		},
		"title":  func(_ *machine, v any, _ arguments) any { return title(text(v)) },
		"tojson": toJSON,
		"trim":   func(_ *machine, v any, a arguments) any { return strip(text(v), a.at(0, "chars", nil), true, true) },
		"unique": unique,
		"upper":  func(_ *machine, v any, _ arguments) any { return strings.ToUpper(text(v)) },
	}
}

func testTable() map[string]test {
	order := func(op string) test {
		return func(v any, a arguments) bool { return compare(op, v, a.at(0, "other", nil)) }
	}
	return map[string]test{
		"defined":   func(v any, _ arguments) bool { return !isType[*undefined](v) },
		"undefined": func(v any, _ arguments) bool { return isType[*undefined](v) },
		"none":      func(v any, _ arguments) bool { return v == nil },
		"true":      func(v any, _ arguments) bool { return v == true },
		"false":     func(v any, _ arguments) bool { return v == false },
		"boolean":   func(v any, _ arguments) bool { return isType[bool](v) },
		"string":    func(v any, _ arguments) bool { return isType[string](v) },
		"integer":   func(v any, _ arguments) bool { return isType[int](v) },
		"float":     func(v any, _ arguments) bool { return isType[float64](v) },
		"number":    func(v any, _ arguments) bool { return isType[int](v) || isType[float64](v) || isType[bool](v) },
		"mapping":   func(v any, _ arguments) bool { return isType[*dict](v) },
		"sequence": func(v any, _ arguments) bool {
			return isType[*list](v) || isType[*dict](v) || isType[string](v) || isType[*undefined](v)
		},
		"iterable": func(v any, _ arguments) bool {
			return isType[*list](v) || isType[*dict](v) || isType[string](v) || isType[*undefined](v)
		},
		"callable": func(v any, _ arguments) bool { return isType[function](v) },
		"sameas":   func(v any, a arguments) bool { return v == a.at(0, "other", nil) },
		"in":       func(v any, a arguments) bool { return contains(a.at(0, "seq", nil), v) },
		"odd":      func(v any, _ arguments) bool { return equal(remainder(v, 2), 1) },
		"even":     func(v any, _ arguments) bool { return equal(remainder(v, 2), 0) },
		"divisibleby": func(v any, a arguments) bool {
			return equal(remainder(v, a.int(0, "num", 1)), 0)
		},
		"lower": func(v any, _ arguments) bool { s := text(v); return strings.ToLower(s) == s && strings.ToUpper(s) != s },
		"upper": func(v any, _ arguments) bool { s := text(v); return strings.ToUpper(s) == s && strings.ToLower(s) != s },
		"eq":    order("=="), "equalto": order("=="), "ne": order("!="), "lt": order("<"), "lessthan": order("<"), "le": order("<="),
		"gt": order(">"), "greaterthan": order(">"), "ge": order(">="),
	}
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func isType[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

func remainder(v any, by int) any {
	r, ok := arithmetic("%", defined(v), by)
	if !ok {
		fail("%s has no remainder by %d", typeName(v), by)
	}
	return r
}

func rangeOf(m *machine, a arguments) any {
	start, stop, step := 0, a.int(0, "stop", 0), a.int(2, "step", 1)
	if len(a.list) > 1 {
		start, stop = stop, a.int(1, "stop", 0)
	}
	if step == 0 {
		fail("range() arg 3 must not be zero")
	}
	n := max(0, int(math.Ceil((float64(stop)-float64(start))/float64(step))))
	if n > maxRange {
		fail("range of %d items, more than %d", n, maxRange)
	}
	m.spend(stepCost * n)
	items := make([]any, n)
	for i := range items {
		items[i] = start + i*step
	}
	return newList(items...)
}

func preset(_ *machine, v any, a arguments) any {
	if isType[*undefined](v) || truth(a.at(1, "boolean", false)) && !truth(v) {
		return a.at(0, "default_value", "")
	}
	return v
}

// edge is the first (0) or last (-1) item.
func edge(items []any, i int) any {
	if len(items) == 0 {
		return &undefined{"the sequence is empty"}
	}
	return items[(i+len(items))%len(items)]
}

func extreme(v any, before func(a, b any) bool) any {
	items := iterate(v)
	best := edge(items, 0)
	for _, x := range items {
		if before(x, best) {
			best = x
		}
	}
	return best
}

func pairs(d *dict) *list {
	items := make([]any, len(d.keys))
	for i, k := range d.keys {
		items[i] = newTuple(k, d.values[k])
	}
	return newList(items...)
}

func concat(items []any) string {
	var b strings.Builder
	for _, x := range items {
		b.WriteString(text(x))
	}
	return b.String()
}

// attributeOf replaces items by their attribute, given as a dotted path or an index; nil keeps them.
func attributeOf(items []any, attr any) []any {
	if attr == nil {
		return items
	}
	out := make([]any, len(items))
	for i, x := range items {
		for _, name := range strings.Split(text(attr), ".") {
			x = lookup(defined(x), name)
		}
		out[i] = x
	}
	return out
}

func lookup(v any, name string) any {
	if d, ok := v.(*dict); ok {
		if x, ok := d.get(name); ok {
			return x
		}
	}
	if l, ok := v.(*list); ok {
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(l.items) {
			return l.items[i]
		}
	}
	if x, ok := attribute(v, name); ok {
		return x
	}
	return missing(v, name)
}

func mapFilter(m *machine, v any, a arguments) any {
	if !truth(v) { // even None
		return newList()
	}
	items := iterate(v)
	if attr, ok := a.named["attribute"]; ok {
		out := attributeOf(items, attr)
		for i, x := range out {
			if d, ok := a.named["default"]; ok && isType[*undefined](x) {
				out[i] = d
			}
		}
		return newList(out...)
	}
	name := a.str(0, "filter", "")
	f, ok := filters[name]
	if !ok {
		fail("the filter %q is not supported", name)
	}
	out := make([]any, len(items))
	for i, x := range items {
		m.spend(4*stepCost + cost(x)*stepCost)
		out[i] = f(m, x, arguments{a.list[1:], a.named})
	}
	return newList(out...)
}

// selection is select, reject, selectattr and rejectattr: keep what passes (or fails) a test, truth if none is named.
func selection(byAttr, keep bool) filter {
	return func(m *machine, v any, a arguments) any {
		if !truth(v) { // even None
			return newList()
		}
		items := iterate(v)
		probe := items
		args := a.list
		if byAttr {
			if len(args) == 0 {
				fail("missing parameter for attribute name")
			}
			probe, args = attributeOf(items, args[0]), args[1:]
		}
		passes := func(x any, _ arguments) bool { return truth(x) }
		if len(args) > 0 {
			name := text(args[0])
			t, ok := tests[name]
			if !ok {
				t, ok = tests[map[string]string{"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[name]]
			}
			if !ok {
				fail("the test %q is not supported", name)
			}
			passes, args = t, args[1:]
		}
		var out []any
		for i, x := range items {
			m.spend(4*stepCost + cost(probe[i]))
			if passes(probe[i], arguments{args, a.named}) == keep {
				out = append(out, x)
			}
		}
		return newList(out...)
	}
}

func sortFilter(m *machine, v any, a arguments) any {
	items := slices.Clone(iterate(v))
	m.spend(stepCost * len(items) * 20)
	keys := attributeOf(items, a.at(2, "attribute", nil))
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
		if s, ok := keys[i].(string); ok && !truth(a.at(1, "case_sensitive", false)) {
			if i == 0 {
				keys = slices.Clone(keys)
			}
			keys[i] = strings.ToLower(s)
		}
	}
	sign := 1
	if truth(a.at(0, "reverse", false)) {
		sign = -1
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case less(keys[i], keys[j]):
			return -sign
		case less(keys[j], keys[i]):
			return sign
		}
		return 0
	})
	out := make([]any, len(items))
	for i, k := range order {
		out[i] = items[k]
	}
	return newList(out...)
}

func dictSort(m *machine, v any, a arguments) any {
	d, ok := defined(v).(*dict)
	if !ok {
		fail("dictsort needs a dict, not %s", typeName(v))
	}
	by := map[bool]string{true: "1", false: "0"}[a.str(1, "by", "key") == "value"]
	return sortFilter(m, pairs(d), arguments{named: map[string]any{
		"attribute": by, "case_sensitive": a.at(0, "case_sensitive", false), "reverse": a.at(2, "reverse", false)}})
}

func unique(m *machine, v any, a arguments) any {
	items := iterate(v)
	keys := attributeOf(items, a.at(1, "attribute", nil))
	seen := newDict()
	var out []any
	for i, x := range items {
		k := keys[i]
		if s, ok := k.(string); ok && !truth(a.at(0, "case_sensitive", false)) {
			k = strings.ToLower(s)
		}
		if _, ok := seen.get(k); !ok {
			seen.set(k, true)
			out = append(out, x)
		}
	}
	return newList(out...)
}

func join(m *machine, v any, a arguments) any {
	return joinText(m, attributeOf(iterate(v), a.at(1, "attribute", nil)), text(a.at(0, "d", "")))
}

func joinText(m *machine, items []any, glue string) string {
	var b strings.Builder
	for i, x := range items {
		if i > 0 {
			b.WriteString(glue)
		}
		s := text(x)
		m.spend(len(s) + len(glue))
		b.WriteString(s)
	}
	return b.String()
}

func replace(m *machine, s, old, with string, count any) string {
	n := -1
	if c, ok := count.(int); ok {
		n = c
	}
	hits := strings.Count(s, old)
	if n >= 0 {
		hits = min(hits, n)
	}
	if hits > 0 && len(with) > maxOutput/hits {
		fail("text of more than %d bytes", maxOutput)
	}
	m.spend(len(s) + hits*len(with))
	return strings.Replace(s, old, with, n)
}

func indent(m *machine, v any, a arguments) any {
	by := strings.Repeat(" ", min(max(0, indentWidth(a)), maxRange))
	if s, ok := a.at(0, "width", 4).(string); ok {
		by = s
	}
	s, ok := defined(v).(string)
	if !ok {
		fail("indent needs a str, not %s", typeName(v))
	}
	lines := splitLines(s+"\n", false)
	m.spend(len(lines) * len(by))
	for i := range lines {
		if i == 0 && !truth(a.at(1, "first", false)) || lines[i] == "" && !truth(a.at(2, "blank", false)) && i > 0 {
			continue
		}
		lines[i] = by + lines[i]
	}
	return strings.Join(lines, "\n")
}

func indentWidth(a arguments) int {
	n, _ := a.at(0, "width", 4).(int)
	return n
}

func toInt(_ *machine, v any, a arguments) any {
	switch v := defined(v).(type) {
	case string:
		s := strings.TrimFunc(v, isSpace)
		if n, err := strconv.ParseInt(s, a.int(1, "base", 10), 64); err == nil {
			return int(n)
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1<<62 {
			return int(f)
		}
	default:
		if i, f, isInt, ok := number(v); ok && isInt {
			return i
		} else if ok && math.Abs(f) < 1<<62 {
			return int(f)
		}
	}
	return a.at(0, "default", 0)
}

func toFloat(_ *machine, v any, a arguments) any {
	if s, ok := defined(v).(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimFunc(s, isSpace), 64); err == nil {
			return f
		}
	} else if _, f, _, ok := number(v); ok {
		return f
	}
	return a.at(0, "default", 0.0)
}

func round(_ *machine, v any, a arguments) any {
	i, f, isInt, ok := number(defined(v))
	if !ok {
		fail("cannot round a %s", typeName(v))
	}
	if isInt && a.int(0, "precision", 0) >= 0 && a.str(1, "method", "common") == "common" {
		return i
	}
	scale := math.Pow(10, float64(a.int(0, "precision", 0)))
	switch a.str(1, "method", "common") {
	case "ceil":
		return math.Ceil(f*scale) / scale
	case "floor":
		return math.Floor(f*scale) / scale
	}
	return math.RoundToEven(f*scale) / scale
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&#39;", `"`, "&#34;")

// strftime writes t by the directives of C and Python.
func strftime(t time.Time, format string) string {
	layouts := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'B': "January", 'b': "Jan", 'h': "Jan", 'A': "Monday", 'a': "Mon", 'H': "15", 'I': "03",
		'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06",
		'R': "15:04", 'e': "_2", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		bare := format[i] == '-' && i+1 < len(format) // %-d: no leading zeros
		if bare {
			i++
		}
		switch layout, ok := layouts[format[i]]; {
		case format[i] == '%':
			b.WriteByte('%')
		case !ok:
			fail("strftime_now: %%%c is not supported", format[i])
		case bare:
			s := strings.TrimLeft(t.Format(layout), "0 ")
			if s == "" {
				s = "0"
			}
			b.WriteString(s)
		default:
			b.WriteString(t.Format(layout))
		}
	}
	return b.String()
}

func capitalize(s string) string {
	for i, r := range s {
		if i == 0 {
			n := len(string(r))
			return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
		}
	}
	return s
}

// title begins every word with a capital, as Jinja's filter cuts words.
func title(s string) string {
	var b strings.Builder
	start := true
	for _, r := range s {
		if start {
			b.WriteRune(unicode.ToUpper(r))
		} else {
			b.WriteRune(unicode.ToLower(r))
		}
		start = isSpace(r) || strings.ContainsRune("-([{<", r)
	}
	return b.String()
}
