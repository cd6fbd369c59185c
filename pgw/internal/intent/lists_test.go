package intent

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/id"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
)

func listed(t *testing.T, db *pgtest.DB, now time.Time, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := ListCommands(func(context.Context) (Lists, func(), error) {
		return Lists{DB: db.Pool(pgwdb.RoleBackend), Clock: func() time.Time { return now }}, func() {}, nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// insertAttempt writes an attempt of a new intent past all rules; late: given up, and the money came.
func insertAttempt(t *testing.T, db *pgtest.DB, at time.Time, status string, late bool) (attempt, intent string) {
	t.Helper()
	in := Intent{ID: id.NewULID(Prefix, at), Status: RequiresAction, ProcessingMode: PGWProcessed, CaptureMethod: CaptureAutomatic}
	if late {
		in.Status = Cancelled
	}
	insertRaw(t, db.AdminPool().Exec, in, at)
	attempt = id.NewULID(AttemptPrefix, at)
	_, err := db.AdminPool().Exec(t.Context(), `INSERT INTO pgw.payment_attempts (id, payment_intent_id, partner_id, mode, merchant_id, merchant_store_id, provider,
			contract_id, provider_store_id, payment_method_type, status, status_since, amount, currency, captured_amount, asks, late_success_at, created_at, updated_at)
		VALUES ($1, $2, 'cp_1', 'test', 'm', 's', 'paypay', 'c', 's', 'qr_mpm', $3, $4::timestamptz, 1200, 'JPY', CASE WHEN $5 THEN 1200 ELSE 0 END, 3, CASE WHEN $5 THEN $4::timestamptz END, $4::timestamptz, $4::timestamptz)`,
		attempt, in.ID, status, at, late)
	if err != nil {
		t.Fatal(err)
	}
	if !late {
		if _, err := db.AdminPool().Exec(t.Context(), `UPDATE pgw.payment_intents SET live_attempt_id = $2 WHERE id = $1`, in.ID, attempt); err != nil {
			t.Fatal(err)
		}
	}
	return attempt, in.ID
}

func TestUnknownPaymentsAreListed(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	if out, err := listed(t, db, now, "unknown"); err != nil || !strings.Contains(out, "no payments") {
		t.Errorf("%v\n%s", err, out)
	}
	old, _ := insertAttempt(t, db, now.Add(-20*time.Minute), "ending", false)
	young, _ := insertAttempt(t, db, now.Add(-time.Minute), "creating", false)
	shown, _ := insertAttempt(t, db, now.Add(-time.Minute), "waiting", false)
	out, err := listed(t, db, now, "unknown")
	if err != nil || !strings.Contains(out, old) || !strings.Contains(out, young) || strings.Contains(out, shown) || strings.Index(out, old) > strings.Index(out, young) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := listed(t, db, now, "unknown", "--longer-than", "15m"); err != nil || !strings.Contains(out, old) || strings.Contains(out, young) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLateSuccessesAreListedWithTheirReturn(t *testing.T) {
	t.Parallel()
	db := pgwdbtest.New(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	attempt, intent := insertAttempt(t, db, now.Add(-time.Hour), "failed", true)
	if out, err := listed(t, db, now, "late"); err == nil || !strings.Contains(out, attempt) || !strings.Contains(out, "none") {
		t.Errorf("nothing is on its way back: %v\n%s", err, out)
	}
	_, err := db.AdminPool().Exec(t.Context(), `INSERT INTO pgw.refunds (id, kind, partner_id, mode, merchant_id, payment_intent_id, attempt_id, provider, contract_id, amount,
			currency, status, status_since, version, due_at, created_at, updated_at)
		VALUES ($1, 'return', 'cp_1', 'test', 'm', $2, $3, 'paypay', 'c', 1200, 'JPY', 'pending', $4, 1, $4, $4, $4)`, id.NewULID("re", now), intent, attempt, now)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := listed(t, db, now, "late"); err != nil || !strings.Contains(out, "pending") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := listed(t, db, now, "late", "--since", "10m"); err != nil || !strings.Contains(out, "no payments") {
		t.Errorf("%v\n%s", err, out)
	}
}
