package pgwdb_test

import (
	"testing"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
)

// The gateway's own role counts the sessions of all: what alerts must see are the others'.
func TestSessionsOfAllRolesAreCounted(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	forgotten, err := db.AdminPool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forgotten.Rollback(t.Context()) }()
	var open int
	var oldest float64
	err = db.Pool("pgw_backend").QueryRow(t.Context(), "SELECT idle_in_transaction, oldest FROM pgw.sessions()").Scan(&open, &oldest)
	if err != nil || open != 1 || oldest <= 0 {
		t.Errorf("%d open transactions, the oldest of %v s, %v", open, oldest, err)
	}
}
