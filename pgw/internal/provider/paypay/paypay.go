// Package paypay speaks PayPay's Open Payment API v2 (dynamic QR, direct debit, capture later, refunds). Facts and their
// sources: PayPay's OpenAPI "Dynamic QR" 1.1 and integration help; where the two disagree both are handled.
package paypay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
	"github.com/mpac-cloud/mpac/platform/clock"
	"github.com/mpac-cloud/mpac/platform/money"
)

// Name is the provider's name in requests, tables and metrics.
const Name = "paypay"

// Config is what an operator may set.
type Config struct {
	LiveURL       string        `env:"PAYPAY_LIVE_URL" envDefault:"https://apigw.paypay.ne.jp" doc:"PayPay's host for live mode"`
	TestURL       string        `env:"PAYPAY_TEST_URL" envDefault:"https://apigw.sandbox.paypay.ne.jp" doc:"PayPay's host for test mode"`
	CreateTimeout time.Duration `env:"PAYPAY_CREATE_TIMEOUT" envDefault:"30s" doc:"deadline of code creation, charge, capture and refund (PayPay: never less than 30s)"`
	Timeout       time.Duration `env:"PAYPAY_TIMEOUT" envDefault:"15s" doc:"deadline of PayPay's other calls (PayPay: 15s)"`
	WebhookIPs    []string      `env:"PAYPAY_WEBHOOK_IPS" doc:"addresses or CIDRs that PayPay's webhooks come from, comma separated; empty takes them from anywhere (they are never believed)"`
}

// Provider is the adapter.
type Provider struct {
	cfg     Config
	http    *http.Client
	now     clock.Clock
	sources []netip.Prefix
}

// New checks the configuration.
func New(cfg Config, now clock.Clock) (*Provider, error) {
	p := &Provider{cfg: cfg, http: newHTTPClient(), now: now}
	for _, base := range []string{cfg.LiveURL, cfg.TestURL} {
		u, err := url.Parse(base)
		if err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") {
			return nil, fmt.Errorf("PAYPAY_LIVE_URL, PAYPAY_TEST_URL: %q is not scheme://host", base)
		}
	}
	for _, s := range cfg.WebhookIPs {
		prefix, err := parsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("PAYPAY_WEBHOOK_IPS: %w", err)
		}
		p.sources = append(p.sources, prefix)
	}
	return p, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func (p *Provider) base(mode string) string {
	if mode == "live" {
		return strings.TrimSuffix(p.cfg.LiveURL, "/")
	}
	return strings.TrimSuffix(p.cfg.TestURL, "/")
}

// Name is "paypay".
func (p *Provider) Name() string { return Name }

// Methods are both ways of a QR code.
func (p *Provider) Methods() []string { return []string{"qr_mpm", "qr_cpm"} }

// maxAmount is MoneyAmount's maxLength of 11 digits. (A payer's own limits are lower; PayPay says so by failing the payment.)
const maxAmount = 99_999_999_999

// Check refuses what PayPay would: anything but yen, more than 11 digits, capture later of a scanned code.
func (p *Provider) Check(method string, amount money.Amount, captureLater bool) error {
	switch {
	case amount.Currency != money.JPY:
		return errors.New("PayPay takes JPY only")
	case amount.Minor > maxAmount:
		return fmt.Errorf("PayPay takes at most %d", int64(maxAmount))
	case method == "qr_cpm" && captureLater:
		return errors.New("manual capture is for qr_mpm at PayPay")
	}
	return nil
}

// OwnsCode knows PayPay's codes by their first digits, 28.
func (p *Provider) OwnsCode(customerCode string) bool { return strings.HasPrefix(customerCode, "28") }

// Deadline is 30 s for what makes or moves money and 15 s for all else.
func (p *Provider) Deadline(op provider.Operation) time.Duration {
	switch op {
	case provider.OpCreateCode, provider.OpCharge, provider.OpCapture, provider.OpRefund:
		return p.cfg.CreateTimeout
	default:
		return p.cfg.Timeout
	}
}

type moneyAmount struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

func amountOf(a money.Amount) moneyAmount {
	return moneyAmount{Amount: a.Minor, Currency: string(a.Currency)}
}

func (m moneyAmount) amount() money.Amount {
	return money.Amount{Minor: m.Amount, Currency: money.Currency(m.Currency)}
}

// clip keeps PayPay's limit of 255 characters.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= 255 {
		return s
	}
	return string([]rune(s)[:255])
}

type codeBody struct {
	MerchantPaymentID string      `json:"merchantPaymentId"`
	Amount            moneyAmount `json:"amount"`
	CodeType          string      `json:"codeType"`
	OrderDescription  string      `json:"orderDescription,omitempty"`
	StoreID           string      `json:"storeId,omitempty"`
	TerminalID        string      `json:"terminalId,omitempty"`
	RequestedAt       int64       `json:"requestedAt"`
	IsAuthorization   bool        `json:"isAuthorization,omitempty"`
}

type codeData struct {
	CodeID     string `json:"codeId"`
	URL        string `json:"url"`
	Deeplink   string `json:"deeplink"`
	ExpiryDate int64  `json:"expiryDate"`
}

// CreateCode makes a dynamic QR code. PayPay answers a repeated id with the first code or with
// DUPLICATE_DYNAMIC_QR_REQUEST; which one when is not documented.
func (p *Provider) CreateCode(ctx context.Context, c provider.Credentials, r provider.CodeRequest) (provider.Code, error) {
	a, err := p.send(ctx, c, http.MethodPost, "/v2/codes", nil, codeBody{
		MerchantPaymentID: r.ID, Amount: amountOf(r.Amount), CodeType: "ORDER_QR", OrderDescription: clip(r.Description),
		StoreID: c.StoreID, TerminalID: r.TerminalID, RequestedAt: p.now().Unix(), IsAuthorization: r.CaptureLater,
	})
	if err != nil {
		return provider.Code{}, err
	}
	if !a.ok() {
		return provider.Code{}, failure(provider.OpCreateCode, a)
	}
	d, err := decode[codeData](a)
	if err != nil {
		return provider.Code{}, err
	}
	if d.CodeID == "" || d.URL == "" || d.ExpiryDate == 0 {
		return provider.Code{}, &provider.Error{ProviderCode: a.code, Message: "the answer has no code"}
	}
	return provider.Code{ID: d.CodeID, Content: d.URL, DeepLink: d.Deeplink, ExpiresAt: time.Unix(d.ExpiryDate, 0).UTC()}, nil
}

// DeleteCode makes a code unpayable; one that is not found is gone already.
func (p *Provider) DeleteCode(ctx context.Context, c provider.Credentials, codeID string) error {
	a, err := p.send(ctx, c, http.MethodDelete, "/v2/codes/"+url.PathEscape(codeID), nil, nil)
	switch {
	case err != nil:
		return err
	case a.ok() || a.code == codeQRNotFound:
		return nil
	}
	return failure(provider.OpDeleteCode, a)
}

type chargeBody struct {
	MerchantPaymentID   string      `json:"merchantPaymentId"`
	UserAuthorizationID string      `json:"userAuthorizationId"`
	Amount              moneyAmount `json:"amount"`
	RequestedAt         int64       `json:"requestedAt"`
	StoreID             string      `json:"storeId,omitempty"`
	TerminalID          string      `json:"terminalId,omitempty"`
	OrderDescription    string      `json:"orderDescription,omitempty"`
}

// Charge sends the customer's scanned code as userAuthorizationId. The public API takes no scanned code: this function, and
// this one only, needs PayPay's in-store contract, whose protocol is not public.
func (p *Provider) Charge(ctx context.Context, c provider.Credentials, r provider.ChargeRequest) (provider.Payment, error) {
	a, err := p.send(ctx, c, http.MethodPost, "/v2/payments", nil, chargeBody{
		MerchantPaymentID: r.ID, UserAuthorizationID: r.CustomerCode, Amount: amountOf(r.Amount), RequestedAt: p.now().Unix(),
		StoreID: c.StoreID, TerminalID: r.TerminalID, OrderDescription: clip(r.Description),
	})
	if err != nil {
		return provider.Payment{}, err
	}
	if !a.ok() {
		return provider.Payment{}, failure(provider.OpCharge, a)
	}
	return payment(a)
}

type paymentData struct {
	PaymentID  string       `json:"paymentId"`
	Status     string       `json:"status"`
	AcceptedAt json.Number  `json:"acceptedAt"`
	CanceledAt json.Number  `json:"canceledAt"`
	ExpiresAt  json.Number  `json:"expiresAt"`
	Amount     *moneyAmount `json:"amount"`
	Captures   *struct {
		Data []struct {
			Status string      `json:"status"`
			Amount moneyAmount `json:"amount"`
		} `json:"data"`
	} `json:"captures"`
}

// captured is what the completed captures come to; zero when there are none, or they are not one sum.
func (d paymentData) captured() money.Amount {
	var sum money.Amount
	if d.Captures == nil {
		return sum
	}
	for _, c := range d.Captures.Data {
		if c.Status != "COMPLETED" {
			continue
		}
		one := c.Amount.amount()
		if sum == (money.Amount{}) {
			sum = one
			continue
		}
		var err error
		if sum, err = sum.Add(one); err != nil {
			return money.Amount{}
		}
	}
	return sum
}

// Query asks for the payment's details. A QR order that is not paid is not found under /v2/payments, so codes have their own
// address.
func (p *Provider) Query(ctx context.Context, c provider.Credentials, r provider.Ref) (provider.Payment, error) {
	at := "/v2/payments/"
	if r.ByCode {
		at = "/v2/codes/payments/"
	}
	a, err := p.send(ctx, c, http.MethodGet, at+url.PathEscape(r.ID), nil, nil)
	switch {
	case err != nil:
		return provider.Payment{}, err
	case a.ok():
		return payment(a)
	case a.code == codeQRNoPayment || (a.status == http.StatusNotFound && a.code == codeNotFound):
		return provider.Payment{State: provider.NotFound}, nil
	}
	return provider.Payment{}, asked(failure(provider.OpQuery, a))
}

// asked: a question that was refused says nothing about the payment.
func asked(err error) error {
	var e *provider.Error
	if errors.As(err, &e) {
		e.Class = provider.ClassUnknown
	}
	return err
}

var states = map[string]provider.State{
	"CREATED": provider.Open, "AUTHORIZED": provider.Authorized, "REAUTHORIZING": provider.Authorized, "COMPLETED": provider.Completed,
	"REFUNDED": provider.Refunded, "FAILED": provider.Failed, "CANCELED": provider.Failed, "EXPIRED": provider.Failed,
}

func payment(a answer) (provider.Payment, error) {
	d, err := decode[paymentData](a)
	if err != nil {
		return provider.Payment{}, err
	}
	state, known := states[d.Status]
	if !known {
		return provider.Payment{}, &provider.Error{ProviderCode: a.code, Message: "unknown status " + strconv.Quote(d.Status)}
	}
	out := provider.Payment{State: state, PaymentID: d.PaymentID, AcceptedAt: epoch(d.AcceptedAt), ExpiresAt: epoch(d.ExpiresAt)}
	if state == provider.Failed && !epoch(d.CanceledAt).IsZero() {
		out.AcceptedAt = epoch(d.CanceledAt)
	}
	if d.Amount != nil {
		out.Amount = d.Amount.amount()
	}
	if state == provider.Completed {
		out.Captured = d.captured()
	}
	return out, nil
}

// epoch reads PayPay's seconds; 0 and nothing are no time.
func epoch(n json.Number) time.Time {
	seconds, err := n.Int64()
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// Cancel works for what is unpaid (remembered, and fires later), held or completed, until 00:14:59 of the next day.
func (p *Provider) Cancel(ctx context.Context, c provider.Credentials, r provider.Ref) error {
	a, err := p.send(ctx, c, http.MethodDelete, "/v2/payments/"+url.PathEscape(r.ID), nil, nil)
	switch {
	case err != nil:
		return err
	case a.ok():
		return nil
	}
	return failure(provider.OpCancel, a)
}

type captureBody struct {
	MerchantPaymentID string      `json:"merchantPaymentId"`
	Amount            moneyAmount `json:"amount"`
	MerchantCaptureID string      `json:"merchantCaptureId"`
	RequestedAt       int64       `json:"requestedAt"`
	OrderDescription  string      `json:"orderDescription"`
}

// Capture takes held money. An amount above the held one would need the payer (202); we never ask for that.
func (p *Provider) Capture(ctx context.Context, c provider.Credentials, r provider.CaptureRequest) (provider.Payment, error) {
	a, err := p.send(ctx, c, http.MethodPost, "/v2/payments/capture", nil, captureBody{
		MerchantPaymentID: r.ID, Amount: amountOf(r.Amount), MerchantCaptureID: r.CaptureID, RequestedAt: p.now().Unix(),
		OrderDescription: "capture",
	})
	if err != nil {
		return provider.Payment{}, err
	}
	if !a.ok() {
		return provider.Payment{}, failure(provider.OpCapture, a)
	}
	return payment(a)
}

type refundBody struct {
	MerchantRefundID string      `json:"merchantRefundId"`
	PaymentID        string      `json:"paymentId"`
	Amount           moneyAmount `json:"amount"`
	RequestedAt      int64       `json:"requestedAt"`
	Reason           string      `json:"reason,omitempty"`
}

type refundData struct {
	Status           string       `json:"status"`
	AcceptedAt       json.Number  `json:"acceptedAt"`
	MerchantRefundID string       `json:"merchantRefundId"`
	Amount           *moneyAmount `json:"amount"`
}

// Refund gives money back. CREATED and REFUNDED both mean success: PayPay carries it through.
func (p *Provider) Refund(ctx context.Context, c provider.Credentials, r provider.RefundRequest) (provider.Refund, error) {
	a, err := p.send(ctx, c, http.MethodPost, "/v2/refunds", nil, refundBody{
		MerchantRefundID: r.ID, PaymentID: r.PaymentID, Amount: amountOf(r.Amount), RequestedAt: p.now().Unix(), Reason: clip(r.Reason),
	})
	if err != nil {
		return provider.Refund{}, err
	}
	if !a.ok() {
		return provider.Refund{}, failure(provider.OpRefund, a)
	}
	return refund(a)
}

// QueryRefund asks for a refund by our id.
func (p *Provider) QueryRefund(ctx context.Context, c provider.Credentials, r provider.RefundRequest) (provider.Refund, error) {
	query := url.Values{"paymentId": {r.PaymentID}}
	a, err := p.send(ctx, c, http.MethodGet, "/v2/refunds/"+url.PathEscape(r.ID), query, nil)
	switch {
	case err != nil:
		return provider.Refund{}, err
	case a.ok():
		return refund(a)
	case a.code == codeNoRefund:
		return provider.Refund{State: provider.RefundNotFound}, nil
	}
	return provider.Refund{}, asked(failure(provider.OpQueryRefund, a))
}

func refund(a answer) (provider.Refund, error) {
	d, err := decode[refundData](a)
	if err != nil {
		return provider.Refund{}, err
	}
	if d.Status != "CREATED" && d.Status != "REFUNDED" {
		return provider.Refund{}, &provider.Error{ProviderCode: a.code, Message: "unknown refund status " + strconv.Quote(d.Status)}
	}
	out := provider.Refund{State: provider.RefundDone, AcceptedAt: epoch(d.AcceptedAt)}
	if d.Amount != nil {
		out.Amount = d.Amount.amount()
	}
	return out, nil
}

type webhookBody struct {
	NotificationType string `json:"notification_type"`
	MerchantOrderID  string `json:"merchant_order_id"`
	OrderID          string `json:"order_id"`
	FileType         string `json:"fileType"`
	Path             string `json:"path"`
}

// ReadWebhook checks the source address, PayPay's webhooks having no signature. Their state is not even read.
func (p *Provider) ReadWebhook(r provider.WebhookRequest) (provider.Notice, error) {
	if !p.from(r.SourceIP) {
		return provider.Notice{}, fmt.Errorf("%w: %s is not an address of PayPay", provider.ErrWebhookRefused, r.SourceIP)
	}
	var w webhookBody
	if err := json.Unmarshal(r.Body, &w); err != nil {
		return provider.Notice{}, fmt.Errorf("webhook: %w", err)
	}
	switch w.NotificationType {
	case "Transaction":
		return provider.Notice{AttemptID: w.MerchantOrderID, PaymentID: w.OrderID}, nil
	case "file.created":
		return fileNotice(w.Path)
	}
	return provider.Notice{}, nil
}

func fileNotice(address string) (provider.Notice, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return provider.Notice{}, errors.New("webhook: path is not a URL")
	}
	return provider.Notice{FileURL: address, FileName: path.Base(u.Path)}, nil
}

func (p *Provider) from(source string) bool {
	if len(p.sources) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(source)
	if err != nil {
		return false
	}
	for _, prefix := range p.sources {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}
