// Package names is the one place for what the platform's telemetry is called: every metric with its unit and the values its
// attributes may have, every key of spans and logs. What is not in it can't be measured: the metrics here are themselves the
// instruments, and a test holds code and registry against each other.
//
// Attributes are bounded: a value comes from a list, or from a configuration of a few. An id is never one.
package names

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Scope is the instrumentation scope of all our metrics and spans.
const Scope = "github.com/mpac-cloud/mpac"

// Kind is what a metric's values mean.
type Kind string

// The kinds.
const (
	KindCounter   Kind = "counter"   // only rises
	KindUpDown    Kind = "updown"    // a sum that rises and falls
	KindGauge     Kind = "gauge"     // the value of the moment
	KindHistogram Kind = "histogram" // how measurements are spread
)

// Key is an attribute of metrics.
type Key struct {
	Name string
	// Values are all that it may have; nil: few by the nature of what it names, which Bound says.
	Values []string
	Bound  string
}

// Is is the attribute with a value.
func (k *Key) Is(value string) attribute.KeyValue { return attribute.String(k.Name, value) }

// Metric is what every kind has.
type Metric struct {
	Name, Unit, Description string
	Kind                    Kind
	Keys                    []*Key
	// From names the library that measures it; "" is ourselves.
	From string
}

var all []*Metric

// All lists every metric.
func All() []*Metric { return slices.Clone(all) }

func define(kind Kind, name, unit, description string, keys []*Key) *Metric {
	m := &Metric{Name: name, Unit: unit, Description: description, Kind: kind, Keys: keys}
	all = append(all, m)
	return m
}

// scoped is the one meter of all instruments. It is the global delegate, made before any provider is set: only it knows how to
// hand callbacks over together with instruments that it made itself.
var scoped = otel.Meter(Scope)

func meter() metric.Meter { return scoped }

// must is for names that OpenTelemetry does not take: a programmer's error that the first test finds.
func must[T any](instrument T, err error) T {
	if err != nil {
		panic(err)
	}
	return instrument
}

// Counter only rises.
type Counter struct {
	*Metric
	inst metric.Int64Counter
}

func counter(name, unit, description string, keys ...*Key) *Counter {
	return &Counter{define(KindCounter, name, unit, description, keys), must(meter().Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description)))}
}

// Add counts n.
func (c *Counter) Add(ctx context.Context, n int64, attributes ...attribute.KeyValue) {
	c.inst.Add(ctx, n, metric.WithAttributes(attributes...))
}

// AtZero makes the counter begin with 0 for every combination of its attributes' values (given are fixed), so that the first
// event is an increase that can be seen. An attribute without a list needs a given value.
func (c *Counter) AtZero(given ...attribute.KeyValue) {
	sets := [][]attribute.KeyValue{nil}
	for _, k := range c.Keys {
		values := k.Values
		if i := slices.IndexFunc(given, func(kv attribute.KeyValue) bool { return string(kv.Key) == k.Name }); i >= 0 {
			values = []string{given[i].Value.AsString()}
		}
		var next [][]attribute.KeyValue
		for _, set := range sets {
			for _, v := range values {
				next = append(next, append(slices.Clone(set), k.Is(v)))
			}
		}
		sets = next
	}
	begin(func() {
		for _, set := range sets {
			c.Add(context.Background(), 0, set...)
		}
	})
}

// What waits for the process's telemetry to be started: before, a measurement is lost.
var (
	startMu sync.Mutex
	started bool
	waiting []func()
)

func begin(f func()) {
	startMu.Lock()
	defer startMu.Unlock()
	if started {
		f()
		return
	}
	waiting = append(waiting, f)
}

// Started is called once the process's meter provider is in place.
func Started() {
	startMu.Lock()
	defer startMu.Unlock()
	started = true
	for _, f := range waiting {
		f()
	}
	waiting = nil
}

// UpDown rises and falls.
type UpDown struct {
	*Metric
	inst metric.Int64UpDownCounter
}

func upDown(name, unit, description string, keys ...*Key) *UpDown {
	return &UpDown{define(KindUpDown, name, unit, description, keys), must(meter().Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description)))}
}

// Add adds n, which may be negative.
func (u *UpDown) Add(ctx context.Context, n int64, attributes ...attribute.KeyValue) {
	u.inst.Add(ctx, n, metric.WithAttributes(attributes...))
}

// Histogram keeps how measurements are spread.
type Histogram struct {
	*Metric
	inst metric.Float64Histogram
}

// histogram is of seconds: its edges are those of the platform's promises.
func histogram(name, description string, keys ...*Key) *Histogram {
	const unit = "s"
	return &Histogram{define(KindHistogram, name, unit, description, keys), must(meter().Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description)))}
}

// Record adds a measurement.
func (h *Histogram) Record(ctx context.Context, value float64, attributes ...attribute.KeyValue) {
	h.inst.Record(ctx, value, metric.WithAttributes(attributes...))
}

// Observed is a gauge, or a counter that somebody else counts: it is read when the metrics are collected.
type Observed struct {
	*Metric
	inst metric.Float64Observable
}

func gauge(name, unit, description string, keys ...*Key) *Observed {
	return &Observed{define(KindGauge, name, unit, description, keys), must(meter().Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description)))}
}

// tally is a counter whose count is kept elsewhere: by the database, by the operating system.
func tally(name, unit, description string, keys ...*Key) *Observed {
	return &Observed{define(KindCounter, name, unit, description, keys), must(meter().Float64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description)))}
}

// Say gives a value.
type Say func(o *Observed, value float64, attributes ...attribute.KeyValue)

// Observe has read called whenever the metrics are collected; it says values of the given metrics. It must be quick: what comes
// from a database is read beforehand (see package stats). The returned function ends it.
func Observe(read func(ctx context.Context, say Say), of ...*Observed) (stop func()) {
	instruments := make([]metric.Observable, 0, len(of))
	for _, o := range of {
		instruments = append(instruments, o.inst)
	}
	registration := must(meter().RegisterCallback(func(ctx context.Context, observer metric.Observer) error {
		read(ctx, func(o *Observed, value float64, attributes ...attribute.KeyValue) {
			observer.ObserveFloat64(o.inst, value, metric.WithAttributes(attributes...))
		})
		return nil
	}, instruments...))
	return func() { _ = registration.Unregister() }
}

// library notes a metric that a library measures under a name of its own.
func library(from string, kind Kind, name, unit, description string, keys ...*Key) *Metric {
	m := define(kind, name, unit, description, keys)
	m.From = from
	return m
}
