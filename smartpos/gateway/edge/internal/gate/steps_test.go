package gate

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

func exchange(method string, headers ...string) (*Exchange, *httptest.ResponseRecorder) {
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	return NewExchange(w, r, netip.MustParseAddr("203.0.113.1")), w
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		origins     []string
		credentials bool
		asked, want string
		varies      bool
	}{
		"any":                        {[]string{"*"}, false, "https://a.example", "*", false},
		"none said is any":           {nil, false, "https://a.example", "*", false},
		"any, with credentials":      {[]string{"*"}, true, "https://a.example", "https://a.example", true},
		"the one, whoever asks":      {[]string{"https://a.example"}, false, "https://b.example", "https://a.example", true},
		"one of two":                 {[]string{"https://a.example", "https://b.example"}, true, "https://b.example", "https://b.example", true},
		"none of two":                {[]string{"https://a.example", "https://b.example"}, false, "https://c.example", "", true},
		"the scheme's own port":      {[]string{"https://a.example", "https://b.example"}, false, "https://b.example:443", "https://b.example", true},
		"another port":               {[]string{"https://a.example", "https://b.example"}, false, "https://b.example:444", "", true},
		"an expression over hosts":   {[]string{`[a-z]+[.]a[.]example`}, false, "https://x.a.example", "https://x.a.example", true},
		"anchored, though not said":  {[]string{`[a-z]+[.]a[.]example`}, false, "https://x.a.example.evil", "", true},
		"an expression over origins": {[]string{`^https://[a-z]+[.]a[.]example$`}, false, "http://x.a.example", "", true},
	} {
		x, _ := exchange(http.MethodGet, "Origin", tc.asked)
		if !cors(&kong.CORS{Origins: tc.origins, Credentials: tc.credentials})(x) {
			t.Errorf("%s: answered", name)
		}
		if got := x.Answer.Get("Access-Control-Allow-Origin"); got != tc.want || x.Varies != tc.varies {
			t.Errorf("%s: %q, varies %v", name, got, x.Varies)
		}
		if got := x.Answer.Get("Access-Control-Allow-Credentials"); tc.credentials != (got == "true") {
			t.Errorf("%s: credentials %q", name, got)
		}
	}
}

func TestPreflightPassedOn(t *testing.T) {
	t.Parallel()
	x, _ := exchange(http.MethodOptions, "Origin", "https://a.example", "Access-Control-Request-Method", "POST")
	if !cors(&kong.CORS{PreflightContinue: true})(x) || len(x.Answer) > 0 {
		t.Errorf("%v", x.Answer)
	}
	x, w := exchange(http.MethodOptions, "Origin", "https://a.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Private-Network", "true")
	if cors(&kong.CORS{PrivateNetwork: true, Methods: []string{"GET"}})(x) || w.Header().Get("Access-Control-Allow-Private-Network") != "true" {
		t.Errorf("%v", w.Header())
	}
}

func TestCorrelationCounter(t *testing.T) {
	t.Parallel()
	step := correlation(&kong.CorrelationID{HeaderName: "Kong-Request-ID", Generator: "uuid#counter"})
	first, _ := exchange(http.MethodGet)
	second, _ := exchange(http.MethodGet)
	step(first)
	step(second)
	a, _, _ := strings.Cut(first.ID, "#")
	b, _, _ := strings.Cut(second.ID, "#")
	if a != b || first.ID == second.ID || first.Request.Header.Get("Kong-Request-ID") != first.ID || len(first.Answer) > 0 {
		t.Errorf("%q, %q, %v", first.ID, second.ID, first.Answer)
	}
}

func TestWhoIsCounted(t *testing.T) {
	t.Parallel()
	x, _ := exchange(http.MethodGet)
	for by, want := range map[string]string{"ip": "203.0.113.1", "consumer": "203.0.113.1", "credential": "203.0.113.1", "service": "all"} {
		if got := identify(by, x); got != want {
			t.Errorf("%s: %s", by, got)
		}
	}
	x.Consumer, x.Credential = "people", "rsa-1"
	for by, want := range map[string]string{"ip": "203.0.113.1", "consumer": "people", "credential": "rsa-1"} {
		if got := identify(by, x); got != want {
			t.Errorf("%s: %s", by, got)
		}
	}
}

func TestHiddenLimit(t *testing.T) {
	t.Parallel()
	one := int64(1)
	step := NewCounters(time.Now).rate(&kong.RateLimiting{Hour: &one, LimitBy: "ip", Policy: "local", HideClientHeaders: true, ErrorCode: 420, ErrorMessage: "Slow down"})
	x, _ := exchange(http.MethodGet)
	if !step(x) {
		t.Fatal("the first is refused")
	}
	x, w := exchange(http.MethodGet)
	if step(x) || w.Code != 420 || !strings.Contains(w.Body.String(), "Slow down") || w.Header().Get("Retry-After") != "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
}

// Counting must not keep every client that ever came.
func TestCountersForget(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := NewCounters(func() time.Time { return now })
	many := int64(1000)
	step := c.rate(&kong.RateLimiting{Second: &many, LimitBy: "ip", Policy: "local"})
	for i := range 200 {
		x, _ := exchange(http.MethodGet)
		x.Client = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		step(x)
	}
	now = now.Add(time.Minute)
	x, _ := exchange(http.MethodGet)
	step(x)
	if len(c.local) != 1 {
		t.Errorf("%d windows are kept", len(c.local))
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		conf   kong.SizeLimiting
		length int64
		expect string
		status int
	}{
		{kong.SizeLimiting{AllowedPayloadSize: 1, SizeUnit: "kilobytes"}, 1025, "100-continue", http.StatusExpectationFailed},
		{kong.SizeLimiting{AllowedPayloadSize: 1, SizeUnit: "kilobytes"}, 1025, "", http.StatusRequestEntityTooLarge},
		{kong.SizeLimiting{AllowedPayloadSize: 9, SizeUnit: "bytes", RequireContentLength: true}, -1, "", http.StatusLengthRequired},
	} {
		x, w := exchange(http.MethodPost, "Expect", tc.expect)
		x.Request.Body = http.MaxBytesReader(w, x.Request.Body, 1) // it must not be read
		x.Request.ContentLength = tc.length
		if size(&tc.conf)(x) || w.Code != tc.status {
			t.Errorf("%+v: %d", tc, w.Code)
		}
	}
}
