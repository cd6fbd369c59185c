// Package audit keeps who did what: every write of svc-portal adds its entry in its own transaction, and nothing ever changes
// or removes one.
package audit

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mpac-cloud/mpac/smartpos/internal/access"
)

// Entry is one thing done. Who did it and from where is taken from the request's context.
type Entry struct {
	Action   string // resource.verb: store.update
	Entity   string // resource: store
	EntityID string
	// The tenant the entity belongs to; zero ids for levels it does not have.
	PSPID, MerchantID, StoreID uuid.UUID
	// Before and After are JSON-marshalled; secrets in them are masked by the names of their members. nil: none.
	Before, After any
	// Actor says who it was where no access token tells: a login, an activation, a job. Zero: the request's caller.
	Actor Actor
}

// Actor is who did it.
type Actor struct {
	Kind string // user, device, system, anonymous
	ID   string
	// ImpersonatedBy is the user id of who acted as this user; empty: nobody.
	ImpersonatedBy string
}

// User is a person whom no token names yet.
func User(id uuid.UUID) Actor { return Actor{Kind: "user", ID: id.String()} }

// Device is a terminal by its client id.
func Device(clientID string) Actor { return Actor{Kind: "device", ID: clientID} }

// System is a job or a command of the platform's own.
func System(job string) Actor { return Actor{Kind: "system", ID: job} }

// Anonymous is somebody who has not proved to be anyone.
func Anonymous() Actor { return Actor{Kind: "anonymous", ID: "-"} }

// actorOf is the caller that the request's token speaks for.
func actorOf(ctx context.Context) Actor {
	p := access.From(ctx)
	switch p.Kind {
	case access.KindUser:
		return Actor{Kind: "user", ID: p.Subject, ImpersonatedBy: p.ImpersonatedBy}
	case access.KindDevice:
		return Device(p.Subject)
	default:
		return Anonymous()
	}
}

// Origin is where a request came from.
type Origin struct {
	IP, UserAgent, RequestID string
}

type originKey struct{}

// WithOrigin returns ctx with where its request came from.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf is where the request of ctx came from; the zero Origin for work of the platform's own.
func OriginOf(ctx context.Context) Origin {
	o, _ := ctx.Value(originKey{}).(Origin)
	return o
}

// Record is an entry as it is kept.
type Record struct {
	ID                         uuid.UUID
	At                         time.Time
	Entry                      Entry
	PSPID, MerchantID, StoreID *uuid.UUID
	Origin                     Origin
	Before, After              json.RawMessage
}

const masked = "[masked]"

// secretNames are the members whose values never reach the log, wherever they stand.
var secretNames = []string{"password", "secret", "credentials", "api_key", "token", "private", "hash", "activation_code", "totp"}

// mask marshals v and masks the values of members that may be secrets.
func mask(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	return json.Marshal(maskTree(tree))
}

func maskTree(v any) any {
	switch node := v.(type) {
	case map[string]any:
		for name, value := range node {
			// When something was set or is to end is no secret, whatever it is named.
			if isSecret(name) && value != nil && !strings.HasSuffix(name, "_at") {
				node[name] = masked
				continue
			}
			node[name] = maskTree(value)
		}
	case []any:
		for i := range node {
			node[i] = maskTree(node[i])
		}
	}
	return v
}

func isSecret(name string) bool {
	lower := strings.ToLower(name)
	for _, s := range secretNames {
		if strings.Contains(lower, s) {
			return true
		}
	}
	return false
}
