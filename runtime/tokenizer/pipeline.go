package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"
)

// node is one component of the pipeline, with the fields of all kinds.
type node struct {
	Type          string `json:"type"`
	Normalizers   []node `json:"normalizers"`
	PreTokenizers []node `json:"pretokenizers"`
	Processors    []node `json:"processors"`
	Decoders      []node `json:"decoders"`

	Prepend string `json:"prepend"`
	Pattern *struct {
		String *string `json:"String"`
		Regex  *string `json:"Regex"`
	} `json:"pattern"`
	Content          string `json:"content"`
	Behavior         string `json:"behavior"`
	Invert           bool   `json:"invert"`
	IndividualDigits bool   `json:"individual_digits"`
	AddPrefixSpace   *bool  `json:"add_prefix_space"`
	TrimOffsets      *bool  `json:"trim_offsets"`
	UseRegex         *bool  `json:"use_regex"`
	Replacement      string `json:"replacement"`
	PrependScheme    string `json:"prepend_scheme"`
	Split            *bool  `json:"split"`
	Start            int    `json:"start"`
	Stop             int    `json:"stop"`

	Single        []templateItem `json:"single"`
	SpecialTokens map[string]struct {
		IDs []int `json:"ids"`
	} `json:"special_tokens"`
}

type templateItem struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *json.RawMessage `json:"Sequence"`
}

// is reads an optional switch.
func is(b *bool, absent bool) bool {
	if b == nil {
		return absent
	}
	return *b
}

// steps flattens nested Sequences.
func (n *node) steps(depth int) ([]node, error) {
	if n == nil {
		return nil, nil
	}
	if n.Type != "Sequence" {
		return []node{*n}, nil
	}
	if depth == maxNesting {
		return nil, fmt.Errorf("sequences nested more than %d deep", maxNesting)
	}
	var all []node
	for _, list := range [][]node{n.Normalizers, n.PreTokenizers, n.Processors, n.Decoders} {
		for i := range list {
			s, err := list[i].steps(depth + 1)
			if err != nil {
				return nil, err
			}
			all = append(all, s...)
		}
	}
	if len(all) > maxSteps {
		return nil, fmt.Errorf("%d steps, more than %d", len(all), maxSteps)
	}
	return all, nil
}

// matcher compiles the pattern of a Split or Replace.
func (n *node) matcher() (matcher, error) {
	switch {
	case n.Pattern == nil:
		return nil, fmt.Errorf("%s without a pattern", n.Type)
	case n.Pattern.String != nil && *n.Pattern.String != "":
		return literal(*n.Pattern.String), nil
	case n.Pattern.Regex != nil && len(*n.Pattern.Regex) <= maxTokenBytes:
		re, err := compileRegex(*n.Pattern.Regex)
		if err != nil {
			return nil, fmt.Errorf("%s pattern %q: %w", n.Type, *n.Pattern.Regex, err)
		}
		return re, nil
	}
	return nil, fmt.Errorf("%s pattern must be a String or a Regex that is not empty", n.Type)
}

func buildNormalizers(n *node) ([]normalizer, error) {
	steps, err := n.steps(0)
	if err != nil {
		return nil, err
	}
	forms := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}
	var out []normalizer
	growth := 1
	for i := range steps {
		s := &steps[i]
		form, isForm := forms[s.Type]
		switch {
		case isForm:
			out = append(out, unicodeNormalizer{form})
		case s.Type == "Prepend":
			if len(s.Prepend) > maxGrowth {
				return nil, fmt.Errorf("type Prepend of %d bytes, more than %d", len(s.Prepend), maxGrowth)
			}
			out = append(out, prependNormalizer{s.Prepend})
		case s.Type == "Replace":
			m, err := s.matcher()
			if err != nil {
				return nil, err
			}
			if growth *= max(1, len(s.Content)); growth > maxGrowth {
				return nil, fmt.Errorf("type Replace content may lengthen a text more than %d times", maxGrowth)
			}
			out = append(out, replaceNormalizer{m, s.Content})
		default:
			return nil, unsupported(s.Type)
		}
	}
	return out, nil
}

func unsupported(kind string) error { return fmt.Errorf("type %q is not supported", kind) }

// buildSplitters also reports whether the model works on bytes.
func buildSplitters(n *node) (out []splitter, byteLevel bool, err error) {
	steps, err := n.steps(0)
	if err != nil {
		return nil, false, err
	}
	for i := range steps {
		s := &steps[i]
		if byteLevel {
			return nil, false, fmt.Errorf("%s after ByteLevel is not supported", s.Type)
		}
		switch s.Type {
		case "ByteLevel":
			byteLevel = true
			if is(s.AddPrefixSpace, true) {
				out = append(out, prefixSpaceSplitter{})
			}
			if is(s.UseRegex, true) {
				out = append(out, scanSplitter{scanGPT2})
			}
		case "Digits":
			out = append(out, digitSplitter{s.IndividualDigits})
		case "Metaspace":
			m, err := buildMetaspace(s)
			if err != nil {
				return nil, false, err
			}
			out = append(out, m)
		case "Split":
			split, err := buildSplit(s)
			if err != nil {
				return nil, false, err
			}
			out = append(out, split)
		default:
			return nil, false, unsupported(s.Type)
		}
	}
	return out, byteLevel, nil
}

func buildMetaspace(s *node) (metaspaceSplitter, error) {
	m := metaspaceSplitter{mark: s.Replacement, prepend: s.PrependScheme, cut: is(s.Split, true)}
	if m.mark == "" {
		m.mark = spMark
	}
	if m.prepend == "" { // files from before the schemes had a switch
		m.prepend = "always"
		if !is(s.AddPrefixSpace, true) {
			m.prepend = "never"
		}
	}
	if len(m.mark) > maxGrowth {
		return m, fmt.Errorf("type Metaspace replacement of %d bytes, more than %d", len(m.mark), maxGrowth)
	}
	if !slices.Contains([]string{"always", "first", "never"}, m.prepend) {
		return m, fmt.Errorf("type Metaspace prepend_scheme %q is not always, first or never", m.prepend)
	}
	return m, nil
}

func buildSplit(s *node) (splitter, error) {
	if !slices.Contains(splitBehaviors, s.Behavior) {
		return nil, fmt.Errorf("type Split behavior %q is not one of %v", s.Behavior, splitBehaviors)
	}
	if s.Pattern != nil && s.Pattern.Regex != nil {
		// The scanners cover every character, so isolating matches and keeping only matches are the same.
		isolated := s.Behavior == "Isolated" || s.Behavior == "Removed" && s.Invert
		if scan, ok := scanners[*s.Pattern.Regex]; ok && isolated {
			return scanSplitter{scan}, nil
		}
	}
	m, err := s.matcher()
	if err != nil {
		return nil, err
	}
	return patternSplitter{m, s.Behavior, s.Invert}, nil
}

func buildDecoder(n *node) (tokenDecoder, error) {
	if n == nil {
		return tokenDecoder{joinWith: " "}, nil
	}
	steps, err := n.steps(0)
	if err != nil {
		return tokenDecoder{}, err
	}
	var d tokenDecoder
	fused := false
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Type == "ByteLevel" && len(steps) == 1:
			d.byteLevel = true
		case s.Type == "Metaspace" && len(steps) == 1:
			m, err := buildMetaspace(s)
			if err != nil {
				return d, err
			}
			d.replace = []replacement{{m.mark, " "}}
			if m.prepend != "never" {
				d.dropInFirst = m.mark
			}
		case s.Type == "Replace" && !d.byteFallback && !fused:
			if s.Pattern == nil || s.Pattern.String == nil || *s.Pattern.String == "" || len(s.Content) > maxGrowth {
				return d, errors.New("type Replace needs a pattern of kind String and a short content")
			}
			d.replace = append(d.replace, replacement{*s.Pattern.String, s.Content})
		case s.Type == "ByteFallback" && !fused:
			d.byteFallback = true
		case s.Type == "Fuse":
			fused = true
		case s.Type == "Strip" && fused && s.Stop == 0 && s.Content != "" && d.stripLeft == 0 && s.Start >= 0:
			d.stripText, d.stripLeft = s.Content, s.Start
		default:
			return d, fmt.Errorf("type %q is not supported at step %d", s.Type, i)
		}
	}
	return d, nil
}

func buildPostProcessor(n *node, vocab int) (postProcessor, error) {
	var p postProcessor
	steps, err := n.steps(0)
	if err != nil {
		return p, err
	}
	for i := range steps {
		s := &steps[i]
		switch s.Type {
		case "ByteLevel":
			p.trimOffsets, p.prefixSpace = is(s.TrimOffsets, true), is(s.AddPrefixSpace, true)
		case "TemplateProcessing":
			if err := p.addTemplate(s, vocab); err != nil {
				return p, err
			}
		default:
			return p, unsupported(s.Type)
		}
	}
	return p, nil
}

// addTemplate wraps the tokens that the template puts before and after the text around what is there already.
func (p *postProcessor) addTemplate(s *node, vocab int) error {
	var before, after []int
	texts := 0
	for i, item := range s.Single {
		if item.Sequence != nil {
			texts++
			continue
		}
		if item.SpecialToken == nil {
			return fmt.Errorf("single[%d]: neither Sequence nor SpecialToken", i)
		}
		tok, ok := s.SpecialTokens[item.SpecialToken.ID]
		if !ok {
			return fmt.Errorf("single[%d]: %q is not in special_tokens", i, item.SpecialToken.ID)
		}
		for _, id := range tok.IDs {
			if id < 0 || id >= vocab {
				return fmt.Errorf("special_tokens[%q]: id %d is out of range for %d tokens", item.SpecialToken.ID, id, vocab)
			}
		}
		if len(before)+len(after)+len(tok.IDs) > maxTokenBytes {
			return errors.New("single: too many tokens")
		}
		if texts == 0 {
			before = append(before, tok.IDs...)
		} else {
			after = append(after, tok.IDs...)
		}
	}
	if texts != 1 {
		return fmt.Errorf("single names the text %d times, once is supported", texts)
	}
	p.prefix, p.suffix = append(before, p.prefix...), append(p.suffix, after...)
	return nil
}
