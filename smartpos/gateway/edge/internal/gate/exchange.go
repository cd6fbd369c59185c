// Package gate does at the edge what Kong's plugins do: each plugin is a step that lets a request go on or answers it.
package gate

import (
	"encoding/json"
	"net/http"
	"net/netip"

	"github.com/mpac-cloud/mpac/smartpos/gateway/internal/kong"
)

// Exchange is one request on its way through the steps.
type Exchange struct {
	Writer  http.ResponseWriter
	Request *http.Request
	// Client is who asked, after trusted proxies.
	Client netip.Addr
	// Answer holds headers that go out with whatever answer is given, over those of the service.
	Answer http.Header
	// Varies is set when the answer depends on the request's Origin.
	Varies bool
	// ID is the correlation id, empty without that plugin.
	ID string
	// Consumer and Credential are the verified token's, empty on open routes.
	Consumer, Credential string
	// Source is who answered: "service", a plugin by "exit", or the edge itself by "error".
	Source string
}

// NewExchange begins one.
func NewExchange(w http.ResponseWriter, r *http.Request, client netip.Addr) *Exchange {
	return &Exchange{Writer: w, Request: r, Client: client, Answer: http.Header{}, Source: "service"}
}

// Step is a plugin at work. It returns false when it has answered.
type Step func(*Exchange) bool

// Steps are a route's plugins in the order that Kong gives them (by their priorities).
func Steps(p kong.Plugins, keys Keys, counters *Counters) []Step {
	var steps []Step
	if p.CorrelationID != nil {
		steps = append(steps, correlation(p.CorrelationID))
	}
	if p.CORS != nil {
		steps = append(steps, cors(p.CORS))
	}
	if p.JWT != nil {
		steps = append(steps, token(p.JWT, keys, counters.now))
	}
	if p.SizeLimiting != nil {
		steps = append(steps, size(p.SizeLimiting))
	}
	if p.RateLimiting != nil {
		steps = append(steps, counters.rate(p.RateLimiting))
	}
	return steps
}

// Exit answers as a plugin does, with a body of its own. It returns false, for a step to return.
func (x *Exchange) Exit(status int, body any) bool {
	x.Source = "exit"
	x.write(status, body)
	return false
}

// Fail answers as the gateway does itself: a message and the request's id.
func (x *Exchange) Fail(status int, message string) bool {
	x.Source = "error"
	x.write(status, struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id,omitempty"`
	}{message, x.ID})
	return false
}

type message struct {
	Message string `json:"message"`
}

func (x *Exchange) write(status int, body any) {
	h := x.Writer.Header()
	x.Dress(h)
	if body == nil {
		h.Set("Content-Length", "0")
		x.Writer.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"message":"An unexpected error occurred"}`)
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	x.Writer.WriteHeader(status)
	if x.Request.Method != http.MethodHead {
		_, _ = x.Writer.Write(text) // the client may be gone
	}
}

// Dress puts the steps' headers on an answer.
func (x *Exchange) Dress(h http.Header) {
	for name, values := range x.Answer {
		h[name] = values
	}
	if x.Varies {
		h.Add("Vary", "Origin")
	}
}
