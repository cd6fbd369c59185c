package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// RequestIDHeader carries the request's id in and out.
const RequestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// RequestID is the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID returns ctx with the id, for work that goes on after its request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// requestID takes the caller's id when it looks like one, else makes one, and answers with it.
func requestID(c *gin.Context) {
	id := c.GetHeader(RequestIDHeader)
	if !plausibleID(id) {
		id = uuid.NewString()
	}
	c.Request = c.Request.WithContext(telemetry.WithTags(WithRequestID(c.Request.Context(), id)))
	c.Header(RequestIDHeader, id)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Cache-Control", "no-store")
	c.Next()
}

func plausibleID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_#.") == ""
}

// observed leaves the load balancer's questions out of traces and logs.
func observed(r *http.Request) bool { return r.URL.Path != "/health" && r.URL.Path != "/ready" }

// accessLog writes one line a request. The query is left out: it may carry a payment token.
func accessLog(c *gin.Context) {
	if !observed(c.Request) {
		c.Next()
		return
	}
	start, ctx, method := time.Now(), c.Request.Context(), names.HTTPMethod.Is(knownMethod(c.Request.Method))
	telemetry.Tag(ctx, names.RequestID, RequestID(ctx))
	names.HTTPActive.Add(ctx, 1, method)
	defer names.HTTPActive.Add(ctx, -1, method)
	c.Next()
	level := slog.LevelInfo
	if c.Writer.Status() >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	slog.LogAttrs(c.Request.Context(), level, "request",
		slog.String("method", c.Request.Method), slog.String("route", c.FullPath()), slog.String("path", c.Request.URL.Path),
		slog.Int("status", c.Writer.Status()), slog.Int("bytes", c.Writer.Size()),
		slog.Duration("took", time.Since(start)))
}

// knownMethod bounds the values of an attribute: a client may call its method what it likes.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "_OTHER"
}

// recovery turns a panic into an internal error; the stack goes to the log.
func recovery(c *gin.Context) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(cause) // net/http's own way to drop a connection
		}
		names.Panics.Add(c.Request.Context(), 1)
		slog.ErrorContext(c.Request.Context(), "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			WriteProblem(c, problem.From(fmt.Errorf("panic: %v", cause)))
		}
		c.Abort()
	}()
	c.Next()
}

func limitBody(limit int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.ContentLength > limit {
			c.Header("Connection", "close")
			WriteProblem(c, problem.TooLarge.New("The body has %d bytes; at most %d are taken.", c.Request.ContentLength, limit))
			return
		}
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, limit)
		c.Next()
	}
}

// wellFormedURL refuses what PostgreSQL could not store and no client means: bytes that are no UTF-8, and NUL.
func wellFormedURL(c *gin.Context) {
	query, err := url.QueryUnescape(c.Request.URL.RawQuery)
	switch {
	case !storable(c.Request.URL.Path):
		WriteProblem(c, problem.Malformed.Field("path", "it must be valid UTF-8 without NUL"))
	case err != nil || !storable(query):
		WriteProblem(c, problem.Malformed.Field("query", "it must be percent-encoded valid UTF-8 without NUL"))
	default:
		c.Next()
	}
}

func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func notFound(c *gin.Context) {
	WriteProblem(c, problem.NotFound.New("Nothing is served at %s.", c.Request.URL.Path))
}

func methodNotAllowed(c *gin.Context) {
	WriteProblem(c, problem.MethodNotAllowed.New("%s is not served at %s.", c.Request.Method, c.Request.URL.Path))
}
