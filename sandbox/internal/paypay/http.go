package paypay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/mpac-cloud/mpac/sandbox/internal/books"
	"github.com/mpac-cloud/mpac/sandbox/internal/fault"
	"github.com/mpac-cloud/mpac/sandbox/internal/webhook"
)

// API answers PayPay's calls.
type API struct {
	Ctx       context.Context //nolint:containedctx // ends the waits of faults when the process stops
	Books     *books.Books
	Faults    *fault.Box
	Webhooks  *webhook.Sender
	WalletURL string // what a code's id is appended to
}

// A client's read timeout, by PayPay's documents: a fault that answers too late waits a little longer.
const (
	quick   = 15 * time.Second
	patient = 30 * time.Second
	beyond  = 5 * time.Second
)

// operation is one call of the API.
type operation struct {
	name    string // as faults name it
	timeout time.Duration
	run     func(*API, *call) (reply, error)
}

// call is one request that was read and authenticated.
type call struct {
	*gin.Context
	body     []byte
	merchant books.Merchant
}

// reply is what an operation answers when it does not refuse.
type reply struct {
	code   string // of the table
	status int    // where it differs from the table's
	data   any
}

func success(data any) reply { return reply{code: "SUCCESS", data: data} }
func created(data any) reply { return reply{code: "SUCCESS", status: http.StatusCreated, data: data} }

type envelope struct {
	ResultInfo resultInfo `json:"resultInfo"`
	Data       any        `json:"data"`
}

type resultInfo struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	CodeID  string `json:"codeId"`
}

// Mount puts PayPay's paths at the router's root.
func (a *API) Mount(engine *gin.Engine) {
	routes := []struct {
		method, path string
		op           operation
	}{
		{http.MethodPost, "/v2/codes", operation{fault.CreateCode, patient, (*API).createCode}},
		{http.MethodDelete, "/v2/codes/:codeId", operation{fault.DeleteCode, quick, (*API).deleteCode}},
		{http.MethodGet, "/v2/codes/payments/:merchantPaymentId", operation{fault.GetCodePayment, quick, (*API).getCodePayment}},
		{http.MethodPost, "/v2/payments", operation{fault.Pay, patient, (*API).pay}},
		{http.MethodGet, "/v2/payments/:merchantPaymentId", operation{fault.GetPayment, quick, (*API).getPayment}},
		{http.MethodDelete, "/v2/payments/:merchantPaymentId", operation{fault.Cancel, quick, (*API).cancel}},
		{http.MethodPost, "/v2/payments/preauthorize", operation{fault.Preauthorize, patient, (*API).preauthorize}},
		{http.MethodPost, "/v2/payments/preauthorize/revert", operation{fault.Revert, patient, (*API).revert}},
		{http.MethodPost, "/v2/payments/capture", operation{fault.Capture, patient, (*API).capture}},
		{http.MethodPost, "/v2/refunds", operation{fault.Refund, patient, (*API).refund}},
		{http.MethodGet, "/v2/refunds/:merchantRefundId", operation{fault.GetRefund, quick, (*API).getRefund}},
	}
	for _, r := range routes {
		engine.Handle(r.method, r.path, func(c *gin.Context) { a.serve(c, r.op) })
	}
	unknown := func(c *gin.Context) { refuse(c, newRequestID(), lookup("RESOURCE_NOT_FOUND")) }
	engine.NoRoute(unknown)
	engine.NoMethod(unknown)
}

// serve reads, authenticates, lets the fault asked for happen around the work, and answers.
func (a *API) serve(c *gin.Context, op operation) {
	requestID := newRequestID()
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		refuse(c, requestID, lookup("INVALID_REQUEST_PARAMS"))
		return
	}
	merchant, err := a.authenticate(c, body)
	if err != nil {
		a.answer(c, requestID, reply{}, err)
		return
	}
	in := &call{Context: c, body: body, merchant: merchant}
	f, _ := a.Faults.Call(op.name, a.target(in))
	if f.Kind != "" {
		slog.Info("fault", "operation", op.name, "kind", f.Kind, "path", c.Request.URL.Path)
	}
	if !a.before(c, requestID, f) {
		return
	}
	out, err := op.run(a, in)
	if a.after(in, requestID, op, f) {
		a.answer(c, requestID, out, err)
	}
}

// before lets what comes before the work go wrong; false: the request is over.
func (a *API) before(c *gin.Context, requestID string, f fault.Fault) bool {
	switch f.Kind {
	case fault.Slow:
		a.sleep(time.Duration(f.DelayMS) * time.Millisecond)
	case fault.ErrorBefore:
		refuse(c, requestID, lookup("INTERNAL_SERVER_ERROR"))
	case fault.RateLimit:
		refuse(c, requestID, lookup("RATE_LIMIT"))
	case fault.Refuse:
		refuse(c, requestID, lookup(f.Code))
	case fault.DropBefore:
		drop(c)
	}
	return f.Kind != fault.ErrorBefore && f.Kind != fault.RateLimit && f.Kind != fault.Refuse && f.Kind != fault.DropBefore
}

// after lets what comes after the work go wrong; false: the request is over.
func (a *API) after(in *call, requestID string, op operation, f fault.Fault) bool {
	switch f.Kind {
	case fault.TimeoutAfter:
		delay := time.Duration(f.DelayMS) * time.Millisecond
		if delay == 0 {
			delay = op.timeout + beyond
		}
		a.sleep(delay)
	case fault.ErrorAfter:
		refuse(in.Context, requestID, lookup("INTERNAL_SERVER_ERROR"))
		return false
	case fault.DropAfter:
		drop(in.Context)
		return false
	case fault.WebhookBeforeAnswer:
		a.payBeforeAnswer(in)
	}
	return true
}

// payBeforeAnswer lets the payer be faster than the answer: paid, and the merchant told, before the call returns.
func (a *API) payBeforeAnswer(in *call) {
	t := a.target(in)
	ref := books.Ref{MerchantID: t.MerchantID, MerchantPaymentID: t.MerchantPaymentID}
	if _, err := a.Books.Pay(ref); err != nil {
		slog.Debug("webhook before answer: not payable", "error", err)
	}
	a.Webhooks.Settle(books.Key{MerchantID: t.MerchantID, MerchantPaymentID: t.MerchantPaymentID})
}

// authenticate finds the merchant that the call is for and checks its signature. The merchant is named by the query or by
// the header; the query wins.
func (a *API) authenticate(c *gin.Context, body []byte) (books.Merchant, error) {
	auth, err := parseAuthorization(c.GetHeader("Authorization"))
	if err != nil {
		return books.Merchant{}, unauthorized(c, err)
	}
	id := c.Query("assumeMerchant")
	if id == "" {
		id = c.GetHeader("X-ASSUME-MERCHANT")
	}
	merchants, err := a.Books.Merchants()
	if err != nil {
		return books.Merchant{}, err
	}
	var assumed, anyOfKey *books.Merchant
	for _, m := range merchants {
		if m.APIKey == auth.apiKey {
			anyOfKey = &m
			if m.ID == id {
				assumed = &m
			}
		}
	}
	if anyOfKey == nil {
		return books.Merchant{}, unauthorized(c, errors.New("no such API key"))
	}
	known := anyOfKey
	if assumed != nil {
		known = assumed
	}
	request := signed{method: c.Request.Method, path: path(c.Request), contentType: c.GetHeader("Content-Type"), body: body}
	if err := auth.verify(request, known.APISecret, a.Books.Now()); err != nil {
		return books.Merchant{}, unauthorized(c, err)
	}
	if assumed == nil {
		return books.Merchant{}, books.Refuse("OP_OUT_OF_SCOPE")
	}
	return *assumed, nil
}

// path is the path as it was sent.
func path(r *http.Request) string {
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	return sent
}

// unauthorized tells the developer at the sandbox's log what PayPay would keep to itself.
func unauthorized(c *gin.Context, why error) error {
	slog.Warn("paypay: refused signature", "why", why.Error(), "method", c.Request.Method, "path", c.Request.URL.Path)
	return books.Refuse("UNAUTHORIZED")
}

// target is what the call is about, for faults aimed at one payment or store.
func (a *API) target(in *call) fault.Target {
	var body struct {
		MerchantPaymentID string `json:"merchantPaymentId"`
		PaymentID         string `json:"paymentId"`
		StoreID           string `json:"storeId"`
	}
	_ = json.Unmarshal(in.body, &body) // what is not there matches no fault
	t := fault.Target{MerchantID: in.merchant.ID, StoreID: body.StoreID, MerchantPaymentID: body.MerchantPaymentID}
	if id := in.Param("merchantPaymentId"); id != "" {
		t.MerchantPaymentID = id
	}
	o, err := a.order(in, t.MerchantPaymentID, body.PaymentID)
	if err == nil {
		t.MerchantPaymentID, t.StoreID = o.MerchantPaymentID, o.StoreID
	}
	return t
}

func (a *API) order(in *call, merchantPaymentID, paymentID string) (books.Order, error) {
	if refundID := in.Param("merchantRefundId"); refundID != "" {
		return a.Books.FindRefund(in.merchant.ID, in.Query("paymentId"), refundID)
	}
	return a.Books.Order(books.Ref{
		MerchantID: in.merchant.ID, MerchantPaymentID: merchantPaymentID, CodeID: in.Param("codeId"), PaymentID: paymentID,
	})
}

func (a *API) answer(c *gin.Context, requestID string, out reply, err error) {
	if err != nil {
		var refusal books.Refusal
		if !errors.As(err, &refusal) {
			slog.Error("paypay", "error", err, "path", c.Request.URL.Path)
		}
		refuse(c, requestID, lookup(refusal.Code))
		return
	}
	o := lookup(out.code)
	if out.status == 0 {
		out.status = o.status
	}
	c.Header("X-REQUEST-ID", requestID)
	c.JSON(out.status, envelope{ResultInfo: resultInfo{Code: o.code, Message: o.message, CodeID: o.codeID}, Data: out.data})
}

func refuse(c *gin.Context, requestID string, o outcome) {
	c.Header("X-REQUEST-ID", requestID)
	c.JSON(o.status, envelope{ResultInfo: resultInfo{Code: o.code, Message: o.message + " | [" + requestID + "]", CodeID: o.codeID}})
}

// drop closes the connection without an answer.
func drop(c *gin.Context) {
	connection, _, err := c.Writer.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server closes it then
	}
	if tcp, ok := connection.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // a reset, as when a machine dies
	}
	_ = connection.Close()
	c.Abort()
}

// sleep is bound to the process, not to the caller: a caller that gives up does not stop the work.
func (a *API) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.Ctx.Done():
	}
}

func newRequestID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // crypto/rand does not fail
	return "OPA" + strings.ToUpper(hex.EncodeToString(b))
}
