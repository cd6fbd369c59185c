// Package api speaks HTTP with the platform's services as any client would: JSON, problem documents, tokens, terminals' keys.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Client calls one base address with one token.
type Client struct {
	Base  string
	Token string
	// Sign sets what the receiver wants to see besides, over the body that is sent; may be nil.
	Sign func(r *http.Request, body []byte)
}

// Request is a call.
type Request struct {
	Method, Path string
	Query        url.Values
	Body         any    // JSON; url.Values as a form
	Key          string // Idempotency-Key
}

// Problem is an answer other than 2xx.
type Problem struct {
	Method, Path string
	Status       int
	Code         string `json:"code"`
	Title        string `json:"title"`
	Detail       string `json:"detail"`
	RequestID    string `json:"request_id"`
	Message      string `json:"message"` // the gateway's own
	Errors       []struct {
		Location string `json:"location"`
		Field    string `json:"field"`
		Message  string `json:"message"`
	} `json:"errors"`
	Body string `json:"-"`
}

// Error is one line that a person can act on.
func (p *Problem) Error() string {
	said := strings.TrimSpace(p.Code + " " + p.Detail + p.Message)
	if said == "" {
		said = p.Body
	}
	for _, e := range p.Errors {
		said += fmt.Sprintf("; %s%s %s", e.Location, e.Field, e.Message)
	}
	if p.RequestID != "" {
		said += " (request " + p.RequestID + ")"
	}
	return fmt.Sprintf("%s %s: %d %s", p.Method, p.Path, p.Status, said)
}

// Is tells problems apart by code.
func Is(err error, code string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Code == code
}

// Status is the HTTP status of a Problem; 0 for any other error.
func Status(err error) int {
	var p *Problem
	if errors.As(err, &p) {
		return p.Status
	}
	return 0
}

// client carries the trace of the command that calls: seen from the platform, that is the terminal's.
var client = &http.Client{Timeout: 60 * time.Second, Transport: otelhttp.NewTransport(http.DefaultTransport)}

// Do calls and decodes the answer into out, unless that is nil. Answers other than 2xx are a *Problem.
func (c Client) Do(ctx context.Context, r Request, out any) error {
	body, kind, err := encode(r.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	address := c.Base + r.Path
	if len(r.Query) > 0 {
		address += "?" + r.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if r.Key != "" {
		request.Header.Set("Idempotency-Key", r.Key)
	}
	if c.Sign != nil {
		c.Sign(request, body)
	}
	answer, err := client.Do(request) //nolint:bodyclose // read closes it
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	return read(answer, r, out)
}

func encode(body any) (text []byte, contentType string, err error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return []byte(b.Encode()), "application/x-www-form-urlencoded", nil
	}
	text, err = json.Marshal(body)
	return text, "application/json", err
}

func read(answer *http.Response, r Request, out any) error {
	defer func() { _ = answer.Body.Close() }()
	const most = 16 << 20
	text, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	if answer.StatusCode/100 != 2 {
		p := &Problem{}
		_ = json.Unmarshal(text, p) // no problem document: the body itself then
		p.Method, p.Path, p.Status, p.Body = r.Method, r.Path, answer.StatusCode, string(text[:min(len(text), 300)])
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s %s: the answer can't be read: %w", r.Method, r.Path, err)
	}
	return nil
}

// Get reads.
func (c Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.Do(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, out)
}

// Post creates, under a key.
func (c Client) Post(ctx context.Context, path, key string, body, out any) error {
	return c.Do(ctx, Request{Method: http.MethodPost, Path: path, Key: key, Body: body}, out)
}

// Put replaces.
func (c Client) Put(ctx context.Context, path string, body, out any) error {
	return c.Do(ctx, Request{Method: http.MethodPut, Path: path, Body: body}, out)
}
