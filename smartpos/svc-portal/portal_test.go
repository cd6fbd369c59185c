package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/pquerna/otp/totp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/config"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/postgres/pgtest"
	"github.com/mpac-cloud/mpac/platform/sealed"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/internal/access/accesstest"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb"
	"github.com/mpac-cloud/mpac/smartpos/internal/mpacdb/mpacdbtest"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/device"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/iam"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

const (
	publicURL = "http://portal.example"
	password  = "a long enough password"
)

// portal is svc-portal in a test: the real thing on a database of its own, with a clock that the test moves. Every answer is held
// against the OpenAPI document.
type portal struct {
	t       testing.TB
	db      *pgtest.DB
	pool    *pgxpool.Pool
	clock   *clock.Manual
	app     *app
	handler http.Handler
	gateway *gateway
	// source is the address that requests come from.
	source string
}

type option func(*outside)

func withRedis(c *goredis.Client) option { return func(o *outside) { o.redis = c } }

// cheap makes password hashes quick: what they cost is not what these tests are about.
var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

func start(tb testing.TB, options ...option) *portal {
	tb.Helper()
	p := &portal{t: tb, db: mpacdbtest.New(tb), clock: clock.NewManual(time.Now()), gateway: newGateway(tb), source: "192.0.2.1:4711"}
	p.pool = p.db.Pool(mpacdb.RolePortal)
	p.app = p.task(options...)
	p.handler = openapitest.Of(tb, p.app.server.Engine).Handler(tb, p.app.server.Engine)
	return p
}

// task makes a further task of the service on the same database.
func (p *portal) task(options ...option) *app {
	p.t.Helper()
	hasher, err := iam.NewHasher(cheap)
	p.must(err)
	sealer, err := sealed.Open(sealed.Config{KeyFile: keyFile(p.t)}, p.clock.Now)
	p.must(err)
	pgw, err := client.New(client.Config{URL: p.gateway.server.URL, APIKey: "pk_test_1", SecretKey: config.Secret("sk_test_1")}, p.clock.Now)
	p.must(err)
	out := outside{clock: p.clock.Now, db: p.pool, gateway: pgw, sealer: sealer, hasher: hasher}
	for _, o := range options {
		o(&out)
	}
	cfg := settings{PublicURL: publicURL, Keys: signing.Config{Period: 720 * time.Hour, Wait: 10 * time.Minute}}
	a, err := assemble(cfg, out)
	p.must(err)
	return a
}

var testKeyFile = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mpac-portal-test-*")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "seal.keys")
	return path, os.WriteFile(path, []byte(sealed.NewKeyLine("test")+"\n"), 0o600)
})

func keyFile(tb testing.TB) string {
	tb.Helper()
	path, err := testKeyFile()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if path, err := testKeyFile(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func (p *portal) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

func (r reply) text(member string) string {
	s, _ := r.body[member].(string)
	return s
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.raw) }

// send sends a request as it is.
func (p *portal) send(request *http.Request) reply {
	p.t.Helper()
	request.RemoteAddr = p.source
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, request)
	r := reply{status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	_ = json.Unmarshal(r.raw, &r.body)
	return r
}

func (p *portal) request(method, path, token string, body any) *http.Request {
	p.t.Helper()
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		p.must(err)
		reader = bytes.NewReader(raw)
	}
	request := httptest.NewRequest(method, path, reader)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

func (p *portal) call(method, path, token string, body any) reply {
	p.t.Helper()
	return p.send(p.request(method, path, token, body))
}

// want fails the test unless the answer has the status and, when it is not empty, the problem's code.
func (r reply) want(tb testing.TB, status int, code string) reply {
	tb.Helper()
	if r.status != status || code != "" && r.text("code") != code {
		tb.Fatalf("answer %s, want %d %s", r, status, code)
	}
	return r
}

type m = map[string]any

func (p *portal) post(path, token string, body any) reply {
	p.t.Helper()
	return p.call(http.MethodPost, path, token, body)
}

func (p *portal) get(path, token string) reply {
	p.t.Helper()
	return p.call(http.MethodGet, path, token, nil)
}

func (p *portal) patch(path, token string, body any) reply {
	p.t.Helper()
	return p.call(http.MethodPatch, path, token, body)
}

// make creates something and returns its id.
func (p *portal) make(path, token string, body any) string {
	p.t.Helper()
	return p.post(path, token, body).want(p.t, http.StatusCreated, "").text("id")
}

// person is somebody who can sign in.
type person struct {
	id, email, secret string
}

// operator seeds the platform's first SYSTEM_OP.
func (p *portal) operator() *person {
	p.t.Helper()
	who := &person{email: "ops@example.com", secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	people := &iam.DB{Pool: p.pool, Clock: p.clock.Now, Sealer: p.app.sealer}
	_, err := iam.SeedOperator(context.Background(), people, p.app.hasher, who.email, password, who.secret)
	p.must(err)
	return who
}

// user makes a user.
func (p *portal) user(token string, body m) *person {
	p.t.Helper()
	who := &person{email: "user-" + uuid.NewString()[:8] + "@example.com"}
	body["email"], body["password"] = who.email, password
	if body["name"] == nil {
		body["name"] = "Example Person"
	}
	who.id = p.make("/api/v1/users", token, body)
	return who
}

func (p *portal) code(secret string) string {
	p.t.Helper()
	code, err := totp.GenerateCode(secret, p.clock.Now())
	p.must(err)
	return code
}

// pass does the password step.
func (p *portal) pass(who *person) reply {
	p.t.Helper()
	return p.post("/api/v1/auth/user/login", "", m{"email": who.email, "password": password}).want(p.t, http.StatusOK, "")
}

// signIn goes through all of a sign-in, and enrols a second factor where one is asked for and missing.
func (p *portal) signIn(who *person) reply {
	p.t.Helper()
	first := p.pass(who)
	if first.body["mfa_required"] != true {
		return first
	}
	if first.body["enrolment_required"] == true {
		enrolled := p.post("/api/v1/auth/user/mfa/enrol", "", m{"mfa_token": first.text("mfa_token")}).want(p.t, http.StatusOK, "")
		who.secret = enrolled.text("secret")
	}
	p.clock.Advance(30 * time.Second) // each code is good once
	return p.post("/api/v1/auth/user/mfa/verify", "", m{"mfa_token": first.text("mfa_token"), "method": "totp", "code": p.code(who.secret)}).
		want(p.t, http.StatusOK, "")
}

func (p *portal) token(who *person) string {
	p.t.Helper()
	return p.signIn(who).text("access_token")
}

// terminal is an activated terminal with its key.
type terminal struct {
	id, client string
	key        *ecdsa.PrivateKey
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func jwkOf(key *ecdsa.PrivateKey) m {
	point, _ := key.PublicKey.Bytes() // a key of the curve has them
	return m{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}
}

func (p *portal) register(token, store string) string {
	p.t.Helper()
	return p.make("/api/v1/terminals", token, m{"store_id": store, "serial_number": "SN-" + uuid.NewString()[:12], "model": "P2", "name": "Till"})
}

func (p *portal) activationCode(token, id string) string {
	p.t.Helper()
	return p.post("/api/v1/device/provision/generateActivationCode", token, m{"terminal_id": id}).want(p.t, http.StatusOK, "").text("activation_code")
}

func (p *portal) terminal(token, store string) *terminal {
	p.t.Helper()
	dev := &terminal{id: p.register(token, store), key: newKey(p.t)}
	code := p.activationCode(token, dev.id)
	activated := p.post("/api/v1/device/provision/activate", "", m{"activation_code": code, "public_key": jwkOf(dev.key)}).want(p.t, http.StatusOK, "")
	dev.client = activated.text("client_id")
	return dev
}

// assertion makes a client assertion; change may spoil it.
func (p *portal) assertion(dev *terminal, change ...func(*jwt.Builder)) string {
	p.t.Helper()
	b := jwt.NewBuilder().Issuer(dev.client).Subject(dev.client).Audience([]string{publicURL + device.TokenPath}).
		IssuedAt(p.clock.Now()).Expiration(p.clock.Now().Add(time.Minute)).JwtID(uuid.NewString())
	for _, c := range change {
		c(b)
	}
	token, err := b.Build()
	p.must(err)
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), dev.key))
	p.must(err)
	return string(signed)
}

func (p *portal) deviceToken(assertion string) reply {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {device.AssertionType}, "client_assertion": {assertion}}
	return p.form(form)
}

func (p *portal) form(form url.Values) reply {
	p.t.Helper()
	request := httptest.NewRequest(http.MethodPost, device.TokenPath, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.send(request)
}

// shop is a merchant with two stores in a PSP, and somebody of each role.
type shop struct {
	psp, merchant, store, second                     string
	admin, owner, manager, secondManager, staff      *person
	adminT, ownerT, managerT, secondManagerT, staffT string
	adminTokens                                      reply
	till                                             *terminal
}

// shop opens one; operator is the operator's token.
func (p *portal) shop(operator, code string) *shop {
	p.t.Helper()
	s := &shop{}
	s.psp = p.make("/api/v1/psps", operator, m{"code": "psp-" + code, "name": "Example PSP " + code})
	s.admin = p.user(operator, m{"role": "PSP_ADMIN", "psp_id": s.psp})
	s.adminTokens = p.signIn(s.admin)
	s.adminT = s.adminTokens.text("access_token")
	s.merchant = p.make("/api/v1/merchants", s.adminT, m{"code": "shop", "name": "Example Shop " + code})
	s.store = p.make("/api/v1/stores", s.adminT, m{"merchant_id": s.merchant, "code": "one", "name": "One"})
	s.second = p.make("/api/v1/stores", s.adminT, m{"merchant_id": s.merchant, "code": "two", "name": "Two"})
	s.owner = p.user(s.adminT, m{"role": "MERCHANT_ADMIN", "merchant_id": s.merchant})
	s.ownerT = p.token(s.owner)
	s.manager = p.user(s.ownerT, m{"role": "STORE_MANAGER", "store_id": s.store})
	s.managerT = p.token(s.manager)
	s.secondManager = p.user(s.ownerT, m{"role": "STORE_MANAGER", "store_id": s.second})
	s.secondManagerT = p.token(s.secondManager)
	s.staff = p.user(s.ownerT, m{"role": "STAFF", "store_id": s.store})
	s.staffT = p.token(s.staff)
	s.till = p.terminal(s.managerT, s.store)
	return s
}

// gateway plays the payment gateway's config sync: it takes every PUT, in the order in which they come.
type gateway struct {
	server *httptest.Server
	mu     sync.Mutex
	away   bool
	puts   []put
}

type put struct {
	path string
	body m
}

func newGateway(tb testing.TB) *gateway {
	tb.Helper()
	g := &gateway{}
	g.server = httptest.NewServer(g)
	tb.Cleanup(g.server.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if g.away {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"code":"conflict","detail":"not now"}`)
		return
	}
	sent := put{path: r.Method + " " + r.URL.Path}
	_ = json.NewDecoder(r.Body).Decode(&sent.body)
	g.puts = append(g.puts, sent)
	_ = json.NewEncoder(w).Encode(m{"applied": true, "version": sent.body["version"]})
}

func (g *gateway) goAway(away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = away
}

func (g *gateway) taken() []put {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]put(nil), g.puts...)
}

// eventually polls until the condition holds.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// published asks for keys as another service does.
func (p *portal) published(path string) access.KeySource {
	return func(context.Context) (jwk.Set, error) {
		return jwk.Parse(p.get(path, "").want(p.t, http.StatusOK, "").raw)
	}
}

func kidOf(tb testing.TB, token string) string {
	tb.Helper()
	message, err := jws.Parse([]byte(token))
	if err != nil {
		tb.Fatal(err)
	}
	kid, _ := message.Signatures()[0].ProtectedHeaders().KeyID()
	return kid
}

func uint64Text(n uint64) string { return strconv.FormatUint(n, 10) }

// forged is a token with all the right claims, signed by a key that svc-portal never published.
func (p *portal) forged() string {
	return accesstest.New(p.t, p.clock.Now).Token(p.t, access.Principal{Kind: access.KindUser, Role: access.SystemOp})
}

func (p *portal) json(v any) []byte {
	p.t.Helper()
	raw, err := json.Marshal(v)
	p.must(err)
	return raw
}
