package telemetry

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Share samples a share of all traces, 0 to 1, by their ids alone: whoever decides about a trace by the same share decides alike. It
// looks at the part of the id that Kong 3.9 looks at (its first eight bytes as a little-endian number), so that Kong, the edge and the
// payment gateway, each at its own door, take the same traces.
func Share(share float64) sdk.Sampler {
	switch {
	case share >= 1:
		return sdk.AlwaysSample()
	case share <= 0:
		return sdk.NeverSample()
	}
	return byTraceID{below: uint64(share * (1 << 64)), share: share}
}

type byTraceID struct {
	below uint64
	share float64
}

// ShouldSample looks at the trace's id.
func (s byTraceID) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	r := sdk.SamplingResult{Decision: sdk.Drop, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	if binary.LittleEndian.Uint64(p.TraceID[:8]) < s.below {
		r.Decision = sdk.RecordAndSample
	}
	return r
}

// Description says which share.
func (s byTraceID) Description() string { return fmt.Sprintf("Share{%g}", s.share) }

// ours is the decision about a trace that nobody of ours has decided about, by the standard variables, and whether spans with a parent
// follow it. What can't be read takes all, as the libraries do.
func ours(getenv func(string) string) (root sdk.Sampler, follows bool) {
	name, follows := strings.CutPrefix(strings.ToLower(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER"))), "parentbased_")
	switch name {
	case "always_on":
		return sdk.AlwaysSample(), follows
	case "always_off":
		return sdk.NeverSample(), follows
	case "traceidratio":
		share, err := strconv.ParseFloat(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER_ARG")), 64)
		if err != nil || share < 0 || share > 1 {
			share = 1
		}
		return Share(share), follows
	}
	return sdk.AlwaysSample(), true
}

// sampler is the process's: inside the platform the first decision about a trace holds to its end.
func sampler(getenv func(string) string) sdk.Sampler {
	root, follows := ours(getenv)
	if !follows {
		return root
	}
	return sdk.ParentBased(root)
}

// Entry reads the trace context of requests from outside: at a door of the platform the caller's trace id is kept, so that its trace
// and ours are one, and the caller's decision is not, for a caller could have every trace taken, or none. It is made anew by decide.
// What other systems have put into tracestate stays outside.
func Entry(decide sdk.Sampler) propagation.TextMapPropagator { return entry{decide: decide} }

// ProcessEntry is Entry by the process's own sampler. A process that sends no traces leaves the decision to those that do.
func ProcessEntry() propagation.TextMapPropagator {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || !wants("TRACES") {
		return propagation.TraceContext{}
	}
	root, _ := ours(os.Getenv)
	return Entry(root)
}

type entry struct {
	propagation.TraceContext
	decide sdk.Sampler
}

// Extract takes the trace id and the span id from the carrier.
func (e entry) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	caller := trace.SpanContextFromContext(e.TraceContext.Extract(context.Background(), carrier))
	if !caller.IsValid() {
		return ctx
	}
	decision := e.decide.ShouldSample(sdk.SamplingParameters{ParentContext: ctx, TraceID: caller.TraceID(), Kind: trace.SpanKindServer}).Decision
	flags := caller.TraceFlags().WithSampled(decision == sdk.RecordAndSample)
	return trace.ContextWithRemoteSpanContext(ctx, caller.WithTraceFlags(flags).WithTraceState(trace.TraceState{}))
}
