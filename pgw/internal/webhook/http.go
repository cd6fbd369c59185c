package webhook

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// PayPay gives up after 1.5 seconds and sends again.
const answerWithin = 1200 * time.Millisecond

// maxBody is the largest notification taken, in bytes.
const maxBody = 64 << 10

// Register adds POST /v1/providers/{provider}/webhooks to the API. It is open: the provider's adapter checks the sender.
func Register(api huma.API, s *Service) {
	huma.Register(api, huma.Operation{
		OperationID: "receive-provider-webhook", Method: http.MethodPost, Path: "/v1/providers/{provider}/webhooks",
		Summary: "Take a provider's notification", Tags: []string{"Providers"}, Security: []map[string][]string{}, MaxBodyBytes: maxBody,
		Description: "For payment providers. The sender is checked as the provider's documents say. What a notification claims is never believed: it makes the gateway ask the provider.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *input) (*output, error) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		err := s.Receive(ctx, in.Provider, provider.WebhookRequest{Header: in.header, Body: in.RawBody, SourceIP: in.source})
		if ctx.Err() != nil {
			return nil, problem.Unavailable.New("Send it again.").Wrap(err)
		}
		if err != nil {
			return nil, err
		}
		return &output{Body: received{true}}, nil
	})
}

type input struct {
	Provider string `path:"provider" pattern:"^[a-z_]{1,32}$" example:"paypay"`
	Body     map[string]any
	RawBody  []byte
	header   http.Header
	source   string
}

// Resolve takes what huma does not hand on.
func (in *input) Resolve(ctx huma.Context) []error {
	c := humagin.Unwrap(ctx)
	in.header, in.source = c.Request.Header, c.ClientIP()
	return nil
}

type received struct {
	Received bool `json:"received"`
}

type output struct{ Body received }
