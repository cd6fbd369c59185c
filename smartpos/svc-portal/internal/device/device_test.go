package device

import (
	"bytes"
	"strings"
	"testing"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	states := []string{InStock, Shipped, Active, Suspended, Lost, Decommissioned}
	want := map[verb]string{
		suspend:      "- - suspended - - -",
		resume:       "- - - active - -",
		markLost:     "- lost lost lost - -",
		decommission: "decommissioned decommissioned decommissioned decommissioned decommissioned -",
	}
	for v, row := range want {
		for i, to := range strings.Fields(row) {
			terminal := Terminal{Status: states[i]}
			err := terminal.move(v)
			if (err == nil) != (to != "-") || err == nil && terminal.Status != to {
				t.Errorf("%s from %s: %s, %v; want %s", v, states[i], terminal.Status, err, to)
			}
			if err != nil && !WrongState.Is(err) {
				t.Errorf("%s from %s: %v", v, states[i], err)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		code := newCode()
		if len(code) != codeLength || strings.Trim(code, codeAlphabet) != "" || seen[code] {
			t.Fatalf("code %q", code)
		}
		seen[code] = true
	}
	if !bytes.Equal(codeHash("ABCD2345"), codeHash(" abcd-2345 ")) || bytes.Equal(codeHash("ABCD2345"), codeHash("ABCD2346")) {
		t.Error("codes are told apart wrongly")
	}
}
