package export

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oreo-go/oreo/runtime/model"
	"github.com/oreo-go/oreo/runtime/tokenizer"
)

// goldenTexts are what reference values are recorded for: two, of unequal
// length, so that a mix-up of rows shows.
var goldenTexts = []struct {
	text   string
	tokens int // at most
}{
	{"A baker sells 12 loaves in the morning and twice as many in the afternoon, so", 16},
	{"The train leaves at 9 and arrives at", 10},
}

// calibrationText shows the exporter how large the inputs of each layer are and
// how they vary together: some of everything that models read.
const calibrationText = `Question: Mia reads 15 pages on each of 4 days and 22 pages on the fifth day. Her book has 120 pages. How many pages are left?
Answer: In the first 4 days she reads 15 * 4 = 60 pages. With the fifth day that makes 60 + 22 = 82 pages. So 120 - 82 = 38 pages are left.
The answer is 38.

The old lighthouse had been dark for years when the new keeper arrived. She cleaned the lamp, oiled the door and wrote the first line in the log: "Wind from the west, no ships." In winter, storms shook the windows; in summer, children came up the path with questions.

user: Which tools do I need to repair a bicycle tyre?
assistant: You need tyre levers, a patch kit with glue, and a pump. First take the wheel off, then remove the tube and look for the hole.

func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}

The committee may amend this agreement only in writing. Each party shall keep records of its work, and provides the service "as is", to the extent that the law permits. Water boils at 100 degrees; iron melts at 1538 degrees. In 1969 people walked on the moon for the first time.`

const calibrationTokens = 384

// texts turns these into tokens of one model.
type texts struct {
	tok   *tokenizer.Tokenizer // nil if the model has none: then any tokens must do
	vocab int
	limit int // positions
}

func newTexts(dir string, c *model.Config) (*texts, error) {
	t := &texts{vocab: c.Vocab, limit: c.MaxPositions}
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	tok, err := tokenizer.Load(dir)
	if err != nil {
		return nil, err
	}
	if tok.VocabSize() > c.Vocab {
		return nil, fmt.Errorf("%s: tokenizer.json has %d tokens, config.json says vocab_size %d: they are of different models", dir, tok.VocabSize(), c.Vocab)
	}
	t.tok = tok
	return t, nil
}

func (t *texts) golden() [][]int64 {
	var out [][]int64
	for _, g := range goldenTexts {
		out = append(out, t.tokens(g.text, g.tokens))
	}
	return out
}

func (t *texts) calibration() []int64 { return t.tokens(calibrationText, calibrationTokens) }

// tokens is at least one and at most n tokens of text.
func (t *texts) tokens(text string, n int) []int64 {
	n = min(n, t.limit)
	var ids []int64
	if t.tok != nil {
		for _, id := range t.tok.EncodeSpecial(text) {
			ids = append(ids, int64(id))
		}
		if len(ids) > 0 {
			return ids[:min(n, len(ids))]
		}
	}
	state := uint64(len(text))
	for range n {
		state = state*6364136223846793005 + 1442695040888963407 // Knuth's linear congruential generator
		ids = append(ids, int64(state>>33%uint64(t.vocab)))
	}
	return ids
}
