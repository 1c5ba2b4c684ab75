package alfworld

import "errors"

var errTooBig = errors.New("too big for the compiled path")

type program struct{}

func compile(g *Game) (*program, error) { return nil, errTooBig }

func newRunner(p *program) engine { return nil }
