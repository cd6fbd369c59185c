package telemetry

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

func traceIDs(t *rapid.T) (id trace.TraceID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "trace id"))
	if !id.IsValid() {
		id[0] = 1
	}
	return id
}

func takes(s sdk.Sampler, id trace.TraceID) bool {
	return s.ShouldSample(sdk.SamplingParameters{TraceID: id}).Decision == sdk.RecordAndSample
}

// A larger share takes whatever a smaller one takes, and of many traces about its share.
func TestShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, a, b := traceIDs(t), rapid.Float64Range(0, 1).Draw(t, "a"), rapid.Float64Range(0, 1).Draw(t, "b")
		if takes(Share(min(a, b)), id) && !takes(Share(max(a, b)), id) {
			t.Errorf("taken by %v, not by %v", min(a, b), max(a, b))
		}
		if !takes(Share(1), id) || takes(Share(0), id) {
			t.Error("all is not all, or nothing not nothing")
		}
	})
	const many = 100_000
	random, taken := rand.New(rand.NewPCG(1, 2)), 0
	for range many {
		var id trace.TraceID
		for i := range id {
			id[i] = byte(random.IntN(256))
		}
		if takes(Share(0.1), id) {
			taken++
		}
	}
	if taken < many*9/100 || taken > many*11/100 {
		t.Errorf("a tenth of %d is %d", many, taken)
	}
}

// Kong 3.9 reads the id's first eight bytes as a little-endian number and takes what is below the share of 2^64.
func TestShareIsKongs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"ff99999999999919" + "ffffffffffffffff": true, // a tenth of 2^64 is 0x1999999999999a00
		"009a999999999919" + "0000000000000000": false,
		"0000000000000019" + "ffffffffffffffff": true,
		"000000000000001a" + "0000000000000000": false,
	} {
		parsed, err := trace.TraceIDFromHex(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := takes(Share(0.1), parsed); got != want {
			t.Errorf("%s: %v", id, got)
		}
	}
}

func TestSamplerOfTheStandardVariables(t *testing.T) {
	t.Parallel()
	sampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7: 0xff, 15: 1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true})
	for _, c := range []struct {
		name, arg     string
		root, on, off bool // what becomes of a root, of a sampled parent's child, of one that is not sampled
	}{
		{name: "", root: true, on: true},
		{name: "nonsense", root: true, on: true},
		{name: "parentbased_always_on", root: true, on: true},
		{name: "always_on", root: true, on: true, off: true},
		{name: "always_off"},
		{name: "parentbased_always_off", on: true},
		{name: " ParentBased_TraceIDRatio ", arg: "0.1", on: true},
		{name: "traceidratio", arg: "0.1"},
		{name: "parentbased_traceidratio", arg: "1", root: true, on: true},
		{name: "parentbased_traceidratio", arg: "much", root: true, on: true},
	} {
		s := sampler(func(name string) string {
			return map[string]string{"OTEL_TRACES_SAMPLER": c.name, "OTEL_TRACES_SAMPLER_ARG": c.arg}[name]
		})
		decide := func(parent trace.SpanContext) bool {
			ctx := trace.ContextWithRemoteSpanContext(t.Context(), parent)
			return s.ShouldSample(sdk.SamplingParameters{ParentContext: ctx, TraceID: sampled.TraceID()}).Decision == sdk.RecordAndSample
		}
		if got := decide(trace.SpanContext{}); got != c.root {
			t.Errorf("%q %q: a root is taken: %v", c.name, c.arg, got)
		}
		if got := decide(sampled); got != c.on {
			t.Errorf("%q %q: the child of a sampled span is taken: %v", c.name, c.arg, got)
		}
		if got := decide(sampled.WithTraceFlags(0)); got != c.off {
			t.Errorf("%q %q: the child of one that is not: %v", c.name, c.arg, got)
		}
	}
}

// At a door the caller's trace goes on; whether it is taken is not the caller's business.
func TestEntry(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id, share := traceIDs(t), rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(t, "share")
		flags := rapid.SampledFrom([]string{"00", "01"}).Draw(t, "flags")
		header := propagation.HeaderCarrier(http.Header{})
		header.Set("traceparent", "00-"+hex.EncodeToString(id[:])+"-b7ad6b7169203331-"+flags)
		header.Set("tracestate", "theirs=1")
		header.Set("baggage", "customer=1")
		got := trace.SpanContextFromContext(Entry(Share(share)).Extract(t.Context(), header))
		if got.TraceID() != id || got.SpanID().String() != "b7ad6b7169203331" || !got.IsRemote() || got.TraceState().Len() != 0 {
			t.Errorf("%+v", got)
		}
		if got.IsSampled() != takes(Share(share), id) {
			t.Errorf("share %v, the caller says %s: sampled %v", share, flags, got.IsSampled())
		}
	})
}

func TestEntryWithoutACallersTrace(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		header := propagation.HeaderCarrier(http.Header{})
		header.Set("traceparent", bad)
		if got := trace.SpanContextFromContext(Entry(Share(1)).Extract(t.Context(), header)); got.IsValid() {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
