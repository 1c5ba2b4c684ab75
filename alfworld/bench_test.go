package alfworld_test

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/oreo-go/oreo/alfworld"
	"github.com/oreo-go/oreo/runtime/jsonl"
)

// reportCPU adds the processor time of an operation, which a busy machine does
// not change.
func reportCPU(b *testing.B) func() {
	start := cpuTime()
	return func() { b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchSpecs(b *testing.B) []alfworld.Spec {
	b.Helper()
	specs, err := alfworld.AllSpecs(shared(b, "games", "valid_unseen.jsonl.gz"), alfworld.Edition213)
	if err != nil {
		b.Fatal(err)
	}
	var few []alfworld.Spec
	for i := 0; i < len(specs); i += 9 {
		few = append(few, specs[i])
	}
	return few
}

// BenchmarkStep measures one command with the admissible commands after it, on
// the recorded walks.
func BenchmarkStep(b *testing.B) {
	specs := officialSpecs(b, alfworld.Edition213)
	var envs []*alfworld.Env
	var walks []transcript
	recs, err := jsonl.ReadAll[transcript](shared(b, "transcripts", "dev.jsonl.gz"))
	if err != nil {
		b.Fatal(err)
	}
	games := map[string]*alfworld.Game{}
	for _, r := range recs {
		if r.Edition != alfworld.Edition213 {
			continue
		}
		if games[r.Game] == nil {
			if games[r.Game], err = specs[r.Game].Compile(); err != nil {
				b.Fatal(err)
			}
		}
		envs, walks = append(envs, games[r.Game].NewEnv()), append(walks, r)
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	var buf []string
	for i := 0; b.Loop(); {
		env, walk := envs[i%len(envs)], walks[i%len(envs)]
		i++
		_, _ = env.Reset()
		for _, s := range walk.Steps {
			if !b.Loop() {
				return
			}
			_, _ = env.Step(s.Cmd)
			buf = env.AppendAdmissible(buf[:0])
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	specs := benchSpecs(b)
	var files [][]byte
	for _, s := range specs {
		files = append(files, s.JSON())
	}
	b.ReportAllocs()
	defer reportCPU(b)()
	for i := 0; b.Loop(); i++ {
		s, err := alfworld.ParseSpec(files[i%len(files)])
		if err != nil {
			b.Fatal(err)
		}
		g, err := s.Compile()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := g.NewEnv().Reset(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFork(b *testing.B) {
	g, err := benchSpecs(b)[0].Compile()
	if err != nil {
		b.Fatal(err)
	}
	env := g.NewEnv()
	cmds := env.Admissible()
	_, _ = env.Step(cmds[rand.IntN(len(cmds))])
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		_ = env.Fork()
	}
}
