package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/google/renameio/v2"
)

// Marshal writes the configuration that dst points to as YAML that Load reads
// back to the same values, each key under its doc line.
func Marshal(dst any) []byte {
	var b strings.Builder
	for _, f := range fieldsOf(dst) {
		if doc := f.tag.Get("doc"); doc != "" {
			fmt.Fprintf(&b, "# %s\n", doc)
		}
		fmt.Fprintf(&b, "%s: %s\n", f.key, format(f.value))
	}
	return []byte(b.String())
}

// Write puts Marshal's text into the file at path, whole or not at all.
func Write(dst any, path string) error {
	return renameio.WriteFile(path, Marshal(dst), 0o644)
}

// format writes a value in a form that other YAML readers take for the same
// type: strings quoted, exponents with a point before them.
func format(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("config: %s: %v", v.Type(), err))
		}
		return quote(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = format(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Float64:
		text := strconv.FormatFloat(v.Float(), 'g', -1, 64)
		if mantissa, exponent, ok := strings.Cut(text, "e"); ok && !strings.Contains(mantissa, ".") {
			text = mantissa + ".0e" + exponent
		}
		return text
	}
	return fmt.Sprint(v.Interface())
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b) // a JSON string is a YAML string
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// entriesOf returns the key-value pairs of a document.
func entriesOf(body ast.Node) ([]*ast.MappingValueNode, error) {
	switch n := body.(type) {
	case nil:
		return nil, nil
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, nil
	}
	return nil, errors.New("want lines of the form key: value")
}

// scalar returns the text of a plain, quoted or block value.
func scalar(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New(`has no value; delete the line for the default, or write ""`)
	}
	return "", errors.New("want a plain value or a list of them")
}

func lineOf(n ast.Node) int { return n.GetToken().Position.Line }

// yamlError shortens a parser's error, which quotes the file over many lines,
// to the line and what is wrong there.
func yamlError(err error) (line int, short error) {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return syntax.GetToken().Position.Line, errors.New(syntax.GetMessage())
	}
	return 1, err
}
