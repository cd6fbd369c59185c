// Package problem is the one form in which every service says what is wrong: RFC 9457 problem documents with a stable code,
// the field at fault and the request's id.
//
// A package defines the kinds of error that only it knows as package variables; the kinds here are everybody's. Handlers
// return them as errors. Any other error becomes `internal_error` for the caller and a full story in the log.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// ContentType is that of a problem document.
const ContentType = "application/problem+json"

// Kind is one row of the table of errors: its code never changes once published.
type Kind struct {
	Code   string
	Status int
	Title  string
}

var (
	tableMu sync.Mutex
	table   = map[string]*Kind{}
)

// Define adds a kind to the table. A code defined twice is a programmer's error and panics at the start.
func Define(code string, status int, title string) *Kind {
	tableMu.Lock()
	defer tableMu.Unlock()
	if _, taken := table[code]; taken {
		panic("problem: code defined twice: " + code)
	}
	k := &Kind{Code: code, Status: status, Title: title}
	table[code] = k
	return k
}

// All is the table of errors of this process, by status and code: the documentation is made from it.
func All() []*Kind {
	tableMu.Lock()
	defer tableMu.Unlock()
	return slices.SortedFunc(maps.Values(table), func(a, b *Kind) int {
		if a.Status != b.Status {
			return a.Status - b.Status
		}
		return strings.Compare(a.Code, b.Code)
	})
}

// The kinds that every service shares.
var (
	Malformed        = Define("malformed_request", 400, "The request cannot be read")
	BadCursor        = Define("bad_cursor", 400, "The cursor is not one of ours")
	Unauthorized     = Define("unauthorized", 401, "Authentication is missing or not valid")
	Forbidden        = Define("forbidden", 403, "Not allowed")
	NotFound         = Define("not_found", 404, "There is no such thing")
	MethodNotAllowed = Define("method_not_allowed", 405, "The method is not allowed here")
	NotAcceptable    = Define("not_acceptable", 406, "None of the accepted media types can be produced")
	RequestTimeout   = Define("request_timeout", 408, "The request took too long to arrive")
	Conflict         = Define("conflict", 409, "The request does not fit the present state")
	VersionConflict  = Define("version_conflict", 409, "Somebody else has changed it meanwhile")
	Gone             = Define("gone", 410, "It is no longer there")
	TooLarge         = Define("payload_too_large", 413, "The body is too large")
	UnsupportedMedia = Define("unsupported_media_type", 415, "The body's media type is not supported")
	Validation       = Define("validation_failed", 422, "The request does not hold what it must")
	RateLimited      = Define("rate_limited", 429, "Too many requests")
	ClientGone       = Define("client_closed_request", 499, "The caller has gone before the answer")
	Internal         = Define("internal_error", 500, "Something went wrong on our side")
	Unavailable      = Define("unavailable", 503, "Not able to serve just now")
	Timeout          = Define("timeout", 504, "It took too long")
)

// Field says what is wrong with one member of the request.
type Field struct {
	// Field is the place: "amount", "items[2].quantity", "query.limit", "header.Idempotency-Key".
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Error is a problem document on its way to the caller.
type Error struct {
	kind       *Kind
	detail     string
	fields     []Field
	extensions map[string]any
	headers    http.Header
	cause      error
}

// New makes an error of the kind with a sentence for the caller.
func (k *Kind) New(format string, args ...any) *Error {
	return &Error{kind: k, detail: sprintf(format, args)}
}

// Field makes an error of the kind about one member of the request.
func (k *Kind) Field(field, format string, args ...any) *Error {
	reason := sprintf(format, args)
	return &Error{kind: k, detail: field + ": " + reason, fields: []Field{{Field: field, Reason: reason}}}
}

func sprintf(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// IfStale is a VersionConflict, with the present state under current, when the version seen is not the one that it is at.
func IfStale(seen, at int64, current any) error {
	if seen == at {
		return nil
	}
	return VersionConflict.New("You saw version %d; it is at version %d.", seen, at).With("current", current)
}

// Is reports whether err is a problem of this kind.
func (k *Kind) Is(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.kind == k
}

// AddField names a further member at fault.
func (e *Error) AddField(field, format string, args ...any) *Error {
	e.fields = append(e.fields, Field{Field: field, Reason: sprintf(format, args)})
	return e
}

// With adds an extension member to the document, such as the present state of what was in conflict.
func (e *Error) With(member string, value any) *Error {
	if e.extensions == nil {
		e.extensions = map[string]any{}
	}
	e.extensions[member] = value
	return e
}

// WithHeader adds a header to the answer, such as Retry-After.
func (e *Error) WithHeader(name, value string) *Error {
	if e.headers == nil {
		e.headers = http.Header{}
	}
	e.headers.Set(name, value)
	return e
}

// Wrap keeps the cause for the log; the caller never sees it.
func (e *Error) Wrap(cause error) *Error {
	e.cause = cause
	return e
}

// Error is the whole story, for the log.
func (e *Error) Error() string {
	story := e.kind.Code + ": " + e.detail
	if e.cause != nil {
		story += ": " + e.cause.Error()
	}
	return story
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// Kind is the row of the table this error is of.
func (e *Error) Kind() *Kind { return e.kind }

// Code is the stable code.
func (e *Error) Code() string { return e.kind.Code }

// Detail is the sentence for the caller.
func (e *Error) Detail() string { return e.detail }

// Fields are the members at fault.
func (e *Error) Fields() []Field { return e.fields }

// GetStatus is the HTTP status; it makes an *Error a huma.StatusError.
func (e *Error) GetStatus() int { return e.kind.Status }

// GetHeaders are the answer's further headers; it makes an *Error a huma.HeadersError.
func (e *Error) GetHeaders() http.Header { return e.headers }

// ContentType makes an *Error a huma.ContentTypeFilter.
func (e *Error) ContentType(string) string { return ContentType }

// Schema describes the document in OpenAPI; it makes an *Error a huma.SchemaProvider.
func (e *Error) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[Document](), true, "Problem")
}

// Document is the problem as it travels. Some kinds add members of their own, such as `current` on a version conflict.
type Document struct {
	_         struct{} `json:"-" additionalProperties:"true"`
	Type      string   `json:"type" doc:"A URN of the code" example:"urn:mpac:problem:validation_failed"`
	Title     string   `json:"title" doc:"What this kind of problem is"`
	Status    int      `json:"status" doc:"The HTTP status"`
	Code      string   `json:"code" doc:"Stable: programs decide by this" example:"validation_failed"`
	Detail    string   `json:"detail,omitempty" doc:"What is wrong this time, for people"`
	Errors    []Field  `json:"errors,omitempty" doc:"Each member of the request that is at fault"`
	RequestID string   `json:"request_id,omitempty" doc:"Say this when you ask for help"`
}

// Document is the problem as a value.
func (e *Error) Document() Document {
	return Document{
		Type: "urn:mpac:problem:" + e.kind.Code, Title: e.kind.Title, Status: e.kind.Status, Code: e.kind.Code,
		Detail: e.detail, Errors: e.fields,
	}
}

// MarshalJSON writes the document with its extension members beside the standard ones.
func (e *Error) MarshalJSON() ([]byte, error) {
	standard, err := json.Marshal(e.Document())
	if err != nil || len(e.extensions) == 0 {
		return standard, err
	}
	members := map[string]any{}
	if err := json.Unmarshal(standard, &members); err != nil {
		return nil, err
	}
	for name, value := range e.extensions {
		members[name] = value
	}
	return json.Marshal(members)
}

// From finds the problem in err, or makes it an internal error that keeps err as its cause. A request that was given up and one
// that ran out of time are kinds of their own.
func From(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return ClientGone.New("Nobody waits for the answer any more.").Wrap(err)
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout.New("It took too long; ask whether it was done before you try again.").Wrap(err)
	}
	return Internal.New("The error has been recorded; try again, and say the request id if it stays.").Wrap(err)
}
