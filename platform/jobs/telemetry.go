package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/stats"
	"github.com/mpac-cloud/mpac/platform/telemetry"
	"github.com/mpac-cloud/mpac/platform/telemetry/names"
)

// tracing carries the trace, and what the logs know of the request, from who inserts a job to who works it: they are in the job's
// metadata, so they are there also after a restart and on another task.
type tracing struct{ river.MiddlewareDefaults }

var (
	_ rivertype.JobInsertMiddleware = (*tracing)(nil)
	_ rivertype.WorkerMiddleware    = (*tracing)(nil)
)

// carried are the tags that go with a job.
var carried = []string{names.RequestID, names.MerchantID, names.StoreID}

// InsertMany notes the trace in the jobs that are inserted.
func (*tracing) InsertMany(ctx context.Context, all []*rivertype.JobInsertParams, insert func(context.Context) ([]*rivertype.JobInsertResult, error)) ([]*rivertype.JobInsertResult, error) {
	notes := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, notes)
	for _, key := range carried {
		if value := telemetry.Tagged(ctx, key); value != "" {
			notes[key] = value
		}
	}
	if len(notes) > 0 {
		for _, job := range all {
			job.Metadata = withNotes(job.Metadata, notes)
		}
	}
	return insert(ctx)
}

// withNotes adds members to the metadata's object; what can't be read stays as it is.
func withNotes(metadata []byte, notes map[string]string) []byte {
	members := map[string]json.RawMessage{}
	if len(metadata) > 0 && json.Unmarshal(metadata, &members) != nil {
		return metadata
	}
	for key, value := range notes {
		members[key], _ = json.Marshal(value) // a string
	}
	text, err := json.Marshal(members)
	if err != nil {
		return metadata
	}
	return text
}

func notesOf(metadata []byte) propagation.MapCarrier {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(metadata, &members) // River's own object, or nothing
	notes := propagation.MapCarrier{}
	for key, value := range members {
		var text string
		if json.Unmarshal(value, &text) == nil {
			notes[key] = text
		}
	}
	return notes
}

// Work goes on with the trace that the job was inserted in.
func (*tracing) Work(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	notes := notesOf(job.Metadata)
	ctx = telemetry.WithTags(otel.GetTextMapPropagator().Extract(ctx, notes))
	ctx, span := telemetry.Tracer().Start(ctx, "job "+job.Kind, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String(names.SpanJobQueue, job.Queue), attribute.Int(names.SpanJobAttempt, job.Attempt)))
	defer span.End()
	telemetry.Tag(ctx, names.Job, job.Kind)
	telemetry.Tag(ctx, names.JobID, fmt.Sprint(job.ID))
	for _, key := range carried {
		telemetry.Tag(ctx, key, notes[key])
	}
	began := time.Now() //nolint:forbidigo // a duration
	err := work(ctx)
	outcome := outcomeOf(err)
	if outcome == "failed" {
		span.SetStatus(codes.Error, err.Error())
	}
	names.JobsDuration.Record(ctx, time.Since(began).Seconds(), names.JobKind.Is(job.Kind), names.JobOutcome.Is(outcome))
	return err
}

func outcomeOf(err error) string {
	var snoozed *rivertype.JobSnoozeError
	var cancelled *rivertype.JobCancelError
	switch {
	case err == nil:
		return "completed"
	case errors.As(err, &snoozed):
		return "snoozed"
	case errors.As(err, &cancelled):
		return "cancelled"
	}
	return "failed"
}

// Figures reads how full a queue is and how long its oldest job waits.
func Figures(pool *pgxpool.Pool, schema string, queues ...string) stats.Read {
	if len(queues) == 0 {
		queues = []string{river.QueueDefault}
	}
	table := pgx.Identifier{schema, "river_job"}.Sanitize()
	return stats.Read{
		Name: "jobs", Of: []*names.Observed{names.JobsQueued, names.JobsOldest, names.JobsDiscarded},
		Take: func(ctx context.Context, say names.Say) error {
			depths, err := depthsOf(ctx, pool, table)
			if err != nil {
				return err
			}
			for _, queue := range queues {
				for _, state := range names.JobState.Values {
					say(names.JobsQueued, depths[place{queue, state}].jobs, names.Queue.Is(queue), names.JobState.Is(state))
				}
				oldest := max(depths[place{queue, "available"}].overdue, depths[place{queue, "retryable"}].overdue, depths[place{queue, "scheduled"}].overdue)
				say(names.JobsOldest, oldest, names.Queue.Is(queue))
				say(names.JobsDiscarded, depths[place{queue, "discarded"}].jobs, names.Queue.Is(queue))
			}
			return nil
		},
	}
}

type place struct{ queue, state string }

type depth struct {
	jobs    float64
	overdue float64 // seconds since the first of them was due
}

func depthsOf(ctx context.Context, pool *pgxpool.Pool, table string) (map[place]depth, error) {
	rows, err := pool.Query(ctx, `SELECT queue, state::text, count(*)::float8,
			greatest(coalesce(extract(epoch FROM now() - min(scheduled_at)), 0), 0)::float8
		FROM `+table+` WHERE state IN ('available', 'running', 'retryable', 'scheduled', 'discarded') GROUP BY queue, state`)
	if err != nil {
		return nil, fmt.Errorf("job queue: %w", err)
	}
	all := map[place]depth{}
	var p place
	var d depth
	_, err = pgx.ForEachRow(rows, []any{&p.queue, &p.state, &d.jobs, &d.overdue}, func() error {
		all[p] = d
		return nil
	})
	return all, err
}
