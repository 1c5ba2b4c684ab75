package tokenizer

import (
	"strconv"
	"strings"
)

// Decode returns the text of ids; unknown ids are left out, and special tokens too if skipSpecial is set. Bytes that form no character
// become U+FFFD.
func (t *Tokenizer) Decode(ids []int, skipSpecial bool) string {
	d := t.NewDecoder(skipSpecial)
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(d.Push(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// Decoder decodes a stream of ids. What Push and Flush return, joined, is what Decode returns for all ids at once, and each part is valid
// UTF-8: bytes of an unfinished character wait for the next id.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	started     bool   // a token was seen
	strip       int    // spaces still to take off the start of the text
	pending     []byte // an unfinished character, or a run of byte tokens
}

// NewDecoder starts a stream.
func (t *Tokenizer) NewDecoder(skipSpecial bool) *Decoder {
	return &Decoder{t: t, skipSpecial: skipSpecial, strip: t.decoder.stripLeft}
}

// Push returns the text that id completes; it may be empty.
func (d *Decoder) Push(id int) string {
	token, ok := d.t.Token(id)
	if !ok || d.skipSpecial && d.t.IsSpecial(id) {
		return ""
	}
	k := d.t.decoder
	first := !d.started
	d.started = true
	if k.byteLevel {
		d.pending = append(d.pending, unspell(token)...)
		n := len(d.pending) - unfinished(string(d.pending))
		text := lossy(string(d.pending[:n]))
		d.pending = append(d.pending[:0], d.pending[n:]...)
		return text
	}
	token = k.rewrite(token, first)
	if k.byteFallback {
		if b, ok := parseByteToken(token); ok {
			d.pending = append(d.pending, b)
			return ""
		}
	}
	return d.trimLeft(d.takeBytes() + token)
}

// Flush returns what still waits, with U+FFFD for what stayed unfinished, and makes the Decoder ready for a new stream.
func (d *Decoder) Flush() string {
	var text string
	if d.t.decoder.byteLevel {
		text = lossy(string(d.pending))
	} else {
		text = d.trimLeft(d.takeBytes())
	}
	*d = *d.t.NewDecoder(d.skipSpecial)
	return text
}

// takeBytes ends a run of byte tokens: the text they spell, or one U+FFFD for each byte when the run as a whole is not UTF-8.
func (d *Decoder) takeBytes() string {
	run := string(d.pending)
	d.pending = d.pending[:0]
	if wellFormed(run) < len(run) {
		return strings.Repeat("\uFFFD", len(run))
	}
	return run
}

func (d *Decoder) trimLeft(text string) string {
	for d.strip > 0 && text != "" {
		rest, ok := strings.CutPrefix(text, d.t.decoder.stripText)
		if !ok {
			d.strip = 0
			break
		}
		text = rest
		d.strip--
	}
	return text
}

// tokenDecoder is the decoder section of tokenizer.json.
type tokenDecoder struct {
	byteLevel    bool
	joinWith     string // put between tokens
	replace      []replacement
	dropInFirst  string // removed from the first token
	byteFallback bool   // tokens <0xNN> are bytes
	stripText    string
	stripLeft    int // how many stripText the start of the text may lose
}

type replacement struct{ old, new string }

func (k tokenDecoder) rewrite(token string, first bool) string {
	if first && k.dropInFirst != "" {
		token = strings.ReplaceAll(token, k.dropInFirst, "")
	}
	for _, r := range k.replace {
		token = strings.ReplaceAll(token, r.old, r.new)
	}
	if !first {
		token = k.joinWith + token
	}
	return token
}

// parseByteToken reads <0x0A>.
func parseByteToken(token string) (byte, bool) {
	if len(token) != len("<0x0A>") || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}
