package httpserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/platform/httpserver"
	"github.com/mpac-cloud/mpac/platform/problem"
)

type thing struct {
	Amount int64  `json:"amount" minimum:"1"`
	Note   string `json:"note,omitempty" maxLength:"10"`
}

func setup(t *testing.T) *httpserver.Server {
	t.Helper()
	s, err := httpserver.New(httpserver.Config{}, httpserver.Info{Service: "test", Title: "Test", Version: "1", BodyLimit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	huma.Register(s.API, huma.Operation{OperationID: "make", Method: http.MethodPost, Path: "/things/{id}"},
		func(_ context.Context, in *struct {
			ID    string `path:"id" maxLength:"5"`
			Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
			Body  thing
		},
		) (*struct{ Body thing }, error) {
			switch in.Body.Note {
			case "boom":
				panic("boom")
			case "secret":
				return nil, errors.New("password is hunter2")
			case "conflict":
				return nil, problem.VersionConflict.New("Version 1 was seen, 2 is there.").With("current", thing{Amount: 2})
			}
			return &struct{ Body thing }{in.Body}, nil
		})
	return s
}

func post(s *httpserver.Server, path, body string) (*httptest.ResponseRecorder, map[string]any) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(httpserver.RequestIDHeader, "req-1")
	s.Engine.ServeHTTP(w, r)
	var doc map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &doc)
	return w, doc
}

func TestEveryFailureIsAProblemDocument(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for name, c := range map[string]struct {
		path, body, code, field string
		status                  int
	}{
		"malformed":      {"/things/a", `{"amount":`, "malformed_request", "body", 400},
		"wrong type":     {"/things/a", `{"amount":"1"}`, "validation_failed", "amount", 422},
		"fraction":       {"/things/a", `{"amount":1.5}`, "validation_failed", "amount", 422},
		"unknown field":  {"/things/a", `{"amount":1,"x":1}`, "validation_failed", "x", 422},
		"missing field":  {"/things/a", `{}`, "validation_failed", "body", 422},
		"zero":           {"/things/a", `{"amount":0}`, "validation_failed", "amount", 422},
		"overflow":       {"/things/a", `{"amount":9223372036854775808}`, "validation_failed", "amount", 422},
		"no body":        {"/things/a", ``, "malformed_request", "", 400},
		"not UTF-8":      {"/things/a", "{\"amount\":1,\"note\":\"\xff\"}", "malformed_request", "body", 400},
		"NUL":            {"/things/a", `{"amount":1,"note":"\u0000"}`, "malformed_request", "body", 400},
		"too large":      {"/things/a", `{"note":"` + strings.Repeat("x", 2000) + `"}`, "payload_too_large", "", 413},
		"path too long":  {"/things/abcdef", `{"amount":1}`, "validation_failed", "path.id", 422},
		"bad query":      {"/things/a?limit=0", `{"amount":1}`, "validation_failed", "query.limit", 422},
		"unknown query":  {"/things/a?limt=5", `{"amount":1}`, "validation_failed", "query.limt", 422},
		"query not UTF8": {"/things/a?limit=%ff", `{"amount":1}`, "malformed_request", "query", 400},
		"path NUL":       {"/things/%00", `{"amount":1}`, "malformed_request", "path", 400},
		"no route":       {"/nowhere", `{}`, "not_found", "", 404},
		"no method":      {"/health", `{}`, "method_not_allowed", "", 405},
		"panic":          {"/things/a", `{"amount":1,"note":"boom"}`, "internal_error", "", 500},
		"unknown error":  {"/things/a", `{"amount":1,"note":"secret"}`, "internal_error", "", 500},
		"extension":      {"/things/a", `{"amount":1,"note":"conflict"}`, "version_conflict", "", 409},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, doc := post(s, c.path, c.body)
			if w.Code != c.status || doc["code"] != c.code || w.Header().Get("Content-Type") != problem.ContentType {
				t.Fatalf("got %d %s %s, want %d %s", w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.code)
			}
			if doc["request_id"] != "req-1" {
				t.Errorf("request_id: %v", doc["request_id"])
			}
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Error("the answer tells the internal error")
			}
			if c.field != "" && !strings.Contains(w.Body.String(), `"field":"`+c.field+`"`) {
				t.Errorf("field %s is not named: %s", c.field, w.Body)
			}
		})
	}
}

func TestDocumentationNeedsNoOutsideAssets(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for path, want := range map[string]string{
		"/docs": "swagger-ui-bundle.js", "/docs/swagger-ui-bundle.js": "SwaggerUIBundle", "/docs/swagger-ui.css": ".swagger-ui",
		"/docs/start.js": "openapi.json", "/openapi.json": `"3.1.0"`, "/health": "ok",
	} {
		w := httptest.NewRecorder()
		s.Engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, without %q", path, w.Code, want)
		}
		if path == "/docs" && strings.Contains(w.Body.String(), "//") {
			t.Errorf("the page names another host:\n%s", w.Body)
		}
	}
}

func TestReadinessOpensOnceAndClosesWhileDraining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t)
		database := errors.New("away")
		s.Ready.Add("database", func(context.Context) error { return database })
		go s.Ready.Watch(t.Context())
		expect := func(when string, status int) {
			t.Helper()
			time.Sleep(6 * time.Second) // of the bubble's clock
			synctest.Wait()
			if got := ready(s); got != status {
				t.Fatalf("%s: %d, want %d", when, got, status)
			}
		}
		expect("before the first success", 503)
		database = nil
		expect("after a success", 200)
		database = errors.New("lost")
		expect("a later loss must not take the service out", 200)
		s.Ready.Drain()
		expect("while draining", 503)
	})
}

func ready(s *httpserver.Server) int {
	w := httptest.NewRecorder()
	s.Engine.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ready", nil))
	return w.Code
}
