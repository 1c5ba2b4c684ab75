package tokenizer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

// BenchmarkEncode encodes the oracle's strings one by one, as testdata/gen/speed.py does in Python.
func BenchmarkEncode(b *testing.B) {
	for _, dir := range realTokenizers(b) {
		b.Run(filepath.Base(dir), func(b *testing.B) {
			tok, err := Load(dir)
			if err != nil {
				b.Fatal(err)
			}
			var texts []string
			for row, err := range jsonl.Read[oracleRow](filepath.Join(dir, "oracle.jsonl")) {
				if err != nil {
					b.Fatal(err)
				}
				texts = append(texts, row.Text)
			}
			ids := 0
			for b.Loop() {
				ids = 0
				for _, s := range texts {
					ids += len(tok.Encode(s))
				}
			}
			b.SetBytes(int64(len(strings.Join(texts, ""))))
			b.ReportMetric(float64(ids)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mtok/s")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, dir := range realTokenizers(b) {
		b.Run(filepath.Base(dir), func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
