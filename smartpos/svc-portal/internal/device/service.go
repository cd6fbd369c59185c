package device

import (
	"context"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

// Service lets terminals in.
type Service struct {
	DB        *DB
	Ring      *signing.Ring
	Audiences []string // addresses of the token endpoint that assertions may name, besides Audience
	// Failures counts wrong activation codes by source: guessing is slow, activating a shop's worth of terminals is not.
	Failures *access.Limiter
}

// Token answers a token request: an access token for the terminal whose key signed the assertion.
func (s *Service) Token(ctx context.Context, request TokenRequest) (string, error) {
	if err := request.check(); err != nil {
		return "", err
	}
	client, err := claimedClient(request.Assertion)
	if err != nil {
		return "", err
	}
	if request.ClientID != "" && request.ClientID != client {
		return "", invalidClient("client_id and sub must be the same")
	}
	t, err := s.DB.Authenticate(ctx, client, request.Assertion, append([]string{Audience}, s.Audiences...))
	if err != nil {
		return "", err
	}
	token, err := s.Ring.Sign(ctx, signing.Device, jwt.NewBuilder().Subject(t.ClientID).JwtID(uuid.NewString()).
		Claim("device_id", t.ID.String()).Claim("psp_id", t.PSPID.String()).
		Claim("merchant_id", t.MerchantID.String()).Claim("store_id", t.StoreID.String()))
	if err != nil {
		return "", problem.Unavailable.New("No token can be issued just now.").Wrap(err)
	}
	return token, nil
}

// TokenRequest is an OAuth 2.0 token request with a client assertion.
type TokenRequest struct{ GrantType, ClientID, AssertionType, Assertion string }

func (r TokenRequest) check() error {
	switch {
	case r.GrantType == "":
		return InvalidRequest.Field("grant_type", "it is missing").With("error", "invalid_request")
	case r.GrantType != "client_credentials":
		return GrantType.Field("grant_type", "it must be client_credentials").With("error", "unsupported_grant_type")
	case r.AssertionType != AssertionType:
		return InvalidRequest.Field("client_assertion_type", "it must be %s", AssertionType).With("error", "invalid_request")
	case r.Assertion == "":
		return InvalidRequest.Field("client_assertion", "it is missing").With("error", "invalid_request")
	}
	return nil
}

// About is what a terminal tells of itself when it is activated.
type About struct {
	SerialNumber string `json:"serial_number,omitempty" maxLength:"64"`
	Model        string `json:"model,omitempty" maxLength:"100"`
	OSVersion    string `json:"os_version,omitempty" maxLength:"100"`
}
