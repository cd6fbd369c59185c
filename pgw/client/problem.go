package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Error is the gateway's problem document (RFC 9457).
type Error struct {
	Status    int
	Code      string // stable: decide by this
	Title     string
	Detail    string
	Fields    []Field
	RequestID string
	// RetryAfter is how long the gateway wants to be left alone; zero: it did not say.
	RetryAfter time.Duration

	members map[string]json.RawMessage
}

// Field is one member of the request that is at fault.
type Field struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Error says what is wrong, with the request id to ask about.
func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %s (request %s)", e.Status, e.Code, e.Detail, e.RequestID)
}

// Extension reads a further member of the document, such as "payment_intent_id" or "resync", into out; false when it is not
// there.
func (e *Error) Extension(member string, out any) bool {
	raw, ok := e.members[member]
	return ok && json.Unmarshal(raw, out) == nil
}

// HasCode tells whether err is the gateway's refusal with one of the codes.
func HasCode(err error, codes ...string) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// HasStatus tells whether err is the gateway's refusal with the HTTP status.
func HasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

func newError(response *http.Response, body []byte) error {
	e := &Error{Status: response.StatusCode, RetryAfter: retryAfter(response.Header), RequestID: response.Header.Get("X-Request-Id")}
	var document struct {
		Code      string  `json:"code"`
		Title     string  `json:"title"`
		Detail    string  `json:"detail"`
		Errors    []Field `json:"errors"`
		RequestID string  `json:"request_id"`
	}
	if err := json.Unmarshal(body, &document); err != nil || document.Code == "" {
		// Something between us and the gateway answered.
		e.Code, e.Detail = "http_"+fmt.Sprint(response.StatusCode), "the answer is no problem document"
		return e
	}
	e.Code, e.Title, e.Detail, e.Fields = document.Code, document.Title, document.Detail, document.Errors
	if document.RequestID != "" {
		e.RequestID = document.RequestID
	}
	_ = json.Unmarshal(body, &e.members)
	return e
}
