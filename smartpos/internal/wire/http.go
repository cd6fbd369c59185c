// Package wire holds the forms that the JSON of both SmartPOS services shares: instants, lists that page by cursor.
package wire

import (
	"encoding/base64"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/platform/problem"
)

// Time is an instant as it travels: RFC 3339 in UTC, with milliseconds.
type Time time.Time

const timeForm = "2006-01-02T15:04:05.000Z"

// At returns t as it travels.
func At(t time.Time) Time { return Time(t) }

// AtOrNil returns t as it travels, or nil for none.
func AtOrNil(t *time.Time) *Time {
	if t == nil {
		return nil
	}
	at := Time(*t)
	return &at
}

// OrNil is v, or nil for the zero value: what is empty travels as null, and is kept as NULL.
func OrNil[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

// MarshalText writes the instant.
func (t Time) MarshalText() ([]byte, error) { return []byte(time.Time(t).UTC().Format(timeForm)), nil }

// UnmarshalText reads any RFC 3339 instant.
func (t *Time) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339Nano, string(text))
	*t = Time(at.UTC())
	return err
}

// Schema describes the instant in the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-01T09:30:00.000Z"}}
}

// Page is the query of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
}

// List is the answer to one: newest first.
type List[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Give it as cursor to read on; null at the end"`
}

const cursorForm = "1:"

// Before is the id from which the page goes on, nil for the first page. What is no cursor of ours is problem.BadCursor.
func (p Page) Before() (*uuid.UUID, error) {
	text, err := p.Text()
	if text == "" || err != nil {
		return nil, err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return nil, badCursor()
	}
	return &id, nil
}

// Text is what the cursor holds, "" for the first page: for lists that do not page by UUID.
func (p Page) Text() (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(raw) <= len(cursorForm) || string(raw[:len(cursorForm)]) != cursorForm {
		return "", badCursor()
	}
	return string(raw[len(cursorForm):]), nil
}

func badCursor() error {
	return problem.BadCursor.Field("query.cursor", "give next_cursor of an earlier answer, unchanged")
}

// Size is how many rows to read: one more than the page holds, which tells whether there is a next one.
func (p Page) Size() int32 { return int32(p.Limit) + 1 } //nolint:gosec // at most 100

// Listed makes the answer of the rows read (Size of them at most). id gives what the cursor holds; view, what the caller sees.
func Listed[R, T any](p Page, rows []R, id func(R) string, view func(R) T) List[T] {
	list := List[T]{Data: make([]T, 0, len(rows))}
	if len(rows) > p.Limit {
		rows = rows[:p.Limit]
		next := base64.RawURLEncoding.EncodeToString([]byte(cursorForm + id(rows[len(rows)-1])))
		list.NextCursor = &next
	}
	for _, row := range rows {
		list.Data = append(list.Data, view(row))
	}
	return list
}
