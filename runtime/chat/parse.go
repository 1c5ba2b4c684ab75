package chat

import (
	"slices"
	"strconv"
)

// parser is a recursive-descent parser of the token list; its grammar and precedences are Jinja's.
type parser struct {
	tokens []token
	pos    int
	depth  int
}

func parseTemplate(src string) []stmt {
	p := &parser{tokens: lex(src)}
	body, _ := p.body()
	return body
}

func (p *parser) peek() token { return p.tokens[p.pos] }

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) fail(t token) {
	what := t.kind
	if t.text != "" && t.kind != tokData {
		what = strconv.Quote(t.text)
	}
	fail("line %d: unexpected %s", t.line, what)
}

func (p *parser) is(kind, text string) bool {
	t := p.peek()
	return t.kind == kind && (text == "" || t.text == text)
}

func (p *parser) accept(kind, text string) bool {
	if p.is(kind, text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(kind, text string) token {
	if !p.is(kind, text) {
		p.fail(p.peek())
	}
	return p.next()
}

func (p *parser) op(s string) bool   { return p.accept(tokOp, s) }
func (p *parser) word(s string) bool { return p.accept(tokName, s) }

// nested guards the recursion of the parser and, with it, of evaluation.
func (p *parser) nested() func() {
	if p.depth++; p.depth > maxDepth {
		fail("line %d: nested more than %d deep", p.peek().line, maxDepth)
	}
	return func() { p.depth-- }
}

// body reads statements up to a tag named in ends, whose name it returns with the tag's rest still to be read.
func (p *parser) body(ends ...string) (body []stmt, end string) {
	defer p.nested()()
	for {
		t := p.next()
		switch t.kind {
		case tokData:
			body = append(body, &textStmt{t.text})
		case tokVarBegin:
			body = append(body, &printStmt{at{t.line}, p.tuple()})
			p.expect(tokVarEnd, "")
		case tokTagBegin:
			name := p.expect(tokName, "")
			if slices.Contains(ends, name.text) {
				return body, name.text
			}
			body = append(body, p.tag(name))
		case tokEOF:
			if len(ends) > 0 {
				fail("line %d: template ends before %s", t.line, ends[len(ends)-1])
			}
			return body, ""
		default:
			p.fail(t)
		}
	}
}

// block reads the end of an opening tag, the statements, and the closing tag.
func (p *parser) block(end string) []stmt {
	p.expect(tokTagEnd, "")
	body, _ := p.body(end)
	p.expect(tokTagEnd, "")
	return body
}

func (p *parser) tag(name token) stmt {
	where := at{name.line}
	switch name.text {
	case "if":
		return p.ifTag(where)
	case "for":
		return p.forTag(where)
	case "set":
		return p.setTag(where)
	case "macro":
		return p.macroTag(where)
	case "filter":
		input := &captured{}
		f := p.filters(input, p.filterName())
		input.body = p.block("endfilter")
		return &printStmt{where, f}
	case "generation": // transformers marks the assistant's words with it
		return &scopeStmt{p.block("endgeneration")}
	case "break", "continue":
		p.expect(tokTagEnd, "")
		return &jumpStmt{map[string]control{"break": breakLoop, "continue": nextRound}[name.text]}
	}
	fail("line %d: the tag %q is not supported", name.line, name.text)
	return nil
}

func (p *parser) ifTag(where at) stmt {
	s := &ifStmt{at: where, cond: p.tupleOf(p.or)}
	p.expect(tokTagEnd, "")
	body, end := p.body("elif", "else", "endif")
	s.then = body
	switch end {
	case "elif":
		defer p.nested()()
		s.otherwise = []stmt{p.ifTag(at{p.peek().line})}
		return s
	case "else":
		s.otherwise = p.block("endif")
		return s
	}
	p.expect(tokTagEnd, "")
	return s
}

func (p *parser) forTag(where at) stmt {
	s := &forStmt{at: where, targets: p.targets()}
	p.expect(tokName, "in")
	s.over = p.tupleOf(p.or)
	if p.word("if") {
		s.filter = p.expr()
	}
	s.recursive = p.word("recursive")
	p.expect(tokTagEnd, "")
	body, end := p.body("else", "endfor")
	s.body = body
	if end == "else" {
		s.otherwise = p.block("endfor")
	} else {
		p.expect(tokTagEnd, "")
	}
	return s
}

// targets reads "a" or "a, b".
func (p *parser) targets() []string {
	paren := p.op("(")
	names := []string{p.expect(tokName, "").text}
	for p.op(",") {
		names = append(names, p.expect(tokName, "").text)
	}
	if paren && !p.op(")") {
		p.fail(p.peek())
	}
	return names
}

func (p *parser) setTag(where at) stmt {
	s := &setStmt{at: where, targets: p.targets()}
	if p.op(".") {
		s.attr = p.expect(tokName, "").text
	}
	if p.op("=") {
		s.value = p.tuple()
		p.expect(tokTagEnd, "")
		return s
	}
	input := &captured{}
	s.value = input
	if p.op("|") {
		s.value = p.filters(input, p.filterName())
	}
	input.body = p.block("endset")
	return s
}

func (p *parser) macroTag(where at) stmt {
	s := &macroStmt{at: where, name: p.expect(tokName, "").text}
	p.expect(tokOp, "(")
	for !p.op(")") {
		if len(s.params) > 0 {
			p.expect(tokOp, ",")
		}
		param := parameter{name: p.expect(tokName, "").text}
		if p.op("=") {
			param.preset = p.expr()
		} else if len(s.params) > 0 && s.params[len(s.params)-1].preset != nil {
			fail("line %d: parameter %q without a default after one with a default", where.line, param.name)
		}
		s.params = append(s.params, param)
	}
	s.body = p.block("endmacro")
	return s
}

// tuple reads one expression or several with commas between.
func (p *parser) tuple() expr { return p.tupleOf(p.expr) }

func (p *parser) tupleOf(item func() expr) expr {
	first := item()
	if !p.is(tokOp, ",") {
		return first
	}
	items := []expr{first}
	for p.op(",") && !p.endsTuple() {
		items = append(items, item())
	}
	return &listExpr{items: items, tuple: true}
}

func (p *parser) endsTuple() bool {
	return p.is(tokVarEnd, "") || p.is(tokTagEnd, "") || p.is(tokOp, ")") || p.is(tokName, "in")
}

// expr reads a conditional expression, the weakest kind.
func (p *parser) expr() expr {
	defer p.nested()()
	e := p.or()
	for p.word("if") {
		c := &condExpr{cond: p.or(), then: e}
		if p.word("else") {
			c.otherwise = p.expr()
		}
		e = c
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.word("or") {
		e = &logicExpr{left: e, right: p.and(), or: true}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.word("and") {
		e = &logicExpr{left: e, right: p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if p.word("not") {
		defer p.nested()()
		return &notExpr{p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	c := &compareExpr{first: p.sum()}
	for {
		t := p.peek()
		op := ""
		switch {
		case t.kind == tokOp && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = t.text
		case t.kind == tokName && t.text == "in":
			op = "in"
		case t.kind == tokName && t.text == "not" && p.tokens[p.pos+1].text == "in" && p.tokens[p.pos+1].kind == tokName:
			op = "not in"
			p.next()
		}
		if op == "" {
			break
		}
		p.next()
		c.ops, c.rest = append(c.ops, op), append(c.rest, p.sum())
	}
	if len(c.ops) == 0 {
		return c.first
	}
	return c
}

// binary reads a chain of left-associative operators.
func (p *parser) binary(operand func() expr, ops ...string) expr {
	e := operand()
	for p.peek().kind == tokOp && slices.Contains(ops, p.peek().text) {
		t := p.next()
		e = &binaryExpr{at{t.line}, t.text, e, operand()}
	}
	return e
}

func (p *parser) sum() expr     { return p.binary(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.binary(p.product, "~") }
func (p *parser) product() expr { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr   { return p.binary(func() expr { return p.unary(true) }, "**") }

func (p *parser) unary(withFilters bool) expr {
	defer p.nested()()
	var e expr
	switch {
	case p.op("-"):
		e = &signExpr{p.unary(false), true}
	case p.op("+"):
		e = &signExpr{p.unary(false), false}
	default:
		e = p.primary()
	}
	e = p.postfix(e)
	for withFilters {
		switch {
		case p.op("|"):
			e = p.filters(e, p.filterName())
		case p.word("is"):
			e = p.test(e)
		case p.is(tokOp, "("):
			e = p.postfix(e)
		default:
			return e
		}
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case tokName:
		switch t.text {
		case "true", "True":
			return &constExpr{true}
		case "false", "False":
			return &constExpr{false}
		case "none", "None":
			return &constExpr{nil}
		}
		return &nameExpr{t.text}
	case tokString:
		s := t.text
		for p.is(tokString, "") {
			s += p.next().text
		}
		return &constExpr{s}
	case tokInt:
		n, err := strconv.Atoi(t.text)
		if err != nil {
			fail("line %d: number %s is too large", t.line, t.text)
		}
		return &constExpr{n}
	case tokFloat:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			fail("line %d: number %s is too large", t.line, t.text)
		}
		return &constExpr{f}
	case tokOp:
		switch t.text {
		case "(":
			if p.op(")") {
				return &listExpr{tuple: true}
			}
			e := p.tuple()
			p.expect(tokOp, ")")
			return e
		case "[":
			return &listExpr{items: p.items("]")}
		case "{":
			return p.dict()
		}
	}
	p.fail(t)
	return nil
}

// items reads expressions with commas between up to the closing bracket.
func (p *parser) items(closing string) []expr {
	var items []expr
	for !p.op(closing) {
		if len(items) > 0 {
			p.expect(tokOp, ",")
			if p.op(closing) {
				break
			}
		}
		items = append(items, p.expr())
	}
	return items
}

func (p *parser) dict() expr {
	d := &dictExpr{}
	for !p.op("}") {
		if len(d.keys) > 0 {
			p.expect(tokOp, ",")
			if p.op("}") {
				break
			}
		}
		d.keys = append(d.keys, p.expr())
		p.expect(tokOp, ":")
		d.values = append(d.values, p.expr())
	}
	return d
}

// postfix reads attributes, subscripts and calls.
func (p *parser) postfix(e expr) expr {
	for {
		t := p.peek()
		switch {
		case p.op("."):
			name := p.next()
			switch name.kind {
			case tokName:
				e = &attrExpr{at{t.line}, e, name.text}
			case tokInt:
				n, _ := strconv.Atoi(name.text)
				e = &indexExpr{at{t.line}, e, &constExpr{n}}
			default:
				p.fail(name)
			}
		case p.op("["):
			e = p.subscript(t, e)
		case p.op("("):
			args := p.callArgs()
			e = &callExpr{at{t.line}, e, args}
		default:
			return e
		}
	}
}

func (p *parser) subscript(t token, of expr) expr {
	var parts [3]expr // start, stop, step
	colons := 0
	for !p.op("]") {
		if p.op(":") {
			if colons++; colons > 2 {
				p.fail(t)
			}
			continue
		}
		if parts[colons] != nil {
			p.fail(p.peek())
		}
		parts[colons] = p.expr()
	}
	if colons > 0 {
		return &sliceExpr{at{t.line}, of, parts}
	}
	if parts[0] == nil {
		p.fail(t)
	}
	return &indexExpr{at{t.line}, of, parts[0]}
}

// callArgs reads arguments up to the closing parenthesis.
func (p *parser) callArgs() argExprs {
	var a argExprs
	for n := 0; !p.op(")"); n++ {
		if n > 0 {
			p.expect(tokOp, ",")
			if p.op(")") {
				break
			}
		}
		if p.is(tokName, "") && p.tokens[p.pos+1].kind == tokOp && p.tokens[p.pos+1].text == "=" {
			name := p.next().text
			p.next()
			a.names, a.named = append(a.names, name), append(a.named, p.expr())
			continue
		}
		if len(a.named) > 0 {
			p.fail(p.peek())
		}
		a.list = append(a.list, p.expr())
	}
	return a
}

func (p *parser) filterName() token { return p.expect(tokName, "") }

// filters reads the arguments of filter name, applied to e, and the filters that follow.
func (p *parser) filters(e expr, name token) expr {
	for {
		f, ok := filters[name.text]
		if !ok {
			fail("line %d: the filter %q is not supported", name.line, name.text)
		}
		var args argExprs
		if p.op("(") {
			args = p.callArgs()
		}
		e = &filterExpr{at{name.line}, e, f, args}
		if !p.op("|") {
			return e
		}
		name = p.filterName()
	}
}

func (p *parser) test(e expr) expr {
	negated := p.word("not")
	name := p.expect(tokName, "")
	f, ok := tests[name.text]
	if !ok {
		fail("line %d: the test %q is not supported", name.line, name.text)
	}
	var args argExprs
	t := p.peek()
	switch {
	case p.op("("):
		args = p.callArgs()
	case t.kind == tokName && t.text == "is":
		fail("line %d: tests cannot be chained with is", t.line)
	case t.kind == tokName && !slices.Contains([]string{"else", "or", "and"}, t.text),
		t.kind == tokString, t.kind == tokInt, t.kind == tokFloat, t.kind == tokOp && (t.text == "[" || t.text == "{"):
		args.list = []expr{p.postfix(p.primary())}
	}
	e = &testExpr{at{name.line}, e, f, args}
	if negated {
		e = &notExpr{e}
	}
	return e
}
