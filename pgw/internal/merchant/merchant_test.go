package merchant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/mpac-cloud/mpac/pgw/internal/merchant"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb"
	"github.com/mpac-cloud/mpac/pgw/internal/pgwdb/pgwdbtest"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/sealed"
)

var tenant = merchant.Tenant{PartnerID: "cp_test", Mode: "test"}

// bundle is the service with its HTTP face; every answer is held against the OpenAPI document.
type bundle struct {
	database *pgtest.DB
	db       *pgxpool.Pool
	service  *merchant.Service
	handler  http.Handler
}

type tenantKey struct{}

func setup(t *testing.T) *bundle {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(sealed.NewKeyLine("k1")), 0o600); err != nil {
		t.Fatal(err)
	}
	sealer, err := sealed.Open(sealed.Config{KeyFile: file}, clock.System(0))
	if err != nil {
		t.Fatal(err)
	}
	database := pgwdbtest.New(t)
	b := &bundle{database: database, db: database.Pool(pgwdb.RoleBackend)}
	b.service = merchant.New(b.db, sealer, clock.System(0))
	server, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	merchant.Register(server.API, b.service, merchant.Deps{
		Tenant: func(ctx context.Context) merchant.Tenant {
			tt, _ := ctx.Value(tenantKey{}).(merchant.Tenant)
			return tt
		},
		Security: []map[string][]string{{}}, Providers: []string{"paypay"},
	})
	b.handler = openapitest.Of(t, server.Engine).Handler(t, server.Engine)
	return b
}

// do sends a request as the tenant and returns status, document and raw body.
func (b *bundle) do(as merchant.Tenant, method, path, body string) (int, map[string]any, string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	b.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, as)))
	var document map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &document)
	return w.Code, document, w.Body.String()
}

const (
	merchantPath = "/v1/merchants/m_1"
	storePath    = merchantPath + "/stores/s_1"
	secret       = "hunter2-secret"
)

func merchantBody(version int, name string) string {
	return fmt.Sprintf(`{"version":%d,"name":%q,"status":"active"}`, version, name)
}

func providerBody(version int, contract, apiSecret string) string {
	return fmt.Sprintf(`{"version":%d,"status":"active","contract_id":%q,"credentials":{"api_key":"key-1","api_secret":%q}}`, version, contract, apiSecret)
}

const storeBody = `{"version":1,"name":"Shop","status":"active","timezone":"Asia/Tokyo"}`

func (b *bundle) mustPut(t *testing.T, path, body string) {
	t.Helper()
	if status, _, raw := b.do(tenant, http.MethodPut, path, body); status != http.StatusOK {
		t.Fatalf("PUT %s: %d %s", path, status, raw)
	}
}

func TestOlderNeverOverwritesNewer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	steps := []struct {
		version int
		name    string
		status  int
		applied any
		inForce string
	}{
		{2, "Two", 200, true, "Two"},
		{1, "One", 200, false, "Two"},
		{2, "Two", 200, true, "Two"},
		{2, "Another two", 409, nil, "Two"},
		{3, "Three", 200, true, "Three"},
		{1, "One", 200, false, "Three"},
	}
	for _, step := range steps {
		status, got, raw := b.do(tenant, http.MethodPut, merchantPath, merchantBody(step.version, step.name))
		if status != step.status || got["applied"] != step.applied {
			t.Errorf("PUT version %d: %d %s", step.version, status, raw)
		}
		if _, got, raw := b.do(tenant, http.MethodGet, merchantPath, ""); got["name"] != step.inForce {
			t.Errorf("after version %d: %s", step.version, raw)
		}
	}
}

// Whatever the order and however often versions come, also at once, the highest is in effect in the end.
func TestTheHighestVersionWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		path := fmt.Sprintf("/v1/merchants/m_r%d", round)
		versions := rapid.SliceOfN(rapid.IntRange(1, 6), 1, 8).Draw(rt, "versions")
		highest := 0
		var wg sync.WaitGroup
		for _, v := range versions {
			highest = max(highest, v)
			wg.Go(func() { b.do(tenant, http.MethodPut, path, merchantBody(v, fmt.Sprint("v", v))) })
		}
		wg.Wait()
		if _, got, raw := b.do(tenant, http.MethodGet, path, ""); got["name"] != fmt.Sprint("v", highest) {
			rt.Fatalf("versions %v left %s", versions, raw)
		}
	})
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustPut(t, merchantPath, merchantBody(1, "M"))
	tests := []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"no such merchant", "/v1/merchants/m_9/stores/s_1", storeBody, 404, "not_found"},
		{"no such store", merchantPath + "/stores/s_9/provider_configs/paypay", providerBody(1, "c", secret), 404, "not_found"},
		{"no such provider", merchantPath + "/provider_configs/nopay", providerBody(1, "c", secret), 404, "not_found"},
		{"time zone", storePath, `{"version":1,"name":"S","status":"active","timezone":"Asia/Atlantis"}`, 422, "validation_failed"},
		{"this machine's time zone", storePath, `{"version":1,"name":"S","status":"active","timezone":"Local"}`, 422, "validation_failed"},
		{"a card number as a name", merchantPath, merchantBody(2, "4111 1111 1111 1111"), 422, "validation_failed"},
		{"version zero", merchantPath, merchantBody(0, "M"), 422, "validation_failed"},
		{"unknown field", merchantPath, `{"version":2,"name":"M","status":"active","owner":"x"}`, 422, "validation_failed"},
		{"unknown status", merchantPath, `{"version":2,"name":"M","status":"gone"}`, 422, "validation_failed"},
		{"bad id", "/v1/merchants/m%20%201", merchantBody(1, "M"), 422, "validation_failed"},
		{"malformed", merchantPath, `{"version":`, 400, "malformed_request"},
		{"secret too long", merchantPath + "/provider_configs/paypay", providerBody(1, "c", strings.Repeat("x", 600)), 422, "validation_failed"},
		{"contract with a space", merchantPath + "/provider_configs/paypay", providerBody(1, "c c", secret), 422, "validation_failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, got, raw := b.do(tenant, http.MethodPut, tt.path, tt.body)
			if status != tt.status || got["code"] != tt.code {
				t.Errorf("%d %s, want %d %s", status, raw, tt.status, tt.code)
			}
			if strings.Contains(raw, secret) {
				t.Errorf("the secret is in %s", raw)
			}
		})
	}
}

func TestTenantsDoNotMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustPut(t, merchantPath, merchantBody(5, "Mine"))
	for _, other := range []merchant.Tenant{{PartnerID: "cp_other", Mode: "test"}, {PartnerID: "cp_test", Mode: "live"}, {}} {
		if status, _, raw := b.do(other, http.MethodGet, merchantPath, ""); status != http.StatusNotFound {
			t.Errorf("%+v reads %d %s", other, status, raw)
		}
	}
	other := merchant.Tenant{PartnerID: "cp_other", Mode: "test"}
	if status, got, raw := b.do(other, http.MethodPut, merchantPath, merchantBody(1, "Theirs")); status != http.StatusOK || got["applied"] != true {
		t.Errorf("the other partner's merchant of the same id: %d %s", status, raw)
	}
	if _, got, _ := b.do(tenant, http.MethodGet, merchantPath, ""); got["name"] != "Mine" {
		t.Errorf("mine became %v", got)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	b := setup(t)
	place := merchant.Place{MerchantID: "m_1", StoreID: "s_1", Provider: "paypay"}
	look := func(use merchant.Use) (string, error) {
		c, err := b.service.Credentials(t.Context(), tenant, place, use)
		return fmt.Sprint(c.Mode, " ", c.ContractID, " ", c.StoreID, " ", c.APIKey.Reveal(), " ", c.APISecret.Reveal()), err
	}
	expect := func(want string) {
		t.Helper()
		if got, err := look(merchant.NewPayment); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	refused := func(kind *problem.Kind) {
		t.Helper()
		if _, err := look(merchant.NewPayment); !kind.Is(err) {
			t.Errorf("got %v, want %s", err, kind.Code)
		}
	}
	refused(merchant.NotConfigured)
	b.mustPut(t, merchantPath, merchantBody(1, "M"))
	b.mustPut(t, storePath, storeBody)
	refused(merchant.NotConfigured)
	b.mustPut(t, merchantPath+"/provider_configs/paypay", providerBody(1, "c_merchant", "default"))
	expect("test c_merchant s_1 key-1 default")
	b.mustPut(t, storePath+"/provider_configs/paypay", providerBody(1, "c_store", "own"))
	expect("test c_store s_1 key-1 own")
	b.mustPut(t, storePath+"/provider_configs/paypay", strings.Replace(providerBody(2, "c_store", "own 2"), `"status"`, `"provider_store_id":"PP-7","status"`, 1))
	expect("test c_store PP-7 key-1 own 2")
	b.mustPut(t, storePath+"/provider_configs/paypay", strings.Replace(providerBody(3, "c_store", "own 3"), "active", "inactive", 1))
	refused(merchant.NotConfigured)
	if got, err := look(merchant.Existing); err != nil || got != "test c_store s_1 key-1 own 3" {
		t.Errorf("for refunds: %q, %v", got, err)
	}
	b.mustPut(t, storePath+"/provider_configs/paypay", providerBody(4, "c_store", "own 4"))
	b.mustPut(t, storePath, strings.NewReplacer(`"version":1`, `"version":2`, "active", "inactive").Replace(storeBody))
	refused(merchant.NotActive)
}

// A secret is in no answer, nor in the clear in the database, and what is sealed for one row opens for no other.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustPut(t, merchantPath, merchantBody(1, "M"))
	b.mustPut(t, storePath, storeBody)
	for _, path := range []string{merchantPath, storePath} {
		for _, call := range []struct{ method, body string }{{http.MethodPut, providerBody(1, "c", secret)}, {http.MethodGet, ""}, {http.MethodPut, providerBody(1, "c", "another")}} {
			_, _, raw := b.do(tenant, call.method, path+"/provider_configs/paypay", call.body)
			if strings.Contains(raw, secret) || strings.Contains(raw, "key-1") || strings.Contains(raw, "credentials") {
				t.Errorf("%s %s: %s", call.method, path, raw)
			}
		}
	}
	admin := b.database.AdminPool()
	rows, err := admin.Query(t.Context(), "SELECT sealed FROM pgw.provider_configs")
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(blobs) != 2 {
		t.Fatalf("%d rows, %v", len(blobs), err)
	}
	for _, blob := range blobs {
		if bytes.Contains(blob, []byte(secret)) {
			t.Error("the secret is in the clear in the database")
		}
	}
	if _, err := admin.Exec(t.Context(), "UPDATE pgw.provider_configs SET sealed = $1 WHERE store_id = 's_1'", blobs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "UPDATE pgw.provider_configs SET sealed = $1 WHERE store_id = ''", blobs[1]); err != nil {
		t.Fatal(err)
	}
	_, err = b.service.Credentials(t.Context(), tenant, merchant.Place{MerchantID: "m_1", StoreID: "s_1", Provider: "paypay"}, merchant.NewPayment)
	if err == nil {
		t.Error("credentials sealed for another row were opened")
	} else if strings.Contains(err.Error(), secret) {
		t.Errorf("the secret is in the error: %v", err)
	}
	// The matcher knows contracts and never a credential.
	err = postgres.InReadTx(t.Context(), b.database.Pool(pgwdb.RoleMatcher), postgres.CrossTenant("matcher"), "test", func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT sealed FROM pgw.provider_configs")
		return err
	})
	if err == nil {
		t.Error("the matcher may read credentials")
	}
	if k := (merchant.Keys{APIKey: config.Secret(secret)}); strings.Contains(fmt.Sprintf("%v %+v %#v", k, k, k), secret) {
		t.Error("keys print themselves")
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resolve := func(merchantID, storeID string) (got string, err error) {
		scope := postgres.NewScope("partner_id", tenant.PartnerID, "mode", tenant.Mode)
		err = postgres.InReadTx(t.Context(), b.db, scope, "test", func(ctx context.Context, tx pgx.Tx) error {
			got, err = merchant.Resolve(ctx, tx, tenant, merchantID, storeID)
			return err
		})
		return got, err
	}
	if _, err := resolve("", ""); !problem.Validation.Is(err) {
		t.Errorf("no merchant at all: %v", err)
	}
	b.mustPut(t, merchantPath, merchantBody(1, "M"))
	b.mustPut(t, storePath, storeBody)
	if got, err := resolve("", "s_1"); err != nil || got != "m_1" {
		t.Errorf("the only merchant: %q, %v", got, err)
	}
	b.mustPut(t, "/v1/merchants/m_2", strings.Replace(merchantBody(1, "M"), "active", "inactive", 1))
	for _, tt := range []struct {
		merchantID, storeID string
		want                *problem.Kind
	}{{"", "", problem.Validation}, {"m_3", "", problem.Validation}, {"m_1", "s_9", problem.Validation}, {"m_2", "", merchant.NotActive}} {
		if _, err := resolve(tt.merchantID, tt.storeID); !tt.want.Is(err) {
			t.Errorf("%q %q: %v, want %s", tt.merchantID, tt.storeID, err, tt.want.Code)
		}
	}
}
