package paypay_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/merchanttest"
	"github.com/mpac-cloud/mpac/sandbox/internal/paypay"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

// noon of a day in Tokyo.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, books.Tokyo)

// bundle is a PayPay of the test's own, with one merchant and its receiver of webhooks.
type bundle struct {
	*merchanttest.Client
	clock  *clock.Manual
	books  *books.Books
	faults *fault.Box
	sender *webhook.Sender
	base   string

	mu       sync.Mutex
	received []string
}

func setup(t *testing.T, change ...func(*books.Settings)) *bundle {
	t.Helper()
	b := &bundle{clock: clock.NewManual(noon), faults: &fault.Box{}}
	var err error
	if b.books, err = books.Open(filepath.Join(t.TempDir(), "journal"), b.clock.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.books.Close() })
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body := new(strings.Builder)
		_ = r.Write(body)
		b.mu.Lock()
		b.received = append(b.received, body.String())
		b.mu.Unlock()
	}))
	t.Cleanup(receiver.Close)
	m := books.Merchant{ID: "m1", Brand: "Shop", APIKey: "k1", APISecret: "secret1", WebhookURL: receiver.URL, Settings: books.DefaultSettings()}
	for _, f := range change {
		f(&m.Settings)
	}
	if err := b.books.PutMerchant(m); err != nil {
		t.Fatal(err)
	}
	b.sender = webhook.New(t.Context(), b.clock.Now, b.faults)
	b.books.Watch(b.sender.Tell)
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	(&paypay.API{Ctx: t.Context(), Books: b.books, Faults: b.faults, Webhooks: b.sender, WalletURL: "http://wallet.example/wallet/"}).Mount(engine)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	b.base = server.URL
	b.Client = &merchanttest.Client{Base: server.URL, Key: "k1", Secret: "secret1", MerchantID: "m1", Now: b.clock.Now, HTTP: server.Client()}
	return b
}

func (b *bundle) webhooks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.received)
}

func (b *bundle) create(t *testing.T, id string, amount int64) (codeID string) {
	t.Helper()
	r := b.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code(id, amount))
	want(t, r, 201, "SUCCESS", "08100001")
	return r.Data["codeId"].(string)
}

func (b *bundle) pay(t *testing.T, id string) (paymentID string) {
	t.Helper()
	o, err := b.books.Pay(books.Ref{MerchantPaymentID: id})
	if err != nil {
		t.Fatal(err)
	}
	return o.PaymentID
}

// status asks for a code's payment.
func (b *bundle) status(t *testing.T, id string) string {
	t.Helper()
	r := b.Call(t, http.MethodGet, "/v2/codes/payments/"+id, nil)
	if r.Status != http.StatusOK {
		return r.Code
	}
	return r.Data["status"].(string)
}

func (b *bundle) refund(t *testing.T, id, paymentID string, amount int64) merchanttest.Result {
	t.Helper()
	return b.Call(t, http.MethodPost, "/v2/refunds", map[string]any{
		"merchantRefundId": id, "paymentId": paymentID, "amount": merchanttest.Yen(amount), "requestedAt": b.clock.Now().Unix(), "reason": "test",
	})
}

func want(t *testing.T, r merchanttest.Result, status int, code, codeID string) {
	t.Helper()
	if r.Status != status || r.Code != code || (codeID != "" && r.CodeID != codeID) {
		t.Fatalf("got %d %s %s (%s), want %d %s %s", r.Status, r.Code, r.CodeID, r.Message, status, code, codeID)
	}
	if !strings.HasPrefix(r.RequestID, "OPA") || len(r.RequestID) != 35 {
		t.Fatalf("X-REQUEST-ID is %q", r.RequestID)
	}
	if status >= 400 && !strings.HasSuffix(r.Message, " | ["+r.RequestID+"]") {
		t.Fatalf("message is %q", r.Message)
	}
}

func TestOneSale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := merchanttest.Code("order-1", 1500)
	body["orderDescription"] = "Lunch"
	body["orderItems"] = []any{map[string]any{"name": "Set", "quantity": 1, "unitPrice": merchanttest.Yen(1500)}}
	r := b.Call(t, http.MethodPost, "/v2/codes", body)
	want(t, r, 201, "SUCCESS", "08100001")
	code := r.Data["codeId"].(string)
	if r.Data["url"] != "http://wallet.example/wallet/"+code || r.Data["deeplink"] != "paypay://payment?link_key=http%3A%2F%2Fwallet.example%2Fwallet%2F"+code {
		t.Errorf("addresses: %v", r.Data)
	}
	if r.Data["expiryDate"] != float64(noon.Unix()+300) {
		t.Errorf("expiryDate is %v", r.Data["expiryDate"])
	}
	if item := r.Data["orderItems"].([]any)[0].(map[string]any); item["unit_price"] == nil || item["unitPrice"] != nil {
		t.Errorf("item is %v", item)
	}
	unpaid := b.Call(t, http.MethodGet, "/v2/codes/payments/order-1", nil)
	if len(unpaid.Data) != 3 || unpaid.Data["status"] != "CREATED" || unpaid.Data["acceptedAt"] != 0.0 || unpaid.Data["requestedAt"] != 0.0 {
		t.Errorf("unpaid code reads %v", unpaid.Data)
	}
	want(t, b.Call(t, http.MethodGet, "/v2/payments/order-1", nil), 404, "RESOURCE_NOT_FOUND", "00200001")
	paymentID := b.pay(t, "order-1")
	for _, path := range []string{"/v2/codes/payments/order-1", "/v2/payments/order-1"} {
		paid := b.Call(t, http.MethodGet, path, nil)
		if paid.Data["status"] != "COMPLETED" || paid.Data["paymentId"] != paymentID || paid.Data["acceptedAt"] != float64(noon.Unix()) {
			t.Errorf("%s: %v", path, paid.Data)
		}
	}
	want(t, b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil), 400, "DYNAMIC_QR_ALREADY_PAID", "01652074")
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := books.Merchant{ID: "m2", APIKey: "k2", APISecret: "secret2", Settings: books.DefaultSettings()}
	if err := b.books.PutMerchant(other); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		spoil  func(*http.Request)
		status int
		code   string
	}{
		"good":                       {func(*http.Request) {}, 400, "DYNAMIC_QR_PAYMENT_NOT_FOUND"},
		"no header":                  {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "UNAUTHORIZED"},
		"unknown key":                {func(r *http.Request) { rekey(r, "k9") }, 401, "UNAUTHORIZED"},
		"other path":                 {func(r *http.Request) { r.URL.Path = "/v2/codes/payments/y" }, 401, "UNAUTHORIZED"},
		"no merchant":                {func(r *http.Request) { r.Header.Del("X-ASSUME-MERCHANT") }, 401, "OP_OUT_OF_SCOPE"},
		"another's merchant":         {func(r *http.Request) { r.Header.Set("X-ASSUME-MERCHANT", "m2") }, 401, "OP_OUT_OF_SCOPE"},
		"query wins over the header": {func(r *http.Request) { r.URL.RawQuery = "assumeMerchant=m2" }, 401, "OP_OUT_OF_SCOPE"},
		"merchant by the query": {func(r *http.Request) {
			r.Header.Del("X-ASSUME-MERCHANT")
			r.URL.RawQuery = "assumeMerchant=m1"
		}, 400, "DYNAMIC_QR_PAYMENT_NOT_FOUND"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := b.Request(t.Context(), http.MethodGet, "/v2/codes/payments/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(request)
			want(t, b.Send(t, request), c.status, c.code, "")
		})
	}
	t.Run("stale", func(t *testing.T) {
		t.Parallel()
		late := *b.Client
		late.Now = func() time.Time { return b.clock.Now().Add(-2 * time.Minute) }
		want(t, late.Call(t, http.MethodGet, "/v2/codes/payments/x", nil), 401, "UNAUTHORIZED", "08100016")
	})
}

func rekey(r *http.Request, key string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "k1:", key+":", 1))
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	with := func(field string, value any) map[string]any {
		body := merchanttest.Code("bad", 100)
		body[field] = value
		if value == nil {
			delete(body, field)
		}
		return body
	}
	cases := map[string]struct {
		body any
		code string
	}{
		"no id":             {with("merchantPaymentId", nil), "MISSING_REQUEST_PARAMS"},
		"no amount":         {with("amount", nil), "MISSING_REQUEST_PARAMS"},
		"no code type":      {with("codeType", nil), "MISSING_REQUEST_PARAMS"},
		"no currency":       {with("amount", map[string]any{"amount": 1}), "MISSING_REQUEST_PARAMS"},
		"another currency":  {with("amount", map[string]any{"amount": 1, "currency": "USD"}), "INVALID_REQUEST_PARAMS"},
		"zero":              {with("amount", merchanttest.Yen(0)), "INVALID_REQUEST_PARAMS"},
		"negative":          {with("amount", merchanttest.Yen(-1)), "INVALID_REQUEST_PARAMS"},
		"twelve digits":     {with("amount", merchanttest.Yen(100_000_000_000)), "INVALID_REQUEST_PARAMS"},
		"a fraction":        {with("amount", map[string]any{"amount": 1.5, "currency": "JPY"}), "INVALID_REQUEST_PARAMS"},
		"a string":          {with("amount", map[string]any{"amount": "1", "currency": "JPY"}), "INVALID_REQUEST_PARAMS"},
		"another code type": {with("codeType", "STATIC"), "INVALID_REQUEST_PARAMS"},
		"id with a blank":   {with("merchantPaymentId", "a b"), "INVALID_REQUEST_PARAMS"},
		"id too long":       {with("merchantPaymentId", strings.Repeat("a", 65)), "INVALID_REQUEST_PARAMS"},
		"text too long":     {with("storeId", strings.Repeat("a", 256)), "INVALID_REQUEST_PARAMS"},
		"a list":            {[]any{}, "INVALID_REQUEST_PARAMS"},
		"no body":           {nil, "MISSING_REQUEST_PARAMS"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want(t, b.Call(t, http.MethodPost, "/v2/codes", c.body), 400, c.code, "")
		})
	}
	want(t, b.Call(t, http.MethodGet, "/v2/nowhere", nil), 404, "RESOURCE_NOT_FOUND", "")
}

func TestTheLifeOfACode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	t.Run("an id is never used again", func(t *testing.T) {
		t.Parallel()
		code := b.create(t, "again", 100)
		again := func() merchanttest.Result {
			return b.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code("again", 100))
		}
		want(t, again(), 400, "DUPLICATE_DYNAMIC_QR_REQUEST", "01652073")
		want(t, b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil), 200, "SUCCESS", "")
		want(t, again(), 400, "DUPLICATE_DYNAMIC_QR_REQUEST", "01652073")
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		code := b.create(t, "deleted", 100)
		r := b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil)
		if r.Data["qrStatus"] != "DELETED" {
			t.Errorf("got %v", r.Data)
		}
		want(t, b.Call(t, http.MethodGet, "/v2/codes/payments/deleted", nil), 400, "DYNAMIC_QR_PAYMENT_NOT_FOUND", "01652075")
		want(t, b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil), 404, "DYNAMIC_QR_NOT_FOUND", "01652072")
		if _, err := b.books.Pay(books.Ref{CodeID: code}); err == nil {
			t.Error("a deleted code was paid")
		}
	})
	t.Run("above the limit the payment fails", func(t *testing.T) {
		t.Parallel()
		b.create(t, "much", 500_001)
		b.pay(t, "much")
		if s := b.status(t, "much"); s != "FAILED" {
			t.Errorf("status is %s", s)
		}
		b.create(t, "just", 500_000)
		b.pay(t, "just")
		if s := b.status(t, "just"); s != "COMPLETED" {
			t.Errorf("status is %s", s)
		}
	})
	t.Run("never was", func(t *testing.T) {
		t.Parallel()
		want(t, b.Call(t, http.MethodDelete, "/v2/codes/04-none", nil), 404, "DYNAMIC_QR_NOT_FOUND", "")
	})
}

func TestAnExpiredCodeReadsCreated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.create(t, "old", 100)
	b.clock.Advance(5 * time.Minute)
	if s := b.status(t, "old"); s != "CREATED" {
		t.Errorf("status is %s", s)
	}
	if _, err := b.books.Pay(books.Ref{CodeID: code}); err == nil {
		t.Error("an expired code was paid")
	}
	want(t, b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil), 200, "SUCCESS", "")
	if s := b.status(t, "old"); s != "DYNAMIC_QR_PAYMENT_NOT_FOUND" {
		t.Errorf("status is %s", s)
	}
}

func TestDuplicateMayAnswerAsBefore(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *books.Settings) { s.DuplicateCode = books.DuplicatePrevious })
	code := b.create(t, "twice", 100)
	if again := b.create(t, "twice", 100); again != code {
		t.Errorf("another code: %s, %s", code, again)
	}
	want(t, b.Call(t, http.MethodPost, "/v2/codes", merchanttest.Code("twice", 200)), 400, "DUPLICATE_DYNAMIC_QR_REQUEST", "")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cancel := func(t *testing.T, id string) merchanttest.Result {
		return b.Call(t, http.MethodDelete, "/v2/payments/"+id, nil)
	}
	b.create(t, "paid", 100)
	b.pay(t, "paid")
	want(t, cancel(t, "paid"), 202, "REQUEST_ACCEPTED", "08100001")
	if s := b.status(t, "paid"); s != "COMPLETED" {
		t.Errorf("a cancel took effect at once: %s", s)
	}
	want(t, cancel(t, "paid"), 202, "REQUEST_ACCEPTED", "")

	b.create(t, "unpaid", 100)
	want(t, cancel(t, "unpaid"), 202, "REQUEST_ACCEPTED", "")
	if s := b.status(t, "unpaid"); s != "CREATED" {
		t.Errorf("a cancel before payment shows: %s", s)
	}
	want(t, cancel(t, "never-seen"), 202, "REQUEST_ACCEPTED", "")
	b.pay(t, "unpaid") // the code is still payable
	b.create(t, "never-seen", 100)
	b.pay(t, "never-seen")
	sent := b.sender.Log("")
	b.clock.Advance(time.Second)
	for _, id := range []string{"paid", "unpaid", "never-seen"} {
		if s := b.status(t, id); s != "FAILED" {
			t.Errorf("%s is %s after its cancel", id, s)
		}
	}
	want(t, cancel(t, "paid"), 202, "REQUEST_ACCEPTED", "")
	if now := b.sender.Log(""); len(now) != len(sent) {
		t.Errorf("a cancel sent a webhook: %+v", now[0])
	}
}

func TestCancelCloses(t *testing.T) {
	t.Parallel()
	day := func(d, h, m, s int) time.Time { return time.Date(2026, 11, d, h, m, s, 0, books.Tokyo) }
	cases := map[string]struct {
		paid, asked time.Time
		open        bool
	}{
		"last second":                 {day(21, 23, 59, 50), day(22, 0, 14, 59), true},
		"a second later":              {day(21, 23, 59, 50), day(22, 0, 15, 0), false},
		"paid after midnight, noon":   {day(22, 0, 0, 1), day(22, 12, 0, 0), true},
		"paid after midnight, closed": {day(22, 0, 0, 1), day(23, 0, 15, 0), false},
		"morning, same day":           {day(21, 9, 0, 0), day(21, 9, 0, 1), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.clock.Set(c.paid)
			b.create(t, "x", 100)
			b.pay(t, "x")
			b.clock.Set(c.asked)
			r := b.Call(t, http.MethodDelete, "/v2/payments/x", nil)
			if c.open {
				want(t, r, 202, "REQUEST_ACCEPTED", "")
			} else {
				want(t, r, 400, "ORDER_NOT_REVERSIBLE", "00200044")
			}
		})
	}
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, "order", 1000)
	paymentID := b.pay(t, "order")
	first := b.refund(t, "r1", paymentID, 400)
	want(t, first, 200, "SUCCESS", "08100001")
	if first.Data["status"] != "CREATED" || first.Data["assumeMerchant"] != "m1" {
		t.Errorf("got %v", first.Data)
	}
	again := b.refund(t, "r1", paymentID, 400)
	want(t, again, 200, "SUCCESS", "")
	want(t, b.refund(t, "r2", paymentID, 601), 400, "INVALID_PARAMS", "00200015")
	want(t, b.refund(t, "r3", "order", 1), 500, "INTERNAL_SERVER_ERROR", "00200034")
	want(t, b.refund(t, "r3", "777", 1), 404, "RESOURCE_NOT_FOUND", "00200001")
	if s := b.status(t, "order"); s != "COMPLETED" {
		t.Errorf("after a partial refund: %s", s)
	}
	want(t, b.refund(t, "r4", paymentID, 600), 200, "SUCCESS", "")
	if s := b.status(t, "order"); s != "REFUNDED" {
		t.Errorf("after the whole is refunded: %s", s)
	}
	want(t, b.Call(t, http.MethodDelete, "/v2/payments/order", nil), 400, "ORDER_NOT_REVERSIBLE", "")
	b.clock.Advance(time.Second)
	for _, query := range []string{"", "?paymentId=" + paymentID} {
		r := b.Call(t, http.MethodGet, "/v2/refunds/r1"+query, nil)
		want(t, r, 200, "SUCCESS", "")
		if r.Data["status"] != "REFUNDED" || r.Data["assumeMerchant"] != nil {
			t.Errorf("got %v", r.Data)
		}
	}
	want(t, b.Call(t, http.MethodGet, "/v2/refunds/r9?paymentId="+paymentID, nil), 404, "NO_SUCH_REFUND_ORDER", "00200018")
	want(t, b.Call(t, http.MethodGet, "/v2/refunds/r1?paymentId=777", nil), 404, "NO_SUCH_REFUND_ORDER", "00200018")
}

func TestRefundsByContract(t *testing.T) {
	t.Parallel()
	t.Run("one only", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(s *books.Settings) { s.MultipleRefunds = false })
		b.create(t, "order", 1000)
		paymentID := b.pay(t, "order")
		want(t, b.refund(t, "r1", paymentID, 400), 200, "SUCCESS", "")
		want(t, b.refund(t, "r2", paymentID, 100), 400, "UNACCEPTABLE_OP", "00200014")
		want(t, b.refund(t, "r1", paymentID, 400), 200, "SUCCESS", "")
	})
	t.Run("throttled", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(s *books.Settings) { s.RefundThrottleSeconds = 60 })
		b.create(t, "order", 1000)
		paymentID := b.pay(t, "order")
		want(t, b.refund(t, "r1", paymentID, 400), 200, "SUCCESS", "")
		want(t, b.refund(t, "r2", paymentID, 100), 400, "THROTTLED_MULTIPLE_REFUND_REJECTED", "")
		b.clock.Advance(time.Minute)
		want(t, b.refund(t, "r2", paymentID, 100), 200, "SUCCESS", "")
	})
	t.Run("partial reads REFUNDED", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(s *books.Settings) { s.PartialRefundStatus = "REFUNDED" })
		b.create(t, "order", 1000)
		want(t, b.refund(t, "r1", b.pay(t, "order"), 1), 200, "SUCCESS", "")
		if s := b.status(t, "order"); s != "REFUNDED" {
			t.Errorf("status is %s", s)
		}
	})
	t.Run("a year", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.create(t, "order", 1000)
		paymentID := b.pay(t, "order")
		b.clock.Set(time.Date(2027, 11, 21, 23, 59, 59, 0, books.Tokyo))
		want(t, b.refund(t, "r1", paymentID, 1), 200, "SUCCESS", "")
		b.clock.Advance(time.Second)
		want(t, b.refund(t, "r2", paymentID, 1), 400, "REFUND_WINDOW_EXCEED", "")
	})
	t.Run("not paid or given back", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.create(t, "order", 1000)
		paymentID := b.pay(t, "order")
		want(t, b.Call(t, http.MethodDelete, "/v2/payments/order", nil), 202, "REQUEST_ACCEPTED", "")
		want(t, b.refund(t, "r1", paymentID, 1), 400, "UNACCEPTABLE_OP", "00200013")
	})
}

func (b *bundle) charge(t *testing.T, path, id, user string, amount int64) merchanttest.Result {
	t.Helper()
	return b.Call(t, http.MethodPost, path, map[string]any{
		"merchantPaymentId": id, "userAuthorizationId": user, "amount": merchanttest.Yen(amount), "requestedAt": b.clock.Now().Unix(), "storeId": "s1",
	})
}

func TestChargesByTheCustomersCode(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status int
		code   string
		after  string // GET /v2/payments/{id}
	}{
		"281234567890120001": {201, "SUCCESS", "COMPLETED"},
		"281234567890129001": {400, "NO_SUFFICIENT_FUND", "FAILED"},
		"281234567890129002": {400, "CANCELED_USER", "FAILED"},
		"281234567890129003": {401, "INVALID_USER_AUTHORIZATION_ID", "RESOURCE_NOT_FOUND"},
		"281234567890129004": {401, "EXPIRED_USER_AUTHORIZATION_ID", "RESOURCE_NOT_FOUND"},
		"281234567890129005": {401, "USER_STATE_IS_NOT_ACTIVE", "FAILED"},
		"281234567890129007": {404, "NO_VALID_PAYMENT_METHOD", "FAILED"},
		"281234567890129009": {500, "TRANSACTION_FAILED", "FAILED"},
		"281234567890129011": {201, "SUCCESS", "CREATED"},
	}
	for user, c := range cases {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			want(t, b.charge(t, "/v2/payments", "x", user, 100), c.status, c.code, "")
			r := b.Call(t, http.MethodGet, "/v2/payments/x", nil)
			if got, _ := r.Data["status"].(string); got != c.after && r.Code != c.after {
				t.Errorf("afterwards %s %s, want %s", r.Code, got, c.after)
			}
		})
	}
}

func TestChargesAreOnePerID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.charge(t, "/v2/payments", "x", "u1", 100)
	again := b.charge(t, "/v2/payments", "x", "u1", 100)
	if again.Status != 201 || again.Data["paymentId"] != first.Data["paymentId"] {
		t.Errorf("again: %d %v", again.Status, again.Data)
	}
	want(t, b.charge(t, "/v2/payments", "y", "u1", 100), 400, "SUSPECTED_DUPLICATE_PAYMENT", "")
	want(t, b.charge(t, "/v2/payments?agreeSimilarTransaction=true", "y", "u1", 100), 201, "SUCCESS", "")
	want(t, b.charge(t, "/v2/payments", "z", "u2", 100), 201, "SUCCESS", "")
	b.clock.Advance(5 * time.Minute)
	want(t, b.charge(t, "/v2/payments", "w", "u1", 100), 201, "SUCCESS", "")
}

func (b *bundle) capture(t *testing.T, id string, amount int64) merchanttest.Result {
	t.Helper()
	return b.Call(t, http.MethodPost, "/v2/payments/capture", map[string]any{
		"merchantPaymentId": id, "merchantCaptureId": "c-" + id, "amount": merchanttest.Yen(amount), "requestedAt": b.clock.Now().Unix(), "orderDescription": "x",
	})
}

func TestCaptureLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := merchanttest.Code("part", 1000)
	body["isAuthorization"] = true
	want(t, b.Call(t, http.MethodPost, "/v2/codes", body), 201, "SUCCESS", "")
	want(t, b.capture(t, "part", 1), 400, "ORDER_NOT_CAPTURABLE", "00200035")
	paymentID := b.pay(t, "part")
	if s := b.status(t, "part"); s != "AUTHORIZED" {
		t.Fatalf("status is %s", s)
	}
	want(t, b.refund(t, "r0", paymentID, 1), 400, "UNACCEPTABLE_OP", "00200013")
	want(t, b.capture(t, "part", 600), 200, "SUCCESS", "")
	want(t, b.capture(t, "part", 1), 400, "ALREADY_CAPTURED", "00200039")
	want(t, b.Call(t, http.MethodDelete, "/v2/payments/part", nil), 400, "ORDER_NOT_REVERSIBLE", "")
	want(t, b.refund(t, "r1", paymentID, 601), 400, "INVALID_PARAMS", "00200015")
	want(t, b.refund(t, "r1", paymentID, 600), 200, "SUCCESS", "")

	r := b.charge(t, "/v2/payments/preauthorize", "more", "u1", 1000)
	want(t, r, 201, "SUCCESS", "")
	up := b.capture(t, "more", 1200)
	want(t, up, 202, "USER_CONFIRMATION_REQUIRED", "08300103")
	if up.Data != nil {
		t.Errorf("data is %v", up.Data)
	}
	want(t, b.capture(t, "more", 1000), 400, "REAUTHORIZATION_IN_PROGRESS", "")
	b.pay(t, "more") // the payer agrees
	if got := b.Call(t, http.MethodGet, "/v2/payments/more", nil); got.Data["status"] != "COMPLETED" {
		t.Errorf("got %v", got.Data)
	}
}

func TestRevertAndExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	revert := func(paymentID string) merchanttest.Result {
		return b.Call(t, http.MethodPost, "/v2/payments/preauthorize/revert",
			map[string]any{"merchantRevertId": "v1", "paymentId": paymentID, "requestedAt": b.clock.Now().Unix()})
	}
	paymentID := b.charge(t, "/v2/payments/preauthorize", "x", "u1", 1000).Data["paymentId"].(string)
	r := revert(paymentID)
	want(t, r, 200, "SUCCESS", "")
	if r.Data["status"] != "CANCELED" {
		t.Errorf("got %v", r.Data)
	}
	want(t, revert("777"), 404, "RESOURCE_NOT_FOUND", "")
	paymentID = b.charge(t, "/v2/payments/preauthorize", "y", "u2", 1000).Data["paymentId"].(string)
	b.clock.Advance(31 * 24 * time.Hour)
	want(t, revert(paymentID), 400, "ORDER_NOT_CANCELABLE", "00200042")
	want(t, b.capture(t, "y", 1), 400, "ORDER_EXPIRED", "00200043")
	late := merchanttest.Code("z", 1)
	late["isAuthorization"], late["authorizationExpiry"] = true, b.clock.Now().Add(31*24*time.Hour).Unix()
	want(t, b.Call(t, http.MethodPost, "/v2/codes", late), 400, "PRE_AUTH_CAPTURE_INVALID_EXPIRY_DATE", "00400061")
}

func TestWithoutPreauthorization(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *books.Settings) { s.Preauthorization = false })
	want(t, b.charge(t, "/v2/payments/preauthorize", "x", "u1", 1), 400, "PRE_AUTH_CAPTURE_UNSUPPORTED_MERCHANT", "00400060")
}

// Each fault, and what the books say afterwards: was the work done?
func TestFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		fault    fault.Fault
		status   int // 0: no answer
		code     string
		workDone bool
	}{
		"slow":         {fault.Fault{Kind: fault.Slow, DelayMS: 20}, 201, "SUCCESS", true},
		"error before": {fault.Fault{Kind: fault.ErrorBefore}, 500, "INTERNAL_SERVER_ERROR", false},
		"error after":  {fault.Fault{Kind: fault.ErrorAfter}, 500, "INTERNAL_SERVER_ERROR", true},
		"rate limit":   {fault.Fault{Kind: fault.RateLimit}, 429, "RATE_LIMIT", false},
		"refuse":       {fault.Fault{Kind: fault.Refuse, Code: "MAINTENANCE_MODE"}, 503, "MAINTENANCE_MODE", false},
		"drop before":  {fault.Fault{Kind: fault.DropBefore}, 0, "", false},
		"drop after":   {fault.Fault{Kind: fault.DropAfter}, 0, "", true},
		"too late":     {fault.Fault{Kind: fault.TimeoutAfter, DelayMS: 20}, 201, "SUCCESS", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c.fault.Operation, c.fault.MerchantPaymentID = fault.CreateCode, "hit"
			b.faults.Add(c.fault)
			b.create(t, "missed", 1) // aimed at another payment
			r, err := b.Try(t.Context(), http.MethodPost, "/v2/codes", merchanttest.Code("hit", 1))
			if c.status == 0 && err == nil {
				t.Errorf("answered: %+v", r)
			}
			if c.status != 0 {
				want(t, r, c.status, c.code, "")
			}
			if _, err := b.books.Order(books.Ref{MerchantPaymentID: "hit"}); (err == nil) != c.workDone {
				t.Errorf("work done: %v, want %v", err == nil, c.workDone)
			}
			if left := b.faults.List(); len(left) != 0 {
				t.Errorf("left in the box: %+v", left)
			}
		})
	}
}

// A caller that has given up does not stop the work: the money is taken all the same.
func TestSlowWorkGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.faults.Add(fault.Fault{Operation: fault.Pay, Kind: fault.Slow, DelayMS: 150})
	impatient := *b.Client
	impatient.HTTP = &http.Client{Timeout: 20 * time.Millisecond}
	body := map[string]any{"merchantPaymentId": "x", "userAuthorizationId": "u1", "amount": merchanttest.Yen(5), "requestedAt": b.clock.Now().Unix()}
	if r, err := impatient.Try(t.Context(), http.MethodPost, "/v2/payments", body); err == nil {
		t.Fatalf("answered: %+v", r)
	}
	eventually(t, func() bool {
		o, err := b.books.Order(books.Ref{MerchantPaymentID: "x"})
		return err == nil && o.Status == books.Completed
	})
}

func TestWebhookBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{fault.CreateCode, fault.Webhook} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.faults.Add(fault.Fault{Operation: operation, Kind: fault.WebhookBeforeAnswer})
			b.create(t, "x", 100)
			if b.webhooks() != 1 {
				t.Errorf("%d webhooks had come when the call was answered", b.webhooks())
			}
			if s := b.status(t, "x"); s != "COMPLETED" {
				t.Errorf("status is %s", s)
			}
		})
	}
}

func TestFaultsFindTheirPaymentByEveryName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	code := b.create(t, "x", 100)
	b.create(t, "y", 100)
	hit := func(operation string) {
		b.faults.Add(fault.Fault{Operation: operation, Kind: fault.RateLimit, MerchantPaymentID: "x"})
	}
	hit(fault.DeleteCode)
	want(t, b.Call(t, http.MethodDelete, "/v2/codes/"+code, nil), 429, "RATE_LIMIT", "08100998")
	hit(fault.GetCodePayment)
	want(t, b.Call(t, http.MethodGet, "/v2/codes/payments/y", nil), 200, "SUCCESS", "")
	want(t, b.Call(t, http.MethodGet, "/v2/codes/payments/x", nil), 429, "RATE_LIMIT", "")
	paymentID := b.pay(t, "x")
	hit(fault.GetPayment)
	want(t, b.Call(t, http.MethodGet, "/v2/payments/x", nil), 429, "RATE_LIMIT", "")
	hit(fault.Refund)
	want(t, b.refund(t, "r1", paymentID, 1), 429, "RATE_LIMIT", "")
	want(t, b.refund(t, "r1", paymentID, 1), 200, "SUCCESS", "")
	hit(fault.GetRefund)
	want(t, b.Call(t, http.MethodGet, "/v2/refunds/r1", nil), 429, "RATE_LIMIT", "")
	hit(fault.Cancel)
	want(t, b.Call(t, http.MethodDelete, "/v2/payments/x", nil), 429, "RATE_LIMIT", "")
	if left := b.faults.List(); len(left) != 0 {
		t.Errorf("left in the box: %+v", left)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
