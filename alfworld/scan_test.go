package alfworld

import (
	"encoding/json"
	"reflect"
	"testing"
)

// What scanGame takes, it reads as encoding/json does.
func TestScanGame(t *testing.T) {
	plain := map[string]bool{
		`{"pddl_domain":"a\n\"b\\","grammar":"ü","pddl_problem":"","solvable":true,"walkthrough":["x","y z"]}`: true,
		" {\n\"walkthrough\" : [ ] , \"solvable\":false}\n":                                                    true,
		`{"grammar":"\u00e4\u0026"}`:  true,
		`{"grammar":"\ud83d\ude00"}`:  false,
		`{"grammar":"\u+0e4"}`:        false,
		`{"grammar":"\u00"}`:          false,
		`{"other":1}`:                 false,
		`{"grammar":"x"} y`:           false,
		`{"grammar":"x"`:              false,
		"{\"grammar\":\"a\nb\"}":      false,
		"{\"grammar\":\"\xff\"}":      false,
		`{"walkthrough":["x",]}`:      false,
		`{"solvable":null}`:           false,
		`{"grammar":"\q"}`:            false,
		`[]`:                          false,
		``:                            false,
		`{"grammar":"x","grammar":3}`: false,
	}
	for text, want := range plain {
		got, ok := scanGame([]byte(text))
		var ref gameFile
		err := json.Unmarshal([]byte(text), &ref)
		if ok && err != nil {
			t.Errorf("%s: taken, but %v", text, err)
			continue
		}
		if ok != (want && err == nil) {
			t.Errorf("%s: taken %v", text, ok)
		}
		if len(ref.Walkthrough) == 0 {
			ref.Walkthrough = nil
		}
		if ok && !reflect.DeepEqual(got, ref) {
			t.Errorf("%s: %+v, want %+v", text, got, ref)
		}
	}
}
