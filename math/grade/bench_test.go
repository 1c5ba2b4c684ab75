package grade

import "testing"

// BenchmarkMATH grades the MATH pairs of the vectors; one iteration is one
// grading.
func BenchmarkMATH(b *testing.B) { benchmark(b, "math-pairs.jsonl.gz") }

// BenchmarkGSM8K does so for the GSM8K pairs.
func BenchmarkGSM8K(b *testing.B) { benchmark(b, "gsm8k-pairs.jsonl.gz") }

func benchmark(b *testing.B, file string) {
	vectors := readVectors(b, file)
	for _, style := range []Style{DeepSeekMath, Qwen, Strict} {
		b.Run(style.String(), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				Grade(style, vectors[i%len(vectors)].input())
			}
		})
	}
}
