package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/housekeeping"
)

func TestWritesAreAudited(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	p.source = "203.0.113.9:5"
	request := p.request(http.MethodPatch, "/api/v1/stores/"+s.store, s.ownerT, m{"version": 1, "name": "Renamed"})
	request.Header.Set("User-Agent", "test/1")
	request.Header.Set("X-Request-Id", "req-1")
	p.send(request).want(t, http.StatusOK, "")

	entries := p.get("/api/v1/audit?action=store.update&entity_id="+s.store, s.adminT).want(t, http.StatusOK, "").body["data"].([]any)
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	e := entries[0].(m)
	before, after := e["before"].(m), e["after"].(m)
	got := m{
		"actor_kind": e["actor_kind"], "actor": e["actor"], "entity": e["entity"], "ip": e["ip"], "user_agent": e["user_agent"], "request_id": e["request_id"],
		"before": before["name"], "after": after["name"], "versions": []any{before["version"], after["version"]}, "merchant": e["merchant_id"],
	}
	want := m{
		"actor_kind": "user", "actor": s.owner.id, "entity": "store", "ip": "203.0.113.9", "user_agent": "test/1", "request_id": "req-1",
		"before": "One", "after": "Renamed", "versions": []any{1.0, 2.0}, "merchant": s.merchant,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entry (-want +got):\n%s", diff)
	}
	all := string(p.get("/api/v1/audit?limit=100", s.adminT).raw)
	for _, action := range []string{"user.create", "user.login", "user.mfa_enrol", "merchant.create", "store.create", "terminal.create", "terminal.activation_code", "terminal.activate"} {
		if !strings.Contains(all, `"`+action+`"`) {
			t.Errorf("%s is not in the log", action)
		}
	}
	if strings.Contains(all, "argon2") || strings.Contains(all, password) {
		t.Error("the log holds secrets")
	}
}

func TestAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.token(p.operator())
	for _, sql := range []string{"UPDATE portal.audit_log SET actor = 'nobody'", "DELETE FROM portal.audit_log", "TRUNCATE portal.audit_log"} {
		if _, err := p.pool.Exec(t.Context(), "SELECT set_config('mpac.platform', 'on', false)"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("the service may do: %s", sql)
		}
	}
	for _, sql := range []string{"UPDATE portal.audit_log SET actor = 'nobody'", "DELETE FROM portal.audit_log"} {
		if _, err := p.db.AdminPool().Exec(t.Context(), sql); err == nil {
			t.Errorf("even the owner may do: %s", sql)
		}
	}
}

func TestHousekeepingClearsWhatIsOver(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	p.deviceToken(p.assertion(s.till)).want(t, http.StatusOK, "")
	p.login("nobody@example.com", "wrong")
	living := p.signIn(s.staff).text("refresh_token")
	keeper := &housekeeping.DB{Pool: p.pool, Clock: p.clock.Now}
	rows := func(table string) (n int) {
		p.must(p.db.AdminPool().QueryRow(t.Context(), "SELECT count(*) FROM portal."+table).Scan(&n))
		return n
	}
	p.must(keeper.Round(t.Context()))
	p.refresh(living).want(t, http.StatusOK, "")
	if rows("client_assertions") != 1 {
		t.Error("an assertion was forgotten while it could still be shown again")
	}
	p.clock.Advance(200 * 24 * time.Hour)
	p.must(keeper.Round(t.Context()))
	for _, table := range []string{"client_assertions", "refresh_tokens", "mfa_challenges", "known_devices", "login_failures", "activation_codes"} {
		if n := rows(table); n != 0 {
			t.Errorf("%s keeps %d rows for ever", table, n)
		}
	}
	// And the months to come have their partitions.
	var made bool
	p.must(p.db.AdminPool().QueryRow(t.Context(), "SELECT to_regclass('portal.audit_log_' || $1) IS NOT NULL", p.clock.Now().Format("200601")).Scan(&made))
	if !made {
		t.Error("the month has no partition")
	}
	if p.token(s.staff) == "" || rows("audit_log_"+p.clock.Now().Format("200601")) == 0 {
		t.Error("entries do not go into their month")
	}
}
