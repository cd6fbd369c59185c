package event

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Deps are what the HTTP face needs from its service.
type Deps struct {
	// Tenant is whose feed is read.
	Tenant func(context.Context) (partnerID, mode string)
	// Security opens the operation.
	Security []map[string][]string
}

// Register adds GET /v1/events to the API.
func Register(api huma.API, feed *Feed, deps Deps) {
	huma.Register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/v1/events", Summary: "Read the event feed", Tags: []string{"Events"},
		Security: deps.Security, Description: feedDescription,
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusGone, http.StatusTooManyRequests},
	}, func(ctx context.Context, in *listInput) (*listOutput, error) {
		partnerID, mode := deps.Tenant(ctx)
		page, err := feed.Read(ctx, Query{
			PartnerID: partnerID, Mode: mode, Shard: in.Shard, After: in.After, Limit: in.Limit, Wait: time.Duration(in.Wait) * time.Second,
		})
		if err != nil {
			return nil, err
		}
		return &listOutput{Body: newListBody(page)}, nil
	})
}

const feedDescription = `Events in one order without holes: each page goes on where ` + "`next_cursor`" + ` of the last one ended. Keep the cursor
with the effect of the events, in one transaction. An intent's events come with ascending ` + "`version`" + `; what has a version that you have
is known to you. With ` + "`wait`" + ` an empty answer is held back until something happens.

A feed may have several shards, by merchant: read each with a cursor of its own. 410 ` + "`cursor_expired`" + `: the cursor is past what is kept
(30 days) or of the time before a restore; the answer's ` + "`resync`" + ` says how to go on.`

type listInput struct {
	After string `query:"after" maxLength:"64" doc:"next_cursor of the page before; left out: from the beginning of what is kept"`
	Limit int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
	Wait  int    `query:"wait" minimum:"0" maximum:"30" default:"0" doc:"seconds to wait for an event when there is none"`
	Shard int16  `query:"shard" minimum:"0" maximum:"1023" default:"0"`
}

type listOutput struct{ Body listBody }

type listBody struct {
	Data       []eventJSON `json:"data" nullable:"false"`
	NextCursor string      `json:"next_cursor" doc:"Opaque. Always there."`
	HasMore    bool        `json:"has_more" doc:"Whether the next page can be had at once"`
	Shards     int16       `json:"shards" doc:"How many shards the feed has"`
}

type eventJSON struct {
	ID              string          `json:"id" example:"ev_01KAQXM4S3E8N2Z5T9V6W7X8Y9"`
	Object          string          `json:"object" enum:"event"`
	Type            Type            `json:"type"`
	CreatedAt       string          `json:"created_at" format:"date-time"`
	MerchantID      string          `json:"merchant_id"`
	PaymentIntentID string          `json:"payment_intent_id" doc:"Of refunds too"`
	Version         int64           `json:"version" doc:"The intent's, after this event"`
	Data            json.RawMessage `json:"data" doc:"{\"object\": the PaymentIntent or Refund as of this event}"`
	Traceparent     *string         `json:"traceparent" doc:"W3C trace context of the change, for a link"`
}

// Schema lists the types, so that the document names them.
func (Type) Schema(huma.Registry) *huma.Schema {
	names := make([]any, len(Types))
	for i, t := range Types {
		names[i] = string(t)
	}
	return &huma.Schema{Type: huma.TypeString, Enum: names}
}

func newListBody(p Page) listBody {
	const millis = "2006-01-02T15:04:05.000Z07:00"
	body := listBody{Data: make([]eventJSON, len(p.Events)), NextCursor: p.NextCursor, HasMore: p.HasMore, Shards: p.Shards}
	for i, e := range p.Events {
		body.Data[i] = eventJSON{
			e.ID, "event", e.Type, e.CreatedAt.UTC().Format(millis), e.MerchantID, e.PaymentIntentID, e.Version, e.Data, e.Traceparent,
		}
	}
	return body
}
