package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/sync"
)

// work lets the jobs of a task run until the test ends.
func (p *portal) work(a *app) {
	p.t.Helper()
	p.must(a.jobs.Start(context.Background()))
	p.t.Cleanup(func() { _ = a.jobs.Stop(context.Background()) })
}

func (p *portal) pending(token string) int {
	p.t.Helper()
	return len(p.get("/api/v1/sync?limit=100&state=pending", token).want(p.t, http.StatusOK, "").body["data"].([]any))
}

// The gateway hears of a merchant before its stores and of a store before its contract, whatever the number of tasks, and again
// and again until it has taken it.
func TestGatewayIsToldInOrder(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.gateway.goAway(true)
	p.work(p.app)
	p.work(p.task())
	s := p.shop(p.token(p.operator()), "a")
	config := "/api/v1/stores/" + s.store + "/provider_configs/paypay"
	p.call(http.MethodPut, config, s.ownerT, m{"contract_id": "c1", "credentials": m{"api_key": "k1", "api_secret": "s1"}}).want(t, http.StatusOK, "")
	p.patch("/api/v1/stores/"+s.second, s.ownerT, m{"version": 1, "name": "Second"}).want(t, http.StatusOK, "")
	p.patch("/api/v1/stores/"+s.second, s.ownerT, m{"version": 2, "status": "inactive"}).want(t, http.StatusOK, "")

	eventually(t, "the first attempt is seen to have failed", func() bool {
		items := p.get("/api/v1/sync?limit=100", s.adminT).body["data"].([]any)
		oldest := items[len(items)-1].(m)
		return oldest["attempts"].(float64) >= 1 && strings.Contains(oldest["last_error"].(string), "not now")
	})
	state := p.get(config, s.ownerT).body["sync"].(m)
	if state["state"] != "pending" {
		t.Errorf("the contract's state is %v while the gateway is away", state)
	}
	if n := p.pending(s.adminT); n != 6 {
		t.Errorf("%d changes wait, want 6", n)
	}

	p.gateway.goAway(false)
	// The tests' clock stands still, so no backoff is ever over by itself: people ask for it.
	items := p.get("/api/v1/sync?limit=100", s.adminT).body["data"].([]any)
	p.post("/api/v1/sync/"+jsonNumber(items[0].(m)["id"])+"/retry", s.adminT, nil).want(t, http.StatusOK, "")
	eventually(t, "all is told", func() bool { return p.pending(s.adminT) == 0 })

	merchant := "PUT /v1/merchants/" + s.merchant
	want := []string{
		merchant, merchant + "/stores/" + s.store, merchant + "/stores/" + s.second, merchant + "/stores/" + s.store + "/provider_configs/paypay",
	}
	var got []string
	last := map[string]m{}
	for _, put := range p.gateway.taken() {
		if _, again := last[put.path]; !again {
			got = append(got, put.path)
		}
		last[put.path] = put.body
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first told of (-want +got):\n%s", diff)
	}
	wantConfig := m{"version": 1.0, "status": "active", "contract_id": "c1", "credentials": m{"api_key": "k1", "api_secret": "s1"}}
	if diff := cmp.Diff(wantConfig, last[want[3]]); diff != "" {
		t.Errorf("the contract (-want +got):\n%s", diff)
	}
	wantStore := m{"version": 3.0, "name": "Second", "status": "inactive", "timezone": "Asia/Tokyo"}
	if diff := cmp.Diff(wantStore, last[want[2]]); diff != "" {
		t.Errorf("the store as it is in the end (-want +got):\n%s", diff)
	}
	if state := p.get(config, s.ownerT).body["sync"].(m); state["state"] != "synced" || state["synced_at"] == nil {
		t.Errorf("the contract's state is %v", state)
	}
}

func TestStuckChangesAreSeen(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.gateway.goAway(true)
	p.work(p.app)
	operator := p.token(p.operator())
	s, other := p.shop(operator, "a"), p.shop(operator, "b")
	first := func() m {
		items := p.get("/api/v1/sync?limit=100&merchant_id="+s.merchant, s.adminT).body["data"].([]any)
		return items[len(items)-1].(m)
	}
	id := jsonNumber(first()["id"])
	for attempts := 1.0; attempts <= 5; attempts++ {
		p.post("/api/v1/sync/"+id+"/retry", s.adminT, nil).want(t, http.StatusOK, "")
		eventually(t, "another attempt", func() bool { return first()["attempts"].(float64) >= attempts })
	}
	stuck := p.get("/api/v1/sync?state=stuck", s.adminT).want(t, http.StatusOK, "").body["data"].([]any)
	if len(stuck) != 1 || stuck[0].(m)["state"] != "stuck" || stuck[0].(m)["entity"] != "merchant" {
		t.Errorf("stuck: %v", stuck)
	}
	if pending, _, err := p.app.outbox.Backlog(t.Context()); err != nil || pending != 6 {
		t.Errorf("backlog %d (%v), want 6", pending, err)
	}
	// Another PSP's admin neither sees nor retries it.
	p.post("/api/v1/sync/"+id+"/retry", other.adminT, nil).want(t, http.StatusNotFound, "not_found")
}

// An operator, who is nobody's admin, sees what waits, whoever's it is, with the gateway's answer, and has it sent.
func TestOperatorsSeeAndSendWhatWaits(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.gateway.goAway(true)
	p.work(p.app)
	typed := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := sync.Commands(func(context.Context) (*sync.Outbox, func(), error) { return p.app.outbox, func() {}, nil })
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage = true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	operator := p.token(p.operator())
	p.shop(operator, "a")
	p.shop(operator, "b")
	eventually(t, "the gateway's answer is seen", func() bool {
		out, err := typed("list")
		return err == nil && strings.Count(out, "store") == 4 && strings.Contains(out, "not now")
	})
	for _, wrong := range [][]string{{"retry"}, {"retry", "--all", "1"}, {"retry", "one"}, {"retry", "987654"}} {
		if out, err := typed(wrong...); err == nil {
			t.Errorf("%v is taken:\n%s", wrong, out)
		}
	}
	p.gateway.goAway(false)
	if out, err := typed("retry", "--all"); err != nil || !strings.Contains(out, "6 changes are sent now") {
		t.Errorf("%v\n%s", err, out)
	}
	eventually(t, "nothing waits", func() bool {
		out, err := typed("list")
		return err == nil && strings.Contains(out, "no changes wait")
	})
}
