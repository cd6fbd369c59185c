package payment

import (
	"testing"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
)

// The database's table of edges is the one in the code: it refuses every other change of state, whoever asks.
func TestDatabaseHoldsTheEdges(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := mpacdbtest.New(t).AdminPool()
	conn, err := db.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	// Rows of their own, without what they refer to: the trigger alone is asked.
	if _, err := conn.Exec(ctx, `
		CREATE TEMP TABLE payment (LIKE smarttab.payment);
		ALTER TABLE payment ALTER tax_lines DROP NOT NULL;
		CREATE TRIGGER guard BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION smarttab.payment_guard();
		CREATE TEMP TABLE refund (LIKE smarttab.refund);
		CREATE TRIGGER guard BEFORE UPDATE ON refund FOR EACH ROW EXECUTE FUNCTION smarttab.refund_guard();`); err != nil {
		t.Fatal(err)
	}
	for _, from := range Statuses {
		for _, to := range Statuses {
			id := uuid.New()
			_, err := conn.Exec(ctx, `INSERT INTO payment (id, merchant_id, store_id, bill_id, method, status, version, currency, amount,
				refunded_amount, refunding_amount, intent_version, actor_kind, actor_ref, occurred_at, created_at, updated_at)
				VALUES ($1, $1, $1, $1, 'qr', $2, 1, 'JPY', 1, 0, 0, 0, 'user', '', now(), now(), now())`, id, from)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(ctx, `UPDATE payment SET status = $2 WHERE id = $1`, id, to)
			if allowed := from == to || from.CanBecome(to); (err == nil) != allowed || (err != nil && !postgres.IsCheck(err, "payment_edge")) {
				t.Errorf("payment %s -> %s: %v", from, to, err)
			}
		}
	}
	for _, from := range RefundStatuses {
		for _, to := range RefundStatuses {
			id := uuid.New()
			_, err := conn.Exec(ctx, `INSERT INTO refund (id, merchant_id, store_id, payment_id, bill_id, status, version, currency, amount, reason,
				gateway_version, actor_kind, actor_ref, occurred_at, created_at, updated_at)
				VALUES ($1, $1, $1, $1, $1, $2, 1, 'JPY', 1, 'r', 0, 'user', '', now(), now(), now())`, id, from)
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Exec(ctx, `UPDATE refund SET status = $2 WHERE id = $1`, id, to)
			if allowed := from == to || from.CanBecome(to); (err == nil) != allowed || (err != nil && !postgres.IsCheck(err, "refund_edge")) {
				t.Errorf("refund %s -> %s: %v", from, to, err)
			}
		}
	}
}
