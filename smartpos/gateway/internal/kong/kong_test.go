package kong

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const small = `
_format_version: "3.0"
services:
  - name: one
    url: http://127.0.0.1:9001/base
    read_timeout: 75000
    routes:
      - {name: items, methods: [GET], paths: ["~/items/[^/]+$"], strip_path: false}
`

// with adds text to the small file at a place.
func with(place, text string) string { return strings.Replace(small, place, text, 1) }

func TestStrict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, says string }{
		"unknown field at the top":     {small + "upstreams: []\n", "upstreams"},
		"unknown field of a service":   {with("read_timeout", "tls_verify: true\n    read_timeout"), "tls_verify"},
		"unknown field of a route":     {with("strip_path: false", "strip_path: false, hosts: [a.example]"), "hosts"},
		"unknown plugin":               {small + "plugins: [{name: ip-restriction}]\n", "ip-restriction"},
		"unknown field of a plugin":    {small + "plugins: [{name: cors, config: {origin: x}}]\n", "origin"},
		"unknown field deep in plugin": {small + "plugins: [{name: rate-limiting, config: {minute: 1, redis: {hostname: x}}}]\n", "hostname"},
		"switched off is checked too":  {small + "plugins: [{name: cors, enabled: false, config: {origin: x}}]\n", "origin"},
		"deprecated redis field":       {small + "plugins: [{name: rate-limiting, config: {minute: 1, redis_host: x}}]\n", "redis_host"},
		"duplicate key":                {with("read_timeout", "read_timeout: 1\n    read_timeout"), "read_timeout"},
		"wrong type":                   {with("75000", "soon"), "read_timeout"},
		"another format":               {with(`"3.0"`, `"2.1"`), "_format_version"},
		"no url":                       {with("http://127.0.0.1:9001/base", "ftp://x"), "url"},
		"bad expression":               {with("[^/]+$", "[^/+$"), "path"},
		"relative path":                {with("~/items", "~items"), "begin with /"},
		"lower-case method":            {with("[GET]", "[get]"), "upper case"},
		"a name twice":                 {with("strip_path: false}", "strip_path: false}\n      - {name: items, paths: [/x]}"), "used twice"},
		"a plugin twice":               {small + "plugins: [{name: cors}, {name: cors}]\n", "configured twice"},
		"policy cluster":               {small + "plugins: [{name: rate-limiting, config: {minute: 1, policy: cluster}}]\n", "DB-less"},
		"longer period's limit below":  {small + "plugins: [{name: rate-limiting, config: {second: 5, minute: 1}}]\n", "below"},
		"no limit at all":              {small + "plugins: [{name: rate-limiting, config: {limit_by: ip}}]\n", "at least one"},
		"token in the query":           {small + "plugins: [{name: jwt}]\n", "uri_param_names"},
		"limit without exp":            {small + "plugins: [{name: jwt, config: {uri_param_names: [], maximum_expiration: 9}}]\n", "exp"},
		"no traces endpoint":           {small + "plugins: [{name: opentelemetry, config: {sampling_rate: 1}}]\n", "traces_endpoint"},
		"traces of another format":     {small + "plugins: [{name: opentelemetry, config: {traces_endpoint: 'http://x/v1/traces', propagation: {extract: [b3], inject: [w3c]}}}]\n", "extract"},
		"traces taken, not passed on":  {small + "plugins: [{name: opentelemetry, config: {traces_endpoint: 'http://x/v1/traces', propagation: {extract: [w3c], clear: [baggage]}}}]\n", "inject"},
		"no PEM":                       {small + "consumers: [{username: a, jwt_secrets: [{key: k, algorithm: RS256, rsa_public_key: x}]}]\n", "PEM"},
		"HMAC keys":                    {small + "consumers: [{username: a, jwt_secrets: [{key: k, algorithm: HS256, secret: x}]}]\n", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want an error about %q", err, tc.says)
			}
		})
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(with("[GET]", "[get]") + "plugins: [{name: nothing}, {name: prometheus, config: {upstream_health_metrics: true}}]\n"))
	for _, said := range []string{"upper case", "nothing", "upstream_health_metrics"} {
		if err == nil || !strings.Contains(err.Error(), said) {
			t.Errorf("%q is missing in: %v", said, err)
		}
	}
}

func TestDefaultsAreKongs(t *testing.T) {
	t.Parallel()
	f, err := Parse([]byte(with("strip_path: false", "preserve_host: false") + `plugins:
  - {name: rate-limiting, config: {minute: 7, hour: 9}}
  - {name: cors}
  - {name: correlation-id}
  - {name: request-size-limiting}
  - {name: jwt, config: {uri_param_names: []}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s, r, p := f.Services[0], f.Services[0].Routes[0], f.Plugins
	for what, ok := range map[string]bool{
		"connect_timeout": s.ConnectTimeout == 60*time.Second, "write_timeout": s.WriteTimeout == 60*time.Second,
		"read_timeout as said": s.ReadTimeout == 75*time.Second, "retries": s.Retries == 5, "strip_path": r.StripPath,
		"rate by": p.RateLimiting.LimitBy == "consumer", "rate policy": p.RateLimiting.Policy == "local",
		"rate tolerant": p.RateLimiting.FaultTolerant, "rate code": p.RateLimiting.ErrorCode == 429,
		"rate redis":   p.RateLimiting.Redis.Port == 6379 && p.RateLimiting.Redis.Timeout == 2000,
		"cors methods": len(p.CORS.Methods) == 9, "correlation": *p.CorrelationID == CorrelationID{HeaderName: "Kong-Request-ID", Generator: "uuid#counter"},
		"size": p.SizeLimiting.Bytes() == 128<<20,
		"jwt":  p.JWT.KeyClaimName == "iss" && p.JWT.RunOnPreflight && p.JWT.HeaderNames[0] == "authorization",
	} {
		if !ok {
			t.Errorf("%s is not Kong's default", what)
		}
	}
}

func TestMostSpecificPluginWins(t *testing.T) {
	t.Parallel()
	wide, narrow := &CORS{}, &CORS{Credentials: true}
	got := Plugins{CORS: narrow}.Over(Plugins{CORS: wide, JWT: &JWT{}})
	if got.CORS != narrow || got.JWT == nil {
		t.Errorf("got %+v", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	large, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	for name, tc := range map[string]struct {
		public    any
		algorithm string
		good      bool
	}{
		"EC":                     {&ec.PublicKey, "ES256", true},
		"EC called RSA":          {&ec.PublicKey, "RS256", false},
		"another curve":          {&large.PublicKey, "ES256", false},
		"a short RSA key":        {&weak.PublicKey, "RS256", false},
		"a symmetric algorithm":  {&ec.PublicKey, "HS256", false},
		"no algorithm (default)": {&ec.PublicKey, "", false},
	} {
		der, err := x509.MarshalPKIXPublicKey(tc.public)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
		_, err = Parse(fmt.Appendf(nil, "%sconsumers: [{username: a, jwt_secrets: [{key: k, algorithm: %q, rsa_public_key: %s}]}]\n", small, tc.algorithm, text))
		if (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRouterOrder(t *testing.T) {
	t.Parallel()
	f, err := Parse([]byte(`
_format_version: "3.0"
services:
  - name: s
    url: http://s.example/base
    routes:
      - {name: any, paths: [/]}
      - {name: prefix, methods: [GET], paths: [/things]}
      - {name: longer, methods: [GET], paths: [/things/special]}
      - {name: one, methods: [GET], strip_path: false, paths: ["~/things/[^/]+$"]}
      - {name: current, methods: [GET], strip_path: false, regex_priority: 1, paths: ["~/things/current$"]}
      - {name: write, methods: [POST], strip_path: false, paths: ["~/things$"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	router := NewRouter(f)
	for _, tc := range []struct{ method, path, route, rest string }{
		{"GET", "/things/1", "one", "/base/things/1"},
		{"GET", "/things/current", "current", "/base/things/current"},
		{"GET", "/things/special/a", "longer", "/base/a"},
		{"GET", "/things", "prefix", "/base"},
		{"GET", "/things/1/2", "prefix", "/base/1/2"},
		{"POST", "/things", "write", "/base/things"},
		{"POST", "/things/", "any", "/base/things/"},
		{"DELETE", "/elsewhere", "any", "/base/elsewhere"},
	} {
		m, found := router.Find(tc.method, tc.path)
		if !found || m.Route.Name != tc.route || m.Rest != tc.rest {
			t.Errorf("%s %s: %+v", tc.method, tc.path, m)
		}
	}
}

func TestNormalise(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/a/b": "/a/b", "": "/", "/": "/", "//a///b": "/a/b", "/a/./b": "/a/b", "/a/../b": "/b", "/../../a": "/a", "/a/b/..": "/a/", "/a/b/": "/a/b/",
		"/%61pi/x": "/api/x", "/a%2fb": "/a%2Fb", "/a/%2e%2e/b": "/b", "/a%20b": "/a%20b", "/a%zz": "/a%zz", "/a%": "/a%", "/%7euser": "/~user",
	} {
		if got := Normalise(in); got != want {
			t.Errorf("Normalise(%q) = %q, want %q", in, got, want)
		}
	}
}

// What was normalised stays as it is, and holds nothing that a service behind could read another way.
func TestNormaliseIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + rapid.StringOfN(rapid.SampledFrom([]rune("/.%2eEfFab~")), 0, 20, -1).Draw(t, "path")
		once := Normalise(path)
		if again := Normalise(once); again != once {
			t.Fatalf("%q, then %q", once, again)
		}
		for _, s := range strings.Split(once, "/") {
			if s == "." || s == ".." {
				t.Fatalf("%q has a dot segment", once)
			}
		}
		if strings.Contains(once, "//") {
			t.Fatalf("%q has two slashes", once)
		}
	})
}

func TestReference(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "from the environment")
	vault, plain := "{vault://env/redis-password}", "plain"
	for _, tc := range []struct {
		value *string
		want  string
	}{{nil, ""}, {&plain, "plain"}, {&vault, "from the environment"}} {
		if got := Reference(tc.value); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if file, err := Parse(text); err == nil {
			NewRouter(file).Find("GET", "/x")
		}
	})
}
