package ratelimit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mpac-cloud/mpac/pgw/internal/partner"
)

// Middleware limits authenticated operations. merchantOf finds whose an intent is; it is asked once an intent and task.
func Middleware(api huma.API, l *Limiter, cfg Config, merchantOf func(context.Context, partner.Identity, string) (string, error)) func(huma.Context, func(huma.Context)) {
	m := &middleware{cfg: cfg, merchantOf: merchantOf, known: map[string]string{}}
	return func(ctx huma.Context, next func(huma.Context)) {
		call := partner.From(ctx.Context())
		if call.PartnerID == "" {
			next(ctx)
			return
		}
		verdict := l.Allow(ctx.Context(), m.limits(ctx, call)...)
		setHeaders(ctx, verdict)
		if !verdict.Allowed {
			e := verdict.Refusal()
			ctx.SetHeader("Retry-After", strconv.Itoa(seconds(verdict.RetryAfter)))
			_ = huma.WriteErr(api, ctx, e.GetStatus(), e.Detail(), e)
			return
		}
		next(ctx)
	}
}

type middleware struct {
	cfg        Config
	merchantOf func(context.Context, partner.Identity, string) (string, error)

	mu    sync.Mutex
	known map[string]string // merchant by intent: it never changes
}

// limits are the buckets of a request: everybody's, and one by what it does.
func (m *middleware) limits(ctx huma.Context, call partner.Call) []Limit {
	tenant := call.PartnerID + ":" + call.Mode
	global := Limit{Name: "global", PerMinute: m.cfg.Global}
	path := ctx.Operation().Path
	switch {
	case ctx.Method() == http.MethodGet && call.ByToken():
		return []Limit{{Name: "token", Key: tenant + ":" + call.MerchantID, PerMinute: m.cfg.Token}, global}
	case path == "/v1/events":
		return []Limit{{Name: "feed", Key: tenant, PerMinute: m.cfg.Feed}}
	case ctx.Method() == http.MethodGet:
		return []Limit{{Name: "read", Key: tenant, PerMinute: m.cfg.Read}, global}
	case ctx.Method() == http.MethodPut:
		return []Limit{{Name: "config", Key: tenant, PerMinute: m.cfg.Sync}, global}
	}
	return []Limit{{Name: "merchant", Key: tenant + ":" + m.merchant(ctx, call), PerMinute: m.cfg.Merchant}, global}
}

// merchant is whose a call that creates or moves is; "" when it says none that is known, a bucket of its own.
func (m *middleware) merchant(ctx huma.Context, call partner.Call) string {
	if call.ByToken() {
		return call.MerchantID
	}
	id := ctx.Param("id")
	if !strings.HasPrefix(id, "pi_") {
		var in struct {
			MerchantID string `json:"merchant_id"`
		}
		// A body that is no JSON is the handler's to refuse.
		_ = json.Unmarshal(call.Body, &in)
		return in.MerchantID
	}
	m.mu.Lock()
	merchant, ok := m.known[id]
	m.mu.Unlock()
	if ok {
		return merchant
	}
	merchant, err := m.merchantOf(ctx.Context(), call.Identity, id)
	if err != nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= manyKeys {
		clear(m.known)
	}
	m.known[id] = merchant
	return merchant
}

// setHeaders says where the caller stands: the fields of the IETF draft, and the older three that most clients know.
func setHeaders(ctx huma.Context, v Verdict) {
	reset := seconds(v.Reset)
	ctx.SetHeader("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=60", v.Limit.Name, v.Limit.PerMinute))
	ctx.SetHeader("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", v.Limit.Name, v.Remaining, reset))
	ctx.SetHeader("RateLimit-Limit", strconv.Itoa(v.Limit.PerMinute))
	ctx.SetHeader("RateLimit-Remaining", strconv.Itoa(v.Remaining))
	ctx.SetHeader("RateLimit-Reset", strconv.Itoa(reset))
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
