// Package config fills a flat struct from a YAML file and key=value overrides,
// strictly: an unknown key, a value of the wrong type or out of range is an
// error that says where it stands.
//
// A field's tags are its documentation and its check:
//
//	LR float64 `yaml:"lr" range:"(0,)" doc:"learning rate of the policy; the paper uses 5e-6"`
//
//	yaml      the key; required on every exported field, "-" hides one
//	doc       one sentence: meaning, unit, what 0 means, the paper's value
//	range     an interval such as [0,1], (0,1], [1,) for numbers
//	oneof     the words allowed, separated by |, for strings
//	required  "true": the empty value is an error
//
// Fields are string, bool, int, int64, uint64, float64 or a slice of these.
// Embedded structs are part of the struct that embeds them. What the struct
// holds before Load are the defaults.
package config

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/oreo-go/oreo/cmd/internal/cli"
)

// Load sets the fields of the struct that dst points to from the YAML file at
// path ("" for none), then from set, items of the form key=value in which a
// list is written [a, b]. At the end it calls dst's Validate() error, if any.
func Load(dst any, path string, set []string) error {
	fields := fieldsOf(dst)
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := parse(fields, path, text); err != nil {
			return err
		}
	}
	for _, item := range set {
		if err := override(fields, item); err != nil {
			return fmt.Errorf("--set %s: %w", item, err)
		}
	}
	for _, f := range fields {
		empty := f.value.IsZero() || f.value.Kind() == reflect.Slice && f.value.Len() == 0
		if empty && f.tag.Get("required") == "true" {
			return fmt.Errorf("%s is missing: write it in the configuration file or give --set %s=…", f.key, f.key)
		}
	}
	if v, ok := dst.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Apply sets the fields of the struct that dst points to from YAML text, which
// errors call name. It checks each value, but asks for none: what is missing
// may yet come with Load.
func Apply(dst any, name string, text []byte) error { return parse(fieldsOf(dst), name, text) }

// parse sets fields from YAML text.
func parse(fields []field, name string, text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		line, err := yamlError(err)
		return fmt.Errorf("%s:%d: %w", name, line, err)
	}
	line := map[string]int{}
	for i, doc := range file.Docs {
		if i > 0 && doc.Body != nil {
			return fmt.Errorf("%s:%d: a second document", name, lineOf(doc.Body))
		}
		entries, err := entriesOf(doc.Body)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, lineOf(doc.Body), err)
		}
		for _, e := range entries {
			at := lineOf(e.Key)
			key := e.Key.GetToken().Value
			if line[key] > 0 {
				return fmt.Errorf("%s:%d: key %q is already set on line %d", name, at, key, line[key])
			}
			line[key] = at
			f, err := find(fields, key)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", name, at, err)
			}
			if err := f.setNode(e.Value); err != nil {
				return fmt.Errorf("%s:%d: %s: %w", name, at, key, err)
			}
		}
	}
	return nil
}

// override applies one key=value.
func override(fields []field, item string) error {
	key, text, ok := strings.Cut(item, "=")
	if !ok {
		return fmt.Errorf("want key=value")
	}
	f, err := find(fields, key)
	if err != nil {
		return err
	}
	if f.value.Kind() != reflect.Slice || !strings.HasPrefix(text, "[") {
		return f.set([]string{text})
	}
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		_, err = yamlError(err)
		return err
	}
	return f.setNode(file.Docs[0].Body)
}

func find(fields []field, key string) (field, error) {
	var keys []string
	for _, f := range fields {
		if f.key == key {
			return f, nil
		}
		keys = append(keys, f.key)
	}
	if near := cli.Nearest(key, keys); near != "" {
		return field{}, fmt.Errorf("unknown key %q; did you mean %q?", key, near)
	}
	return field{}, fmt.Errorf("unknown key %q; --help lists the keys", key)
}

// field is one key of the configuration and where its value goes.
type field struct {
	key   string
	value reflect.Value
	tag   reflect.StructTag
}

// fieldsOf lists the fields of the struct that dst points to, in order. A
// struct that breaks the package's rules is a programmer's error: it panics.
func fieldsOf(dst any) []field {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: %T is not a pointer to a struct", dst))
	}
	return structFields(v.Elem())
}

func structFields(v reflect.Value) []field {
	var all []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		key := sf.Tag.Get("yaml")
		switch {
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct:
			all = append(all, structFields(v.Field(i))...)
		case key == "-" || !sf.IsExported():
		case key == "":
			panic(fmt.Sprintf("config: %s.%s has no yaml tag", v.Type(), sf.Name))
		case slices.ContainsFunc(all, func(f field) bool { return f.key == key }):
			panic(fmt.Sprintf("config: %s has the key %q twice", v.Type(), key))
		case typeName(sf.Type) == "":
			panic(fmt.Sprintf("config: %s.%s: type %s is not supported", v.Type(), sf.Name, sf.Type))
		default:
			all = append(all, field{key, v.Field(i), sf.Tag})
		}
	}
	return all
}

// typeName is a type's name in help texts and errors, "" if it cannot be a field's.
func typeName(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return "string"
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool:
		return t.Kind().String()
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if elem := typeName(t.Elem()); elem != "" && t.Elem().Kind() != reflect.Slice {
			return "list of " + elem + "s"
		}
	}
	return ""
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// setNode sets the field from a YAML value: a scalar or a list of scalars.
func (f field) setNode(n ast.Node) error {
	if list, ok := n.(*ast.SequenceNode); ok {
		if f.value.Kind() != reflect.Slice {
			return fmt.Errorf("want one %s, have a list", typeName(f.value.Type()))
		}
		texts := make([]string, len(list.Values))
		for i, item := range list.Values {
			text, err := scalar(item)
			if err != nil {
				return fmt.Errorf("item %d: %w", i+1, err)
			}
			texts[i] = text
		}
		return f.set(texts)
	}
	text, err := scalar(n)
	if err != nil {
		return err
	}
	return f.set([]string{text})
}

// set parses texts by the field's type: all of them for a slice, the only one
// otherwise. Going by the field and not by how YAML reads an unquoted word keeps
// `name: 007` and `answer: no` what they look like.
func (f field) set(texts []string) error {
	if f.value.Kind() != reflect.Slice {
		return f.parse(f.value, texts[0])
	}
	list := reflect.MakeSlice(f.value.Type(), len(texts), len(texts))
	for i, text := range texts {
		if err := f.parse(list.Index(i), text); err != nil {
			return err
		}
	}
	f.value.Set(list)
	return nil
}

// parse reads text into v, which is the field or an item of it, and checks it
// against the field's range or oneof.
func (f field) parse(v reflect.Value, text string) error {
	var err error
	n := 0.0
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		return f.checkWord(text)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return f.checkWord(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("want true or false, have %q", text)
		}
		v.SetBool(text == "true")
		return nil
	case reflect.Int, reflect.Int64:
		var i int64
		i, err = strconv.ParseInt(text, 10, 64)
		v.SetInt(i)
		n = float64(i)
	case reflect.Uint64:
		var u uint64
		u, err = strconv.ParseUint(text, 10, 64)
		v.SetUint(u)
		n = float64(u)
	case reflect.Float64:
		n, err = strconv.ParseFloat(text, 64)
		v.SetFloat(n)
	}
	if err != nil || n-n != 0 { // not a number, or an infinite one
		return fmt.Errorf("want %s, have %q", article(typeName(v.Type())), text)
	}
	return f.checkRange(n)
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
