package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// A service's own role reads all of PostgreSQL's figures.
func TestFiguresAreAllThere(t *testing.T) {
	t.Parallel()
	read := postgres.Figures(pgtest.New(t, migration).Pool("platform_test_reader"), "pgw", "public.sessions")
	said := map[*names.Observed]float64{}
	err := read.Take(t.Context(), func(of *names.Observed, value float64, attrs ...attribute.KeyValue) {
		if len(attrs) == 0 || attrs[0] != names.Database.Is("pgw") {
			t.Errorf("%s has %v", of.Name, attrs)
		}
		said[of] += value
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range read.Of {
		if _, there := said[of]; !there {
			t.Errorf("nothing is said of %s", of.Name)
		}
	}
	for _, of := range []*names.Observed{names.PGConnections, names.PGLimit, names.PGTx, names.PGSize, names.PGWraparound} {
		if said[of] <= 0 {
			t.Errorf("%s is %v", of.Name, said[of])
		}
	}
}

// What waits for a commit is done once when it comes, and never when it does not.
func TestAfterCommit(t *testing.T) {
	t.Parallel()
	pool, a := pgtest.New(t, migration).Pool("platform_test_reader"), postgres.NewScope("owner", "a")
	done := 0
	run := func(fail error) error {
		return postgres.InTx(t.Context(), pool, a, "test.after", func(ctx context.Context, _ pgx.Tx) error {
			postgres.AfterCommit(ctx, func() { done++ })
			if done != 0 && fail == nil {
				t.Error("done before the commit")
			}
			return fail
		})
	}
	if err := run(nil); err != nil || done != 1 {
		t.Errorf("done %d times, %v", done, err)
	}
	undone := errors.New("undone")
	if err := run(undone); !errors.Is(err, undone) || done != 1 {
		t.Errorf("done %d times, %v", done, err)
	}
	postgres.AfterCommit(t.Context(), func() { done++ })
	if done != 2 {
		t.Error("outside a transaction it is done at once")
	}
}
