package order_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/order"
)

// The database refuses the moves that the table of edges does not have.
func TestEdgesInTheDatabase(t *testing.T) {
	t.Parallel()
	admin := mpacdbtest.New(t).AdminPool()
	all := []order.Status{order.Open, order.Billed, order.Completed, order.Cancelled}
	set := func(s order.Status) string {
		return fmt.Sprintf(`status = '%[1]s',
			bill_id = CASE WHEN '%[1]s' IN ('billed', 'completed') THEN gen_random_uuid() END,
			completed_at = CASE WHEN '%[1]s' = 'completed' THEN now() END,
			cancelled_at = CASE WHEN '%[1]s' = 'cancelled' THEN now() END`, s)
	}
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			key := id.NewUUID(noon)
			tx, err := admin.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, sql := range []string{
				`ALTER TABLE smarttab.orders DISABLE TRIGGER orders_guard`,
				fmt.Sprintf(`INSERT INTO smarttab.orders (id, merchant_id, store_id, number, business_day, status, version, order_type, currency,
					price_mode, rounding, subtotal, tax_lines, tax, total, next_sequence, actor_kind, actor_ref, created_at, updated_at)
					VALUES ('%s', gen_random_uuid(), gen_random_uuid(), '1', '2026-11-02', 'open', 1, 'dine_in', 'JPY', 'inclusive', 'floor', 0, '[]', 0, 0, 1,
					'device', 'x', now(), now())`, key),
				fmt.Sprintf(`UPDATE smarttab.orders SET %s WHERE id = '%s'`, set(from), key),
				`ALTER TABLE smarttab.orders ENABLE TRIGGER orders_guard`,
			} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			_, err = tx.Exec(t.Context(), fmt.Sprintf(`UPDATE smarttab.orders SET version = version + 1, %s WHERE id = '%s'`, set(to), key))
			if allowed := err == nil; allowed != order.CanMove(from, to) || (err != nil && !postgres.IsCheck(err, "orders_edge")) {
				t.Errorf("%s to %s: allowed %t by the database, %t by the table: %v", from, to, allowed, order.CanMove(from, to), err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A row cannot point into another store, whoever writes it: the keys carry the tenant.
func TestItemsStayInTheirStore(t *testing.T) {
	t.Parallel()
	server := mpacdbtest.New(t)
	db := server.Pool(mpacdb.RoleSmarttab)
	merchant, mine, theirs := uuid.NewString(), uuid.NewString(), uuid.NewString()
	key := id.NewUUID(noon)
	in := func(store string, sql string, args ...any) error {
		return postgres.InTx(t.Context(), db, postgres.NewScope("merchant_id", merchant, "store_id", store), "test",
			func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, sql, args...)
				return err
			})
	}
	insert := `INSERT INTO smarttab.orders (id, merchant_id, store_id, number, business_day, status, version, order_type, currency,
		price_mode, rounding, subtotal, tax_lines, tax, total, next_sequence, actor_kind, actor_ref, created_at, updated_at)
		VALUES ($1, $2, $3, '1', '2026-11-02', 'open', 1, 'dine_in', 'JPY', 'inclusive', 'floor', 0, '[]', 0, 0, 1, 'device', 'x', now(), now())`
	if err := in(mine, insert, key, merchant, mine); err != nil {
		t.Fatal(err)
	}
	if err := in(theirs, insert, id.NewUUID(noon), merchant, mine); err == nil {
		t.Error("an order was written into a store outside the scope")
	}
	err := in(theirs, `INSERT INTO smarttab.order_item (order_id, id, merchant_id, store_id, sequence, name, quantity, unit_price, tax_class, tax_rate, options, amount)
		VALUES ($1, $2, $3, $4, 1, 'x', 1, 1, 'food', 8, '[]', 1)`, key, uuid.New(), merchant, theirs)
	if !postgres.IsForeignKey(err, "order_item_order") {
		t.Errorf("an item on another store's order: %v", err)
	}
}
