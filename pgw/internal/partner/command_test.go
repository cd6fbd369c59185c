package partner_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/pgw/internal/partner"
)

// Where output is kept, no key is made whose secret would be shown in the clear.
//
//nolint:paralleltest // the environment is the process's
func TestAnswersThatAreKeptAreSealed(t *testing.T) {
	errOpened := errors.New("opened")
	run := func(command string) error {
		root := partner.Commands(func(context.Context) (*partner.Store, func(), error) { return nil, nil, errOpened })
		root.SetArgs(strings.Fields(command))
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		return root.ExecuteContext(t.Context())
	}
	for sealed, want := range map[string]bool{"": true, "false": true, "true": false} {
		t.Setenv("PARTNER_ANSWERS_SEALED", sealed)
		for _, command := range []string{"create --name x", "create --name x --json", "key add --partner cp_1"} {
			if err := run(command); errors.Is(err, errOpened) != want || !want && !strings.Contains(err.Error(), "--seal-to") {
				t.Errorf("sealed %q: %s: %v", sealed, command, err)
			}
			if err := run(command + " --seal-to x"); !errors.Is(err, errOpened) {
				t.Errorf("sealed %q: %s --seal-to: %v", sealed, command, err)
			}
		}
		if err := run("key revoke pk_test_1"); !errors.Is(err, errOpened) {
			t.Errorf("sealed %q: revoke: %v", sealed, err)
		}
	}
}
