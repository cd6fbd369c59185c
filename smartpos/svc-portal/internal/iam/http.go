package iam

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
	"github.com/mpac-cloud/mpac/smartpos/svc-portal/internal/signing"
)

const prefix = "/api/v1"

func operation(rule access.Rule, id, method, path, tag, summary string) huma.Operation {
	return rule.On(huma.Operation{OperationID: id, Method: method, Path: prefix + path, Summary: summary, Tags: []string{tag}})
}

// created marks an operation that makes something.
func created(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	return op
}

// quiet marks an operation that answers with nothing.
func quiet(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusNoContent
	return op
}

// knownCookie is the name of the cookie that marks a browser the user has signed in from.
const knownCookie = "mpac_known_device"

type loginInput struct {
	Known string `cookie:"mpac_known_device" maxLength:"100"`
	Body  struct {
		Email    string `json:"email" minLength:"3" maxLength:"254"`
		Password string `json:"password" minLength:"1" maxLength:"200"`
	}
}

// TokensBody is what a complete sign-in answers.
type TokensBody struct {
	AccessToken  string `json:"access_token,omitempty" doc:"JWT, RS256"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Opaque; good for one exchange"`
	TokenType    string `json:"token_type,omitempty" enum:"Bearer"`
	ExpiresIn    int    `json:"expires_in,omitempty" doc:"Seconds until the access token is over"`
}

type loginBody struct {
	TokensBody
	MFARequired       bool     `json:"mfa_required,omitempty" doc:"The password was right; a second factor is asked for"`
	MFAToken          string   `json:"mfa_token,omitempty" doc:"Give it with the code, within five minutes"`
	Methods           []string `json:"methods,omitempty" enum:"totp"`
	EnrolmentRequired bool     `json:"enrolment_required,omitempty" doc:"There is no second factor yet: enrol one first"`
}

type loginOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      loginBody
}

type tokensOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      TokensBody
}

func bodyOf(t *Tokens) TokensBody {
	return TokensBody{AccessToken: t.Access, RefreshToken: t.Refresh, TokenType: "Bearer", ExpiresIn: int(signing.HumanTokenLife.Seconds())}
}

// cookies marks the browser. It is not Secure by itself on one machine, where there is no TLS; the gateway's origin is https.
func cookies(t *Tokens, secure bool) []http.Cookie {
	if t.Known == "" {
		return nil
	}
	return []http.Cookie{{ //nolint:gosec // Secure wherever there is TLS
		Name: knownCookie, Value: t.Known, Path: "/", MaxAge: int(knownLife.Seconds()), HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteStrictMode,
	}}
}

type enrolInput struct {
	Body struct {
		MFAToken string `json:"mfa_token" minLength:"1" maxLength:"100"`
	}
}

type enrolOutput struct {
	Body struct {
		Secret     string `json:"secret" doc:"Base32, for the authenticator app; shown once"`
		OTPAuthURL string `json:"otpauth_url" doc:"The same as an address, for a QR code"`
	}
}

type verifyInput struct {
	Known string `cookie:"mpac_known_device" maxLength:"100"`
	Body  struct {
		MFAToken string `json:"mfa_token" minLength:"1" maxLength:"100"`
		Method   string `json:"method" enum:"totp"`
		Code     string `json:"code" pattern:"^[0-9]{6}$" doc:"Six digits"`
	}
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" minLength:"1" maxLength:"100"`
	}
}

// Register adds the operations of signing in and of the users. secure: browsers reach it by https.
func Register(api huma.API, s *Service, secure bool) {
	beginAtZero()
	registerSignIn(api, s, secure)
	registerSessions(api, s)
	registerUsers(api, s)
}

func registerSignIn(api huma.API, s *Service, secure bool) {
	const tag = "Sign-in"
	huma.Register(api, operation(access.Open(), "login", http.MethodPost, "/auth/user/login", tag, "Sign in with a password"),
		func(ctx context.Context, in *loginInput) (*loginOutput, error) {
			outcome, err := s.Login(ctx, in.Body.Email, in.Body.Password, in.Known)
			countPassword(ctx, outcome, err)
			if err != nil {
				return nil, err
			}
			if outcome.Tokens != nil {
				return &loginOutput{SetCookie: cookies(outcome.Tokens, secure), Body: loginBody{TokensBody: bodyOf(outcome.Tokens)}}, nil
			}
			return &loginOutput{Body: loginBody{
				MFARequired: true, MFAToken: outcome.Challenge, Methods: []string{"totp"}, EnrolmentRequired: outcome.EnrolmentRequired,
			}}, nil
		})
	huma.Register(api, operation(access.Open(), "enrol-mfa", http.MethodPost, "/auth/user/mfa/enrol", tag, "Begin to enrol a second factor"),
		func(ctx context.Context, in *enrolInput) (*enrolOutput, error) {
			enrolment, err := s.Enrol(ctx, in.Body.MFAToken)
			if err != nil {
				return nil, err
			}
			out := enrolOutput{}
			out.Body.Secret, out.Body.OTPAuthURL = enrolment.Secret, enrolment.URL
			return &out, nil
		})
	huma.Register(api, operation(access.Open(), "verify-mfa", http.MethodPost, "/auth/user/mfa/verify", tag, "Sign in with the second factor"),
		func(ctx context.Context, in *verifyInput) (*tokensOutput, error) {
			tokens, err := s.Verify(ctx, in.Body.MFAToken, in.Body.Code, in.Known)
			countCodeStep(ctx, err)
			if err != nil {
				return nil, err
			}
			return &tokensOutput{SetCookie: cookies(tokens, secure), Body: bodyOf(tokens)}, nil
		})
	huma.Register(api, operation(access.Open(), "refresh", http.MethodPost, "/auth/user/refresh", tag, "Exchange a refresh token"),
		func(ctx context.Context, in *refreshInput) (*tokensOutput, error) {
			tokens, err := s.Refresh(ctx, in.Body.RefreshToken)
			if err != nil {
				return nil, err
			}
			return &tokensOutput{Body: bodyOf(tokens)}, nil
		})
	huma.Register(api, quiet(operation(access.Open(), "logout", http.MethodPost, "/auth/user/logout", tag, "Sign out: end the refresh token's session")),
		func(ctx context.Context, in *refreshInput) (*struct{}, error) {
			return nil, s.DB.Logout(ctx, in.Body.RefreshToken)
		})
}
