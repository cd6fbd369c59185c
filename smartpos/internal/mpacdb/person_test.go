package mpacdb_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/platform/person"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
)

// The database tells persons apart as the commands do.
func TestTheDatabaseKnowsAPersonsAddress(t *testing.T) {
	t.Parallel()
	db := mpacdbtest.New(t).Pool(mpacdb.RoleSmarttab)
	rapid.Check(t, func(t *rapid.T) {
		address := rapid.OneOf(
			rapid.StringMatching(`[a-z0-9_.+%-]{0,5}@[a-z0-9.-]{0,8}`), rapid.StringMatching(`[a-z]{1,3}@[a-z]{1,3}\.[a-z]{1,3}\.?`), rapid.StringMatching(`[ -~\n]{0,12}`),
		).Draw(t, "address")
		var is bool
		if err := db.QueryRow(t.Context(), "SELECT smarttab.is_person($1)", address).Scan(&is); err != nil {
			t.Fatal(err)
		}
		want, err := person.Address(address)
		if is != (err == nil && want == address) && !strings.ContainsAny(address, "\x00") {
			t.Fatalf("%q: the database says %t, the commands %q, %v", address, is, want, err)
		}
	})
}
