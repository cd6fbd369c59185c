package paypay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/mpac-cloud/mpac/pgw/internal/provider"
)

const (
	contentType = "application/json"
	// PayPay's answers are a few kilobytes; more than this is not one.
	maxAnswer = 1 << 20
)

// envelope is around every answer.
type envelope struct {
	ResultInfo struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		CodeID  string `json:"codeId"`
	} `json:"resultInfo"`
	Data json.RawMessage `json:"data"`
}

// answer is a call's result as far as HTTP and the envelope say.
type answer struct {
	status     int
	code       string // resultInfo.code, "" when there was no envelope
	codeID     string
	data       json.RawMessage
	retryAfter time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 && a.code != "" }

func newHTTPClient() *http.Client {
	transport := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		// TLS 1.2 with SNI is what PayPay asks for.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2: true, MaxIdleConns: 512, MaxIdleConnsPerHost: 256, IdleConnTimeout: 60 * time.Second,
	}
	return &http.Client{
		Transport: otelhttp.NewTransport(transport),
		// A redirect would carry the signature elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes one signed request. An error means that nobody knows what became of it.
func (p *Provider) send(ctx context.Context, c provider.Credentials, method, path string, query url.Values, body any) (answer, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return answer{}, &provider.Error{Class: provider.ClassFailed, Code: provider.CodeRejected, Cause: err}
		}
	}
	address := p.base(c.Mode) + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(payload))
	if err != nil {
		return answer{}, &provider.Error{Class: provider.ClassFailed, Code: provider.CodeRejected, Cause: err}
	}
	if payload != nil {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", contentType)
	req.Header.Set("X-ASSUME-MERCHANT", c.ContractID)
	req.Header.Set("Authorization", authorization(c.APIKey.Reveal(), c.APISecret.Reveal(), method, path, rand.Text()[:8], p.now(), contentType, payload))
	resp, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return read(resp)
}

func read(resp *http.Response) (answer, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("HTTP %d, then: %w", resp.StatusCode, err)
	}
	a := answer{status: resp.StatusCode}
	var e envelope
	if json.Unmarshal(raw, &e) == nil {
		a.code, a.codeID, a.data = e.ResultInfo.Code, e.ResultInfo.CodeID, e.Data
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retryAfter = time.Duration(seconds) * time.Second
	}
	return a, nil
}

// decode reads the answer's data; data that is not what the documents say leaves the outcome unknown.
func decode[T any](a answer) (T, error) {
	var out T
	if err := json.Unmarshal(a.data, &out); err != nil {
		return out, &provider.Error{Class: provider.ClassUnknown, ProviderCode: a.code, Message: "unreadable data", Cause: err}
	}
	return out, nil
}
