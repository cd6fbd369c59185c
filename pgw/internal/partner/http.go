package partner

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/platform/hmacsig"
	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/postgres"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// The security schemes' names in the OpenAPI document.
const (
	schemeHMAC  = "hmac"
	schemeToken = "payment_token"
)

// Schemes describe the credentials for the OpenAPI document.
func Schemes() map[string]*huma.SecurityScheme {
	return map[string]*huma.SecurityScheme{
		schemeHMAC: {
			Type: "apiKey", In: "header", Name: "Authorization",
			Description: "`HMAC-SHA256 <api_key>:<timestamp>:<signature>`: the lower-case hex HMAC-SHA256 over METHOD, PATH (as sent, without " +
				"the query), TIMESTAMP and the hex SHA-256 of the body, joined by newlines. The key is the 64 ASCII characters of the hex " +
				"SHA-256 of your secret. TIMESTAMP is Unix seconds, within 5 minutes of ours.\n\n" +
				"Better, `HMAC-SHA256-2 <api_key>:<timestamp>:<nonce>:<signature>`, over METHOD, PATH, sorted raw query, TIMESTAMP, nonce, " +
				"Idempotency-Key (or empty) and the hash of the body.",
		},
		schemeToken: {
			Type: "http", Scheme: "bearer",
			Description: "A payment token: opens retrieve, confirm and cancel of its one PaymentIntent. `Authorization: Bearer`, or " +
				"`payment_token` in the query of a GET or the body of a POST. Valid until five minutes after the PaymentIntent is final.",
		},
	}
}

// ByHMAC is the Security of operations for partners' servers.
func ByHMAC() []map[string][]string { return []map[string][]string{{schemeHMAC: {}}} }

// ByHMACOrToken is the Security of operations that a payment token opens too.
func ByHMACOrToken() []map[string][]string {
	return []map[string][]string{{schemeHMAC: {}}, {schemeToken: {}}}
}

// Open is the Security of operations that need no credentials.
func Open() []map[string][]string { return []map[string][]string{} }

// Authenticate is the middleware that lets nobody in whom the operation's Security does not: an operation that states none is
// closed.
func (s *Store) Authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		security := ctx.Operation().Security
		if security != nil && len(security) == 0 {
			next(ctx)
			return
		}
		call, err := s.authenticate(ctx, security)
		mark(ctx.Context(), call, err)
		if err != nil {
			refuse(api, ctx, err)
			return
		}
		next(huma.WithContext(ctx, With(ctx.Context(), call)))
	}
}

func (s *Store) authenticate(ctx huma.Context, security []map[string][]string) (Call, error) {
	request := humagin.Unwrap(ctx).Request
	body, err := readBody(request)
	if err != nil {
		return Call{}, err
	}
	call := Call{Method: request.Method, Path: request.URL.Path, Body: body, IdempotencyKey: request.Header.Get("Idempotency-Key")}
	header := request.Header.Get("Authorization")
	token := paymentToken(ctx, header, body)
	switch {
	case strings.HasPrefix(header, "HMAC-") && accepts(security, schemeHMAC):
		return s.byHMAC(ctx, call, header)
	case token != "" && accepts(security, schemeToken):
		return s.byToken(ctx, call, token)
	case token != "" && header != "":
		return Call{}, TokenNotAccepted.New("Sign the request with an API key.")
	case header != "":
		return Call{}, AuthMalformed.New("Send HMAC-SHA256 <api_key>:<timestamp>:<signature>.")
	}
	return Call{}, CredentialsMissing.New("Sign the request with an API key.")
}

// readBody reads the whole body once, within the server's limit, and puts it back for the handler.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, problem.TooLarge.New("The body is larger than %d bytes.", large.Limit)
		}
		return nil, problem.Malformed.New("The body could not be read.").Wrap(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

func accepts(security []map[string][]string, scheme string) bool {
	return slices.ContainsFunc(security, func(alternative map[string][]string) bool {
		_, ok := alternative[scheme]
		return ok
	})
}

func (s *Store) byHMAC(ctx huma.Context, call Call, header string) (Call, error) {
	credential, err := hmacsig.Parse(header)
	if err != nil {
		return Call{}, AuthMalformed.New("Send HMAC-SHA256 <api_key>:<timestamp>:<signature>.")
	}
	// Also of a call that is refused: whoever looks into it must find out whose key it was.
	call.APIKey = credential.APIKey
	key, err := s.Key(ctx.Context(), credential.APIKey)
	if err != nil {
		return call, err
	}
	message := hmacsig.MessageOf(humagin.Unwrap(ctx).Request, call.Body)
	if err := key.Verify(credential, message, s.now()); err != nil {
		return call, err
	}
	call.Identity = Identity{PartnerID: key.PartnerID, Mode: key.Mode, APIKey: key.APIKey}
	call.Signature, call.SignedAt = credential.Signature, time.Unix(credential.Timestamp, 0).UTC()
	return call, nil
}

func (s *Store) byToken(ctx huma.Context, call Call, token string) (Call, error) {
	intentID, ok := TokenIntent(token)
	if !ok {
		return Call{}, TokenInvalid.New("It is not a payment token.")
	}
	row, err := s.tokenRow(ctx.Context(), intentID)
	if err != nil && !postgres.IsNoRows(err) {
		return Call{}, err
	}
	if err := row.verify(token, s.now()); err != nil {
		return Call{}, err
	}
	if ctx.Param("id") != intentID {
		return Call{}, TokenNotAccepted.New("The token belongs to another PaymentIntent.")
	}
	call.Identity = Identity{PartnerID: row.partnerID, Mode: row.mode, IntentID: intentID, MerchantID: row.merchantID}
	return call, nil
}

// paymentToken looks where a token may be: the header, the query of a GET, the body of a POST.
func paymentToken(ctx huma.Context, header string, body []byte) string {
	if token, ok := strings.CutPrefix(header, "Bearer "); ok {
		return token
	}
	if ctx.Method() == http.MethodGet {
		return ctx.Query("payment_token")
	}
	var in struct {
		Token string `json:"payment_token"`
	}
	// A body that is no JSON is the handler's to refuse.
	_ = json.Unmarshal(body, &in)
	return in.Token
}

func refuse(api huma.API, ctx huma.Context, err error) {
	e := problem.From(err)
	if e.GetStatus() == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `HMAC-SHA256, Bearer realm="payment_token"`)
	}
	_ = huma.WriteErr(api, ctx, e.GetStatus(), e.Detail(), e)
}

// tokenRoutes end like this: what browsers may call.
var tokenRoutes = []string{"", "/confirm", "/cancel"}

// CORS answers browsers on the payment token's routes, for the origins that the intent's partner has named.
func (s *Store) CORS(c *gin.Context) {
	origin := c.GetHeader("Origin")
	intentID, ok := tokenRoute(c.Request.URL.Path)
	if origin == "" || !ok {
		c.Next()
		return
	}
	c.Header("Vary", "Origin")
	row, err := s.tokenRow(c.Request.Context(), intentID)
	if err != nil && !postgres.IsNoRows(err) {
		httpserver.WriteProblem(c, err)
		return
	}
	allowed := slices.Contains(row.origins, origin) || slices.Contains(row.origins, "*")
	if allowed {
		c.Header("Access-Control-Allow-Origin", origin)
		c.Header("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset")
	}
	if c.Request.Method != http.MethodOptions {
		c.Next()
		return
	}
	if allowed {
		c.Header("Access-Control-Allow-Methods", "GET, POST")
		c.Header("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, X-Request-Id, traceparent")
		c.Header("Access-Control-Max-Age", "600")
	}
	c.AbortWithStatus(http.StatusNoContent)
}

func tokenRoute(path string) (intentID string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/v1/payment_intents/")
	if !ok {
		return "", false
	}
	intentID, tail := rest, ""
	if cut := strings.IndexByte(rest, '/'); cut >= 0 {
		intentID, tail = rest[:cut], rest[cut:]
	}
	return intentID, slices.Contains(tokenRoutes, tail)
}
