// Package openapitest holds a service's answers against the OpenAPI document that it serves.
//
//	contract := openapitest.Of(t, server.Engine) // fails when the document is no valid OpenAPI 3.1
//	handler := contract.Handler(t, server.Engine) // every answer through it is checked
//	client := &http.Client{Transport: contract.Transport(t, nil)} // the same from the outside
//
// An answer does not conform when its path, status or media type is not in the document, or its body does not fit the
// schema. Answers that any route may give before its handler runs (no such path, body too large, ...) need not be named
// by each operation; they are held against the form of a problem document.
package openapitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// Contract is a service's OpenAPI document.
type Contract struct {
	mu        sync.Mutex // the validator's caches are not for concurrent use
	validator validator.Validator
	document  Document
}

// Document is the part of an OpenAPI document that tests ask for.
type Document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string                `json:"operationId"`
		Security    []map[string][]string `json:"security"`
		Responses   map[string]any        `json:"responses"`
	} `json:"paths"`
}

// Of reads /openapi.json from the handler and fails the test when it is no valid OpenAPI 3.1.
func Of(tb testing.TB, h http.Handler) *Contract {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	if w.Code != http.StatusOK {
		tb.Fatalf("GET /openapi.json: %d", w.Code)
	}
	return Parse(tb, w.Body.Bytes())
}

// Parse is Of for a document that is at hand.
func Parse(tb testing.TB, raw []byte) *Contract {
	tb.Helper()
	c := &Contract{}
	if err := json.Unmarshal(raw, &c.document); err != nil {
		tb.Fatalf("/openapi.json: %v", err)
	}
	if !strings.HasPrefix(c.document.OpenAPI, "3.1") {
		tb.Fatalf("/openapi.json is OpenAPI %q, want 3.1", c.document.OpenAPI)
	}
	document, err := libopenapi.NewDocument(raw)
	if err != nil {
		tb.Fatalf("/openapi.json: %v", err)
	}
	v, errs := validator.NewValidator(document, config.WithoutSecurityValidation(), config.WithFormatAssertions())
	for _, err := range errs {
		tb.Fatalf("/openapi.json: %v", err)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		tb.Fatalf("/openapi.json is no valid OpenAPI 3.1:\n%s", story(errs))
	}
	c.validator = v
	return c
}

// Document is what was read.
func (c *Contract) Document() Document { return c.document }

// Handler checks every answer of h.
func (c *Contract) Handler(tb testing.TB, h http.Handler) http.Handler {
	tb.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := &recorder{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(recorded, r)
		c.Check(tb, r, recorded.status, w.Header(), recorded.body.Bytes())
	})
}

// recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write keeps what is written.
func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer behind.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Transport checks every answer that comes through it; base nil is http.DefaultTransport.
func (c *Contract) Transport(tb testing.TB, base http.RoundTripper) http.RoundTripper {
	tb.Helper()
	if base == nil {
		base = http.DefaultTransport
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := base.RoundTrip(r)
		if err != nil {
			return response, err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		response.Body = io.NopCloser(bytes.NewReader(body))
		if err == nil {
			c.Check(tb, r, response.StatusCode, response.Header, body)
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is f.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// outside are the paths that are not part of the API.
var outside = []string{"/health", "/ready", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml", "/docs"}

// anywhere are the statuses of refusals that come before, or instead of, an operation's own answers.
var anywhere = []int{
	http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusRequestTimeout,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// Check fails the test when the answer to r does not conform.
func (c *Contract) Check(tb testing.TB, r *http.Request, status int, header http.Header, body []byte) {
	tb.Helper()
	if slices.Contains(outside, r.URL.Path) || strings.HasPrefix(r.URL.Path, "/docs/") || r.Method == http.MethodOptions {
		return
	}
	if status >= http.StatusBadRequest {
		if reason := badProblem(status, header, body); reason != "" {
			tb.Errorf("%s %s answered %d with no problem document: %s\n%s", r.Method, r.URL.Path, status, reason, body)
			return
		}
		if slices.Contains(anywhere, status) {
			return
		}
	}
	response := &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
	asked := r.Clone(r.Context())
	asked.Body = http.NoBody
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok, errs := c.validator.ValidateHttpResponse(asked, response); !ok {
		tb.Errorf("%s %s answered %d, which is not in /openapi.json like this:\n%s%s", r.Method, r.URL.Path, status, story(errs), body)
	}
}

// badProblem says what keeps body from being a problem document of the status.
func badProblem(status int, header http.Header, body []byte) string {
	if got := header.Get("Content-Type"); got != problem.ContentType {
		return "Content-Type " + got
	}
	var p problem.Document
	switch err := json.Unmarshal(body, &p); {
	case err != nil:
		return err.Error()
	case p.Status != status || p.Code == "" || p.Title == "" || p.Type != "urn:mpac:problem:"+p.Code:
		return "type, title, status or code is wrong"
	}
	return ""
}

func story(errs []*validation.ValidationError) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString("  " + e.Message + ": " + e.Reason + "\n")
		for _, s := range e.SchemaValidationErrors {
			b.WriteString("    " + s.FieldPath + ": " + s.Reason + "\n")
		}
	}
	return b.String()
}
