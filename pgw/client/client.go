// Package client calls the payment gateway: typed methods for its API, signed with HMAC-SHA256 of form 2.
//
//	gateway, err := client.New(cfg, now)
//	intent, err := gateway.CreatePaymentIntent(ctx, payment.ID, client.CreatePaymentIntent{
//		Amount: 1200, Currency: "JPY", PaymentMethodTypes: []string{client.QRMPM}, MerchantRefID: payment.ID,
//		MerchantID: "m_1", MerchantStoreID: "s_1",
//	})
//	switch {
//	case client.HasCode(err, "merchant_ref_id_used"): // it exists; err's Extension("payment_intent_id") names it
//	case errors.Is(err, client.ErrNoAnswer): // nobody knows: call again with the same key, at any time
//	}
//
// What creates or moves something takes an idempotency key: the same key gives the same answer for 24 hours, however often it
// is sent. The client itself tries again where that is safe (reads, PUTs, and POSTs under their key), each time with a new
// timestamp and nonce, within the deadline of the context and of the operation. Errors are *Error, the gateway's problem
// document, or wrap ErrNoAnswer. No error, span or log line of this package holds a secret or a token.
package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/hmacsig"
)

// Config is how a service reaches the gateway.
type Config struct {
	URL       string        `env:"PGW_URL,required,notEmpty" doc:"address of the payment gateway, scheme://host[:port]"`
	APIKey    string        `env:"PGW_API_KEY,required,notEmpty" doc:"API key at the payment gateway (pk_...)"`
	SecretKey config.Secret `env:"PGW_SECRET_KEY,required,notEmpty" doc:"the API key's secret (sk_...)"`
}

// Client is safe for concurrent use.
type Client struct {
	base   string
	apiKey string
	key    []byte
	now    clock.Clock
	http   *http.Client
	pause  func(context.Context, time.Duration) error
}

// Option changes a Client.
type Option func(*Client)

// WithTransport sends through rt instead of a transport of its own.
func WithTransport(rt http.RoundTripper) Option {
	return func(c *Client) { c.http.Transport = otelhttp.NewTransport(rt) }
}

// New makes a Client. Requests are signed with the time of now.
func New(cfg Config, now clock.Clock, options ...Option) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("PGW_URL is not scheme://host[:port]")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	transport.MaxIdleConnsPerHost = 64
	c := &Client{
		base: u.Scheme + "://" + u.Host, apiKey: cfg.APIKey, key: hmacsig.Key(cfg.SecretKey.Reveal()), now: now, pause: pause,
		http: &http.Client{
			Transport: otelhttp.NewTransport(transport),
			// A signature is for one address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// NewKey makes a random idempotency key, for callers that have no id of their own to use.
func NewKey() string { return rand.Text() }

// ErrNoAnswer is in the error of a call whose outcome nobody knows: it may have taken effect. Calling again with the same
// idempotency key is safe.
var ErrNoAnswer = errors.New("no answer from the payment gateway")

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// path builds a path of literal parts and escaped ids: path("/v1/refunds/", id).
func path(parts ...string) string {
	var b strings.Builder
	for i, p := range parts {
		if i%2 == 1 {
			p = url.PathEscape(p)
		}
		b.WriteString(p)
	}
	return b.String()
}

// queryOf makes a query of names and values in turn; empty values are left out.
func queryOf(namesAndValues ...string) url.Values {
	q := url.Values{}
	for pair := range slices.Chunk(namesAndValues, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	return q
}
