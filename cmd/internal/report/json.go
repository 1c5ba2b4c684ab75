package report

import (
	"encoding/json"

	"github.com/google/renameio/v2"
)

// WriteJSON writes v, indented, to a file that appears whole or not at all.
func WriteJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, append(text, '\n'), 0o644)
}
