package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry/names"
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
	names.LogLines.Add(ctx, 1, names.Level.Is(levelName(r.Level)))
	clean := slog.NewRecord(r.Time, r.Level, Redact(r.Message), r.PC)
	clean.AddAttrs(tagsOf(ctx)...)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redactAttr(a))
		return true
	})
	if h.bridge != nil {
		_ = h.bridge.Handle(ctx, clean.Clone())
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		clean.AddAttrs(slog.String(names.TraceID, span.TraceID().String()), slog.String(names.SpanID, span.SpanID().String()))
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

// levelName is the level as metrics have it; what is below info is not written.
func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}
