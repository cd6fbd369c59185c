// Package gateway holds kong.template.yml, the one source of the platform's outside routes, and fills it in: addresses of the
// environment and the public keys that svc-portal signs with at the moment.
package gateway

import (
	"cmp"
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

//go:embed kong.template.yml
var template string

// Values are what differs between environments.
type Values struct {
	PortalURL, SmarttabURL string
	RedisHost              string
	RedisPort              int
	RedisTLS, RedisAuth    bool
	OpenLimit              int     // requests a minute from one address on routes without a token
	TracesEndpoint         string  // empty: tracing is off
	TracesAuth             bool    // let in there with what the gateway has in OTLP_AUTHORIZATION, and _OTHER while the token changes
	TracesSampling         float64 // share of the traces that begin here, 0 to 1; the services follow
	TracesService          string  // service.name of the gateway's spans
}

// Defaults are those of one machine.
func Defaults() Values {
	return Values{
		PortalURL: "http://127.0.0.1:8002", SmarttabURL: "http://127.0.0.1:8081", RedisHost: "127.0.0.1", RedisPort: 6379, OpenLimit: 1000,
		TracesSampling: 1, TracesService: "kong",
	}
}

// Keys are the public keys of the two kinds of token. While a key rotates, old and new are in it.
type Keys struct {
	Users, Devices []Key
}

// Key is one public key as Kong's jwt_secrets take it.
type Key struct {
	ID        string `json:"key"`
	Algorithm string `json:"algorithm"`
	PEM       string `json:"rsa_public_key"` // EC keys too: Kong has one field for both
}

// Where svc-portal publishes its keys.
const (
	userKeysPath   = "/api/v1/jwks/human"
	deviceKeysPath = "/api/v1/jwks/device"
	keysTimeout    = 5 * time.Second
	keysLimit      = 256 << 10
)

// FetchKeys asks svc-portal for its current keys.
func FetchKeys(ctx context.Context, portalURL string) (Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	users, err1 := fetch(ctx, portalURL+userKeysPath, "RS256")
	devices, err2 := fetch(ctx, portalURL+deviceKeysPath, "ES256")
	if err := errors.Join(err1, err2); err != nil {
		return Keys{}, fmt.Errorf("public keys: %w", err)
	}
	return Keys{Users: users, Devices: devices}, nil
}

func fetch(ctx context.Context, url, algorithm string) ([]Key, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, keysLimit))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return ParseJWKS(body, algorithm)
}

// ParseJWKS reads a key set. Each key must have a kid: it is what Kong finds the key by.
func ParseJWKS(text []byte, algorithm string) ([]Key, error) {
	set, err := jwk.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := make([]Key, 0, set.Len())
	for i := range set.Len() {
		key, _ := set.Key(i)
		id, named := key.KeyID()
		if !named {
			return nil, errors.New("key set: a key has no kid")
		}
		public, err := key.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", id, err)
		}
		var raw any
		if err := jwk.Export(public, &raw); err != nil {
			return nil, fmt.Errorf("key %s: %w", id, err)
		}
		der, err := x509.MarshalPKIXPublicKey(raw)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", id, err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		keys = append(keys, Key{ID: id, Algorithm: algorithm, PEM: string(text)})
	}
	// In one order, whatever the set's: a file that has not changed is not loaded again.
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return keys, nil
}

var placeholder = regexp.MustCompile(`\$\{([A-Z_]+)\}`)

// Render fills the template in and checks the outcome as the edge would.
func Render(v Values, keys Keys) ([]byte, error) {
	values, err := v.placeholders(keys)
	if err != nil {
		return nil, err
	}
	var unknown []string
	text := placeholder.ReplaceAllStringFunc(template, func(match string) string {
		value, known := values[match[2:len(match)-1]]
		if !known {
			unknown = append(unknown, match)
		}
		return value
	})
	if len(unknown) > 0 {
		return nil, fmt.Errorf("kong.template.yml: nothing is known for %s", strings.Join(unknown, ", "))
	}
	if _, err := kong.Parse([]byte(text)); err != nil {
		return nil, fmt.Errorf("kong.template.yml: %w", err)
	}
	return []byte(text), nil
}

func (v Values) placeholders(keys Keys) (map[string]string, error) {
	users, err1 := flow(keys.Users)
	devices, err2 := flow(keys.Devices)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	password := "null"
	if v.RedisAuth {
		password = `"{vault://env/redis-password}"` //nolint:gosec // where the password is, not what it is
	}
	headers := "{}"
	if v.TracesAuth {
		headers = `{Authorization: "{vault://env/otlp-authorization}", X-Mpac-Otlp-Authorization: "{vault://env/otlp-authorization-other}"}`
	}
	endpoint := cmp.Or(v.TracesEndpoint, "http://127.0.0.1:4318/v1/traces") // the field is required, on or off
	return map[string]string{
		"PORTAL_URL": strings.TrimSuffix(v.PortalURL, "/"), "SMARTTAB_URL": strings.TrimSuffix(v.SmarttabURL, "/"),
		"REDIS_HOST": v.RedisHost, "REDIS_PORT": strconv.Itoa(v.RedisPort), "REDIS_SSL": strconv.FormatBool(v.RedisTLS),
		"REDIS_PASSWORD": password, "OPEN_LIMIT": strconv.Itoa(v.OpenLimit),
		"TRACING": strconv.FormatBool(v.TracesEndpoint != ""), "TRACES_ENDPOINT": endpoint, "TRACES_HEADERS": headers,
		"TRACES_SAMPLING": strconv.FormatFloat(v.TracesSampling, 'f', -1, 64), "TRACES_SERVICE": cmp.Or(v.TracesService, "kong"),
		"USER_KEYS": users, "DEVICE_KEYS": devices,
	}, nil
}

// flow writes keys as a YAML flow sequence, which JSON is.
func flow(keys []Key) (string, error) {
	if len(keys) == 0 {
		return "[]", nil
	}
	lines := make([]string, len(keys))
	for i, key := range keys {
		text, err := json.Marshal(key)
		if err != nil {
			return "", fmt.Errorf("key %s: %w", key.ID, err)
		}
		lines[i] = "\n      " + string(text)
	}
	return "[" + strings.Join(lines, ",") + "\n    ]", nil
}
