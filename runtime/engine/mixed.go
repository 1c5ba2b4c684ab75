package engine

// mixed runs one pass of a model that takes segments: the next token of every job, and
// of those that have more than one waiting up to Options.Chunk tokens in all.
func (e *Engine) mixed() {
	var jobs []*running
	var fed []int
	left := e.opt.Chunk
	for _, group := range byTree(e.jobs) {
		some, tokens, err := e.take(group, &left)
		if err != nil {
			for _, j := range group {
				j.end(err)
			}
			continue
		}
		jobs, fed = append(jobs, some...), append(fed, tokens...)
	}
	if len(jobs) > 0 {
		e.pass(jobs, func() ([]answer, error) { return e.feed(jobs, fed) })
	}
}

// take chooses how many tokens of each job, all of one tree, the next pass takes, and
// takes those of prefills off left. Of a tree that is full but the first one goes on,
// in a tree of its own.
func (e *Engine) take(jobs []*running, left *int) (some []*running, fed []int, err error) {
	t, size := jobs[0].Seq.tree, 0
	for _, j := range jobs {
		n := j.pending()
		if n > 1 {
			n = min(n, *left)
			*left -= n
		}
		if n > 0 {
			some, fed = append(some, j), append(fed, n)
			size += n
		}
	}
	if size == 0 || t.row.Len()+size <= e.spec.TreeSlots {
		return some, fed, nil
	}
	if err := e.prune(t); err != nil || t.row.Len()+size <= e.spec.TreeSlots {
		return some, fed, err
	}
	return some[:1], fed[:1], e.part(some[0].Seq)
}

// feed runs so many pending tokens of each job.
func (e *Engine) feed(jobs []*running, fed []int) ([]answer, error) {
	if err := e.roomFor(jobs, fed); err != nil {
		return nil, err
	}
	rows, _ := e.pool.Cap()
	b := &Batch{B: rows}
	var answers []answer
	written := map[*tree]int{}
	for i, j := range jobs {
		t := j.Seq.tree
		write := t.row.Len() + written[t]
		written[t] += fed[i]
		b.Segments = append(b.Segments, Segment{Row: t.row.Slot(), Write: write, N: fed[i], Path: j.Seq.path})
		answers = append(answers, j.branch(b, write, fed[i]))
	}
	b.S = len(b.IDs)
	if err := e.run(b, answers); err != nil {
		return nil, err
	}
	for i, j := range jobs {
		for k := range fed[i] {
			j.Seq.path = append(j.Seq.path, b.Segments[i].Write+k)
		}
	}
	for t, n := range written {
		e.pool.Advance(t.row, n)
	}
	e.stats.Tokens += b.S
	return answers, nil
}

// roomFor makes room in the cache: by dropping what no sequence needs any more, and if
// that is not enough by growing it.
func (e *Engine) roomFor(jobs []*running, fed []int) error {
	need := map[*tree]int{}
	var trees []*tree // in the order of their jobs
	for i, j := range jobs {
		if t := j.Seq.tree; need[t] == 0 {
			trees = append(trees, t)
		}
		need[j.Seq.tree] += fed[i]
	}
	most := func() (n int) {
		for _, t := range trees {
			n = max(n, t.row.Len()+need[t])
		}
		return n
	}
	if _, room := e.pool.Cap(); most() <= room {
		return nil
	}
	for _, t := range trees {
		if err := e.prune(t); err != nil {
			return err
		}
	}
	return e.pool.Grow(most())
}
