package idempotency

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/smartpos/svc-smarttab/internal/store"
)

// Header is the part of an operation's input that carries the key. Operations that create or move money need it: describe
// them with Required.
type Header struct {
	Key string `header:"Idempotency-Key" doc:"Names this request: sent again with the same key within 24 hours it has no further effect and gets the same answer. 1 to 255 visible ASCII characters; a UUID is a good one." example:"4f3a1c9e-1f7b-4a53-9d0e-5f1f5a0c7a11"`

	method, path string
}

// Resolve notes what the request is, for its fingerprint.
func (h *Header) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	h.method, h.path = ctx.Method(), u.RequestURI()
	return nil
}

// Must refuses a request without a key.
func (h *Header) Must() error {
	if h.Key == "" {
		return ErrRequired.Field("header.Idempotency-Key", "needed here, so that a repeated request has one effect")
	}
	return nil
}

// Input is the part of an operation's input that names the store and what it does there under a key.
type Input struct {
	store.Query
	Header
}

// Enter is the one store that the caller means, and the request with the body as parsed.
func (in Input) Enter(ctx context.Context, stores *store.Directory, body any, now time.Time) (store.Place, Request, error) {
	at, err := in.One(ctx, stores)
	if err != nil {
		return store.Place{}, Request{}, err
	}
	r, err := New(at, in.Header, body, now)
	return at, r, err
}

// Required says in the OpenAPI document that the operation needs the key. Call it after the operation is registered: huma's own
// check would answer 422 where the convention says 400.
func Required(api huma.API, method, path string) {
	item := api.OpenAPI().Paths[path]
	if item == nil || method != http.MethodPost || item.Post == nil {
		return
	}
	for _, p := range item.Post.Parameters {
		if p.In == "header" && p.Name == "Idempotency-Key" {
			p.Required = true
		}
	}
}

// Output is the answer to a request under a key, as huma writes it: the kept bytes, documented as a T.
type Output[T any] struct {
	Status int
	Body   Raw[T]
}

// Reply makes the output of an answer.
func Reply[T any](a Answer) *Output[T] {
	return &Output[T]{Status: a.Status, Body: Raw[T]{content: a.Body}}
}

// Raw is JSON that has been written before, of a T.
type Raw[T any] struct{ content []byte }

// MarshalJSON writes it as it is.
func (r Raw[T]) MarshalJSON() ([]byte, error) { return r.content, nil }

// UnmarshalJSON is for tests that read answers.
func (r *Raw[T]) UnmarshalJSON(data []byte) error {
	r.content = append([]byte(nil), data...)
	return nil
}

// Value reads it.
func (r Raw[T]) Value() (T, error) {
	var v T
	err := json.Unmarshal(r.content, &v)
	return v, err
}

// Schema is that of T.
func (Raw[T]) Schema(r huma.Registry) *huma.Schema {
	t := reflect.TypeFor[T]()
	return r.Schema(t, true, t.Name())
}
