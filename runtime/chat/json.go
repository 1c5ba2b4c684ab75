package chat

import (
	"fmt"
	"slices"
	"strings"
)

// toJSON is json.dumps(v, ensure_ascii=False, indent=indent, ...), as transformers defines the filter.
func toJSON(m *machine, v any, a arguments) any {
	j := jsonWriter{item: ", ", key: ": ", sort: truth(a.at(3, "sort_keys", false))}
	switch by := a.at(1, "indent", nil).(type) {
	case int:
		j.indent, j.pretty = strings.Repeat(" ", min(max(by, 0), 64)), true
	case string:
		j.indent, j.pretty = by, true
	}
	if len(a.list) == 1 && len(a.named) == 0 { // tojson(indent) is Jinja's order of arguments, tojson(ensure_ascii) transformers'
		if by, ok := a.list[0].(int); ok {
			j.indent, j.pretty = strings.Repeat(" ", min(max(by, 0), 64)), true
		}
	}
	if j.pretty {
		j.item = ","
	}
	if sep, ok := a.at(2, "separators", nil).(*list); ok && len(sep.items) == 2 {
		j.item, j.key = text(sep.items[0]), text(sep.items[1])
	}
	j.write(v, 0)
	m.spend(j.b.Len())
	return j.b.String()
}

type jsonWriter struct {
	b         strings.Builder
	item, key string
	indent    string
	pretty    bool
	sort      bool
}

func (j *jsonWriter) write(v any, depth int) {
	if j.b.Len() > maxOutput {
		fail("JSON of more than %d bytes", maxOutput)
	}
	switch v := v.(type) {
	case nil:
		j.b.WriteString("null")
	case bool:
		fmt.Fprint(&j.b, v)
	case int, float64:
		j.b.WriteString(text(v))
	case string:
		j.str(v)
	case *list:
		j.b.WriteByte('[')
		for i, x := range v.items {
			j.between(i, depth+1)
			j.write(x, depth+1)
		}
		j.close(len(v.items), depth, ']')
	case *dict:
		keys := v.keys
		if j.sort {
			keys = slices.Clone(keys)
			slices.SortFunc(keys, func(a, b any) int { return strings.Compare(text(a), text(b)) })
		}
		j.b.WriteByte('{')
		for i, k := range keys {
			j.between(i, depth+1)
			if s, ok := k.(string); ok {
				j.str(s)
			} else {
				j.b.WriteByte('"')
				j.write(k, depth+1)
				j.b.WriteByte('"')
			}
			j.b.WriteString(j.key)
			j.write(v.values[k], depth+1)
		}
		j.close(len(keys), depth, '}')
	default:
		fail("a %s cannot be written as JSON", typeName(defined(v)))
	}
}

func (j *jsonWriter) between(i, depth int) {
	if i > 0 {
		j.b.WriteString(j.item)
	}
	j.newline(depth)
}

func (j *jsonWriter) newline(depth int) {
	if j.pretty {
		j.b.WriteByte('\n')
		j.b.WriteString(strings.Repeat(j.indent, depth))
	}
}

func (j *jsonWriter) close(n, depth int, bracket byte) {
	if n > 0 {
		j.newline(depth)
	}
	j.b.WriteByte(bracket)
}

func (j *jsonWriter) str(s string) {
	escapes := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}
	j.b.WriteByte('"')
	for _, r := range s {
		if e, ok := escapes[r]; ok {
			j.b.WriteString(e)
		} else if r < ' ' {
			fmt.Fprintf(&j.b, `\u%04x`, r)
		} else {
			j.b.WriteRune(r)
		}
	}
	j.b.WriteByte('"')
}
