package httpapi

import (
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Checked makes a database that is away 503 instead of 500: the caller may try again with the same key and finds out what became
// of the first try.
func Checked(err error) error {
	var known *problem.Error
	if err == nil || errors.As(err, &known) || !away(err) {
		return err
	}
	return problem.Unavailable.New("The database is away; try again with the same Idempotency-Key.").WithHeader("Retry-After", "1").Wrap(err)
}

// away: no connection, a connection that broke, a server that starts, stops or is full (SQLSTATE classes 08, 53, 57).
func away(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return strings.HasPrefix(answer.Code, "08") || strings.HasPrefix(answer.Code, "53") || strings.HasPrefix(answer.Code, "57P")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, postgres.ErrCommitUnknown) || errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err)
}
