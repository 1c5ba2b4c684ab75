package train

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/oreo-go/oreo/math/step"
	"github.com/oreo-go/oreo/runtime/chat"
	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/peft"
	"github.com/oreo-go/oreo/runtime/tokenizer"
	"github.com/oreo-go/oreo/train/data"
)

// CheckData reads the files as training would, prints the first show records
// decoded, with what is learnt from them marked, and the counts.
func CheckData(w io.Writer, dir string, files []string, show int, colour bool) error {
	config, err := model.LoadConfig(dir)
	if err != nil {
		return err
	}
	enc, tok, err := encoder(dir, config, math.MaxInt)
	if err != nil {
		return err
	}
	seqs, stats, err := enc.ReadAny(files, 0)
	if err != nil {
		return err
	}
	for i := range seqs[:min(show, len(seqs))] {
		if err := data.Show(w, &seqs[i], tok, colour); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(w, stats)
	return err
}

// input is how a method takes its data.
type input struct {
	read     reader
	group    int  // sequences in a row that belong together; 0: each is alone
	original bool // order and schedule of the authors' code
}

// reader turns files into sequences.
type reader func(*data.Encoder, []string) ([]data.Sequence, data.Stats, error)

// demonstrations need no reward.
func demonstrations(e *data.Encoder, files []string) ([]data.Sequence, data.Stats, error) {
	return e.Read(files, false)
}

// read turns the records into sequences with the model's own tokenizer.
func (r *run) read(read reader) ([]data.Sequence, error) {
	dir, err := peft.BaseDir(r.Model)
	if err != nil {
		return nil, err
	}
	config, err := model.LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	enc, tok, err := encoder(dir, config, r.MaxLen)
	if err != nil {
		return nil, err
	}
	r.tok, enc.Overlong = tok, data.Overlong(r.Overlong)
	seqs, stats, err := read(enc, r.Data)
	if err != nil {
		return nil, err
	}
	r.stats = stats
	r.ui.Notef("data: %s", stats)
	for i := range seqs {
		if top := slices.Max(seqs[i].Tokens); int(top) >= config.Vocab {
			return nil, fmt.Errorf("%s: token id %d of record %s lies outside the model's vocabulary of %d: tokenizer and model do not belong together",
				r.Model, top, seqs[i].ID, config.Vocab)
		}
	}
	return seqs, nil
}

// encoder reads what turns records into tokens from a model's folder.
func encoder(dir string, config *model.Config, maxLen int) (*data.Encoder, *tokenizer.Tokenizer, error) {
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, nil, err
	}
	enc := &data.Encoder{Tokenizer: tok, EOS: config.EOS, MaxLen: min(maxLen, config.MaxPositions),
		Split: func(response string) []int { return step.Split(response, step.Newline) }}
	template, err := chat.Load(dir)
	switch {
	case err == nil:
		enc.Chat = template
	case !errors.Is(err, chat.ErrNoTemplate):
		return nil, nil, err
	}
	return enc, tok, nil
}
