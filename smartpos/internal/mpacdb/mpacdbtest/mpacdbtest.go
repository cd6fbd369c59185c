// Package mpacdbtest gives a test a fresh SmartPOS database.
package mpacdbtest

import (
	"testing"

	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
)

// New makes a database with every migration applied, dropped when the test ends.
func New(t testing.TB) *pgtest.DB {
	t.Helper()
	return pgtest.New(t, mpacdb.Migration())
}
