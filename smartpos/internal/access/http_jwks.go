package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/mpac-cloud/mpac/platform/failpoint"
)

// Paths under which svc-portal publishes its public keys.
const (
	HumanKeysPath  = "/api/v1/jwks/human"
	DeviceKeysPath = "/api/v1/jwks/device"
)

// Config is what a service that verifies tokens needs to know.
type Config struct {
	PortalURL string `env:"PORTAL_URL,required,notEmpty" doc:"address of svc-portal, whose public keys verify access tokens, as http://localhost:8002"`
}

// maxJWKS bounds the answer: a handful of keys.
const maxJWKS = 256 << 10

// FromURL asks for the keys at url.
func FromURL(client *http.Client, url string) KeySource {
	return func(ctx context.Context) (jwk.Set, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		failpoint.Hit("access.jwks.before")
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		failpoint.Hit("access.jwks.after")
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answered %s", url, response.Status)
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, maxJWKS))
		if err != nil {
			return nil, err
		}
		set, err := jwk.Parse(body)
		if err != nil {
			return nil, err
		}
		return set, onlyPublic(set)
	}
}

// onlyPublic refuses a set with a key that could sign: an issuer that publishes one has lost it.
func onlyPublic(set jwk.Set) error {
	for i := range set.Len() {
		key, _ := set.Key(i)
		private, err := jwk.IsPrivateKey(key)
		if err != nil || private {
			return errors.New("the key set holds a key that is not public")
		}
	}
	return nil
}
