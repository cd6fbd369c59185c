// Package pgwdbtest gives a test a fresh gateway database.
package pgwdbtest

import (
	"testing"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

// New makes a database with every migration applied, dropped when the test ends.
func New(t testing.TB) *pgtest.DB {
	t.Helper()
	return pgtest.New(t, pgwdb.Migration())
}
