package httpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// WriteProblem answers a gin request with the problem of err and ends its chain: for middleware, where huma is not yet.
func WriteProblem(c *gin.Context, err error) {
	e := finished(c.Request.Context(), problem.From(err))
	for name, values := range e.GetHeaders() {
		for _, v := range values {
			c.Header(name, v)
		}
	}
	body, marshalErr := json.Marshal(e)
	if marshalErr != nil {
		slog.ErrorContext(c.Request.Context(), "problem document", "error", marshalErr)
	}
	c.Abort()
	c.Data(e.GetStatus(), problem.ContentType, body)
}

// finished puts the request's id into the document and the story of an internal error into the log.
func finished(ctx context.Context, e *problem.Error) *problem.Error {
	if e.GetStatus() >= http.StatusInternalServerError {
		slog.ErrorContext(ctx, "request failed", "error", e, "request_id", RequestID(ctx))
	}
	return e.With("request_id", RequestID(ctx))
}

// finishProblem does the same for errors that travel through huma.
func finishProblem(ctx huma.Context, _ string, v any) (any, error) {
	if e, ok := v.(*problem.Error); ok {
		return finished(ctx.Context(), e), nil
	}
	return v, nil
}

// huma's errors become ours, once for the process.
func init() { //nolint:gochecknoinits // huma offers a package variable and nothing else
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(status, msg, errs)
	}
	huma.NewErrorWithContext = func(_ huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(status, msg, errs)
	}
}

var kindOfStatus = map[int]*problem.Kind{
	http.StatusBadRequest: problem.Malformed, http.StatusUnauthorized: problem.Unauthorized, http.StatusForbidden: problem.Forbidden,
	http.StatusNotFound: problem.NotFound, http.StatusNotAcceptable: problem.NotAcceptable, http.StatusRequestTimeout: problem.RequestTimeout,
	http.StatusConflict: problem.Conflict, http.StatusRequestEntityTooLarge: problem.TooLarge,
	http.StatusUnsupportedMediaType: problem.UnsupportedMedia, http.StatusUnprocessableEntity: problem.Validation,
	http.StatusTooManyRequests: problem.RateLimited, http.StatusServiceUnavailable: problem.Unavailable,
}

// fromHuma keeps a problem that was handed to huma, and words huma's own findings: each field once, without its value, which
// may be a secret.
func fromHuma(status int, msg string, errs []error) *problem.Error {
	for _, err := range errs {
		var e *problem.Error
		if errors.As(err, &e) {
			return e
		}
	}
	kind, known := kindOfStatus[status]
	if !known {
		return problem.From(errors.Join(append([]error{errors.New(msg)}, errs...)...))
	}
	e := kind.New("%s", sentence(msg, errs))
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			field, reason := worded(d)
			e = e.AddField(field, "%s", reason)
		} else if err != nil {
			e = e.AddField("body", "%s", err.Error())
		}
	}
	return e
}

// sentence names the first field at fault, which is what most readers need.
func sentence(msg string, errs []error) string {
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			field, reason := worded(d)
			return field + ": " + reason
		}
	}
	return msg
}

// worded is the field and the reason of one of huma's findings. What encoding/json refuses comes with the whole body as its
// place; unmarshalJSON has put the field's name before the reason.
func worded(d *huma.ErrorDetail) (field, reason string) {
	if d.Location != "" && d.Location != "body" {
		return strings.TrimPrefix(d.Location, "body."), d.Message
	}
	if field, reason, ok := strings.Cut(d.Message, fieldMark); ok {
		return field, reason
	}
	return "body", d.Message
}

// fieldMark separates the field from the reason in the errors of unmarshalJSON.
const fieldMark = ":: "

// jsonFormat reads strictly (valid UTF-8, no NUL, nothing after the value) and writes without HTML escapes.
var jsonFormat = huma.Format{Marshal: marshalJSON, Unmarshal: unmarshalJSON}

func marshalJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

var (
	errNotUTF8 = errors.New("it must be valid UTF-8")
	errNUL     = errors.New("it must not contain the character U+0000")
)

func unmarshalJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	if hasNUL(data) {
		return errNUL
	}
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s%sa %s is not what fits here, or is out of range", wrong.Field, fieldMark, wrong.Value)
	}
	return err
}

// hasNUL finds the escape \u0000 that is not itself escaped: PostgreSQL's text can't hold it.
func hasNUL(data []byte) bool {
	const escape = `\u0000`
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte(escape))
		if i < 0 {
			return false
		}
		at += i
		backslashes := 0
		for j := at - 1; j >= 0 && data[j] == '\\'; j-- {
			backslashes++
		}
		if backslashes%2 == 0 {
			return true
		}
		at += len(escape)
	}
}
