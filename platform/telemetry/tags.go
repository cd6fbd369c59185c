package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// tags are what is known of the request or job that a context belongs to. They are filled in as it becomes known, and every log
// line of the request from then on has them, also those of its outer layers.
type tags struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type tagsKey struct{}

// WithTags begins a request or a job: what is tagged below is in its log lines.
func WithTags(ctx context.Context) context.Context { return context.WithValue(ctx, tagsKey{}, &tags{}) }

// Tag notes something of the request or job that ctx belongs to, for its log lines and its span. key is one of package names.
// An empty value is left out; a second value replaces the first.
func Tag(ctx context.Context, key, value string) {
	if value == "" {
		return
	}
	trace.SpanFromContext(ctx).SetAttributes(attribute.String(key, value))
	t, _ := ctx.Value(tagsKey{}).(*tags)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.attrs, func(a slog.Attr) bool { return a.Key == key }); i >= 0 {
		t.attrs[i] = slog.String(key, value)
		return
	}
	t.attrs = append(t.attrs, slog.String(key, value))
}

// tagsOf are the tags so far.
func tagsOf(ctx context.Context) []slog.Attr {
	t, _ := ctx.Value(tagsKey{}).(*tags)
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.attrs)
}

// Tagged is a tag of the request or job that ctx belongs to, or "".
func Tagged(ctx context.Context, key string) string {
	for _, a := range tagsOf(ctx) {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}
