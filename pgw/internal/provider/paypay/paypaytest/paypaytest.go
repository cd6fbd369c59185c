// Package paypaytest plays PayPay inside a test's process: small, strict about signatures, with faults on request and books
// to compare with. It is written from PayPay's documents and shares no code with the adapter.
package paypaytest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The merchant that the server knows.
const (
	APIKey     = "k_test_paypay"
	APISecret  = "s_test_paypay"
	MerchantID = "m_000000000001"
)

// Fault is what goes wrong with a call.
type Fault string

// The faults. Before: the work is not done; after: it is, but nobody hears of it.
const (
	ErrorBefore Fault = "error_before"
	ErrorAfter  Fault = "error_after"
	DropBefore  Fault = "drop_before"
	DropAfter   Fault = "drop_after"
	RateLimit   Fault = "rate_limit"
	// Unseen is for query_refund: what was done does not show yet.
	Unseen Fault = "unseen"
)

// Payment is one in the books, by merchantPaymentId.
type Payment struct {
	ID, PaymentID, CodeID, StoreID string
	Status                         string // CREATED, AUTHORIZED, COMPLETED, FAILED, CANCELED, REFUNDED
	Amount, Captured, Refunded     int64
	Hold                           bool // capture later
	CodeDeleted                    bool
	CancelRemembered               bool
	AcceptedAt                     time.Time
	CodeExpires                    time.Time
}

type refund struct {
	paymentID string
	amount    int64
}

// Server is PayPay.
type Server struct {
	*httptest.Server
	Now func() time.Time
	// OneRefund refuses a second refund of a payment, as PayPay does by default.
	OneRefund bool
	// GoneAfterDelete answers "no payment" for a deleted code, where PayPay may also go on saying CREATED.
	GoneAfterDelete bool
	// DuplicateCode refuses a repeated merchantPaymentId, where PayPay may also give the first code again.
	DuplicateCode bool
	// RefusesRepeats refuses a refund's second sending, where PayPay gives the first one's result.
	RefusesRepeats bool
	// LosesCancels accepts cancels of what is paid and never carries them through, until CancelsOver: then it refuses them.
	LosesCancels, CancelsOver bool

	mu       sync.Mutex
	payments map[string]*Payment
	refunds  map[string]refund
	faults   map[string][]Fault
	calls    map[string]int
	held     map[string]chan struct{}
	silent   bool
}

// New starts a server that ends with the test.
func New(tb testing.TB, now func() time.Time) *Server {
	tb.Helper()
	s := &Server{
		Now: now, GoneAfterDelete: true, payments: map[string]*Payment{}, refunds: map[string]refund{}, faults: map[string][]Fault{},
		calls: map[string]int{}, held: map[string]chan struct{}{},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	tb.Cleanup(s.Close)
	return s
}

// Fail arms faults for the next calls of an operation: create_code, delete_code, query, charge, cancel, capture, refund, query_refund.
func (s *Server) Fail(operation string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operation] = append(s.faults[operation], faults...)
}

// SetSilent makes the server answer nothing and do nothing, until it is set back.
func (s *Server) SetSilent(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// Hold makes the next call of an operation wait, after its work, until the returned function is called.
func (s *Server) Hold(operation string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan struct{})
	s.held[operation] = ch
	return sync.OnceFunc(func() { close(ch) })
}

// Calls is how often an operation was called.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[operation]
}

// Payment is a copy of one in the books; zero when there is none.
func (s *Server) Payment(id string) Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.payments[id]; p != nil {
		return *p
	}
	return Payment{}
}

// Net is what the server has captured less what it has given back, by store.
func (s *Server) Net() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	net := map[string]int64{}
	for _, p := range s.payments {
		if p.Captured != 0 {
			net[p.StoreID] += p.Captured - p.Refunded
		}
	}
	return net
}

// Pay is the customer paying the code of a merchantPaymentId. It fails the test's caller when the code can't be paid.
func (s *Server) Pay(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.payments[id]
	switch {
	case p == nil:
		return fmt.Errorf("no payment %s", id)
	case p.Status != "CREATED" || p.CodeDeleted || s.Now().After(p.CodeExpires):
		return fmt.Errorf("payment %s cannot be paid: %+v", id, *p)
	}
	s.take(p)
	if p.CancelRemembered {
		s.giveBack(p)
	}
	return nil
}

// ForcePay books a payment whatever the code's state: money that comes when it should not.
func (s *Server) ForcePay(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.payments[id]; p != nil {
		s.take(p)
	}
}

// Misstate makes the server name another amount for a payment from now on.
func (s *Server) Misstate(id string, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payments[id].Amount = amount
}

// MisstateRefunds makes the server name another amount for every refund so far.
func (s *Server) MisstateRefunds(amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.refunds {
		r.amount = amount
		s.refunds[id] = r
	}
}

// SetCancelsOver ends the time in which what is paid can be cancelled.
func (s *Server) SetCancelsOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.CancelsOver = true
}

// Decline is the customer's account refusing.
func (s *Server) Decline(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.payments[id]; p != nil {
		p.Status = "FAILED"
	}
}

func (s *Server) take(p *Payment) {
	p.AcceptedAt, p.PaymentID = s.Now(), "PP"+strings.TrimPrefix(p.ID, "pa_")
	if p.Hold {
		p.Status = "AUTHORIZED"
		return
	}
	p.Status, p.Captured = "COMPLETED", p.Amount
}

func (s *Server) giveBack(p *Payment) {
	p.Status, p.Captured, p.Refunded = "FAILED", 0, 0
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !signed(r, body) || r.Header.Get("X-ASSUME-MERCHANT") != MerchantID {
		answer(w, 401, "UNAUTHORIZED", nil)
		return
	}
	operation, handle := s.route(r, body)
	if handle == nil {
		answer(w, 404, "NOT_FOUND", nil)
		return
	}
	s.mu.Lock()
	s.calls[operation]++
	if s.silent {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	fault := Fault("")
	if q := s.faults[operation]; len(q) > 0 {
		fault, s.faults[operation] = q[0], q[1:]
	}
	switch fault {
	case ErrorBefore:
		s.mu.Unlock()
		answer(w, 500, "INTERNAL_SERVER_ERROR", nil)
		return
	case DropBefore:
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	case RateLimit:
		s.mu.Unlock()
		answer(w, 429, "RATE_LIMIT", nil)
		return
	case Unseen:
		s.mu.Unlock()
		answer(w, 404, "NO_SUCH_REFUND_ORDER", nil)
		return
	default:
	}
	status, code, data := handle()
	held := s.held[operation]
	delete(s.held, operation)
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	switch fault {
	case ErrorAfter:
		answer(w, 500, "INTERNAL_SERVER_ERROR", nil)
	case DropAfter:
		panic(http.ErrAbortHandler)
	default:
		answer(w, status, code, data)
	}
}

type handler func() (status int, code string, data any)

func (s *Server) route(r *http.Request, body []byte) (string, handler) {
	path := r.URL.Path
	last := path[strings.LastIndexByte(path, '/')+1:]
	on := func(method, pattern string) bool {
		return r.Method == method && (path == pattern || (strings.HasSuffix(pattern, "/") && strings.HasPrefix(path, pattern)))
	}
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	switch {
	case on("POST", "/v2/codes"):
		return "create_code", func() (int, string, any) { return s.createCode(in) }
	case on("DELETE", "/v2/codes/"):
		return "delete_code", func() (int, string, any) { return s.deleteCode(last) }
	case on("GET", "/v2/codes/payments/"):
		return "query", func() (int, string, any) { return s.codePayment(last) }
	case on("POST", "/v2/payments"):
		return "charge", func() (int, string, any) { return s.charge(in) }
	case on("POST", "/v2/payments/capture"):
		return "capture", func() (int, string, any) { return s.capture(in) }
	case on("GET", "/v2/payments/"):
		return "query", func() (int, string, any) { return s.payment(last) }
	case on("DELETE", "/v2/payments/"):
		return "cancel", func() (int, string, any) { return s.cancel(last) }
	case on("POST", "/v2/refunds"):
		return "refund", func() (int, string, any) { return s.refund(in) }
	case on("GET", "/v2/refunds/"):
		return "query_refund", func() (int, string, any) { return s.refundDetails(last) }
	}
	return "", nil
}

func amountOf(in map[string]any) int64 {
	amount, _ := in["amount"].(map[string]any)
	value, _ := amount["amount"].(float64)
	return int64(value)
}

func text(in map[string]any, name string) string {
	s, _ := in[name].(string)
	return s
}

func (s *Server) createCode(in map[string]any) (int, string, any) {
	id := text(in, "merchantPaymentId")
	p := s.payments[id]
	if p != nil && s.DuplicateCode {
		return 400, "DUPLICATE_DYNAMIC_QR_REQUEST", nil
	}
	if p == nil {
		hold, _ := in["isAuthorization"].(bool)
		p = &Payment{
			ID: id, Status: "CREATED", Amount: amountOf(in), StoreID: text(in, "storeId"), Hold: hold,
			CodeID: "04-" + id[len(id)-16:], CodeExpires: s.Now().Add(5 * time.Minute),
		}
		s.payments[id] = p
	}
	return 201, "SUCCESS", map[string]any{
		"codeId": p.CodeID, "url": "https://qr.example/" + p.CodeID, "deeplink": "paypay://payment?link_key=" + p.CodeID,
		"expiryDate": p.CodeExpires.Unix(), "merchantPaymentId": id,
	}
}

func (s *Server) deleteCode(codeID string) (int, string, any) {
	for _, p := range s.payments {
		if p.CodeID != codeID {
			continue
		}
		switch {
		case p.Status != "CREATED":
			return 400, "DYNAMIC_QR_ALREADY_PAID", nil
		case p.CodeDeleted || s.Now().After(p.CodeExpires):
			return 404, "DYNAMIC_QR_NOT_FOUND", nil
		}
		p.CodeDeleted = true
		return 200, "SUCCESS", map[string]any{"qrStatus": "DELETED"}
	}
	return 404, "DYNAMIC_QR_NOT_FOUND", nil
}

func (s *Server) codePayment(id string) (int, string, any) {
	p := s.payments[id]
	if p == nil || (p.Status == "CREATED" && p.CodeDeleted && s.GoneAfterDelete) {
		return 400, "DYNAMIC_QR_PAYMENT_NOT_FOUND", nil
	}
	return 200, "SUCCESS", details(p)
}

func (s *Server) payment(id string) (int, string, any) {
	p := s.payments[id]
	if p == nil || (p.CodeID != "" && p.Status == "CREATED") {
		return 404, "RESOURCE_NOT_FOUND", nil
	}
	return 200, "SUCCESS", details(p)
}

func details(p *Payment) any {
	d := map[string]any{"status": p.Status, "merchantPaymentId": p.ID, "acceptedAt": 0}
	if p.Status != "CREATED" {
		d["paymentId"], d["acceptedAt"] = p.PaymentID, p.AcceptedAt.Unix()
		d["amount"] = map[string]any{"amount": p.Amount, "currency": "JPY"}
	}
	if p.Hold && p.Status == "COMPLETED" {
		d["captures"] = map[string]any{"data": []any{map[string]any{
			"status": "COMPLETED", "amount": map[string]any{"amount": p.Captured, "currency": "JPY"},
		}}}
	}
	return d
}

// Codes of customers that the server refuses.
const (
	PoorCustomer = "28000000000000001"
	StaleCode    = "28000000000000002"
)

func (s *Server) charge(in map[string]any) (int, string, any) {
	id := text(in, "merchantPaymentId")
	if p := s.payments[id]; p != nil {
		return 201, "SUCCESS", details(p)
	}
	switch text(in, "userAuthorizationId") {
	case PoorCustomer:
		return 400, "NO_SUFFICIENT_FUND", nil
	case StaleCode:
		return 401, "EXPIRED_USER_AUTHORIZATION_ID", nil
	}
	p := &Payment{ID: id, Amount: amountOf(in), StoreID: text(in, "storeId")}
	s.payments[id] = p
	s.take(p)
	return 201, "SUCCESS", details(p)
}

func (s *Server) cancel(id string) (int, string, any) {
	p := s.payments[id]
	switch {
	case p == nil:
		return 400, "INVALID_PARAMS", nil
	case p.Status == "COMPLETED" && s.CancelsOver:
		return 400, "ORDER_NOT_REVERSIBLE", nil
	case p.Status == "COMPLETED" && s.LosesCancels:
	case p.Status == "COMPLETED", p.Status == "AUTHORIZED":
		s.giveBack(p)
	case p.Status == "CREATED":
		p.CancelRemembered = true
	case p.Status != "FAILED":
		return 400, "ORDER_NOT_REVERSIBLE", nil
	}
	return 202, "REQUEST_ACCEPTED", nil
}

func (s *Server) capture(in map[string]any) (int, string, any) {
	p := s.payments[text(in, "merchantPaymentId")]
	switch {
	case p == nil:
		return 404, "RESOURCE_NOT_FOUND", nil
	case p.Status == "COMPLETED":
		return 400, "ALREADY_CAPTURED", nil
	case p.Status != "AUTHORIZED":
		return 400, "ORDER_NOT_CAPTURABLE", nil
	}
	p.Status, p.Captured = "COMPLETED", amountOf(in)
	return 200, "SUCCESS", details(p)
}

func (s *Server) refund(in map[string]any) (int, string, any) {
	id, paymentID, amount := text(in, "merchantRefundId"), text(in, "paymentId"), amountOf(in)
	if _, known := s.refunds[id]; known {
		if s.RefusesRepeats {
			return 403, "MERCHANT_MULTIPLE_REFUND_REJECTED", nil
		}
		return s.refundDetails(id)
	}
	for _, p := range s.payments {
		if p.PaymentID != paymentID || paymentID == "" {
			continue
		}
		switch {
		case p.Status != "COMPLETED" && p.Status != "REFUNDED":
			return 400, "UNACCEPTABLE_OP", nil
		case s.OneRefund && p.Refunded > 0:
			return 403, "MERCHANT_MULTIPLE_REFUND_REJECTED", nil
		case p.Refunded+amount > p.Captured:
			return 400, "INVALID_PARAMS", nil
		}
		p.Refunded += amount
		if p.Refunded == p.Captured {
			p.Status = "REFUNDED"
		}
		s.refunds[id] = refund{paymentID: paymentID, amount: amount}
		return s.refundDetails(id)
	}
	return 404, "RESOURCE_NOT_FOUND", nil
}

func (s *Server) refundDetails(id string) (int, string, any) {
	r, known := s.refunds[id]
	if !known {
		return 404, "NO_SUCH_REFUND_ORDER", nil
	}
	return 200, "SUCCESS", map[string]any{
		"status": "CREATED", "acceptedAt": s.Now().Unix(), "merchantRefundId": id, "paymentId": r.paymentID,
		"amount": map[string]any{"amount": r.amount, "currency": "JPY"},
	}
}

func answer(w http.ResponseWriter, status int, code string, data any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"resultInfo": map[string]any{"code": code, "message": code, "codeId": "0"}, "data": data})
}

// signed checks PayPay's Authorization header.
func signed(r *http.Request, body []byte) bool {
	parts := strings.Split(r.Header.Get("Authorization"), ":")
	if len(parts) != 6 || parts[0] != "hmac OPA-Auth" || parts[1] != APIKey {
		return false
	}
	contentType, hash := "empty", "empty"
	if len(body) > 0 {
		contentType = r.Header.Get("Content-Type")
		sum := md5.Sum(slices.Concat([]byte(contentType), body))
		hash = base64.StdEncoding.EncodeToString(sum[:])
	}
	mac := hmac.New(sha256.New, []byte(APISecret))
	mac.Write([]byte(r.URL.Path + "\n" + r.Method + "\n" + parts[3] + "\n" + parts[4] + "\n" + contentType + "\n" + hash))
	return hash == parts[5] && base64.StdEncoding.EncodeToString(mac.Sum(nil)) == parts[2]
}
