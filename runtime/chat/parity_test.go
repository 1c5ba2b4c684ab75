package chat

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oreo-go/oreo/runtime/jsonl"
)

type oracleRow struct {
	Messages []Message `json:"messages"`
	Prompt   bool      `json:"prompt"`
	Date     string    `json:"date"` // when it was rendered: templates may write the date
	Text     string    `json:"text"`
	Error    string    `json:"error"`
}

// TestRealTemplates compares with apply_chat_template on the templates of published models, which are not part of the repository;
// runtime/tokenizer/testdata/gen/oracle.py collects them.
func TestRealTemplates(t *testing.T) {
	root := os.Getenv("OREO_TOKENIZERS")
	if root == "" {
		root = "../../.deps/tokenizers"
	}
	found, _ := filepath.Glob(filepath.Join(root, "*", "chat.jsonl"))
	if len(found) == 0 {
		t.Skipf("no chat templates in %s: run runtime/tokenizer/testdata/gen/oracle.py", root)
	}
	for _, rows := range found {
		dir := filepath.Dir(rows)
		if info, err := os.Stat(rows); err != nil || info.Size() == 0 {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tmpl, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			for row, err := range jsonl.Read[oracleRow](rows) {
				if err != nil {
					t.Fatal(err)
				}
				tmpl.now = func() time.Time {
					day, err := time.Parse(time.DateOnly, row.Date)
					if err != nil {
						t.Fatal(err)
					}
					return day
				}
				got, err := tmpl.Render(row.Messages, row.Prompt)
				if (err != nil) != (row.Error != "") || got != row.Text {
					t.Errorf("%v, prompt %v\n got %q, error %v\nwant %q, error %q", row.Messages, row.Prompt, got, err, row.Text, row.Error)
				}
			}
		})
	}
}
