package tilltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mpac-cloud/mpac/pgw/client"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/id"
)

// Gateway plays the payment gateway as its documents describe it: intents, refunds, idempotency, the event feed. It keeps
// everything in memory and does what a test tells it to.
type Gateway struct {
	URL string

	mu      sync.Mutex
	clock   clock.Clock
	intents map[string]*client.PaymentIntent
	refunds map[string]*client.Refund
	order   []string // intents in the order they were made
	kept    map[string]kept
	calls   map[string]int // by "METHOD path", ids cut
	events  []client.Event
	news    chan struct{}
	epoch   string
	floor   int
	faults  []Fault
	tokens  int
}

type kept struct {
	status  int
	body    []byte
	request string
}

// Fault is a trouble that the next matching calls have.
type Fault struct {
	Call   string // "POST /v1/payment_intents", "POST confirm", "POST cancel", "POST refunds", "GET events", ...
	Times  int
	After  bool   // the work is done, the answer is lost; else the call is lost on its way
	Status int    // answer with this problem in place of the work
	Code   string // its code
}

// NewGateway starts one; it ends with the test.
func NewGateway(tb testing.TB, now clock.Clock) *Gateway {
	tb.Helper()
	g := &Gateway{
		clock: now, intents: map[string]*client.PaymentIntent{}, refunds: map[string]*client.Refund{}, kept: map[string]kept{},
		calls: map[string]int{}, news: make(chan struct{}), epoch: "epoch001",
	}
	server := httptest.NewServer(g)
	tb.Cleanup(server.CloseClientConnections)
	tb.Cleanup(server.Close)
	g.URL = server.URL
	return g
}

// Fail adds a fault.
func (g *Gateway) Fail(f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, f)
}

// Heal takes all faults away.
func (g *Gateway) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = nil
}

// Calls is how often a call was made.
func (g *Gateway) Calls(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[name]
}

// ServeHTTP is the API.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := callName(r)
	g.mu.Lock()
	g.calls[name]++
	fault := g.fault(name)
	g.mu.Unlock()
	if fault != nil && fault.Status != 0 {
		problem(w, fault.Status, fault.Code, nil)
		return
	}
	if fault != nil && !fault.After {
		panic(http.ErrAbortHandler)
	}
	if name == "GET events" {
		g.feed(w, r)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if fault != nil {
		g.once(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	g.once(w, r)
}

// callName is the last literal part of a path with its method.
func callName(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	if strings.HasPrefix(last, "pi_") || strings.HasPrefix(last, "re_") {
		last = parts[len(parts)-2] + "/{id}"
	}
	return r.Method + " " + last
}

func (g *Gateway) fault(name string) *Fault {
	for i := range g.faults {
		if g.faults[i].Call == name && g.faults[i].Times > 0 {
			g.faults[i].Times--
			f := g.faults[i]
			return &f
		}
	}
	return nil
}

// once does a call, or repeats its kept answer.
func (g *Gateway) once(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	key := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost {
		g.handle(w, r, body)
		return
	}
	if key == "" {
		problem(w, 400, "idempotency_key_required", nil)
		return
	}
	request := fmt.Sprint(r.URL.Path, body)
	if old, ok := g.kept[key]; ok {
		if old.request != request {
			problem(w, 422, "idempotency_key_reused", nil)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(old.status)
		_, _ = w.Write(old.body)
		return
	}
	recorder := httptest.NewRecorder()
	g.handle(recorder, r, body)
	if recorder.Code < 300 {
		g.kept[key] = kept{status: recorder.Code, body: recorder.Body.Bytes(), request: request}
	}
	w.Header().Set("Content-Type", recorder.Header().Get("Content-Type"))
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}

func (g *Gateway) handle(w http.ResponseWriter, r *http.Request, body map[string]any) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 2:
		g.create(w, body)
	case r.Method == http.MethodGet && parts[1] == "refunds" && len(parts) == 3:
		if re := g.refunds[parts[2]]; re != nil {
			answer(w, 200, re)
			return
		}
		problem(w, 404, "refund_not_found", nil)
	case r.Method == http.MethodGet && parts[1] == "refunds":
		g.listRefunds(w, r)
	case r.Method == http.MethodGet && len(parts) == 2:
		g.list(w, r)
	default:
		in := g.intents[parts[2]]
		if in == nil {
			problem(w, 404, "payment_intent_not_found", nil)
			return
		}
		g.onIntent(w, r, in, parts, body)
	}
}

func (g *Gateway) onIntent(w http.ResponseWriter, r *http.Request, in *client.PaymentIntent, parts []string, body map[string]any) {
	what := ""
	if len(parts) == 4 {
		what = parts[3]
	}
	switch {
	case r.Method == http.MethodGet:
		answer(w, 200, in)
	case what == "payment_tokens":
		answer(w, 201, g.withToken(*in))
	case what == "confirm":
		g.confirm(w, in, body)
	case what == "cancel":
		if in.Final() {
			problem(w, 409, "payment_intent_wrong_state", nil)
			return
		}
		in.CancellationReason = "requested"
		g.move(in, client.Cancelled)
		answer(w, 200, in)
	case what == "refunds":
		g.refund(w, in, body)
	default:
		problem(w, 404, "not_found", nil)
	}
}

func (g *Gateway) create(w http.ResponseWriter, body map[string]any) {
	for _, other := range g.intents {
		if other.MerchantRefID == text(body, "merchant_ref_id") {
			problem(w, 409, "merchant_ref_id_used", map[string]any{"payment_intent_id": other.ID})
			return
		}
	}
	now := g.clock()
	minutes := 30
	if m := number(body, "expires_in_minutes"); m > 0 {
		minutes = int(m)
	}
	in := &client.PaymentIntent{
		ID: id.NewULID("pi", time.Now()), Status: client.RequiresPaymentMethod, Version: 1, Amount: number(body, "amount"), Currency: text(body, "currency"),
		MerchantID: text(body, "merchant_id"), MerchantStoreID: text(body, "merchant_store_id"), MerchantTerminalID: text(body, "merchant_terminal_id"),
		MerchantRefID: text(body, "merchant_ref_id"), CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(time.Duration(minutes) * time.Minute),
	}
	g.intents[in.ID] = in
	g.order = append(g.order, in.ID)
	g.tell(client.EventIntentCreated, in.ID, in.Version, in)
	answer(w, 201, g.withToken(*in))
}

func (g *Gateway) withToken(in client.PaymentIntent) client.PaymentIntent {
	g.tokens++
	in.PaymentToken = "token-" + strconv.Itoa(g.tokens) + "-" + in.ID
	return in
}

func (g *Gateway) confirm(w http.ResponseWriter, in *client.PaymentIntent, body map[string]any) {
	if in.Final() {
		problem(w, 409, "payment_intent_wrong_state", nil)
		return
	}
	if !g.clock().Before(in.ExpiresAt) {
		in.CancellationReason = "expired"
		g.move(in, client.Cancelled)
		problem(w, 409, "payment_intent_expired", nil)
		return
	}
	in.PaymentMethodType = text(body, "payment_method_type")
	switch in.PaymentMethodType {
	case client.QRMPM:
		in.Provider, in.QRContent = "paypay", "https://wallet.example/"+in.ID
		g.move(in, client.RequiresAction)
	case client.Card:
		card, _ := body["card"].(map[string]any)
		if text(card, "result") == "declined" {
			g.move(in, client.Failed)
			break
		}
		g.move(in, client.Succeeded)
	default:
		g.move(in, client.Succeeded)
	}
	answer(w, 200, in)
}

func (g *Gateway) refund(w http.ResponseWriter, in *client.PaymentIntent, body map[string]any) {
	ref := text(body, "merchant_refund_ref_id")
	for _, other := range g.refunds {
		if other.MerchantRefundRefID == ref {
			problem(w, 409, "merchant_refund_ref_id_used", map[string]any{"refund_id": other.ID})
			return
		}
	}
	if in.Status != client.Succeeded {
		problem(w, 409, "payment_intent_wrong_state", nil)
		return
	}
	now := g.clock()
	re := &client.Refund{
		ID: id.NewULID("re", time.Now()), PaymentIntentID: in.ID, Amount: number(body, "amount"), Currency: in.Currency, Version: 1,
		Status: client.RefundProcessing, MerchantRefundRefID: ref, Reason: text(body, "reason"), CreatedAt: now, UpdatedAt: now,
	}
	g.refunds[re.ID] = re
	in.Version++
	g.tell(client.EventRefundCreated, in.ID, in.Version, re)
	if in.PaymentMethodType != client.QRMPM {
		g.endRefund(re, client.RefundSucceeded)
	}
	answer(w, 201, re)
}

func (g *Gateway) endRefund(re *client.Refund, status string) {
	in := g.intents[re.PaymentIntentID]
	re.Status, re.Version = status, re.Version+1
	in.Version++
	if status == client.RefundSucceeded {
		in.RefundedAmount += re.Amount
	} else {
		re.Failure = &client.Failure{Code: "refund_refused", Message: "The provider refused."}
	}
	g.tell("refund."+status, in.ID, in.Version, re)
}

func (g *Gateway) list(w http.ResponseWriter, r *http.Request) {
	ref, from := r.URL.Query().Get("merchant_ref_id"), r.URL.Query().Get("updated_from")
	since, _ := time.Parse(time.RFC3339, from)
	data := []*client.PaymentIntent{}
	for _, one := range g.order {
		in := g.intents[one]
		if (ref == "" || in.MerchantRefID == ref) && !in.UpdatedAt.Before(since) {
			data = append(data, in)
		}
	}
	answer(w, 200, map[string]any{"data": data, "next_cursor": nil})
}

func (g *Gateway) listRefunds(w http.ResponseWriter, r *http.Request) {
	data := []*client.Refund{}
	for _, re := range g.refunds {
		if re.PaymentIntentID == r.URL.Query().Get("payment_intent_id") {
			data = append(data, re)
		}
	}
	answer(w, 200, map[string]any{"data": data, "next_cursor": nil})
}

// move changes an intent's state and tells it.
func (g *Gateway) move(in *client.PaymentIntent, status string) {
	in.Status, in.Version, in.UpdatedAt = status, in.Version+1, g.clock()
	if status == client.Succeeded {
		at := g.clock()
		in.SucceededAt, in.CapturedAmount = &at, in.Amount
	}
	g.tell("payment_intent."+status, in.ID, in.Version, in)
}

func (g *Gateway) tell(kind, intent string, version int64, object any) {
	content, _ := json.Marshal(object)
	e := client.Event{ID: id.NewULID("ev", time.Now()), Type: kind, CreatedAt: g.clock(), PaymentIntentID: intent, Version: version}
	e.Data.Object = content
	g.publish(e)
}

func (g *Gateway) publish(e client.Event) {
	g.events = append(g.events, e)
	close(g.news)
	g.news = make(chan struct{})
}

// feed is GET /v1/events.
func (g *Gateway) feed(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	wait, _ := strconv.Atoi(q.Get("wait"))
	deadline := time.After(time.Duration(wait) * time.Second)
	for {
		g.mu.Lock()
		at, expired := g.position(q.Get("after"))
		begin, news := g.cursor(g.floor), g.news
		data := slices.Clone(g.events[min(at, len(g.events)):])
		g.mu.Unlock()
		if expired {
			problem(w, 410, "cursor_expired", map[string]any{"resync": map[string]string{"cursor": begin}})
			return
		}
		more := len(data) > limit
		if more {
			data = data[:limit]
		}
		if len(data) > 0 || wait == 0 {
			answer(w, 200, map[string]any{"data": data, "next_cursor": g.cursor(at + len(data)), "has_more": more, "shards": 1})
			return
		}
		select {
		case <-news:
		case <-deadline:
			wait = 0
		case <-r.Context().Done():
			return
		}
	}
}

func (g *Gateway) cursor(at int) string { return g.epoch + "." + strconv.Itoa(at) }

func (g *Gateway) position(after string) (int, bool) {
	if after == "" {
		return g.floor, false
	}
	epoch, digits, _ := strings.Cut(after, ".")
	at, err := strconv.Atoi(digits)
	return at, err != nil || epoch != g.epoch || at < g.floor
}

func text(body map[string]any, name string) string { s, _ := body[name].(string); return s }

func number(body map[string]any, name string) int64 { n, _ := body[name].(float64); return int64(n) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, code string, more map[string]any) {
	doc := map[string]any{"code": code, "status": status, "title": code, "detail": "played by the test"}
	for name, value := range more {
		doc[name] = value
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}
