package openapitest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/httpserver/openapitest"
	"github.com/mpac-cloud/mpac/platform/problem"
)

type thing struct {
	ID    string  `json:"id"`
	Color string  `json:"color" enum:"red,green"`
	Note  *string `json:"note"`
	At    string  `json:"at" format:"date-time"`
}

// server answers as the path asks it to.
func server(t *testing.T) *httpserver.Server {
	t.Helper()
	s, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	huma.Register(s.API, huma.Operation{OperationID: "get", Method: http.MethodGet, Path: "/things/{id}", Errors: []int{404, 409}},
		func(_ context.Context, in *struct {
			ID string `path:"id"`
		},
		) (*struct{ Body thing }, error) {
			out := thing{ID: in.ID, Color: "red", At: "2026-11-21T00:00:00.000Z"}
			switch in.ID {
			case "blue":
				out.Color = "blue"
			case "late":
				out.At = "yesterday"
			case "conflict":
				return nil, problem.Conflict.New("no")
			case "forbidden":
				return nil, problem.Forbidden.New("no")
			}
			return &struct{ Body thing }{out}, nil
		})
	return s
}

// recording is a testing.TB that keeps what would fail.
type recording struct {
	testing.TB
	failures []string
}

func (r *recording) Helper() {}

func (r *recording) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestAnswersAreHeldAgainstTheDocument(t *testing.T) {
	t.Parallel()
	s := server(t)
	contract := openapitest.Of(t, s.Engine)
	if contract.Document().Paths["/things/{id}"]["get"].OperationID != "get" {
		t.Errorf("document: %+v", contract.Document())
	}
	tests := []struct{ method, path, want string }{
		{"GET", "/things/a", ""},
		{"GET", "/things/conflict", ""},
		{"GET", "/nowhere", ""},
		{"POST", "/things/a", ""},
		{"GET", "/health", ""},
		{"GET", "/docs", ""},
		{"GET", "/things/a?x=1", ""},
		{"GET", "/things/blue", "color"},
		{"GET", "/things/late", "at"},
		{"GET", "/things/forbidden", "403"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			caught := &recording{TB: t}
			contract.Handler(caught, s.Engine).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.path, nil))
			all := strings.Join(caught.failures, "\n")
			if (tt.want == "") != (all == "") || !strings.Contains(all, tt.want) {
				t.Errorf("got %q, want %q", all, tt.want)
			}
		})
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	s := server(t)
	web := httptest.NewServer(s.Engine)
	defer web.Close()
	caught := &recording{TB: t}
	client := &http.Client{Transport: openapitest.Of(t, s.Engine).Transport(caught, nil)}
	for _, path := range []string{"/things/a", "/things/blue"} {
		response, err := client.Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if len(caught.failures) != 1 {
		t.Errorf("failures: %q", caught.failures)
	}
}

func TestProblemsMustBeDocuments(t *testing.T) {
	t.Parallel()
	contract := openapitest.Of(t, server(t).Engine)
	for name, h := range map[string]http.HandlerFunc{
		"plain text": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) },
		"another code": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", problem.ContentType)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"status":401}`))
		},
		"a new path": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	} {
		caught := &recording{TB: t}
		contract.Handler(caught, h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/elsewhere", nil))
		if len(caught.failures) != 1 {
			t.Errorf("%s: %q", name, caught.failures)
		}
	}
}
