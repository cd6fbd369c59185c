package signing

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// keySet is a JWKS as it travels (RFC 7517).
type keySet struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Keys []verificationKey `json:"keys" nullable:"false"`
	}
}

type verificationKey struct {
	KeyType   string `json:"kty" enum:"RSA,EC"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"RS256,ES256"`
	KeyID     string `json:"kid"`
	N         string `json:"n,omitempty" doc:"RSA modulus"`
	E         string `json:"e,omitempty" doc:"RSA exponent"`
	Curve     string `json:"crv,omitempty" doc:"EC curve"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
}

// Register adds the public key sets.
func Register(api huma.API, ring *Ring) {
	for kind, path := range map[Kind]string{Human: access.HumanKeysPath, Device: access.DeviceKeysPath} {
		huma.Register(api, access.Open().On(huma.Operation{
			OperationID: "jwks-" + string(kind), Method: http.MethodGet, Path: path, Tags: []string{"Keys"},
			Summary:     "Public keys of the " + string(kind) + " access tokens",
			Description: "A JWKS: the key that signs, those whose tokens are not over yet, and the one that will sign next.",
		}), func(ctx context.Context, _ *struct{}) (*keySet, error) {
			set, err := ring.Public(kind)(ctx)
			if err != nil {
				return nil, problem.Unavailable.New("The keys cannot be read just now.").Wrap(err)
			}
			raw, err := json.Marshal(set)
			if err != nil {
				return nil, err
			}
			// Half the time that verifiers keep them, so that caches on the way do not add up beyond the publishing wait.
			out := keySet{CacheControl: "public, max-age=60"}
			return &out, json.Unmarshal(raw, &out.Body)
		})
	}
}
