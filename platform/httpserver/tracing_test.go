package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/mpac-cloud/mpac/platform/httpserver"
)

// A service at a door of the platform decides about traces itself; one behind a gateway follows it; one that sends no traces leaves
// the decision alone.
func TestWhoDecidesAboutATrace(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	for _, c := range []struct {
		name, exporter, sampler string
		entry                   bool
		says, want              string // the caller's flags, and what goes on
	}{
		{"a door that takes none", "otlp", "parentbased_always_off", true, "01", "00"},
		{"a door that takes all", "otlp", "parentbased_always_on", true, "00", "01"},
		{"a door that sends none", "none", "parentbased_always_off", true, "01", "01"},
		{"inside, taken", "otlp", "parentbased_always_off", false, "01", "01"},
		{"inside, not taken", "otlp", "parentbased_always_on", false, "00", "00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", c.exporter)
			t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			s, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1", Entry: c.entry})
			if err != nil {
				t.Fatal(err)
			}
			var got trace.SpanContext
			s.Engine.GET("/traced", func(g *gin.Context) { got = trace.SpanContextFromContext(g.Request.Context()) })
			r := httptest.NewRequest(http.MethodGet, "/traced", nil)
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"+c.says)
			s.Engine.ServeHTTP(httptest.NewRecorder(), r)
			if got.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || got.TraceFlags().String() != c.want {
				t.Errorf("goes on in %s-%s, want -%s", got.TraceID(), got.TraceFlags(), c.want)
			}
		})
	}
}
