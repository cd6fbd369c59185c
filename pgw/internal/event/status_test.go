package event_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/mpac-cloud/mpac/pgw/internal/event"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
)

// An operator sees whether anybody numbers.
func TestStatusNamesTheLeader(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t).Pool(pgwdb.RoleBackend)
	status := func() (string, error) {
		var out bytes.Buffer
		cmd := event.Commands(func(ctx context.Context) (event.Status, error) { return event.ReadStatus(ctx, db) }, nil)
		cmd.SetArgs([]string{"status"})
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := status(); err == nil || !strings.Contains(out, "0 events wait") {
		t.Errorf("nobody leads: %v\n%s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); event.NewSequencer(db, nil).Run(ctx) }()
	defer func() { stop(); <-done }()
	for {
		s, err := event.ReadStatus(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Leaders) == 1 {
			break
		}
	}
	if out, err := status(); err != nil || !strings.Contains(out, "numbered by") {
		t.Errorf("%v\n%s", err, out)
	}
}
