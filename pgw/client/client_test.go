package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

const apiKey, secretKey = "pk_test_1", "sk_test_xyz789"

// TestMain sets the process's propagator, as telemetry does in a service.
func TestMain(m *testing.M) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	os.Exit(m.Run())
}

// gateway answers what the test wants and keeps what it was asked.
type gateway struct {
	t       *testing.T
	answers []answer

	mu    sync.Mutex
	asked []*http.Request
	nonce map[string]bool
}

type answer struct {
	status int
	body   string
	header map[string]string
	drop   bool // no answer at all, the work done
}

func setup(t *testing.T, answers ...answer) (*gateway, *client.Client) {
	t.Helper()
	g := &gateway{t: t, answers: answers, nonce: map[string]bool{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{URL: server.URL, APIKey: apiKey, SecretKey: secretKey}, clock.System(0))
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

// ServeHTTP checks the signature as the gateway does, and that no nonce comes twice.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	credential, err := hmacsig.Parse(r.Header.Get("Authorization"))
	if err != nil || credential.Form != hmacsig.Form2 || credential.APIKey != apiKey {
		g.t.Errorf("Authorization %q: %v", r.Header.Get("Authorization"), err)
	}
	if err := credential.Verify(hmacsig.MessageOf(r, body), hmacsig.Key(secretKey), time.Now()); err != nil {
		g.t.Errorf("%s %s: %v", r.Method, r.RequestURI, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nonce[credential.Nonce] {
		g.t.Errorf("nonce %s came twice", credential.Nonce)
	}
	g.nonce[credential.Nonce] = true
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	g.asked = append(g.asked, r)
	a := g.answers[min(len(g.asked), len(g.answers))-1]
	if a.drop {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func refusal(status int, code string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"type":"urn:mpac:problem:%s","title":"T","status":%d,"code":%q,"detail":"D","request_id":"req-1","errors":[{"field":"amount","reason":"R"}],"resync":{"cursor":"c","list":"l"}}`, code, status, code)}
}

var (
	created   = answer{status: 201, body: `{"id":"pi_1","status":"requires_payment_method","amount":100,"currency":"JPY","payment_token":"pt_1","provider":null,"failure":null,"created_at":"2026-11-21T00:00:00.000Z"}`}
	lost      = answer{drop: true}
	away      = refusal(503, "unavailable")
	broken    = refusal(500, "internal_error")
	limited   = answer{status: 429, body: refusal(429, "rate_limited").body, header: map[string]string{"Retry-After": "0"}}
	inUse     = refusal(409, "idempotency_key_in_use")
	duplicate = refusal(409, "merchant_ref_id_used")
)

func create(ctx context.Context, c *client.Client) (client.PaymentIntent, error) {
	return c.CreatePaymentIntent(ctx, "key-1", client.CreatePaymentIntent{Amount: 100, Currency: "JPY", PaymentMethodTypes: []string{client.Cash}, MerchantRefID: "r"})
}

func TestTriesAgainWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		answers []answer
		asked   int
		code    string // "": success
		unknown bool
	}{
		{"at once", []answer{created}, 1, "", false},
		{"the answer was lost", []answer{lost, created}, 2, "", false},
		{"away for a moment", []answer{away, broken, limited, created}, 4, "", false},
		{"the first try still runs there", []answer{lost, inUse, created}, 3, "", false},
		{"away for long", []answer{away}, 4, "unavailable", false},
		{"lost for long", []answer{lost}, 4, "", true},
		{"a refusal", []answer{duplicate}, 1, "merchant_ref_id_used", false},
		{"a proxy's page", []answer{{status: 502, body: "<html>"}}, 4, "http_502", false},
		{"a redirect", []answer{{status: 307, header: map[string]string{"Location": "http://127.0.0.1:1/"}}}, 1, "http_307", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, c := setup(t, tt.answers...)
			out, err := create(t.Context(), c)
			switch {
			case tt.unknown && !errors.Is(err, client.ErrNoAnswer):
				t.Errorf("got %v, want ErrNoAnswer", err)
			case tt.code != "" && !client.HasCode(err, "other", tt.code):
				t.Errorf("got %v, want %s", err, tt.code)
			case tt.code == "" && !tt.unknown && (err != nil || out.ID != "pi_1" || out.PaymentToken != "pt_1"):
				t.Errorf("got %+v, %v", out, err)
			}
			if len(g.asked) != tt.asked {
				t.Errorf("asked %d times, want %d", len(g.asked), tt.asked)
			}
			for _, r := range g.asked {
				if r.Header.Get("Idempotency-Key") != "key-1" {
					t.Errorf("Idempotency-Key %q", r.Header.Get("Idempotency-Key"))
				}
			}
		})
	}
}

func TestProblemsAreTyped(t *testing.T) {
	t.Parallel()
	_, c := setup(t, answer{status: 410, body: refusal(410, "cursor_expired").body, header: map[string]string{"Retry-After": "7"}})
	_, err := c.Events(t.Context(), client.Events{After: "x.1"})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 410 || e.RequestID != "req-1" || e.Fields[0].Field != "amount" || e.RetryAfter != 7*time.Second || !client.HasStatus(err, 410) {
		t.Fatalf("got %#v", err)
	}
	var resync client.Resync
	if !e.Extension("resync", &resync) || resync.Cursor != "c" || e.Extension("nothing", &resync) {
		t.Errorf("resync %+v", resync)
	}
	if !strings.Contains(err.Error(), "cursor_expired") || !strings.Contains(err.Error(), "req-1") {
		t.Errorf("error %q", err)
	}
}

func TestEveryCall(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC)
	secrets := client.Credentials{APIKey: "ak", APISecret: "as"}
	tests := map[string]func(context.Context, *client.Client) error{
		"POST /v1/payment_intents key": func(ctx context.Context, c *client.Client) error { _, err := create(ctx, c); return err },
		"GET /v1/payment_intents/pi_1": func(ctx context.Context, c *client.Client) error { _, err := c.PaymentIntent(ctx, "pi_1"); return err },
		"GET /v1/payment_intents?limit=5&merchant_ref_id=a%26b&status=succeeded&updated_from=2026-11-21T01%3A02%3A03.000Z": func(ctx context.Context, c *client.Client) error {
			_, err := c.ListPaymentIntents(ctx, client.ListPaymentIntents{MerchantRefID: "a&b", Status: client.Succeeded, Updated: client.Range{From: at}, Limit: 5})
			return err
		},
		"POST /v1/payment_intents/pi_1/confirm key": func(ctx context.Context, c *client.Client) error {
			_, err := c.Confirm(ctx, "key-1", "pi_1", client.Confirm{PaymentMethodType: client.Cash, Tendered: 100, OccurredAt: &at})
			return err
		},
		"POST /v1/payment_intents/pi_1/capture key": func(ctx context.Context, c *client.Client) error {
			_, err := c.Capture(ctx, "key-1", "pi_1", 0)
			return err
		},
		"POST /v1/payment_intents/pi_1/cancel key": func(ctx context.Context, c *client.Client) error {
			_, err := c.Cancel(ctx, "key-1", "pi_1", "")
			return err
		},
		"POST /v1/payment_intents/pi_1/sync fresh key": func(ctx context.Context, c *client.Client) error { _, err := c.Sync(ctx, "pi_1"); return err },
		"POST /v1/payment_intents/pi_1/payment_tokens key": func(ctx context.Context, c *client.Client) error {
			_, err := c.MintPaymentToken(ctx, "key-1", "pi_1")
			return err
		},
		"POST /v1/payment_intents/pi_1/refunds key": func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateRefund(ctx, "key-1", "pi_1", client.CreateRefund{MerchantRefundRefID: "r"})
			return err
		},
		"GET /v1/refunds/re_1": func(ctx context.Context, c *client.Client) error { _, err := c.Refund(ctx, "re_1"); return err },
		"GET /v1/refunds?payment_intent_id=pi_1": func(ctx context.Context, c *client.Client) error {
			_, err := c.ListRefunds(ctx, client.ListRefunds{PaymentIntentID: "pi_1"})
			return err
		},
		"GET /v1/events?after=e.1&limit=50&shard=3&wait=20": func(ctx context.Context, c *client.Client) error {
			_, err := c.Events(ctx, client.Events{After: "e.1", Shard: 3, Limit: 50, Wait: 20 * time.Second})
			return err
		},
		"PUT /v1/merchants/m%2F1": func(ctx context.Context, c *client.Client) error {
			_, err := c.PutMerchant(ctx, "m/1", client.Merchant{Version: 1, Name: "M", Status: client.Active})
			return err
		},
		"PUT /v1/merchants/m/stores/s": func(ctx context.Context, c *client.Client) error {
			_, err := c.PutStore(ctx, "m", "s", client.Store{Version: 1})
			return err
		},
		"PUT /v1/merchants/m/stores/s/provider_configs/paypay": func(ctx context.Context, c *client.Client) error {
			_, err := c.PutProviderConfig(ctx, "m", "s", "paypay", client.ProviderConfig{Version: 1}, secrets)
			return err
		},
		"PUT /v1/merchants/m/provider_configs/paypay": func(ctx context.Context, c *client.Client) error {
			_, err := c.PutProviderConfig(ctx, "m", "", "paypay", client.ProviderConfig{Version: 1}, secrets)
			return err
		},
		"GET /v1/merchants/m":          func(ctx context.Context, c *client.Client) error { _, err := c.Merchant(ctx, "m"); return err },
		"GET /v1/merchants/m/stores/s": func(ctx context.Context, c *client.Client) error { _, err := c.Store(ctx, "m", "s"); return err },
		"GET /v1/merchants/m/provider_configs/paypay": func(ctx context.Context, c *client.Client) error {
			_, err := c.ProviderConfig(ctx, "m", "", "paypay")
			return err
		},
	}
	for want, do := range tests {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			g, c := setup(t, answer{status: 200, body: "{}"})
			ctx, span := trace.NewTracerProvider().Tracer("test").Start(t.Context(), "sale")
			defer span.End()
			if err := do(ctx, c); err != nil {
				t.Fatal(err)
			}
			r := g.asked[0]
			got := r.Method + " " + r.RequestURI
			switch key := r.Header.Get("Idempotency-Key"); {
			case key == "key-1":
				got += " key"
			case key != "":
				got += " fresh key"
			}
			if got != want {
				t.Errorf("asked %s", got)
			}
			if !strings.Contains(r.Header.Get("traceparent"), span.SpanContext().TraceID().String()) {
				t.Errorf("traceparent %q", r.Header.Get("traceparent"))
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	c, err := client.New(client.Config{URL: server.URL, APIKey: apiKey, SecretKey: secretKey}, clock.System(0))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := create(ctx, c); !errors.Is(err, client.ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://user:hunter2@h", "ftp://h", "http://h/path", "h", "http://h?x=hunter2", "://hunter2"} {
		_, err := client.New(client.Config{URL: address, APIKey: apiKey, SecretKey: secretKey}, clock.System(0))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
	c, err := client.New(client.Config{URL: "http://127.0.0.1:1", APIKey: apiKey, SecretKey: secretKey}, clock.System(0))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutProviderConfig(t.Context(), "m", "s", "paypay", client.ProviderConfig{}, client.Credentials{APISecret: "hunter2"})
	forbidden := regexp.MustCompile(`hunter2|` + secretKey + `|` + string(hmacsig.Key(secretKey)) + `|HMAC`)
	if err == nil || forbidden.MatchString(err.Error()) || forbidden.MatchString(fmt.Sprintf("%+v", err)) {
		t.Errorf("%v", err)
	}
	raw, err := json.Marshal(client.Config{SecretKey: config.Secret(secretKey)})
	if err != nil || strings.Contains(string(raw), secretKey) {
		t.Errorf("%s %v", raw, err)
	}
}

func TestEventObjects(t *testing.T) {
	t.Parallel()
	_, c := setup(t, answer{status: 200, body: `{"data":[
		{"id":"ev_1","type":"payment_intent.succeeded","version":3,"payment_intent_id":"pi_1","data":{"object":{"id":"pi_1","status":"succeeded","provider":null}},"traceparent":null},
		{"id":"ev_2","type":"refund.succeeded","version":5,"payment_intent_id":"pi_1","data":{"object":{"id":"re_1","amount":40}},"traceparent":"00-x"}],
		"next_cursor":"e.2","has_more":false,"shards":1}`})
	page, err := c.Events(t.Context(), client.Events{})
	if err != nil || len(page.Data) != 2 || page.NextCursor != "e.2" || page.Shards != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	intent, err1 := page.Data[0].PaymentIntent()
	refund, err2 := page.Data[1].Refund()
	if err1 != nil || err2 != nil || intent.Status != client.Succeeded || !intent.Final() || refund.Amount != 40 {
		t.Errorf("%+v %v, %+v %v", intent, err1, refund, err2)
	}
	if _, err := page.Data[0].Refund(); err == nil {
		t.Error("an intent's event has a refund")
	}
	if _, err := page.Data[1].PaymentIntent(); err == nil {
		t.Error("a refund's event has an intent")
	}
}
