package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// logHandler writes JSON lines with the trace's ids and without secrets, and hands the same record to the OTLP bridge.
type logHandler struct {
	local  slog.Handler
	bridge slog.Handler // nil when logs are not exported
}

func newLogHandler(w io.Writer, bridge slog.Handler, service string) slog.Handler {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(os.Getenv("LOG_LEVEL"))) // unreadable or unset: info
	local := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}).
		WithAttrs([]slog.Attr{slog.String("service", service)})
	return logHandler{local: local, bridge: bridge}
}

// Enabled follows the local level.
func (h logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.local.Enabled(ctx, level)
}

// Handle redacts once and writes to both.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redactAttr(a))
		return true
	})
	if h.bridge != nil {
		_ = h.bridge.Handle(ctx, clean.Clone())
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		clean.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.local.Handle(ctx, clean)
}

// WithAttrs redacts what it keeps.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redactAttr(a)
	}
	return h.each(func(x slog.Handler) slog.Handler { return x.WithAttrs(clean) })
}

// WithGroup opens a group in both.
func (h logHandler) WithGroup(name string) slog.Handler {
	return h.each(func(x slog.Handler) slog.Handler { return x.WithGroup(name) })
}

func (h logHandler) each(f func(slog.Handler) slog.Handler) slog.Handler {
	next := logHandler{local: f(h.local)}
	if h.bridge != nil {
		next.bridge = f(h.bridge)
	}
	return next
}

const redactedMark = "[redacted]"

// secretKey names attributes whose value is never written, whatever it is.
var secretKey = regexp.MustCompile(`(?i)(password|passwd|secret|authorization|cookie|payment_token|access_token|refresh_token|mfa_token|` +
	`client_assertion|activation_code|customer_code|totp|private_key|api_secret|otp|^pin$|^token$|database_url|redis_url)`)

// secretText finds secrets inside free text: our keys, JWTs, Authorization values, passwords in addresses, tokens in queries,
// and card numbers.
var secretText = regexp.MustCompile(`sk_(?:test|live)_[A-Za-z0-9_-]+` +
	`|pt_[A-Za-z0-9_-]{20,}` +
	`|whsec_[A-Za-z0-9+/=_-]+` +
	`|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*` +
	`|(?i:bearer)\s+[A-Za-z0-9._~+/=-]+` +
	`|(?i:hmac(?:-sha256(?:-2)?| OPA-Auth)?)[ :][^\s"]*:[^\s"]{16,}` +
	`|([?&](?i:payment_token|token|ticket|code|client_assertion)=)[^&\s"]+` +
	`|(://[^:/\s]+:)[^@\s]+@`)

var digits = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)

// Redact takes secrets and card numbers out of a text.
func Redact(s string) string {
	if len(s) < 8 {
		return s
	}
	s = secretText.ReplaceAllString(s, "${1}${2}"+redactedMark)
	return digits.ReplaceAllStringFunc(s, func(d string) string {
		if !luhn(d) {
			return d
		}
		return redactedMark
	})
}

// luhn reports whether the digits of s pass the check that every card number passes.
func luhn(s string) bool {
	sum, double := 0, false
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}

func redactAttr(a slog.Attr) slog.Attr {
	if secretKey.MatchString(a.Key) {
		return slog.String(a.Key, redactedMark)
	}
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, Redact(v.String()))
	case slog.KindGroup:
		members := v.Group()
		clean := make([]any, len(members))
		for i, m := range members {
			clean[i] = redactAttr(m)
		}
		return slog.Group(a.Key, clean...)
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return slog.String(a.Key, Redact(x.Error()))
		case []string:
			return slog.String(a.Key, Redact(strings.Join(x, " ")))
		}
	}
	return a
}
