package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// A job goes on with the trace and the request of whoever inserted it, and keeps the metadata that River has put there.
func TestAJobCarriesItsTrace(t *testing.T) {
	t.Parallel()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	who := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}, TraceFlags: trace.FlagsSampled})
	ctx := telemetry.WithTags(trace.ContextWithSpanContext(t.Context(), who))
	telemetry.Tag(ctx, names.RequestID, "req-1")
	telemetry.Tag(ctx, names.MerchantID, "m-1")
	telemetry.Tag(ctx, names.Caller, "somebody")
	job := &rivertype.JobInsertParams{Metadata: []byte(`{"river:kept": 7}`)}
	inserted := false
	_, err := (&tracing{}).InsertMany(ctx, []*rivertype.JobInsertParams{job}, func(context.Context) ([]*rivertype.JobInsertResult, error) {
		inserted = true
		return nil, nil
	})
	if err != nil || !inserted {
		t.Fatalf("inserted %v, %v", inserted, err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil || metadata["river:kept"] != 7.0 || metadata[names.Caller] != nil {
		t.Errorf("metadata %s, %v", job.Metadata, err)
	}
	err = (&tracing{}).Work(t.Context(), &rivertype.JobRow{ID: 5, Kind: "k", Metadata: job.Metadata}, func(ctx context.Context) error {
		if got := trace.SpanContextFromContext(ctx).TraceID(); got != who.TraceID() {
			t.Errorf("works in trace %s, want %s", got, who.TraceID())
		}
		for key, want := range map[string]string{names.RequestID: "req-1", names.MerchantID: "m-1", names.Job: "k", names.JobID: "5"} {
			if got := telemetry.Tagged(ctx, key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestUnreadableMetadataStays(t *testing.T) {
	t.Parallel()
	if got := withNotes([]byte("no json"), map[string]string{"a": "b"}); string(got) != "no json" {
		t.Errorf("%s", got)
	}
	if notes := notesOf(nil); len(notes) != 0 {
		t.Errorf("%v", notes)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"completed": nil, "failed": errors.New("x"), "snoozed": river.JobSnooze(1), "cancelled": river.JobCancel(errors.New("x")),
	} {
		if got := outcomeOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}
