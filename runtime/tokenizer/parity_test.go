package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// oracleRow is what Hugging Face tokenizers made of a text; testdata/gen/oracle.py writes it.
type oracleRow struct {
	Text    string   `json:"text"`
	IDs     []int    `json:"ids"`
	Special []int    `json:"special"`
	Offsets [][2]int `json:"offsets"`
	Decoded string   `json:"decoded"`
	Skipped string   `json:"skipped"`
}

// realTokenizers returns the folders of published tokenizers with the oracle's answers, which are not part of the repository.
func realTokenizers(t testing.TB) []string {
	root := os.Getenv("OREO_TOKENIZERS")
	if root == "" {
		root = "../../.deps/tokenizers"
	}
	found, _ := filepath.Glob(filepath.Join(root, "*", "oracle.jsonl"))
	if len(found) == 0 {
		t.Skipf("no tokenizers in %s: run testdata/gen/oracle.py", root)
	}
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found
}

func TestRealTokenizers(t *testing.T) {
	for _, dir := range realTokenizers(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) { compareWithOracle(t, dir, filepath.Join(dir, "oracle.jsonl")) })
	}
}

// TestSmallTokenizers needs no downloads: testdata/gen/small.py made these, one per way of building a pipeline.
func TestSmallTokenizers(t *testing.T) {
	found, _ := filepath.Glob("testdata/small/*")
	if len(found) == 0 {
		t.Fatal("testdata/small is empty")
	}
	for _, dir := range found {
		t.Run(filepath.Base(dir), func(t *testing.T) { compareWithOracle(t, dir, filepath.Join(dir, "oracle.jsonl.gz")) })
	}
}

// compareWithOracle checks ids, offsets, special ids, decoded texts and the streaming decoder on every row.
func compareWithOracle(t *testing.T, tokenizer, oracle string) {
	tok, err := Load(tokenizer)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for row, err := range jsonl.Read[oracleRow](oracle) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
		ids, offsets := tok.EncodeOffsets(row.Text)
		check(t, row.Text, "ids", ids, row.IDs)
		check(t, row.Text, "ids without offsets", tok.Encode(row.Text), row.IDs)
		check(t, row.Text, "offsets", offsets, row.Offsets)
		check(t, row.Text, "special", tok.EncodeSpecial(row.Text), row.Special)
		check(t, row.Text, "decoded", tok.Decode(row.IDs, false), row.Decoded)
		check(t, row.Text, "skipped", tok.Decode(row.IDs, true), row.Skipped)
	}
	t.Logf("%d strings", rows)
}

func check[T any](t *testing.T, text, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) && !(isEmpty(got) && isEmpty(want)) {
		t.Errorf("%s of %.200q\n got %.600v\nwant %.600v", what, text, show(got), show(want))
	}
}

func isEmpty(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Slice && r.Len() == 0
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
