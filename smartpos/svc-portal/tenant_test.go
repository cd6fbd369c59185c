package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTenantsLife(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	store := p.get("/api/v1/stores/"+s.store, s.ownerT).want(t, http.StatusOK, "").body
	want := m{
		"id": s.store, "psp_id": s.psp, "merchant_id": s.merchant, "code": "one", "name": "One", "timezone": "Asia/Tokyo", "day_cutoff": "05:00",
		"price_mode": "inclusive", "currency": "JPY", "status": "active", "version": 1.0,
		"created_at": store["created_at"], "updated_at": store["updated_at"],
	}
	if diff := cmp.Diff(want, store); diff != "" {
		t.Errorf("a store's defaults (-want +got):\n%s", diff)
	}
	changed := p.patch("/api/v1/stores/"+s.store, s.ownerT, m{"version": 1, "address": "1-1 Example", "price_mode": "exclusive", "day_cutoff": "00:30"}).
		want(t, http.StatusOK, "")
	stale := p.patch("/api/v1/stores/"+s.store, s.ownerT, m{"version": 1, "name": "Late"}).want(t, http.StatusConflict, "version_conflict")
	if diff := cmp.Diff(changed.body, stale.body["current"]); diff != "" {
		t.Errorf("the fresh state in the conflict (-want +got):\n%s", diff)
	}
	cleared := p.patch("/api/v1/stores/"+s.store, s.ownerT, m{"version": 2, "address": ""}).want(t, http.StatusOK, "")
	if _, there := cleared.body["address"]; there {
		t.Error("the address is still there")
	}
}

func TestCodesAreUniqueUnderTheirParent(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	a, b := p.shop(operator, "a"), p.shop(operator, "b") // both have a merchant "shop" with stores "one" and "two"
	p.post("/api/v1/psps", operator, m{"code": "PSP-A", "name": "Again"}).want(t, http.StatusConflict, "code_taken")
	p.post("/api/v1/merchants", a.adminT, m{"code": "Shop", "name": "Again"}).want(t, http.StatusConflict, "code_taken")
	p.post("/api/v1/stores", b.ownerT, m{"code": "ONE", "name": "Again"}).want(t, http.StatusConflict, "code_taken")
	p.make("/api/v1/stores", b.ownerT, m{"code": "three", "name": "Three"})
	var wg sync.WaitGroup
	answers := make(chan int, 6)
	for range 6 {
		wg.Go(func() { answers <- p.post("/api/v1/stores", a.ownerT, m{"code": "four", "name": "Four"}).status })
	}
	wg.Wait()
	close(answers)
	count := map[int]int{}
	for status := range answers {
		count[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusCreated: 1, http.StatusConflict: 5}, count); diff != "" {
		t.Errorf("one code six times at once (-want +got):\n%s", diff)
	}
}

func TestListsPage(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	want := []string{"two", "one"}
	for i := range 5 {
		code := fmt.Sprintf("s%d", i)
		p.clock.Advance(1_000_000) // a millisecond, so that the order is told
		p.make("/api/v1/stores", s.ownerT, m{"code": code, "name": "S"})
		want = append([]string{code}, want...)
	}
	var got []string
	cursor := ""
	for range 10 {
		r := p.get("/api/v1/stores?limit=3&cursor="+cursor, s.ownerT).want(t, http.StatusOK, "")
		for _, each := range r.body["data"].([]any) {
			got = append(got, each.(m)["code"].(string))
		}
		cursor, _ = r.body["next_cursor"].(string)
		if cursor == "" {
			break
		}
	}
	if len(got) != len(want) || strings.Join(got[:5], " ") != strings.Join(want[:5], " ") {
		t.Errorf("read %v, want %v", got, want)
	}
	only := p.get("/api/v1/stores?code=S3", s.ownerT).want(t, http.StatusOK, "").body["data"].([]any)
	if len(only) != 1 || only[0].(m)["code"] != "s3" {
		t.Errorf("by code: %v", only)
	}
	for _, cursor := range []string{"!", "AAAA", "MTphYmM", strings.Repeat("A", 100)} {
		for _, list := range []string{"stores", "merchants", "users", "terminals", "audit", "sync", "auth/user/sessions"} {
			p.get("/api/v1/"+list+"?cursor="+cursor, s.adminT).want(t, http.StatusBadRequest, "bad_cursor")
		}
	}
}

func TestNobodyReachesAboveTheirOwn(t *testing.T) {
	t.Parallel()
	p := start(t)
	operator := p.token(p.operator())
	s, other := p.shop(operator, "a"), p.shop(operator, "b")
	user := func(token string, body m) reply {
		body["email"], body["name"], body["password"] = code()+"@example.com", "N", password
		return p.post("/api/v1/users", token, body)
	}
	for name, c := range map[string]struct {
		token  string
		body   m
		status int
	}{
		"owner makes a PSP_ADMIN":              {s.ownerT, m{"role": "PSP_ADMIN", "psp_id": s.psp}, http.StatusForbidden},
		"admin makes a SYSTEM_OP":              {s.adminT, m{"role": "SYSTEM_OP"}, http.StatusForbidden},
		"owner makes another owner":            {s.ownerT, m{"role": "MERCHANT_ADMIN"}, http.StatusCreated},
		"manager makes staff":                  {s.managerT, m{"role": "STAFF"}, http.StatusForbidden},
		"owner makes staff of another's store": {s.ownerT, m{"role": "STAFF", "store_id": other.store}, http.StatusUnprocessableEntity},
		"admin makes another's owner":          {s.adminT, m{"role": "MERCHANT_ADMIN", "merchant_id": other.merchant}, http.StatusUnprocessableEntity},
		"staff without a store":                {s.ownerT, m{"role": "STAFF"}, http.StatusUnprocessableEntity},
		"a merchant that is not the store's":   {s.adminT, m{"role": "STAFF", "store_id": s.store, "merchant_id": other.merchant}, http.StatusUnprocessableEntity},
		"a store for a PSP_ADMIN":              {s.adminT, m{"role": "PSP_ADMIN", "store_id": s.store}, http.StatusUnprocessableEntity},
		"operator makes an operator":           {operator, m{"role": "SYSTEM_OP"}, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) { user(c.token, c.body).want(t, c.status, "") })
	}
	p.patch("/api/v1/users/"+s.staff.id, s.ownerT, m{"version": 1, "role": "PSP_ADMIN", "psp_id": s.psp}).want(t, http.StatusForbidden, "")
	p.patch("/api/v1/users/"+s.owner.id, s.ownerT, m{"version": 1, "role": "STAFF", "store_id": s.store}).want(t, http.StatusForbidden, "")
	p.patch("/api/v1/users/"+s.admin.id, s.ownerT, m{"version": 1, "name": "Reached"}).want(t, http.StatusNotFound, "")
	p.patch("/api/v1/merchants/"+s.merchant, s.ownerT, m{"version": 1, "status": "inactive"}).want(t, http.StatusForbidden, "")
	p.patch("/api/v1/psps/"+s.psp, s.adminT, m{"version": 1, "status": "inactive"}).want(t, http.StatusForbidden, "")
	p.post("/api/v1/users", s.adminT, m{"email": strings.ToUpper(s.staff.email), "name": "N", "password": password, "role": "STAFF", "store_id": s.store}).
		want(t, http.StatusConflict, "email_taken")
}

func TestCredentialsNeverComeBack(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	path := "/api/v1/stores/" + s.store + "/provider_configs/paypay"
	p.call(http.MethodPut, path, s.ownerT, m{"contract_id": "contract-1"}).want(t, http.StatusUnprocessableEntity, "validation_failed")
	secret := "the-api-secret-itself"
	put := m{"contract_id": "contract-1", "credentials": m{"api_key": "the-api-key-itself", "api_secret": secret}}
	made := p.call(http.MethodPut, path, s.ownerT, put).want(t, http.StatusOK, "")
	kept := p.call(http.MethodPut, path, s.ownerT, m{"contract_id": "contract-2", "version": 1}).want(t, http.StatusOK, "")
	p.call(http.MethodPut, path, s.ownerT, m{"contract_id": "contract-3", "version": 1}).want(t, http.StatusConflict, "version_conflict")
	for what, r := range map[string]reply{
		"put": made, "put again": kept, "get": p.get(path, s.managerT), "list": p.get("/api/v1/stores/"+s.store+"/provider_configs", s.ownerT),
		"audit": p.get("/api/v1/audit?limit=100", s.adminT), "sync": p.get("/api/v1/sync", s.adminT),
	} {
		if strings.Contains(string(r.raw), "itself") {
			t.Errorf("%s shows credentials: %s", what, r)
		}
	}
	var sealed []byte
	if err := p.db.AdminPool().QueryRow(t.Context(), "SELECT credentials_sealed FROM portal.provider_configs").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "itself") {
		t.Error("the database holds credentials in the clear")
	}
	var args string
	if err := p.db.AdminPool().QueryRow(t.Context(), "SELECT string_agg(args::text, ' ') FROM portal_river.river_job").Scan(&args); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(args, "itself") || strings.Contains(args, "contract") {
		t.Errorf("jobs hold more than ids: %s", args)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	before := p.get("/api/v1/audit?limit=100", s.adminT).raw
	store := func(change m) string {
		body := m{"merchant_id": s.merchant, "code": "x", "name": "X"}
		for k, v := range change {
			body[k] = v
		}
		return string(p.json(body))
	}
	for name, c := range map[string]struct {
		path, body string
		status     int
	}{
		"no JSON":                 {"/api/v1/stores", `{"code":`, http.StatusBadRequest},
		"an array":                {"/api/v1/stores", `[]`, http.StatusUnprocessableEntity},
		"nothing":                 {"/api/v1/stores", ``, http.StatusBadRequest},
		"unknown member":          {"/api/v1/stores", store(m{"colour": "red"}), http.StatusUnprocessableEntity},
		"a number for a name":     {"/api/v1/stores", store(m{"name": 7}), http.StatusUnprocessableEntity},
		"an empty name":           {"/api/v1/stores", store(m{"name": ""}), http.StatusUnprocessableEntity},
		"a long name":             {"/api/v1/stores", store(m{"name": strings.Repeat("x", 201)}), http.StatusUnprocessableEntity},
		"no code":                 {"/api/v1/stores", `{"merchant_id":"` + s.merchant + `","name":"X"}`, http.StatusUnprocessableEntity},
		"a code with spaces":      {"/api/v1/stores", store(m{"code": "a b"}), http.StatusUnprocessableEntity},
		"no such zone":            {"/api/v1/stores", store(m{"timezone": "Mars/Olympus"}), http.StatusUnprocessableEntity},
		"a zone of the machine":   {"/api/v1/stores", store(m{"timezone": "Local"}), http.StatusUnprocessableEntity},
		"a late cut-off":          {"/api/v1/stores", store(m{"day_cutoff": "24:00"}), http.StatusUnprocessableEntity},
		"no such currency":        {"/api/v1/stores", store(m{"currency": "XXQ"}), http.StatusUnprocessableEntity},
		"no such mode":            {"/api/v1/stores", store(m{"price_mode": "free"}), http.StatusUnprocessableEntity},
		"an id that is none":      {"/api/v1/stores", store(m{"merchant_id": "1"}), http.StatusUnprocessableEntity},
		"nobody's merchant":       {"/api/v1/stores", store(m{"merchant_id": "01900000-0000-7000-8000-000000000000"}), http.StatusUnprocessableEntity},
		"bad UTF-8":               {"/api/v1/stores", store(m{"name": "@"})[:0] + strings.Replace(store(m{"name": "@"}), "@", "\xff\xfe", 1), http.StatusBadRequest},
		"NUL":                     {"/api/v1/stores", strings.Replace(store(m{"name": "@"}), "@", `\u0000`, 1), http.StatusBadRequest},
		"a huge body":             {"/api/v1/stores", store(m{"address": strings.Repeat("x", 2<<20)}), http.StatusRequestEntityTooLarge},
		"registration number":     {"/api/v1/merchants", `{"code":"x","name":"X","invoice_registration_number":"T1234567890123"}`, http.StatusUnprocessableEntity},
		"rounding":                {"/api/v1/merchants", `{"code":"x","name":"X","tax_rounding":"up"}`, http.StatusUnprocessableEntity},
		"an address that is none": {"/api/v1/users", `{"email":"nobody","name":"X","password":"long enough pw","role":"STAFF","store_id":"` + s.store + `"}`, http.StatusUnprocessableEntity},
		"a short password":        {"/api/v1/users", `{"email":"x@example.com","name":"X","password":"short","role":"STAFF","store_id":"` + s.store + `"}`, http.StatusUnprocessableEntity},
		"no such role":            {"/api/v1/users", `{"email":"x@example.com","name":"X","password":"long enough pw","role":"KING"}`, http.StatusUnprocessableEntity},
		"a serial with slashes":   {"/api/v1/terminals", `{"store_id":"` + s.store + `","serial_number":"../x","model":"P2","name":"T"}`, http.StatusUnprocessableEntity},
		"login without password":  {"/api/v1/auth/user/login", `{"email":"x@example.com"}`, http.StatusUnprocessableEntity},
		"a code of letters":       {"/api/v1/auth/user/mfa/verify", `{"mfa_token":"x","method":"totp","code":"abcdef"}`, http.StatusUnprocessableEntity},
		"another method":          {"/api/v1/auth/user/mfa/verify", `{"mfa_token":"x","method":"sms","code":"123456"}`, http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+s.adminT)
			r := p.send(request)
			if r.status != c.status || r.text("code") == "" || r.text("request_id") == "" || r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("answer %s, want a problem with %d", r, c.status)
			}
		})
	}
	for name, path := range map[string]string{
		"limit zero": "/api/v1/stores?limit=0", "limit too large": "/api/v1/stores?limit=101", "unknown parameter": "/api/v1/stores?colour=red",
		"status": "/api/v1/stores?status=gone", "an id in the path": "/api/v1/stores/1", "an instant": "/api/v1/audit?from=yesterday",
	} {
		t.Run(name, func(t *testing.T) {
			if r := p.get(path, s.adminT); r.status != http.StatusUnprocessableEntity || r.text("code") != "validation_failed" {
				t.Errorf("answer %s", r)
			}
		})
	}
	if after := p.get("/api/v1/audit?limit=100", s.adminT).raw; string(after) != string(before) {
		t.Error("bad input has changed something")
	}
}

func TestIdentityHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	p := start(t)
	s := p.shop(p.token(p.operator()), "a")
	for _, header := range []string{"X-Role", "X-Caller-Role", "x-caller-id", "X-Merchant-Id", "X-Store-Id"} {
		request := p.request(http.MethodPost, "/api/v1/psps", s.staffT, m{"code": "x", "name": "X"})
		request.Header.Set(header, "SYSTEM_OP")
		p.send(request).want(t, http.StatusForbidden, "forbidden")
		if request.Header.Get(header) != "" {
			t.Errorf("%s goes on to the handler", header)
		}
	}
}
