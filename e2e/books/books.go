// Package books holds the four books of a sale against each other: what the terminal was told, what svc-smarttab keeps, what
// pgw keeps with its ledger, and what the provider (the sandbox) has taken.
package books

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/internal/ops/api"
)

// Platform is where the books are.
type Platform interface{ Env(name string) string }

// Settled waits until nothing of the stores is under way any more and every book says the same; after the time its last
// findings fail the test.
func Settled(t testing.TB, p Platform, within time.Duration, stores ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := api.Eventually(ctx, within, func() error { return Check(ctx, p, stores) }); err != nil {
		t.Errorf("the books do not agree: %v", err)
	}
}

// Check compares the books of the stores once.
func Check(ctx context.Context, p Platform, stores []string) error {
	smarttab, err := open(ctx, p.Env("MPAC_SMARTPOS_DATABASE_URL"))
	if err != nil {
		return err
	}
	defer smarttab.Close(ctx)
	pgw, err := open(ctx, p.Env("MPAC_PGW_DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pgw.Close(ctx)
	taken, err := totals(ctx, p)
	if err != nil {
		return err
	}
	var all []error
	for _, store := range stores {
		all = append(all, hanging(ctx, smarttab, pgw, store), oneForOne(ctx, smarttab, pgw, store), receivable(ctx, pgw, store, taken[store]), bills(ctx, smarttab, store))
	}
	return errors.Join(all...)
}

// open connects and sees every tenant: the test is none of them.
func open(ctx context.Context, url string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, errors.New("the database does not answer")
	}
	if _, err := conn.Exec(ctx, "SELECT set_config('mpac.cross_tenant', 'end-to-end-test', false)"); err != nil {
		return nil, err
	}
	return conn, nil
}

// total is what the provider's books say of a store.
type total struct {
	Captures int64
	Refunds  int64
}

func totals(ctx context.Context, p Platform) (map[string]total, error) {
	var answer struct {
		Data []struct {
			StoreID  string `json:"store_id"`
			Captures int64  `json:"captures"`
			Refunds  int64  `json:"refunds"`
		} `json:"data"`
	}
	if err := (api.Client{Base: p.Env("MPAC_SANDBOX_URL")}).Get(ctx, "/api/paypay/totals", nil, &answer); err != nil {
		return nil, err
	}
	all := map[string]total{}
	for _, row := range answer.Data {
		sum := all[row.StoreID]
		all[row.StoreID] = total{Captures: sum.Captures + row.Captures, Refunds: sum.Refunds + row.Refunds}
	}
	return all, nil
}

// nothing runs a query that lists what should not be there.
func nothing(ctx context.Context, db *pgx.Conn, what, sql string, args ...any) error {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: %d, such as %s", what, len(found), found[0])
	}
	return nil
}

// hanging: nothing of the store is under way, in either system.
func hanging(ctx context.Context, smarttab, pgw *pgx.Conn, store string) error {
	return errors.Join(
		nothing(ctx, smarttab, "unfinished payments", `SELECT id || ' ' || method || ' ' || status FROM smarttab.payment
			WHERE store_id = $1 AND status IN ('pending', 'processing')`, store),
		nothing(ctx, smarttab, "payments that the gateway has not heard of", `SELECT id || ' ' || method FROM smarttab.payment
			WHERE store_id = $1 AND method <> 'qr' AND status IN ('completed', 'refunded') AND reported_at IS NULL`, store),
		nothing(ctx, smarttab, "unfinished refunds", `SELECT id || ' ' || status FROM smarttab.refund
			WHERE store_id = $1 AND status IN ('pending', 'processing')`, store),
		nothing(ctx, smarttab, "reservations left on bills", `SELECT bill_id::text FROM smarttab.bill_reservation r
			WHERE store_id = $1 AND state = 'held'`, store),
		nothing(ctx, smarttab, "parked events", `SELECT event_id || ' ' || type FROM smarttab.feed_parked WHERE payment_ref IN
			(SELECT id::text FROM smarttab.payment WHERE store_id = $1)`, store),
		nothing(ctx, pgw, "intents that are not final", `SELECT id || ' ' || status FROM pgw.payment_intents
			WHERE merchant_store_id = $1 AND finalized_at IS NULL`, store),
		nothing(ctx, pgw, "attempts that are not final", `SELECT id || ' ' || status FROM pgw.payment_attempts
			WHERE merchant_store_id = $1 AND status NOT IN ('succeeded', 'failed')`, store),
		nothing(ctx, pgw, "refunds that are not final", `SELECT id || ' ' || status FROM pgw.refunds
			WHERE merchant_store_id = $1 AND status IN ('pending', 'processing')`, store),
		nothing(ctx, pgw, "events without a position", `SELECT o.event_id FROM pgw.event_outbox o JOIN pgw.events e ON e.id = o.event_id
			JOIN pgw.payment_intents i ON i.id = e.payment_intent_id WHERE i.merchant_store_id = $1`, store),
	)
}

// oneForOne: each payment of svc-smarttab has its one intent at pgw, in the state and with the amounts that fit.
func oneForOne(ctx context.Context, smarttab, pgw *pgx.Conn, store string) error {
	type entry struct {
		Status   string
		Amount   int64
		Refunded int64
	}
	read := func(db *pgx.Conn, sql string) (map[string]entry, error) {
		rows, err := db.Query(ctx, sql, store)
		if err != nil {
			return nil, err
		}
		all := map[string]entry{}
		var ref string
		var e entry
		_, err = pgx.ForEachRow(rows, []any{&ref, &e.Status, &e.Amount, &e.Refunded}, func() error {
			if _, twice := all[ref]; twice {
				return fmt.Errorf("%s is there twice", ref)
			}
			all[ref] = e
			return nil
		})
		return all, err
	}
	payments, err := read(smarttab, `SELECT id::text, status, amount, refunded_amount FROM smarttab.payment WHERE store_id = $1`)
	if err != nil {
		return fmt.Errorf("payments: %w", err)
	}
	intents, err := read(pgw, `SELECT merchant_ref_id, status, amount, refunded_amount FROM pgw.payment_intents WHERE merchant_store_id = $1`)
	if err != nil {
		return fmt.Errorf("intents: %w", err)
	}
	var all []error
	for ref, payment := range payments {
		intent, there := intents[ref]
		switch taken := payment.Status == "completed" || payment.Status == "refunded"; {
		case !there && taken:
			all = append(all, fmt.Errorf("payment %s is %s here and unknown at the gateway", ref, payment.Status))
		case there && taken != (intent.Status == "succeeded"):
			all = append(all, fmt.Errorf("payment %s is %s here and %s at the gateway", ref, payment.Status, intent.Status))
		case there && (intent.Amount != payment.Amount || intent.Refunded != payment.Refunded):
			all = append(all, fmt.Errorf("payment %s: %d less %d here, %d less %d at the gateway", ref, payment.Amount, payment.Refunded, intent.Amount, intent.Refunded))
		}
	}
	for ref, intent := range intents {
		if _, there := payments[ref]; !there && intent.Status == "succeeded" {
			all = append(all, fmt.Errorf("intent of %s succeeded for no payment", ref))
		}
	}
	return errors.Join(all...)
}

// receivable: what the ledger says that the provider owes for the store is what the provider took less what it gave back;
// nothing is left in suspense.
func receivable(ctx context.Context, pgw *pgx.Conn, store string, taken total) error {
	var owed, suspense int64
	err := pgw.QueryRow(ctx, `SELECT coalesce(sum(amount) FILTER (WHERE account = 'provider_receivable'), 0)::bigint,
		coalesce(sum(amount) FILTER (WHERE account = 'suspense'), 0)::bigint FROM pgw.ledger_lines WHERE provider_store_id = $1`, store).Scan(&owed, &suspense)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if owed != taken.Captures-taken.Refunds {
		return fmt.Errorf("the ledger says that the provider owes %d for store %s, the provider has taken %d and given back %d", owed, store, taken.Captures, taken.Refunds)
	}
	if suspense != 0 {
		return fmt.Errorf("%d are in suspense for store %s", suspense, store)
	}
	return nil
}

// bills: what is paid on each bill is the sum of its completed payments, never more than its total.
func bills(ctx context.Context, smarttab *pgx.Conn, store string) error {
	return nothing(ctx, smarttab, "bills whose payments do not add up", `
		SELECT b.id || ': paid ' || b.paid_amount || ' of ' || b.total || ', payments ' || coalesce(p.sum, 0)
		FROM smarttab.bill b LEFT JOIN (SELECT bill_id, sum(amount) AS sum FROM smarttab.payment
			WHERE store_id = $1 AND status IN ('completed', 'refunded') GROUP BY bill_id) p ON p.bill_id = b.id
		WHERE b.store_id = $1 AND (b.paid_amount <> coalesce(p.sum, 0) OR b.paid_amount > b.total)`, store)
}
