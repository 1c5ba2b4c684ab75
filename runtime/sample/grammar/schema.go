package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Schema writes a JSON schema as a regular expression. Supported are:
//
//	type (one or a list), enum, const, anyOf, oneOf (as anyOf),
//	properties, required, additionalProperties: false,
//	items, minItems, maxItems, minLength, maxLength,
//	$ref to "#/$defs/…" or "#/definitions/…" that does not lead back to itself
//
// Texts such as title, description, default and examples are passed over.
// Anything else, such as pattern, format, minimum, allOf or a schema that allows
// anything, is an error that names it: a text must never break a rule unnoticed.
//
// Of what a schema allows, objects have their properties in the schema's order
// and no others, one space may follow a comma or a colon, and numbers have at
// most 16 digits before and behind the point, and exponents two. Bounds on lengths are at most 1000.
func Schema(schema []byte) (string, error) {
	root, err := parseOrdered(schema)
	if err != nil {
		return "", fmt.Errorf("JSON schema: %w", err)
	}
	c := &schemaCompiler{root: root, under: map[string]bool{}}
	expr, err := c.any(root, "#")
	if err == nil && len(expr) > maxExpr {
		err = fmt.Errorf("as a regular expression it has %d bytes, at most %d are taken", len(expr), maxExpr)
	}
	if err != nil {
		return "", fmt.Errorf("JSON schema: %w", err)
	}
	return expr, nil
}

// Bounds of what is taken.
const (
	maxExpr  = 1 << 20
	maxDepth = 64
	maxCount = 1000
)

// Parts of JSON.
const (
	jsonChar    = `(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})`
	jsonInteger = `-?(?:0|[1-9][0-9]{0,15})`
	jsonNumber  = jsonInteger + `(?:\.[0-9]{1,16})?(?:[eE][+-]?[0-9]{1,2})?`
	comma       = `, ?`
	colon       = `: ?`
)

type schemaCompiler struct {
	root  any
	under map[string]bool // references being followed
	depth int
	size  int
}

var ignored = []string{"title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "deprecated", "readOnly", "writeOnly"}

// any writes the schema at path.
func (c *schemaCompiler) any(v any, path string) (string, error) {
	if c.depth++; c.depth > maxDepth {
		return "", fmt.Errorf("%s: nested deeper than %d", path, maxDepth)
	}
	defer func() { c.depth-- }()
	s, ok := v.(object)
	if !ok {
		return "", fmt.Errorf("%s: want an object, and one that says a type", path)
	}
	expr, err := c.kinds(s, path)
	if c.size += len(expr); err == nil && c.size > 8*maxExpr {
		err = errors.New("too large")
	}
	return expr, err
}

// kinds chooses by what a schema says first.
func (c *schemaCompiler) kinds(s object, path string) (string, error) {
	for _, m := range []struct {
		key   string
		write func(object, any, string) (string, error)
	}{
		{"$ref", c.ref}, {"const", c.constant}, {"enum", c.enum}, {"anyOf", c.anyOf}, {"oneOf", c.anyOf}, {"type", c.types},
	} {
		if v, ok := s.get(m.key); ok {
			return m.write(s, v, path+"/"+m.key)
		}
	}
	return "", fmt.Errorf("%s: says neither type, enum, const, anyOf nor $ref: a value of any kind is not supported", path)
}

// only refuses keywords beyond those named and those without meaning.
func (s object) only(path string, known ...string) error {
	for _, e := range s {
		if !slices.Contains(known, e.key) && !slices.Contains(ignored, e.key) {
			return fmt.Errorf("%s: keyword %q is not supported here", path, e.key)
		}
	}
	return nil
}

func (c *schemaCompiler) ref(s object, v any, path string) (string, error) {
	if err := s.only(path, "$ref"); err != nil {
		return "", err
	}
	ref, _ := v.(string)
	parts := strings.Split(ref, "/")
	if len(parts) != 3 || parts[0] != "#" || parts[1] != "$defs" && parts[1] != "definitions" {
		return "", fmt.Errorf(`%s: %q is not "#/$defs/NAME"`, path, ref)
	}
	if c.under[ref] {
		return "", fmt.Errorf("%s: %s leads back to itself: recursion is not supported", path, ref)
	}
	root, _ := c.root.(object)
	defs, _ := root.get(parts[1])
	list, _ := defs.(object)
	target, ok := list.get(parts[2])
	if !ok {
		return "", fmt.Errorf("%s: %s is not there", path, ref)
	}
	c.under[ref] = true
	defer delete(c.under, ref)
	return c.any(target, ref)
}

func (c *schemaCompiler) constant(s object, v any, path string) (string, error) {
	return quote(encode(v)), s.only(path, "const", "type")
}

func (c *schemaCompiler) enum(s object, v any, path string) (string, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return "", fmt.Errorf("%s: want a list of values", path)
	}
	var parts []string
	for _, x := range list {
		parts = append(parts, quote(encode(x)))
	}
	return either(parts), s.only(path, "enum", "type")
}

func (c *schemaCompiler) anyOf(s object, v any, path string) (string, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return "", fmt.Errorf("%s: want a list of schemas", path)
	}
	var parts []string
	for i, x := range list {
		part, err := c.any(x, fmt.Sprintf("%s/%d", path, i))
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	return either(parts), s.only(path, "anyOf", "oneOf")
}

func either(parts []string) string { return "(?:" + strings.Join(parts, "|") + ")" }

// types writes the kinds of value that "type" names.
func (c *schemaCompiler) types(s object, v any, path string) (string, error) {
	names, ok := v.([]any)
	if !ok {
		names = []any{v}
	}
	known := []string{"type"}
	var parts []string
	for _, name := range names {
		var part string
		var err error
		switch name {
		case "string":
			known = append(known, "minLength", "maxLength")
			var count string
			count, err = counts(s, path, "minLength", "maxLength")
			part = `"` + jsonChar + count + `"`
		case "integer":
			part = jsonInteger
		case "number":
			part = jsonNumber
		case "boolean":
			part = "(?:true|false)"
		case "null":
			part = "null"
		case "array":
			known = append(known, "items", "minItems", "maxItems")
			part, err = c.array(s, path)
		case "object":
			known = append(known, "properties", "required", "additionalProperties")
			part, err = c.object(s, path)
		default:
			err = fmt.Errorf("%s: %s is no type", path, encode(name))
		}
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "", fmt.Errorf("%s: names no type", path)
	}
	return either(parts), s.only(path, known...)
}

// counts writes bounds as a repetition.
func counts(s object, path, minKey, maxKey string) (string, error) {
	lo, hi, err := bounds(s, path, minKey, maxKey)
	switch {
	case err != nil:
		return "", err
	case hi < 0 && lo == 0:
		return "*", nil
	case hi < 0:
		return fmt.Sprintf("{%d,}", lo), nil
	}
	return fmt.Sprintf("{%d,%d}", lo, hi), nil
}

// bounds reads two counts; hi is -1 where there is none.
func bounds(s object, path, minKey, maxKey string) (lo, hi int, err error) {
	hi = -1
	for key, to := range map[string]*int{minKey: &lo, maxKey: &hi} {
		v, ok := s.get(key)
		if !ok {
			continue
		}
		text, _ := v.(json.Number)
		if *to, err = strconv.Atoi(string(text)); err != nil || *to < 0 || *to > maxCount {
			return 0, 0, fmt.Errorf("%s: %s is %s, want 0 to %d", path, key, encode(v), maxCount)
		}
	}
	if hi >= 0 && hi < lo {
		return 0, 0, fmt.Errorf("%s: %s is %d, below %s %d", path, maxKey, hi, minKey, lo)
	}
	return lo, hi, nil
}

func (c *schemaCompiler) array(s object, path string) (string, error) {
	items, ok := s.get("items")
	if !ok {
		return "", fmt.Errorf("%s: an array needs items: values of any kind are not supported", path)
	}
	lo, hi, err := bounds(s, path, "minItems", "maxItems")
	if err != nil {
		return "", err
	}
	item, err := c.any(items, path+"/items")
	if err != nil {
		return "", err
	}
	if hi == 0 {
		return `\[\]`, nil
	}
	most := ""
	if hi > 0 {
		most = strconv.Itoa(hi - 1)
	}
	list := fmt.Sprintf(`%s(?:%s%s){%d,%s}`, item, comma, item, max(lo-1, 0), most)
	if lo == 0 {
		list = "(?:" + list + ")?"
	}
	return `\[` + list + `\]`, nil
}

// object writes properties in the schema's order, those that are not required
// being optional.
func (c *schemaCompiler) object(s object, path string) (string, error) {
	if more, ok := s.get("additionalProperties"); ok && more != false {
		return "", fmt.Errorf("%s: additionalProperties is supported as false only", path)
	}
	props, _ := s.get("properties")
	list, ok := props.(object)
	if props != nil && !ok {
		return "", fmt.Errorf("%s: properties: want an object", path)
	}
	needed, err := required(s, list, path)
	if err != nil {
		return "", err
	}
	members := make([]string, len(list))
	for i, p := range list {
		value, err := c.any(p.value, path+"/properties/"+p.key)
		if err != nil {
			return "", err
		}
		members[i] = quote(encode(p.key)) + colon + value
	}
	return `\{` + sequence(members, needed) + `\}`, nil
}

// sequence joins members by commas. Optional ones before the first that is needed
// bring the comma behind them, later ones the comma before.
func sequence(members []string, needed []bool) string {
	anchor := slices.Index(needed, true)
	tail := func(from int) string {
		var b strings.Builder
		for i := from; i < len(members); i++ {
			if needed[i] {
				b.WriteString(comma + members[i])
			} else {
				b.WriteString("(?:" + comma + members[i] + ")?")
			}
		}
		return b.String()
	}
	if anchor < 0 {
		var starts []string // the first that is there, and what follows it
		for i, m := range members {
			starts = append(starts, m+tail(i+1))
		}
		if len(starts) == 0 {
			return ""
		}
		return either(starts) + "?"
	}
	head := ""
	for _, m := range members[:anchor] {
		head += "(?:" + m + comma + ")?"
	}
	return head + members[anchor] + tail(anchor+1)
}

func required(s object, list object, path string) ([]bool, error) {
	needed := make([]bool, len(list))
	v, _ := s.get("required")
	names, ok := v.([]any)
	if v != nil && !ok {
		return nil, fmt.Errorf("%s: required: want a list of names", path)
	}
	for _, name := range names {
		i := slices.IndexFunc(list, func(e member) bool { return e.key == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: required property %s is not among the properties", path, encode(name))
		}
		needed[i] = true
	}
	return needed, nil
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) get(key string) (any, bool) {
	for _, m := range o {
		if m.key == key {
			return m.value, true
		}
	}
	return nil, false
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(encode(m.key) + ":" + encode(m.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes a value as JSON without spaces.
func encode(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v) // only what parseOrdered made comes here
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parseOrdered reads JSON into object, []any, string, json.Number, bool and nil.
func parseOrdered(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := orderedValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("text behind its end")
	}
	return v, nil
}

func orderedValue(d *json.Decoder, depth int) (any, error) {
	if depth > 4*maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := orderedValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			if _, twice := o.get(key.(string)); twice {
				return nil, fmt.Errorf("key %q is there twice", key)
			}
			o = append(o, member{key.(string), v})
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := orderedValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return t, nil
}
