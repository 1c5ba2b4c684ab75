package chat

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Values of the template language are Go's nil, bool, int, float64 and string, and these.
type (
	// undefined is what a name or attribute that does not exist gives: it prints as nothing, is false, and any other use is an error.
	undefined struct{ why string }
	// list is a list or a tuple.
	list struct {
		items []any
		tuple bool
		extent
	}
	// dict keeps its keys in order.
	dict struct {
		keys   []any
		values map[any]any
		extent
	}
	// namespace is a dict whose attributes a template may set.
	namespace struct{ attrs map[string]any }
	// function is a builtin, a method or a macro.
	function func(m *machine, a arguments) any
)

// extent bounds what walking a value costs: how deep its lists nest, and how many values it holds, shared ones counted each time.
type extent struct{ depth, size int }

const maxSize = 1 << 22

// add widens e by a member of the value.
func (e *extent) add(v any) {
	depth, size := 1, cost(v)
	switch v := v.(type) {
	case *list:
		depth += v.depth
	case *dict:
		depth += v.depth
	}
	e.depth, e.size = max(e.depth, depth), e.size+size+1
	if e.depth > maxDepth {
		fail("lists nested more than %d deep", maxDepth)
	}
	if e.size > maxSize {
		fail("list of more than %d values", maxSize)
	}
}

// cost is the work of walking v once, in steps.
func cost(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) / stepCost
	case *list:
		return v.size
	case *dict:
		return v.size
	}
	return 0
}

func newList(items ...any) *list {
	l := &list{items: items}
	for _, x := range items {
		l.add(x)
	}
	return l
}

func newTuple(items ...any) *list {
	l := newList(items...)
	l.tuple = true
	return l
}

func newDict() *dict { return &dict{values: map[any]any{}} }

func (d *dict) set(key, value any) {
	switch key.(type) {
	case nil, bool, int, float64, string:
	default:
		fail("a %s cannot be the key of a dict", typeName(key))
	}
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
	d.add(value)
}

// get looks key up; a list or dict is never a key.
func (d *dict) get(key any) (any, bool) {
	switch key.(type) {
	case *list, *dict, function, *undefined, *namespace, *loop:
		return nil, false
	}
	v, ok := d.values[key]
	return v, ok
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *dict:
		return "dict"
	case function:
		return "function"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", v), "*chat.")
}

// defined fails with the reason why v does not exist.
func defined(v any) any {
	if u, ok := v.(*undefined); ok {
		fail("%s", u.why)
	}
	return v
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, *undefined:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// number reads v as int or float; a bool counts as 0 or 1.
func number(v any) (i int, f float64, isInt, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

func equal(a, b any) bool {
	if _, fa, _, ok := number(a); ok {
		_, fb, _, ok := number(b)
		return ok && fa == fb
	}
	switch a := a.(type) {
	case *undefined:
		_, ok := b.(*undefined)
		return ok
	case *list:
		b, ok := b.(*list)
		if !ok || len(a.items) != len(b.items) || a.tuple != b.tuple {
			return false
		}
		for i := range a.items {
			if !equal(a.items[i], b.items[i]) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for _, k := range a.keys {
			if v, ok := b.get(k); !ok || !equal(a.values[k], v) {
				return false
			}
		}
		return true
	case function:
		return false
	case nil, string:
		return a == b
	}
	return a == b
}

// less orders numbers, strings and lists.
func less(a, b any) bool {
	if _, fa, _, ok := number(a); ok {
		if _, fb, _, ok := number(b); ok {
			return fa < fb
		}
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return x < y
		}
	case *list:
		if y, ok := b.(*list); ok {
			for i := range min(len(x.items), len(y.items)) {
				if !equal(x.items[i], y.items[i]) {
					return less(x.items[i], y.items[i])
				}
			}
			return len(x.items) < len(y.items)
		}
	}
	fail("%s and %s have no order", typeName(defined(a)), typeName(defined(b)))
	return false
}

// text is Python's str().
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case *undefined:
		return ""
	}
	var b strings.Builder
	repr(&b, v)
	return b.String()
}

// repr writes v as Python's repr().
func repr(b *strings.Builder, v any) {
	if b.Len() > maxOutput {
		fail("value of more than %d bytes", maxOutput)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int:
		b.WriteString(strconv.Itoa(v))
	case float64:
		b.WriteString(floatText(v))
	case string:
		reprString(b, v)
	case *undefined:
		b.WriteString("Undefined")
	case *list:
		open, closing := "[", "]"
		if v.tuple {
			open, closing = "(", ")"
			if len(v.items) == 1 {
				closing = ",)"
			}
		}
		b.WriteString(open)
		for i, x := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			repr(b, x)
		}
		b.WriteString(closing)
	case *dict:
		b.WriteString("{")
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			repr(b, k)
			b.WriteString(": ")
			repr(b, v.values[k])
		}
		b.WriteString("}")
	default:
		fail("a %s cannot be printed", typeName(v))
	}
}

func floatText(f float64) string {
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	case f == math.Trunc(f) && math.Abs(f) < 1e16:
		return strconv.FormatFloat(f, 'f', 1, 64)
	case math.Abs(f) >= 1e-4 && math.Abs(f) < 1e16:
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'e', -1, 64)
}

func reprString(b *strings.Builder, s string) {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r >= 0x7f && r <= 0xff && !unicode.IsPrint(r):
			fmt.Fprintf(b, `\x%02x`, r)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(b, `\U%08x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
}

// iterate lists the members of v: characters, items or keys.
func iterate(v any) []any {
	switch v := v.(type) {
	case *undefined:
		return nil
	case *list:
		return v.items
	case *dict:
		return v.keys
	case string:
		out := make([]any, 0, len(v))
		for i := 0; i < len(v); {
			_, n := utf8.DecodeRuneInString(v[i:])
			out = append(out, v[i:i+n])
			i += n
		}
		return out
	}
	fail("'%s' object is not iterable", typeName(v))
	return nil
}

func length(v any) int {
	switch v := v.(type) {
	case *undefined:
		return 0
	case string:
		return utf8.RuneCountInString(v)
	case *list:
		return len(v.items)
	case *dict:
		return len(v.keys)
	}
	fail("a %s has no length", typeName(v))
	return 0
}

func contains(container, v any) bool {
	switch c := container.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			fail("'in <string>' requires string as left operand, not %s", typeName(defined(v)))
		}
		return strings.Contains(c, s)
	case *dict:
		_, ok := c.get(v)
		return ok
	}
	for _, x := range iterate(container) {
		if equal(x, v) {
			return true
		}
	}
	return false
}
