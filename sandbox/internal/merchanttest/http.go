// Package merchanttest is a merchant for tests: it signs calls as PayPay's documents say, with code of its own.
package merchanttest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Client calls PayPay for one merchant.
type Client struct {
	Base       string
	Key        string
	Secret     string
	MerchantID string
	Now        func() time.Time
	HTTP       *http.Client
}

// Result is an answer.
type Result struct {
	Status    int
	Code      string
	CodeID    string
	Message   string
	RequestID string
	Data      map[string]any
}

// Call makes a call that must be answered. A nil body sends none.
func (c *Client) Call(tb testing.TB, method, path string, body any) Result {
	tb.Helper()
	r, err := c.Try(tb.Context(), method, path, body)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// Try makes a call that may go unanswered.
func (c *Client) Try(ctx context.Context, method, path string, body any) (Result, error) {
	request, err := c.Request(ctx, method, path, body)
	if err != nil {
		return Result{}, err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	return read(response)
}

func (c *Client) client() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

// Request is the signed call, for tests that spoil it.
func (c *Client) Request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	contentType, hash := "empty", "empty"
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
		contentType = "application/json"
		sum := md5.Sum(append([]byte(contentType), raw...))
		hash = base64.StdEncoding.EncodeToString(sum[:])
	}
	request, err := http.NewRequestWithContext(ctx, method, c.Base+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	unsigned, _, _ := strings.Cut(path, "?")
	epoch, nonce := fmt.Sprint(c.Now().Unix()), "n0nce777"
	h := hmac.New(sha256.New, []byte(c.Secret))
	h.Write([]byte(strings.Join([]string{unsigned, method, nonce, epoch, contentType, hash}, "\n")))
	mac := base64.StdEncoding.EncodeToString(h.Sum(nil))
	request.Header.Set("Authorization", "hmac OPA-Auth:"+strings.Join([]string{c.Key, mac, nonce, epoch, hash}, ":"))
	request.Header.Set("X-ASSUME-MERCHANT", c.MerchantID)
	return request, nil
}

// Send sends a request that Request made.
func (c *Client) Send(tb testing.TB, request *http.Request) Result {
	tb.Helper()
	response, err := c.client().Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	r, err := read(response)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func read(response *http.Response) (Result, error) {
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return Result{}, err
	}
	var envelope struct {
		ResultInfo struct{ Code, Message, CodeID string }
		Data       map[string]any
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		return Result{}, fmt.Errorf("%d %q: %w", response.StatusCode, raw, err)
	}
	return Result{
		Status: response.StatusCode, Code: envelope.ResultInfo.Code, CodeID: envelope.ResultInfo.CodeID, Message: envelope.ResultInfo.Message,
		RequestID: response.Header.Get("X-REQUEST-ID"), Data: envelope.Data,
	}, nil
}

// Yen is PayPay's MoneyAmount.
func Yen(amount int64) map[string]any { return map[string]any{"amount": amount, "currency": "JPY"} }

// Code is the least body of POST /v2/codes.
func Code(merchantPaymentID string, amount int64) map[string]any {
	return map[string]any{"merchantPaymentId": merchantPaymentID, "amount": Yen(amount), "codeType": "ORDER_QR", "storeId": "s1"}
}
