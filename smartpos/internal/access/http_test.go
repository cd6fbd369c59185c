package access_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-redis/redis_rate/v10"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/access/accesstest"
)

type whoami struct {
	Body struct {
		Kind string `json:"kind"`
		Role string `json:"role"`
	}
}

type headers struct {
	Role   string `header:"X-Role"`
	Caller string `header:"X-Caller-Id"`
}

func serve(t *testing.T, limiter *access.Limiter, verifier *access.Verifier) *httpserver.Server {
	t.Helper()
	server, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	server.API.UseMiddleware(access.Middleware(server.API, verifier, limiter))
	handler := func(ctx context.Context, in *headers) (*whoami, error) {
		if in.Role != "" || in.Caller != "" {
			t.Errorf("identity headers reach the handler: %+v", *in)
		}
		out := whoami{}
		out.Body.Kind, out.Body.Role = string(access.From(ctx).Kind), string(access.From(ctx).Role)
		return &out, nil
	}
	huma.Get(server.API, "/open", handler, access.Open())
	huma.Get(server.API, "/users", handler, access.Users(access.UsersWrite))
	huma.Get(server.API, "/devices", handler, access.Devices())
	huma.Get(server.API, "/either", handler, access.Either(access.OrdersWrite, access.PaymentsRefund))
	huma.Get(server.API, "/unstated", handler)
	huma.Get(server.API, "/declared", handler, func(o *huma.Operation) { o.Security = []map[string][]string{} })
	return server
}

func get(server *httpserver.Server, path, token string, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	server.Engine.ServeHTTP(w, request)
	return w
}

func codeOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var document struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	return document.Code
}

func TestOperationsAdmitWhomTheyState(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	server := serve(t, nil, issuer.Verifier(t))
	owner := issuer.Token(t, access.Principal{Kind: access.KindUser, Role: access.MerchantAdmin, PSPID: id(), MerchantID: id()})
	staff := issuer.Token(t, access.Principal{Kind: access.KindUser, Role: access.Staff, PSPID: id(), MerchantID: id(), StoreID: id()})
	terminal := issuer.Token(t, device())
	for _, c := range []struct {
		path, token string
		status      int
		code        string
	}{
		{"/open", "", 200, ""},
		{"/open", "garbage", 200, ""},
		{"/declared", "", 200, ""},
		{"/unstated", owner, 403, "forbidden"},
		{"/unstated", "", 403, "forbidden"},
		{"/users", owner, 200, ""},
		{"/users", staff, 403, "forbidden"},
		{"/users", terminal, 403, "wrong_token_kind"},
		{"/users", "", 401, "unauthorized"},
		{"/users", "garbage", 401, "unauthorized"},
		{"/devices", terminal, 200, ""},
		{"/devices", owner, 403, "wrong_token_kind"},
		{"/either", terminal, 200, ""},
		{"/either", owner, 200, ""},
		{"/either", staff, 403, "forbidden"}, // it has one of the two
	} {
		w := get(server, c.path, c.token, "X-Role", "SYSTEM_OP", "X-Caller-Id", "1")
		if w.Code != c.status || codeOf(t, w) != c.code {
			t.Errorf("%s: %d %s, want %d %s", c.path, w.Code, w.Body, c.status, c.code)
		}
		if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d with WWW-Authenticate %q", c.path, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
	now.Advance(time.Hour)
	if w := get(server, "/users", owner); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("an expired token: %d %s", w.Code, w.Body)
	}
}

func TestCallersAreCountedBySubject(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	server := serve(t, access.NewLimiter(nil, redis_rate.PerMinute(3), now.Now), issuer.Verifier(t))
	p, other := device(), device()
	other.Subject = "term_2"
	for range 3 {
		// Another token of the same terminal is the same terminal.
		if w := get(server, "/devices", issuer.Token(t, p)); w.Code != 200 || w.Header().Get("RateLimit-Limit") != "3" {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
	}
	w := get(server, "/devices", issuer.Token(t, p))
	if w.Code != 429 || codeOf(t, w) != "rate_limited" || w.Header().Get("Retry-After") == "" {
		t.Errorf("the fourth: %d %s %v", w.Code, w.Body, w.Header())
	}
	if w := get(server, "/devices", issuer.Token(t, other)); w.Code != 200 {
		t.Errorf("another terminal: %d %s", w.Code, w.Body)
	}
	if w := get(server, "/open", ""); w.Code != 200 {
		t.Errorf("an open operation: %d %s", w.Code, w.Body)
	}
}

func TestKeysByURL(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(start)
	issuer := accesstest.New(t, now.Now)
	answer := func(status int, body any) access.KeySource {
		portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		}))
		t.Cleanup(portal.Close)
		return access.FromURL(portal.Client(), portal.URL+access.DeviceKeysPath)
	}
	published, err := accesstest.Source(t, issuer.Device)(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	leaked := jwk.NewSet()
	if err := leaked.AddKey(issuer.Device); err != nil {
		t.Fatal(err)
	}
	if set, err := answer(200, published)(context.Background()); err != nil || set.Len() != 1 {
		t.Errorf("published keys: %v, %v", set, err)
	}
	for name, source := range map[string]access.KeySource{
		"an error": answer(500, published), "no set": answer(200, []int{1}), "a private key": answer(200, leaked),
		"nobody": access.FromURL(http.DefaultClient, "http://127.0.0.1:1/jwks"),
	} {
		if _, err := source(context.Background()); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	away := access.NewVerifier(answer(500, nil), answer(500, nil), now.Now)
	if w := get(serve(t, nil, away), "/devices", issuer.Token(t, device())); w.Code != 503 || codeOf(t, w) != "unavailable" {
		t.Errorf("keys away: %d %s", w.Code, w.Body)
	}
}
