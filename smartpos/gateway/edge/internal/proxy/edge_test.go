package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/redis/redistest"
	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// bench is an edge before a service that tells what reached it.
type bench struct {
	t        *testing.T
	edge     *Edge
	url      string
	service  *httptest.Server
	seen     atomic.Pointer[http.Request]
	seenBody atomic.Pointer[[]byte]
	registry *prometheus.Registry
	clock    *clock.Manual
	rsa      *rsa.PrivateKey
	ec       *ecdsa.PrivateKey
}

// config is the file: token routes, open routes, pages.
const config = `
_format_version: "3.0"
plugins:
  - {name: correlation-id, config: {header_name: X-Request-Id, generator: uuid, echo_downstream: true}}
  - {name: cors, config: {origins: ["*"], methods: [GET, POST], exposed_headers: [X-Request-Id], max_age: 60}}
  - {name: request-size-limiting, config: {allowed_payload_size: 1, size_unit: kilobytes}}
  - {name: prometheus, config: {status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true}}
services:
  - name: open
    url: SERVICE
    plugins: [{name: rate-limiting, config: LIMIT}]
    routes:
      - {name: echo, methods: [GET, POST, HEAD], strip_path: false, paths: ["~/open/[^/]+$"]}
      - {name: preflight, methods: [OPTIONS], strip_path: false, paths: [/]}
      - {name: stream, methods: [GET], strip_path: false, paths: [/stream]}
  - name: token
    url: SERVICE
    read_timeout: 300
    plugins: [{name: jwt, config: {key_claim_name: kid, uri_param_names: [], run_on_preflight: false, claims_to_verify: [exp]}}]
    routes:
      - {name: secret, methods: [GET, POST], strip_path: false, paths: ["~/secret$"]}
      - {name: secret-slow, methods: [GET], strip_path: false, paths: ["~/slow$"]}
      - {name: channel, methods: [GET], strip_path: false, paths: ["~/channel$"]}
  - name: docs
    url: SERVICE/docs
    routes: [{name: docs, methods: [GET], paths: [/portal/docs]}]
  - name: gone
    url: http://127.0.0.1:1
    connect_timeout: 500
    routes: [{name: gone, methods: [GET], paths: [/gone]}]
consumers:
  - username: people
    custom_id: users
    jwt_secrets:
      - {key: rsa-1, algorithm: RS256, rsa_public_key: RSAKEY}
      - {key: ec-1, algorithm: ES256, rsa_public_key: ECKEY}
`

func newBench(t *testing.T, limit string) *bench {
	t.Helper()
	b := &bench{t: t, registry: prometheus.NewRegistry(), clock: clock.NewManual(time.Date(2026, 11, 1, 3, 0, 30, 0, time.UTC))}
	b.service = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.service.Close)
	var err1, err2 error
	b.rsa, err1 = rsa.GenerateKey(rand.Reader, 2048)
	b.ec, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	b.edge = New([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}, NewMetrics(b.registry), b.clock.Now)
	t.Cleanup(func() { b.edge.Close(context.Background()) })
	file, err := kong.Parse([]byte(b.file(limit)))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.edge.Use(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(b.edge)
	t.Cleanup(front.Close)
	b.url = front.URL
	return b
}

func (b *bench) file(limit string) string {
	return strings.NewReplacer("SERVICE", b.service.URL, "LIMIT", limit, "RSAKEY", pemOf(b.t, &b.rsa.PublicKey), "ECKEY", pemOf(b.t, &b.ec.PublicKey)).Replace(config)
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// serve is the service behind.
func (b *bench) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.seen.Store(r)
	b.seenBody.Store(&body)
	switch r.URL.Path {
	case "/slow":
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	case "/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // nothing more until the client leaves
	case "/channel":
		channel(w, r)
	default:
		w.Header().Set("X-Request-Id", "the service's own")
		w.Header().Set("X-From", "service")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	}
}

// channel speaks something after an upgrade: it says every line back.
func channel(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, line)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *bench) do(method, path string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

// token signs claims; header members of nil are left out.
func (b *bench) token(alg, kid string, claims map[string]any) string {
	header := map[string]any{"alg": alg, "typ": "JWT"}
	if kid != "" {
		header["kid"] = kid
	}
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	return signed + "." + base64.RawURLEncoding.EncodeToString(b.sign(alg, signed))
}

func (b *bench) sign(alg, signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	switch alg {
	case "RS256":
		s, _ := rsa.SignPKCS1v15(rand.Reader, b.rsa, crypto.SHA256, digest[:])
		return s
	case "ES256":
		r, s, _ := ecdsa.Sign(rand.Reader, b.ec, digest[:])
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	case "HS256": // the attack: the public key as a shared secret
		der, _ := x509.MarshalPKIXPublicKey(&b.rsa.PublicKey)
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	}
	return nil
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	now := b.clock.Now().Unix()
	good := map[string]any{"exp": now + 60, "sub": "u"}
	rs, es := b.token("RS256", "rsa-1", good), b.token("ES256", "ec-1", good)
	for name, tc := range map[string]struct {
		header string
		status int
		body   string
	}{
		"RS256":                      {"Bearer " + rs, 418, ""},
		"ES256":                      {"Bearer " + es, 418, ""},
		"lower-case scheme":          {"bearer " + rs, 418, ""},
		"kid as a claim":             {"Bearer " + b.token("RS256", "", map[string]any{"exp": now + 60, "kid": "rsa-1"}), 418, ""},
		"none at all":                {"", 401, `{"message":"Unauthorized"}`},
		"another scheme":             {"Basic dTpw", 401, `{"message":"Unauthorized"}`},
		"not a token":                {"Bearer x", 401, `{"message":"Bad token; invalid JSON"}`},
		"no kid":                     {"Bearer " + b.token("RS256", "", good), 401, `{"message":"No mandatory 'kid' in claims"}`},
		"unknown kid":                {"Bearer " + b.token("RS256", "rsa-2", good), 401, `{"message":"No credentials found for given 'kid'"}`},
		"kid is a number":            {"Bearer " + b.token("RS256", "", map[string]any{"exp": now + 60, "kid": 1}), 401, `{"message":"Invalid 'kid' in claims"}`},
		"HS256 with the public key":  {"Bearer " + b.token("HS256", "rsa-1", good), 401, `{"message":"Invalid algorithm"}`},
		"alg none":                   {"Bearer " + b.token("none", "rsa-1", good), 401, `{"message":"Invalid algorithm"}`},
		"EC token under the RSA kid": {"Bearer " + b.token("ES256", "rsa-1", good), 401, `{"message":"Invalid algorithm"}`},
		"RS256 under the EC kid":     {"Bearer " + b.token("RS256", "ec-1", good), 401, `{"message":"Invalid algorithm"}`},
		"signature of another":       {"Bearer " + rs[:strings.LastIndex(rs, ".")] + es[strings.LastIndex(es, "."):], 401, `{"message":"Invalid signature"}`},
		"no signature":               {"Bearer " + rs[:strings.LastIndex(rs, ".")+1], 401, `{"message":"Invalid signature"}`},
		"expired":                    {"Bearer " + b.token("RS256", "rsa-1", map[string]any{"exp": now}), 401, `{"exp":"token expired"}`},
		"no exp":                     {"Bearer " + b.token("RS256", "rsa-1", map[string]any{"sub": "u"}), 401, `{"exp":"must be a number"}`},
		"exp as text":                {"Bearer " + b.token("RS256", "rsa-1", map[string]any{"exp": "9999999999"}), 401, `{"exp":"must be a number"}`},
	} {
		var headers []string
		if tc.header != "" {
			headers = []string{"Authorization", tc.header}
		}
		got := b.do("GET", "/secret", nil, headers...)
		if got.status != tc.status || got.body != tc.body {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, tc.status, tc.body)
		}
		if challenge := got.header.Get("Www-Authenticate"); (got.status == 401) != strings.HasPrefix(challenge, "Bearer") {
			t.Errorf("%s: WWW-Authenticate is %q", name, challenge)
		}
	}
	if got := b.do("GET", "/secret?jwt="+rs, nil); got.status != 401 {
		t.Errorf("a token in the query: %d", got.status)
	}
	if got := b.do("GET", "/secret", nil, "Authorization", "Bearer "+rs, "Authorization", "Bearer "+es); got.status != 401 {
		t.Errorf("two tokens: %d %s", got.status, got.body)
	}
}

func TestWhoIsCallingIsSaidByTheTokenAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	token := b.token("RS256", "rsa-1", map[string]any{"exp": b.clock.Now().Unix() + 60})
	b.do("GET", "/secret", nil, "Authorization", "Bearer "+token, "X-Consumer-Username", "root", "X-Consumer-Id", "1", "X-Anonymous-Consumer", "true")
	h := b.seen.Load().Header
	for name, want := range map[string]string{
		"X-Consumer-Username": "people", "X-Consumer-Custom-Id": "users", "X-Credential-Identifier": "rsa-1", "X-Consumer-Id": "",
		"X-Anonymous-Consumer": "", "Authorization": "Bearer " + token,
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestNoRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	for _, tc := range []struct{ method, path string }{
		{"GET", "/"}, {"GET", "/open"}, {"GET", "/open/a/b"}, {"DELETE", "/open/a"}, {"GET", "/open/..%2fsecret/x"}, {"GET", "/SECRET"},
	} {
		got := b.do(tc.method, tc.path, nil, "X-Request-Id", "mine")
		if got.status != 404 || got.body != `{"message":"no Route matched with those values","request_id":"mine"}` {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, got.status, got.body)
		}
	}
	// A path that means a guarded route is that route, however it is written.
	for _, path := range []string{"/open/../secret", "/%73ecret", "//secret", "/x/%2e%2e/secret"} {
		if got := b.do("GET", path, nil); got.status != 401 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestPassedOnWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	got := b.do("POST", "/open/a%2Fb?x=1;y=2&z=%zz", strings.NewReader("body"),
		"Content-Type", "text/plain", "X-Own", "1", "X-Own", "2", "Traceparent", "00-1-2-01", "Idempotency-Key", "k", "X-Forwarded-For", "203.0.113.9, 10.1.1.1", "X-Forwarded-Proto", "https")
	r := b.seen.Load()
	if got.status != 418 || got.body != "body" || got.header.Get("X-From") != "service" {
		t.Errorf("the answer is %+v", got)
	}
	if r.RequestURI != "/open/a%2Fb?x=1;y=2&z=%zz" {
		t.Errorf("asked for %q", r.RequestURI)
	}
	h := r.Header
	for name, want := range map[string]string{
		"Content-Type": "text/plain", "Idempotency-Key": "k", "Traceparent": "00-1-2-01", "X-Forwarded-For": "203.0.113.9, 10.1.1.1, 127.0.0.1",
		"X-Forwarded-Proto": "https", "X-Forwarded-Host": strings.TrimPrefix(b.url, "http://"), "X-Real-Ip": "203.0.113.9", "X-Forwarded-Path": "/open/a%2Fb",
	} {
		if h.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, h.Get(name), want)
		}
	}
	if len(h.Values("X-Own")) != 2 {
		t.Errorf("X-Own is %v", h.Values("X-Own"))
	}
	if "http://"+r.Host != b.service.URL {
		t.Errorf("Host is %q", r.Host)
	}
}

func TestForwardedOfStrangersIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	b.edge.trusted = nil
	b.do("GET", "/open/a", nil, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "X-Real-Ip", "203.0.113.9")
	h := b.seen.Load().Header
	if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Real-Ip") != "127.0.0.1" {
		t.Errorf("got %v", h)
	}
}

func TestStripPathAndServicePath(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	for path, want := range map[string]string{"/portal/docs": "/docs", "/portal/docs/app.js": "/docs/app.js", "/portal/docs?a=b": "/docs?a=b"} {
		b.do("GET", path, nil)
		if r := b.seen.Load(); r.RequestURI != want || r.Header.Get("X-Forwarded-Prefix") != "/portal/docs" {
			t.Errorf("%s became %s (%s)", path, r.RequestURI, r.Header.Get("X-Forwarded-Prefix"))
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	got := b.do("GET", "/open/a", nil, "X-Request-Id", "given")
	if ids := got.header.Values("X-Request-Id"); len(ids) != 1 || ids[0] != "given" || b.seen.Load().Header.Get("X-Request-Id") != "given" {
		t.Errorf("a given id: %v outside, %q inside", ids, b.seen.Load().Header.Get("X-Request-Id"))
	}
	got = b.do("GET", "/open/a", nil)
	if id := got.header.Get("X-Request-Id"); len(id) != 36 || id != b.seen.Load().Header.Get("X-Request-Id") {
		t.Errorf("a made id: %q", id)
	}
	if got := b.do("GET", "/secret", nil); len(got.header.Get("X-Request-Id")) != 36 {
		t.Error("a refusal has no id")
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	exact, above := bytes.Repeat([]byte("x"), 1024), bytes.Repeat([]byte("x"), 1025)
	for name, tc := range map[string]struct {
		body   io.Reader
		status int
	}{
		"as large as may be":     {bytes.NewReader(exact), 418},
		"larger":                 {bytes.NewReader(above), 413},
		"as large, in chunks":    {io.MultiReader(bytes.NewReader(exact)), 418},
		"larger, in chunks":      {io.MultiReader(bytes.NewReader(above)), 413},
		"much larger, in chunks": {io.MultiReader(bytes.NewReader(bytes.Repeat(above, 100))), 413},
	} {
		b.seen.Store(nil)
		got := b.do("POST", "/open/a", tc.body)
		if got.status != tc.status || (tc.status == 413) != (got.body == `{"message":"Request size limit exceeded"}`) {
			t.Errorf("%s: %d %s", name, got.status, got.body[:min(len(got.body), 80)])
		}
		if reached := b.seen.Load() != nil; reached == (tc.status == 413) {
			t.Errorf("%s: reached the service: %v", name, reached)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1, limit_by: ip}")
	for range 3 { // a preflight counts for no limit
		got := b.do("OPTIONS", "/secret", nil, "Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
		h := got.header
		if got.status != 200 || got.body != "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Methods") != "GET,POST" ||
			h.Get("Access-Control-Allow-Headers") != "authorization" || h.Get("Access-Control-Max-Age") != "60" {
			t.Errorf("preflight: %+v", got)
		}
	}
	got := b.do("GET", "/secret", nil, "Origin", "https://app.example")
	if got.status != 401 || got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Expose-Headers") != "X-Request-Id" {
		t.Errorf("a refusal must be readable in a browser: %+v", got)
	}
	if got := b.do("GET", "/secret", nil); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("no origin asked, and one answered")
	}
}

// allowance runs a limit of two a minute and a hundred an hour.
func allowance(t *testing.T, b *bench) {
	t.Helper()
	for i, want := range []struct {
		status    int
		remaining string
	}{{418, "1"}, {418, "0"}, {429, "0"}} {
		got := b.do("GET", "/open/a", nil)
		h := got.header
		if got.status != want.status || h.Get("RateLimit-Remaining") != want.remaining || h.Get("X-RateLimit-Remaining-Minute") != want.remaining ||
			h.Get("RateLimit-Limit") != "2" || h.Get("X-RateLimit-Limit-Hour") != "100" || h.Get("RateLimit-Reset") != "30" {
			t.Errorf("call %d: %d %v", i+1, got.status, h)
		}
		if refused := got.status == 429; refused && (h.Get("Retry-After") != "30" || !strings.HasPrefix(got.body, `{"message":"API rate limit exceeded"`)) {
			t.Errorf("refused with %s, Retry-After %q", got.body, h.Get("Retry-After"))
		}
	}
	// Somebody else's count is their own.
	if got := b.do("GET", "/open/a", nil, "X-Forwarded-For", "203.0.113.7"); got.status != 418 {
		t.Errorf("another address: %d", got.status)
	}
	b.clock.Advance(31 * time.Second)
	if got := b.do("GET", "/open/a", nil); got.status != 418 {
		t.Errorf("the next minute: %d", got.status)
	}
}

func TestRateLimitLocal(t *testing.T) {
	t.Parallel()
	allowance(t, newBench(t, "{minute: 2, hour: 100, limit_by: ip}"))
}

func TestRateLimitRedis(t *testing.T) {
	t.Parallel()
	_, client := redistest.New(t)
	options := client.Options()
	host, port, err := net.SplitHostPort(options.Addr)
	if err != nil {
		t.Fatal(err)
	}
	limit := fmt.Sprintf("{minute: 2, hour: 100, limit_by: ip, policy: redis, redis: {host: %s, port: %s, database: %d, password: %q}}", host, port, options.DB, options.Password)
	allowance(t, newBench(t, limit))
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	const away = "policy: redis, redis: {host: 127.0.0.1, port: 1, timeout: 200}"
	if got := newBench(t, "{minute: 1, limit_by: ip, "+away+"}").do("GET", "/open/a", nil); got.status != 418 {
		t.Errorf("fault tolerant: %d", got.status)
	}
	if got := newBench(t, "{minute: 1, limit_by: ip, fault_tolerant: false, "+away+"}").do("GET", "/open/a", nil); got.status != 500 {
		t.Errorf("not fault tolerant: %d", got.status)
	}
}

func TestServiceAwayOrSlow(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	if got := b.do("GET", "/gone", nil); got.status != 502 || !strings.Contains(got.body, "An invalid response was received from the upstream server") {
		t.Errorf("away: %d %s", got.status, got.body)
	}
	token := b.token("RS256", "rsa-1", map[string]any{"exp": b.clock.Now().Unix() + 60})
	if got := b.do("GET", "/slow", nil, "Authorization", "Bearer "+token); got.status != 504 || !strings.Contains(got.body, "The upstream server is timing out") {
		t.Errorf("slow: %d %s", got.status, got.body)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/stream", nil)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	line, err := bufio.NewReader(got.Body).ReadString('\n') // comes although the answer goes on
	if err != nil || line != "data: first\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// dial opens an upgraded connection through the edge.
func (b *bench) dial() (net.Conn, *bufio.Reader) {
	b.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	token := b.token("ES256", "ec-1", map[string]any{"exp": b.clock.Now().Unix() + 60})
	_, _ = fmt.Fprintf(conn, "GET /channel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer %s\r\n\r\n", token)
	in := bufio.NewReader(conn)
	got, err := http.ReadResponse(in, nil)
	if err != nil || got.StatusCode != http.StatusSwitchingProtocols {
		b.t.Fatalf("%+v, %v", got, err)
	}
	return conn, in
}

func TestWebSocketPassesAndIsCutWhenIdle(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	conn, in := b.dial()
	for _, line := range []string{"hello\n", "again\n"} {
		_, _ = io.WriteString(conn, line)
		if back, err := in.ReadString('\n'); err != nil || back != line {
			t.Fatalf("%q, %v", back, err)
		}
	}
	// Nothing more is said: the service's read timeout (300 ms) ends it.
	if _, err := in.ReadString('\n'); err == nil {
		t.Error("an idle connection stays")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t, "{minute: 1000, limit_by: ip}")
	b.do("POST", "/open/a", strings.NewReader("1234"))
	b.do("GET", "/secret", nil)
	b.do("GET", "/gone", nil)
	for labels, want := range map[string]float64{
		"code=401 consumer= route=secret service=token source=exit": 1,
		"code=418 consumer= route=echo service=open source=service": 1,
		"code=502 consumer= route=gone service=gone source=error":   1,
	} {
		if got := b.metric("kong_http_requests_total")[labels]; got != want {
			t.Errorf("%s: %v, want %v", labels, got, want)
		}
	}
	if got := b.metric("kong_bandwidth_bytes")["consumer= direction=ingress route=echo service=open"]; got != 4 {
		t.Errorf("%v bytes came in, want 4", got)
	}
	for _, name := range []string{"kong_request_latency_ms", "kong_upstream_latency_ms", "kong_kong_latency_ms"} {
		if got := b.metric(name)["route=echo service=open"]; got != 1 {
			t.Errorf("%s was observed %v times, want 1", name, got)
		}
	}
}

// metric reads a family as label pairs and values; of a histogram, how many were observed.
func (b *bench) metric(name string) map[string]float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			values[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
