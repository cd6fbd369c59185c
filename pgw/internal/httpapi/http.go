// Package httpapi is what the gateway's HTTP faces share: answers that are kept bytes, the Idempotency-Key, cursors.
package httpapi

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/pgw/internal/idempotency"
	"github.com/mpac-cloud/mpac/platform/problem"
)

// Kept is an answer that goes out as it is kept: byte for byte the same for a repetition.
type Kept struct {
	Status      int
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// Answer turns a service's answer into huma's.
func Answer(a idempotency.Answer, err error) (*Kept, error) {
	if err != nil {
		return nil, Checked(err)
	}
	return &Kept{Status: a.Status, ContentType: a.ContentType, Body: a.Body}, nil
}

// KeyHeader is the header of operations that need an Idempotency-Key.
type KeyHeader struct {
	IdempotencyKey string `header:"Idempotency-Key" required:"true" maxLength:"255" example:"5f0c6d0e-5c6b-4f43-9d5b-0a1c5a9e6b1d" doc:"A fresh one for each new request, the same when you try again: within 24 hours you get the same answer, byte for byte"`
}

// RequireKey is the middleware that refuses requests without a usable Idempotency-Key, before anything else is looked at.
func RequireKey(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if err := idempotency.CheckKey(ctx.Header("Idempotency-Key")); err != nil {
			e := problem.From(err)
			_ = huma.WriteErr(api, ctx, e.GetStatus(), e.Detail(), e)
			return
		}
		next(ctx)
	}
}

// Keyed makes an operation need an Idempotency-Key and answer with kept bytes of the given types by status.
func Keyed(api huma.API, op huma.Operation, answers map[int]any) huma.Operation {
	op.Middlewares = append(op.Middlewares, RequireKey(api))
	op.Responses = map[string]*huma.Response{}
	for status, body := range answers {
		schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(body), true, "")
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: describe[status], Content: map[string]*huma.MediaType{"application/json": {Schema: schema}},
		}
		if op.DefaultStatus == 0 || status < op.DefaultStatus {
			op.DefaultStatus = status
		}
	}
	return op
}

var describe = map[int]string{200: "Done", 201: "Created", 202: "Begun; the outcome is not certain yet"}

// Paging are the query parameters of every list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

// Page is one page of a list.
type Page[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"For the next page; null on the last"`
}

const cursorVersion = "1:"

// NewPage makes a page; last is the id to go on after.
func NewPage[T any](data []T, more bool, last string) Page[T] {
	page := Page[T]{Data: data}
	if more {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + last))
		page.NextCursor = &cursor
	}
	return page
}

// After is the id in a cursor: "" without one, problem.BadCursor when it is not ours. check says whether an id is of the list's kind.
func (p Paging) After(check func(id string) error) (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	id, ours := strings.CutPrefix(string(raw), cursorVersion)
	if err != nil || !ours || check(id) != nil {
		return "", problem.BadCursor.New("Use next_cursor of the page before, as it is.")
	}
	return id, nil
}

// Errors are the statuses that any operation of a caller may answer with.
func Errors(more ...int) []int {
	return append([]int{400, 401, 403, 404, 413, 429, 503}, more...)
}
